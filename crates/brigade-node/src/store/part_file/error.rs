//! What can go wrong with a file that is being received.
//!
//! Told apart are a disk that is full, which passes, and a name that is taken, about which a person can do something.

use std::path::PathBuf;

use brigade_core::{geometry::TooLarge, plural::count};

use crate::store::folder::{FolderError, lacking};

/// Why something with a file being received could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// The disk, or the user's share of it, is full. Nothing that was stored before is lost.
    #[error("no {} left for {path}", lacking(*.inodes))]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// Whether there are bytes but no inodes: the file system cannot hold one more file.
        inodes: bool,
    },
    /// Something stands under the name already; it stays as it is.
    #[error("{path} is there already")]
    Occupied {
        /// The name that is taken.
        path: PathBuf,
    },
    /// The bytes on disk are not as many as the content has.
    #[error("{path} has {}, its content {expected}", count(*.found, "byte"))]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The content's.
        expected: u64,
    },
    /// The piece, or the range, is not one of this content, or the file is finished already.
    #[error("a piece or range was given that {path} does not take")]
    OutOfRange {
        /// The file.
        path: PathBuf,
    },
    /// There is no such content.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Anything else that the system refused.
    #[error(transparent)]
    Folder(FolderError),
}

impl From<FolderError> for PartError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::NoRoom { path, inodes, .. } => Self::NoRoom { path, inodes },
            FolderError::Occupied { path } => Self::Occupied { path },
            other => Self::Folder(other),
        }
    }
}
