//! The lock by which one process owns a socket, and why a socket cannot be made.
//!
//! The system releases the lock when the process ends, however it ends. So a socket that is there while the lock is free
//! was left behind, and only the holder of the lock removes it.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::runtime_folder::FolderError;
use crate::problem::{DISK, Problem};

/// How often the lock is tried: a program that just ends may still have it.
const ATTEMPTS: u32 = 20;

/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a local socket cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No folder can have it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The folder of the program cannot be found.
    #[error("finding the folder {}", .folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another process has it.
    #[error("another process has the local socket {}", .path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error("making the local socket {}", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl From<BindError> for Problem {
    fn from(error: BindError) -> Self {
        let hint = match &error {
            BindError::Folder(_) => "set XDG_RUNTIME_DIR to a folder that only this account can open",
            BindError::InUse { .. } => "another program runs in this folder: stop it first",
            BindError::Missing { .. } | BindError::Io { .. } => {
                "commands cannot reach this program until that is solved"
            }
        };
        Self::of(DISK, &error).with_hint(hint)
    }
}

/// A lock on a file that exists only for it. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    /// The lock ends with the handle.
    _file: File,
}

impl LockFile {
    /// Locks the file for `socket`, which it creates. This may take a fifth of a second.
    pub(super) fn acquire(path: &Path, socket: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: socket.to_owned(), source };
        for _ in 0..ATTEMPTS {
            let mut options = fs::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(path).map_err(failed)?;
            match file.try_lock() {
                // Its owner before may have removed it since it was opened: then another process can lock a new one.
                Ok(()) if is_at(&file, path) => return Ok(Self { path: path.to_owned(), _file: file }),
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            thread::sleep(PAUSE);
        }
        Err(BindError::InUse { path: socket.to_owned() })
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // While it is locked: a process that opened it before sees that it is not there any more.
        drop(fs::remove_file(&self.path));
    }
}

/// Whether `file` is the file at the path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    let opened = file.metadata().map(identity).ok();
    opened.is_some() && opened == fs::symlink_metadata(path).map(identity).ok()
}

/// Windows removes no file that is open.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}
