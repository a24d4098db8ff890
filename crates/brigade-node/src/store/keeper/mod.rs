//! The keeper knows the files of the folder. It is the only writer of the index and of [`Share`].
//!
//! It has its own thread, since nearly all of its work is file system calls. At the start it walks the folder;
//! unchanged files of the index are announced at once, the others are hashed. Then it gets events from `watch`, decides
//! with `files_being_written` when a file is no longer being written, hashes it in `hashing`, and announces it.
//! `event_loop` has the loop and the objects that keep the state. `file_reconciliation` handles one name, `scan` the
//! whole folder, `landed_files` files that were fetched, `missing_folder` a missing folder, `rename_detection` files
//! that lost their names, and `sharing_problems` files that cannot be shared.

mod announcement_queue;
mod event_loop;
mod file_reconciliation;
mod files_being_written;
mod folder_presence;
mod hashing;
mod index_writer;
mod keeper_messages;
mod landed_files;
mod missing_folder;
mod open_folder_cache;
mod options;
mod rename_detection;
mod scan;
mod sharing_problems;
mod watch;

use std::{io, sync::Arc, thread};

use tokio::sync::{mpsc, oneshot, watch as tokio_watch};
use tokio_util::sync::CancellationToken;

use self::{hashing::hashing_progress::HashingCounter, keeper_messages::LandedNotice};
pub use self::{
    hashing::hashing_progress::HashingProgress,
    sharing_problems::{KeeperProblem, ProblemList},
    watch::WatchError,
};
pub(crate) use self::{
    keeper_messages::{Change, LandedFile},
    options::KeeperOptions,
};
use super::{folder::Folder, share::Share};
use crate::clock;

/// Changes that wait to be announced; each one is about many files.
const CHANGES: usize = 64;

/// Notices of landed files that wait for the keeper.
const LANDINGS: usize = 64;

/// Starts the keeper.
#[derive(Debug)]
pub(crate) struct Keeper;

/// A handle to a running keeper; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct KeeperHandle {
    landed_files: mpsc::Sender<LandedNotice>,
    problems: tokio_watch::Receiver<Arc<ProblemList>>,
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
        let (landed_files, landed) = mpsc::channel(LANDINGS);
        let (problem_list, problems) = tokio_watch::channel(Arc::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // This token also stops the hash threads when the receiver of the changes is dropped.
        let stop = stop.child_token();
        let counter = Arc::<HashingCounter>::default();
        let counted = counter.clone();
        let work = move || {
            let channels = event_loop::KeeperChannels { landed, changes, counter: counted, stop };
            runtime.block_on(event_loop::keep(folder, share, options, problem_list, channels));
        };
        thread::Builder::new().name("keeper".to_owned()).spawn(work)?;
        Ok((KeeperHandle { landed_files, problems, counter }, receiver))
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

    /// The current problems: files that are not shared, with the reasons. The receiver sees each change.
    pub(crate) fn problems(&self) -> tokio_watch::Receiver<Arc<ProblemList>> {
        self.problems.clone()
    }

    /// The progress of hashing.
    pub(crate) fn backlog(&self) -> HashingProgress {
        self.counter.backlog(clock::now())
    }
}

#[cfg(test)]
mod tests;
