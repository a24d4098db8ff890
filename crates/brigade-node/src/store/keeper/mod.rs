//! The keeper: it knows what is in the folder, and is the only writer of the index and of [`Share`].
//!
//! It lives on a thread of its own, since nearly all that it does is ask the file system. At the start it walks the
//! folder; what is in the index unchanged is announced at once, the rest is hashed. Then it hears of changes from
//! `watch`, decides with `settle` when a file is at rest, has it hashed in `hashing`, and announces what came of it.
//! `owner` holds the state and the loop; `file` what is done about one name; `scan` the look at everything;
//! `presence` what is done when the folder itself is gone; `problems` what cannot be shared.

mod backlog;
mod file;
mod hashing;
mod indexing;
mod looking;
mod outbox;
mod owner;
mod presence;
mod problems;
mod scan;
mod settle;
mod watch;

use std::{io, num::NonZero, sync::Arc, thread};

use brigade_core::{content::PieceList, id::Content, name::FileName};
use tokio::sync::{mpsc, oneshot, watch as tokio_watch};
use tokio_util::sync::CancellationToken;

use self::backlog::Tally;
pub use self::{
    backlog::Backlog,
    problems::{ProblemList, Trouble},
    watch::NoWatch,
};
use super::{
    folder::{Folder, Stamp},
    share::{Share, Shared},
};
use crate::clock;

/// Changes that wait for whoever announces them; each is of many files.
const CHANGES: usize = 64;

/// Notices of files that landed, waiting for the keeper.
const LANDINGS: usize = 64;

/// How the keeper works.
#[derive(Debug, Clone)]
pub struct KeeperOptions {
    /// Whether hidden files (a component begins with a dot) are shared too.
    pub hidden: bool,
    /// Threads that hash.
    pub threads: usize,
    /// Whether the file system is asked for news; if not, everything is looked at every second or two.
    pub watch: bool,
    /// Whether only files that landed here are shared, as long as they stay as they are; for a folder whose other
    /// files are nobody's business.
    pub only_landed: bool,
}

impl Default for KeeperOptions {
    fn default() -> Self {
        Self {
            hidden: false,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            watch: true,
            only_landed: false,
        }
    }
}

/// What changed in the folder, in the order in which it is to be announced.
#[derive(Debug)]
pub enum Change {
    /// These are served from now on, in place of what had their names.
    Shared(Vec<Arc<Shared>>),
    /// These are not served any more.
    Gone(Vec<FileName>),
    /// Everything that was in the folder at the start is announced, or reported as a problem, or being written.
    Scanned,
    /// Something is not shared.
    Problem {
        /// What it is about: a path below the folder. From the file system: to be escaped before it is shown.
        what: String,
        /// The cause.
        why: String,
    },
    /// A problem is no more.
    Solved {
        /// As in the problem.
        what: String,
    },
}

/// A file that was received and has its name: everything about it is known.
#[derive(Debug, Clone)]
pub struct Landed {
    /// Its name.
    pub name: FileName,
    /// Its bytes, as they were verified.
    pub content: Content,
    /// Its pieces, where there is more than one.
    pub list: Option<Arc<PieceList>>,
    /// What `PartFile::finish` or `Batch::commit` said.
    pub stamp: Stamp,
}

/// Starts the keeper.
#[derive(Debug)]
pub struct Keeper;

/// The way to a keeper at work; cheap to clone.
#[derive(Debug, Clone)]
pub struct KeeperHandle {
    landings: mpsc::Sender<Landing>,
    problems: tokio_watch::Receiver<Arc<ProblemList>>,
    tally: Arc<Tally>,
}

/// Files that landed, and who waits until they are shared.
type Landing = (Vec<Landed>, oneshot::Sender<()>);

impl Keeper {
    /// Starts a keeper of `folder`, whose lock the caller holds, with what it shares in `share`.
    ///
    /// It ends when `stop` is cancelled or the changes are not received any more. The channel closes when it has ended
    /// and everything that it knew is in the index.
    pub fn start(
        folder: Folder,
        share: Share,
        options: KeeperOptions,
        stop: CancellationToken,
    ) -> io::Result<(KeeperHandle, mpsc::Receiver<Change>)> {
        let (changes, receiver) = mpsc::channel(CHANGES);
        let (landings, landed) = mpsc::channel(LANDINGS);
        let (problem_list, problems) = tokio_watch::channel(Arc::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // The keeper's own: it stops its threads by it when nobody hears it any more.
        let stop = stop.child_token();
        let tally = Arc::<Tally>::default();
        let counted = tally.clone();
        let work = move || {
            let ways = owner::Ways { landed, changes, tally: counted, stop };
            runtime.block_on(owner::keep(folder, share, options, problem_list, ways));
        };
        thread::Builder::new().name("keeper".to_owned()).spawn(work)?;
        Ok((KeeperHandle { landings, problems, tally }, receiver))
    }
}

impl KeeperHandle {
    /// Takes up files that were received: nothing of them is hashed again. When this returns they are shared, and the
    /// change that says so is on its way; those that changed in the meantime are left to be hashed. A keeper that has
    /// ended does nothing.
    pub async fn landed(&self, files: Vec<Landed>) {
        let (done, wait) = oneshot::channel();
        if self.landings.send((files, done)).await.is_ok() {
            // An error: it ended just now.
            let _ = wait.await;
        }
    }

    /// What is not shared and why, now and whenever it changes.
    pub fn problems(&self) -> tokio_watch::Receiver<Arc<ProblemList>> {
        self.problems.clone()
    }

    /// What is not hashed yet, and how far that is.
    pub fn backlog(&self) -> Backlog {
        self.tally.backlog(clock::now())
    }
}

#[cfg(test)]
mod tests;
