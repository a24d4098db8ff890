//! The values of a verification, which hashes again what is on the disk: its progress, what it found, and why it does
//! not begin.
//!
//! [`PeerHandle::verify`](crate::peer::PeerHandle::verify) begins one; `verifier` does the work.

use std::path::PathBuf;

use brigade_core::{
    id::{Content, ContentId},
    name::FileName,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::fetch_error::FetchError;

/// Damaged files and errors of one verification that are listed; the others are only counted.
pub(crate) const LISTED: usize = 1000;

/// A running verification. It goes on when this is dropped: only [`cancel`](Self::cancel) and the end of the peer stop
/// it.
#[derive(Debug, Clone)]
pub struct Verification {
    pub(crate) progress: watch::Receiver<VerifyProgress>,
    pub(crate) cancelled: CancellationToken,
}

/// The progress of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// The name that is verified, with all names below it; "" for everything.
    pub name: String,
    /// Files that are verified, also those that are done.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are done.
    pub files_done: usize,
    /// Bytes that are done.
    pub bytes_done: u64,
    /// The file that is hashed now.
    pub current: Option<FileName>,
    /// Damaged files, in the order of their discovery; at most a thousand.
    pub damaged: Vec<Damage>,
    /// Kept parts of files with damaged pieces; at most a thousand.
    pub damaged_parts: Vec<DamagedPart>,
    /// Files that could not be read, with the reason; at most a thousand.
    pub unreadable: Vec<(FileName, String)>,
    /// Findings that are not in one of the lists.
    pub unlisted: usize,
    /// Files that were changed or removed while this ran: they are hashed anew as every changed file is.
    pub changed: usize,
    /// Whether it goes on.
    pub state: VerifyState,
}

impl Verification {
    /// The progress, now and whenever it changes. The receiver gets no more changes after the end.
    pub fn progress(&self) -> watch::Receiver<VerifyProgress> {
        self.progress.clone()
    }

    /// Waits until everything is verified, or the verification is cancelled.
    pub async fn finished(&mut self) -> VerifyProgress {
        while self.progress.changed().await.is_ok() {}
        self.progress.borrow().clone()
    }

    /// Ends it after the current read.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }
}

/// Whether a verification goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyState {
    /// It goes on.
    #[default]
    Running,
    /// Everything is verified.
    Finished,
    /// It was cancelled, or the peer stopped.
    Cancelled,
}

/// A file whose bytes are not those that were announced, although its length and times are the same. It is not shared.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// Its name.
    pub name: FileName,
    /// The content that was announced.
    pub expected: Content,
    /// The id of its bytes now.
    pub found: ContentId,
    /// Whether it can be fetched again under its name: it is not in a share in place.
    pub can_be_repaired: bool,
}

/// A kept part of a file with damaged pieces. They are fetched again when the file is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedPart {
    /// The content.
    pub content: Content,
    /// The name under which it was last wanted, if that is known.
    pub name: Option<FileName>,
    /// The number of damaged pieces.
    pub pieces: u32,
}

/// Why a verification does not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotVerify {
    /// Another one runs.
    #[error("{} is being verified: wait for its end, or cancel it", everything_or(.name))]
    Running {
        /// Its name.
        name: String,
    },
    /// There is no shared file under the name or below it.
    #[error("no file of this peer is shared as {name:?} or below it, so there is nothing to verify")]
    NoFiles {
        /// The name.
        name: String,
    },
    /// The peer is stopping.
    #[error("the peer is stopping")]
    Stopping,
    /// The system does not start the thread.
    #[error("the verification could not be started: {reason}")]
    Thread {
        /// The error of the system.
        reason: String,
    },
}

/// Why a damaged file is not fetched again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CannotRepair {
    /// It is not known to be damaged.
    #[error("{0} is not known to be damaged: verify it first")]
    NotDamaged(FileName),
    /// It is in a share in place, where nothing is written.
    #[error(
        "{name} is in a share in place, where this peer writes nothing: copy the right file to {}, or fetch it under \
         another name", .path.display()
    )]
    InPlace {
        /// Its name.
        name: FileName,
        /// The path of the share.
        path: PathBuf,
    },
    /// The fetch does not begin.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

fn everything_or(name: &str) -> &str {
    if name.is_empty() { "everything" } else { name }
}
