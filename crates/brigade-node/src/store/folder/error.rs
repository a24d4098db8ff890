//! What can go wrong in the shared folder, told apart as far as it matters to the caller or to a person.
//!
//! A full disk passes, a name that is taken stays as it is, and a folder that is gone may come back.

use std::{io, path::PathBuf};

use super::lock::LockHolder;
use crate::store::system::{self, OpenFiles, Told};

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
    /// Our own folder was removed while we run, and another session has it, or has left its key there.
    #[error(
        "{path} was removed while this peer runs, and another session took the folder: nothing of it is shared or \
         received here any more"
    )]
    Taken {
        /// Our own folder.
        path: PathBuf,
    },
    /// Our own folder, or a file in it, was removed while something was received there.
    #[error("{path} was removed while this peer runs, and what was being received with it: fetch it again")]
    Removed {
        /// What was removed.
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
    /// It belongs to another account, and this one may not use it.
    #[error("{path} belongs to {owner}, and this account may not use it")]
    Foreign {
        /// What was to be used.
        path: PathBuf,
        /// The other account, by its name where that is known.
        owner: String,
    },
    /// Anything else that the system refused.
    #[error("could not {action} {path}: {}", Told(source))]
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

    /// What became of attempting `action` on `path`, which is the peer's own: where the system does not permit it, the
    /// reason may be that it is another account's.
    pub(in crate::store) fn of_own(action: &'static str, path: PathBuf, source: io::Error) -> Self {
        let is_denied = source.kind() == io::ErrorKind::PermissionDenied;
        match is_denied.then(|| foreign_owner(&path)).flatten() {
            Some(owner) => Self::Foreign { path, owner },
            None => Self::new(action, path, source),
        }
    }

    /// Whether the cause is a bound on open files, which says nothing of what is there.
    pub fn lacks_open_files(&self) -> bool {
        matches!(self, Self::Io { source, .. } if OpenFiles::met(source).is_some())
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

/// Whose `path` is, or the nearest of the folders that lead to it that can be looked at, where that is another account.
#[cfg(unix)]
fn foreign_owner(path: &std::path::Path) -> Option<String> {
    let found = path.ancestors().find_map(|path| std::fs::symlink_metadata(path).ok())?;
    let owner = std::os::unix::fs::MetadataExt::uid(&found);
    let own = rustix::process::geteuid().as_raw();
    let name = || crate::config::account(owner).unwrap_or_else(|| format!("number {owner}"));
    (owner != own).then(|| format!("the account {}", name()))
}

#[cfg(not(unix))]
fn foreign_owner(_: &std::path::Path) -> Option<String> {
    None
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{io, path::PathBuf};

    use super::FolderError;

    #[test]
    fn what_is_another_accounts_is_told_by_its_owner() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let temp = tempfile::tempdir().unwrap();
        let own = FolderError::of_own("open", temp.path().to_owned(), denied());
        assert!(matches!(own, FolderError::Io { .. }), "{own}");
        if std::os::unix::fs::chown(temp.path(), Some(65_534), None).is_ok() {
            let foreign = FolderError::of_own("open", temp.path().join("x"), denied());
            assert!(matches!(&foreign, FolderError::Foreign { .. }), "{foreign}");
            assert!(foreign.to_string().contains("belongs to the account "), "{foreign}");
        }
        let missing = FolderError::of_own("open", PathBuf::from("x"), io::ErrorKind::NotFound.into());
        assert!(missing.is_missing());
    }
}
