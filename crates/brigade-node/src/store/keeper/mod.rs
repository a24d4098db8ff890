//! The keeper knows the files of the folder. It is the only writer of the index and of [`Share`].
//!
//! It has its own thread, since nearly all of its work is file system calls. At the start it walks the folder;
//! unchanged files of the index are announced at once, the others are hashed. Then it gets events from `watch`, decides
//! with `files_being_written` when a file is no longer being written, hashes it in `hashing`, and announces it.
//! `event_loop` has the loop and the objects that keep the state. `file_reconciliation` handles one name, `scan` the
//! whole folder, `landed_files` files that were fetched, `folder_presence` a missing folder, `rename_detection` files
//! that lost their names, and `sharing_problems` files that cannot be shared. Each share in place has a keeper of its
//! own; `keeper_group` has the values that all of them use.

mod announcement_queue;
mod event_loop;
mod file_reconciliation;
mod files_being_written;
mod folder_presence;
mod hashing;
mod index_writer;
mod keeper_group;
mod keeper_messages;
mod landed_files;
mod open_folder_cache;
mod options;
mod rename_detection;
mod scan;
mod sharing_problems;
mod watch;

use std::{io, sync::Arc, thread};

use tokio::sync::{mpsc, oneshot, watch as tokio_watch};
use tokio_util::sync::CancellationToken;

use self::{
    hashing::hashing_progress::HashingCounter, keeper_messages::LandedNotice, sharing_problems::ProblemBoard,
};
pub use self::{
    hashing::hashing_progress::HashingProgress,
    sharing_problems::{KeeperProblem, ProblemList},
    watch::WatchError,
};
pub(crate) use self::{
    keeper_group::{FirstScan, IndexLocation, KeeperGroup},
    keeper_messages::{Change, KeeperCommand, LandedFile},
    options::KeeperOptions,
    scan::walk::is_kept_aside,
};
use super::{folder::Folder, share::Share};
use crate::clock;

/// Changes that wait to be announced; each one is about many files.
const CHANGES: usize = 64;

/// Notices of landed files that wait for the keeper.
const LANDINGS: usize = 64;

/// Commands that wait for the keeper.
const COMMANDS: usize = 64;

/// Starts the keeper.
#[derive(Debug)]
pub(crate) struct Keeper;

/// A handle to a running keeper; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct KeeperHandle {
    landed_files: mpsc::Sender<LandedNotice>,
    commands: mpsc::Sender<KeeperCommand>,
    group: KeeperGroup,
    counter: Arc<HashingCounter>,
}

impl Keeper {
    /// Starts a keeper of `folder`, whose lock the caller holds. It shares the files through `share`.
    ///
    /// It ends when `stop` is cancelled or the receiver of the changes is dropped. The channel closes when the keeper
    /// has ended and the index is complete.
    pub(crate) fn start(
        folder: Folder,
        share: Share,
        options: KeeperOptions,
        stop: CancellationToken,
    ) -> io::Result<(KeeperHandle, mpsc::Receiver<Change>)> {
        let (changes, receiver) = mpsc::channel(CHANGES);
        let group = KeeperGroup {
            changes: changes.downgrade(),
            problems: ProblemBoard::new(),
            counter: Arc::default(),
        };
        let (handle, _) = Self::spawn((folder, share, options), (group, changes), &stop)?;
        Ok((handle, receiver))
    }

    /// Starts the keeper of a share in place, in the group of the keeper of the peer's own folder. `share` has the
    /// folder of the share in place.
    ///
    /// It also ends when the folder is gone. Then it has withdrawn all files, and the receiver gets a message.
    ///
    /// # Errors
    /// If there are too many threads or open files, or if the peer stops.
    pub(crate) fn start_in_place(
        share: Share,
        options: KeeperOptions,
        group: KeeperGroup,
        stop: &CancellationToken,
    ) -> io::Result<(KeeperHandle, oneshot::Receiver<()>)> {
        let Some(changes) = group.changes.upgrade() else { return Err(io::ErrorKind::Interrupted.into()) };
        Self::spawn((share.folder().clone(), share, options), (group, changes), stop)
    }

    fn spawn(
        (folder, share, options): (Folder, Share, KeeperOptions),
        (group, changes): (KeeperGroup, mpsc::Sender<Change>),
        stop: &CancellationToken,
    ) -> io::Result<(KeeperHandle, oneshot::Receiver<()>)> {
        let (landed_files, landed) = mpsc::channel(LANDINGS);
        let (commands, received) = mpsc::channel(COMMANDS);
        let (ended, end) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let counter = Arc::new(HashingCounter::of_folder(group.counter.clone()));
        let channels = event_loop::KeeperChannels {
            landed,
            commands: received,
            changes,
            problems: group.problems.clone(),
            counter: counter.clone(),
            // This token also stops the hash threads when the receiver of the changes is dropped.
            stop: stop.child_token(),
        };
        let work = move || {
            runtime.block_on(event_loop::keep(folder, share, options, channels));
            let _ = ended.send(());
        };
        thread::Builder::new().name("keeper".to_owned()).spawn(work)?;
        Ok((KeeperHandle { landed_files, commands, group, counter }, end))
    }
}

impl KeeperHandle {
    /// Shares files that were received, without hashing them again. When this returns, they are shared and the change
    /// is in the channel. A file that has changed since it landed is hashed. A keeper that has ended does nothing.
    pub(crate) async fn landed(&self, files: Vec<LandedFile>) {
        let (done, wait) = oneshot::channel();
        if self.landed_files.send((files, done)).await.is_ok() {
            // An error means that the keeper has ended.
            let _ = wait.await;
        }
    }

    /// Sends a command. A keeper that has ended does nothing.
    pub(crate) async fn command(&self, command: KeeperCommand) {
        let _ = self.commands.send(command).await;
    }

    /// Sends a command, from a thread that may wait.
    pub(crate) fn blocking_command(&self, command: KeeperCommand) {
        let _ = self.commands.blocking_send(command);
    }

    /// The current problems of all folders: files that are not shared, with the reasons. The receiver sees each change.
    pub(crate) fn problems(&self) -> tokio_watch::Receiver<Arc<ProblemList>> {
        self.group.problems.subscribe()
    }

    /// The progress of hashing in all folders together.
    pub(crate) fn backlog(&self) -> HashingProgress {
        self.group.counter.backlog(clock::now())
    }

    /// The progress of hashing in the keeper's own folder.
    pub(crate) fn backlog_of_folder(&self) -> HashingProgress {
        self.counter.backlog(clock::now())
    }

    /// The values that it has in common with the keepers of shares in place.
    pub(crate) fn group(&self) -> &KeeperGroup {
        &self.group
    }
}

#[cfg(test)]
mod tests;
