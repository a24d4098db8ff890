//! Errors of a file that is being received.
//!
//! A full disk, which is temporary, and an occupied name, which a person can change, are distinguished.

use std::path::PathBuf;

use brigade_core::{geometry::TooLarge, plural::count};

use crate::store::folder::{FolderError, lacking};

/// The error of an action on a file that is being received.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    /// The disk, or the user's quota, is full. No stored piece is lost.
    #[error("no {} left for {path}", lacking(*.inodes))]
    NotEnoughSpace {
        /// The file.
        path: PathBuf,
        /// Whether there are free bytes but no free inodes: the file system cannot have one more file.
        inodes: bool,
    },
    /// The name is occupied by another file, which stays.
    #[error("{path} is there already")]
    Occupied {
        /// The path of that file.
        path: PathBuf,
    },
    /// The number of bytes on disk is not the content's size.
    #[error("{path} has {}, its content {expected}", count(*.found, "byte"))]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// The number of bytes on disk.
        found: u64,
        /// The content's size.
        expected: u64,
    },
    /// Another program has changed the file while it was received: its pieces are to be hashed again. The stamp does
    /// not show whether only an attribute has changed, such as a permission or the number of hard links: a program may
    /// write and set the old time again.
    #[error("another program has changed the bytes or the attributes of {path} while it was received")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The content has no such piece or range, or the file is finished already.
    #[error("{path} has no such piece or range")]
    OutOfRange {
        /// The file.
        path: PathBuf,
    },
    /// The content is too large.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Another account has left the file, and this account may not use it.
    #[error(
        "{path} belongs to {owner}, and this account may not use it: give it to this account with `chown`, or delete it"
    )]
    Foreign {
        /// The file, or a folder above it.
        path: PathBuf,
        /// The other account.
        owner: String,
    },
    /// Another error of the system.
    #[error(transparent)]
    Folder(FolderError),
}

impl PartError {
    /// Whether the file was removed by another program, alone or with its folder.
    pub(crate) const fn is_removal(&self) -> bool {
        matches!(self, Self::Folder(FolderError::Removed { .. } | FolderError::PartRemoved { .. }))
    }
}

impl From<FolderError> for PartError {
    fn from(error: FolderError) -> Self {
        match error {
            FolderError::NotEnoughSpace { path, inodes, .. } => Self::NotEnoughSpace { path, inodes },
            FolderError::Occupied { path } => Self::Occupied { path },
            FolderError::Foreign { path, owner } => Self::Foreign { path, owner },
            other => Self::Folder(other),
        }
    }
}
