//! What can go wrong in the shared folder, told apart as far as it matters to the caller or to a person.
//!
//! A full disk passes, a name that is taken stays as it is, and a folder that is gone may come back.

use std::{io, path::PathBuf};

use crate::store::{lock::LockHolder, system};

/// Why something in the folder could not be done.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another session holds the folder's lock.
    #[error("the folder {path} is in use by another session{holder}")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who that is, as far as the lock says.
        holder: Box<LockHolder>,
    },
    /// It was removed, moved away or unmounted after it was opened.
    #[error("the folder {path} is not there any more")]
    Gone {
        /// The folder.
        path: PathBuf,
    },
    /// Nothing stands there.
    #[error("{path} is not there")]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// A link stands there or on the way; links are not followed.
    #[error("{path} is a link or lies behind one")]
    Link {
        /// What was looked for.
        path: PathBuf,
    },
    /// Something else than a regular file stands there.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// What was looked for.
        path: PathBuf,
    },
    /// Something else than a folder stands there, or on the way.
    #[error("{path} is not a folder, or lies below a file")]
    NotAFolder {
        /// What was looked for.
        path: PathBuf,
    },
    /// Something stands where nothing may be.
    #[error("{path} is there already")]
    Occupied {
        /// The name that is taken.
        path: PathBuf,
    },
    /// The disk, or the user's share of it, is full.
    #[error("no {} left to {action} {path}", lacking(*.inodes))]
    NoRoom {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Whether there are bytes but no inodes: the file system cannot hold one more file.
        inodes: bool,
    },
    /// Anything else that the system refused.
    #[error("could not {action} {path}: {source}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderError {
    /// What became of attempting `action` on `path`.
    pub(in crate::store) fn new(action: &'static str, path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            _ if system::is_link(&source) => Self::Link { path },
            io::ErrorKind::NotFound => Self::Missing { path },
            io::ErrorKind::NotADirectory => Self::NotAFolder { path },
            io::ErrorKind::AlreadyExists => Self::Occupied { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoRoom { action, inodes: system::lacks_inodes(&path), path }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// Whether the cause is that nothing stands there.
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::NotAFolder { .. })
    }
}

/// What there is too little of.
pub(in crate::store) const fn lacking(inodes: bool) -> &'static str {
    if inodes { "inodes (room for more files) are" } else { "room is" }
}
