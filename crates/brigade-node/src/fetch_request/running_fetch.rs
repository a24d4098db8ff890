//! The handle of a fetch, with which a program follows and changes it, and the map of its pieces.
//!
//! The handle only reads the published progress and publishes wishes. The owner of all fetches (`peer/fetch`) looks at
//! the wishes some times a second.

use brigade_core::{
    download::Priority,
    name::{FileName, Username},
    time::UnixTime,
};
use tokio::sync::watch;

use super::{FetchId, FetchOptions, wanted_files::Resolved};
use crate::progress::Progress;

/// A fetch that runs, or that has ended. It goes on when this is dropped: only [`give_up`](Self::give_up) and the end of
/// the peer stop it.
#[derive(Debug, Clone)]
pub struct Fetch {
    id: FetchId,
    name: String,
    from: Option<Username>,
    replace: bool,
    begun_at: UnixTime,
    progress: watch::Receiver<Progress>,
    wishes: watch::Sender<FetchWishes>,
}

/// The wishes of the program for a fetch. Clones of a sender publish to the same receivers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FetchWishes {
    pub(crate) options: FetchOptions,
    pub(crate) given_up: bool,
}

impl Fetch {
    /// The handle of a fetch of these files, and the channel of its progress.
    pub(crate) fn new(
        id: FetchId,
        files: &Resolved,
        options: FetchOptions,
        begun_at: UnixTime,
    ) -> (Self, watch::Sender<Progress>) {
        let shown = Progress { priority: options.priority, ..Progress::new(files.name.clone()) };
        let (sender, progress) = watch::channel(shown);
        let wishes = watch::Sender::new(FetchWishes { options, given_up: false });
        let Resolved { name, from, replace, .. } = files;
        let fetch = Self {
            id,
            name: name.clone(),
            from: from.clone(),
            replace: *replace,
            begun_at,
            progress,
            wishes,
        };
        (fetch, sender)
    }

    /// Its number.
    pub const fn id(&self) -> FetchId {
        self.id
    }

    /// The requested name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The member whose files are fetched, if the request names one.
    pub const fn from(&self) -> Option<&Username> {
        self.from.as_ref()
    }

    /// Whether files that have the names of fetched files are kept aside.
    pub const fn replace(&self) -> bool {
        self.replace
    }

    /// When it was ordered. A fetch that goes on after a restart keeps this time.
    pub const fn begun_at(&self) -> UnixTime {
        self.begun_at
    }

    /// The progress, now and whenever it changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until the fetch has ended.
    pub async fn finished(&mut self) -> Progress {
        if let Ok(progress) = self.progress.wait_for(Progress::is_over).await {
            return progress.clone();
        }
        // The owner has ended: the peer stops.
        self.progress.borrow().clone().or_stopped()
    }

    /// Gives it up. The verified pieces are kept for the next fetch of the same content.
    pub fn give_up(&self) {
        self.wish(|wishes| wishes.given_up = true);
    }

    /// Pauses it, or lets it go on. A paused fetch requests nothing; its verified pieces are kept and served.
    pub fn set_paused(&self, paused: bool) {
        self.wish(|wishes| wishes.options.paused = paused);
    }

    /// Sets how urgent it is, beside the other fetches of this peer.
    pub fn set_priority(&self, priority: Priority) {
        self.wish(|wishes| wishes.options.priority = priority);
    }

    /// The wishes for it now.
    pub(crate) fn wishes(&self) -> FetchWishes {
        *self.wishes.borrow()
    }

    fn wish(&self, change: impl FnOnce(&mut FetchWishes)) {
        self.wishes.send_modify(change);
    }
}

/// The pieces of a content of several pieces that is being fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PieceMap {
    /// The name of the file.
    pub name: FileName,
    /// The number of pieces.
    pub pieces: u32,
    /// One bit for each piece, the first piece in the highest bit of the first byte; 1 if the piece is verified and
    /// stored. Bits after the last piece are 0.
    pub have: Vec<u8>,
}

/// The members that hold a content, as the manager names them to another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContentHolderNames {
    /// Those that have all of it.
    pub complete: Vec<Username>,
    /// Those that have a part of it, and serve it.
    pub partial: Vec<Username>,
}
