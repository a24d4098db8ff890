//! Errors of the shared folder, as far as the caller or a person must distinguish them.
//!
//! A full disk is temporary, an occupied name is not, and a folder that is gone may come back.

use std::{io, path::PathBuf};

use super::lock_holder::LockHolder;
use crate::{
    store::system::{self, ErrorText},
    user_account::too_many_open_files::OpenFilesLimit,
};

/// The error of an action in the folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// Another session holds the folder's lock.
    #[error("the folder {path} is in use by another session{holder}")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// That session, as far as the note in the lock names it.
        holder: Box<LockHolder>,
    },
    /// The folder was removed, moved away or unmounted after it was opened.
    #[error("the folder {path} is not there any more")]
    Gone {
        /// The folder.
        path: PathBuf,
    },
    /// `.brigade` was removed while the peer runs, and another session has the folder, or has left its key there.
    #[error(
        "{path} was removed while this peer runs, and another session took the folder: nothing of it is shared or \
         received here any more"
    )]
    Taken {
        /// The path of `.brigade`.
        path: PathBuf,
    },
    /// `.brigade`, or a file in it, was removed while a file was received there.
    #[error(
        "{path} was removed while this peer runs, with the files that were being received there: fetch them again"
    )]
    Removed {
        /// The removed path.
        path: PathBuf,
    },
    /// Another program removed a part while its file was received, or put another file in its place.
    #[error("{path} was removed or replaced by another program while a file was being received in it")]
    PartRemoved {
        /// The path of the part.
        path: PathBuf,
    },
    /// The path does not exist.
    #[error("{path} is not there")]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The path has a link in it; links are not followed.
    #[error("{path} is a link or has one in its path")]
    Link {
        /// The path.
        path: PathBuf,
    },
    /// The path is not a regular file.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The path is not a folder, or is below a file.
    #[error("{path} is not a folder, or is below a file")]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The path exists already.
    #[error("{path} is there already")]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// The disk, or the user's quota, is full.
    #[error("no {} left to {action} {path}", lacking(*.inodes))]
    NotEnoughSpace {
        /// The attempted action.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// Whether there are free bytes but no free inodes: the file system cannot have one more file.
        inodes: bool,
    },
    /// The path belongs to another account, and this account may not use it.
    #[error("{path} belongs to {owner}, and this account may not use it")]
    Foreign {
        /// The path.
        path: PathBuf,
        /// The other account, by its name if that is known.
        owner: String,
    },
    /// Another error of the system.
    #[error("could not {action} {path}: {}", ErrorText(source))]
    Io {
        /// The attempted action.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl FolderError {
    /// The error of attempting `action` on `path`.
    pub(in crate::store) fn new(action: &'static str, path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            _ if system::is_link(&source) => Self::Link { path },
            io::ErrorKind::NotFound => Self::Missing { path },
            io::ErrorKind::NotADirectory => Self::NotAFolder { path },
            io::ErrorKind::AlreadyExists => Self::Occupied { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NotEnoughSpace { action, inodes: system::lacks_inodes(&path), path }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// The error of attempting `action` on `path`, which is one of the peer's own files: if the permission is
    /// missing, the path may belong to another account.
    pub(in crate::store) fn of_own(action: &'static str, path: PathBuf, source: io::Error) -> Self {
        let is_denied = source.kind() == io::ErrorKind::PermissionDenied;
        match is_denied.then(|| foreign_owner(&path)).flatten() {
            Some((path, owner)) => Self::Foreign { path, owner },
            None => Self::new(action, path, source),
        }
    }

    /// Whether the cause is a limit on open files, which does not show whether the path exists.
    pub fn lacks_open_files(&self) -> bool {
        matches!(self, Self::Io { source, .. } if OpenFilesLimit::of_error(source).is_some())
    }

    /// Whether the cause is that the path does not exist.
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::NotAFolder { .. })
    }
}

/// The missing resource, for a message.
pub(in crate::store) const fn lacking(inodes: bool) -> &'static str {
    if inodes { "inodes (space for more files) are" } else { "space is" }
}

/// `path`, or the nearest visible folder above it, and its owner, if that is another account.
#[cfg(unix)]
pub(in crate::store) fn foreign_owner(path: &std::path::Path) -> Option<(PathBuf, String)> {
    let (path, found) =
        path.ancestors().find_map(|path| Some((path, std::fs::symlink_metadata(path).ok()?)))?;
    let owner = std::os::unix::fs::MetadataExt::uid(&found);
    let own = rustix::process::geteuid().as_raw();
    let name = || crate::user_account::account(owner).unwrap_or_else(|| format!("number {owner}"));
    (owner != own).then(|| (path.to_owned(), format!("the account {}", name())))
}

#[cfg(not(unix))]
pub(in crate::store) fn foreign_owner(_: &std::path::Path) -> Option<(PathBuf, String)> {
    None
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf};

    use super::FolderError;

    #[test]
    fn a_path_of_another_account_is_reported_with_its_owner() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let temp = tempfile::tempdir().unwrap();
        let own = FolderError::of_own("open", temp.path().to_owned(), denied());
        assert!(matches!(own, FolderError::Io { .. }), "{own}");
        if std::os::unix::fs::chown(temp.path(), Some(65_534), None).is_ok() {
            let foreign = FolderError::of_own("open", temp.path().join("x"), denied());
            assert!(
                matches!(&foreign, FolderError::Foreign { path, .. } if path == temp.path()),
                "{foreign}"
            );
            assert!(foreign.to_string().contains("belongs to the account "), "{foreign}");
        } else {
            eprintln!("skipped: needs the right to give a file to another account");
            assert!(std::env::var_os("BRIGADE_REQUIRE_ALL").is_none(), "nothing may be skipped");
        }
        let missing = FolderError::of_own("open", PathBuf::from("x"), io::ErrorKind::NotFound.into());
        assert!(missing.is_missing());
    }
}
