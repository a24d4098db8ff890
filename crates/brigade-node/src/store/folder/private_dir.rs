//! `.brigade/`, the private folder of a peer in the shared one: its files, creating it, opening it, and locking the
//! file of its lock.
//!
//! `private_dir_restoration` creates it again if it is removed while the peer runs.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::PathBuf,
};

use super::{error::FolderError, lock_holder::LockHolder, root::Root};
use crate::store::system::Dir;

/// The name of the private folder, in the shared one.
pub(crate) const PRIVATE: &str = ".brigade";

/// The directory for received files on the file system of the shared folder itself, in the private folder.
pub(in crate::store) const PARTS: &str = "parts";

/// The file of the index, in the private folder.
pub(in crate::store) const INDEX_FILE: &str = "index.db";

/// The file that is locked, in the private folder.
pub(super) const LOCK: &str = "lock";

/// The path of the private folder in the shared one; it may not exist yet.
pub(super) fn private_path(root: &Root) -> PathBuf {
    root.path().join(PRIVATE)
}

/// The handle of the private folder. The folder is created if it does not exist.
pub(super) fn open_private(root: &Root) -> Result<Dir, FolderError> {
    create_private_dir(root.dir(), PRIVATE, private_path(root))
}

/// Opens the folder `name` in `within`, and creates it for its owner only if it does not exist. `path` is for
/// messages.
pub(in crate::store) fn create_private_dir(
    within: &Dir,
    name: &str,
    path: PathBuf,
) -> Result<Dir, FolderError> {
    let dir = match within.sub(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Another thread may create it at the same moment: then this opens it.
            match within.make_dir(name, true) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => within.sub(name),
            }
        }
        result => result,
    };
    dir.map_err(|error| {
        let action = if fs::symlink_metadata(&path).is_ok() { "open the folder" } else { "make the folder" };
        FolderError::of_own(action, path, error)
    })
}

/// Opens the file of the lock and locks it.
pub(super) fn lock_file(root: &Root) -> Result<File, FolderError> {
    let path = private_path(root).join(LOCK);
    let failed = |error| match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => FolderError::NotAFile { path: path.clone() },
        _ => FolderError::of_own("lock", path.clone(), error),
    };
    loop {
        let file = open_private(root)?.open_or_create(LOCK).map_err(failed)?;
        match file.try_lock() {
            // A file that was removed between the two steps excludes no session.
            Ok(()) if is_unlinked(&file) => {}
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                let holder = Box::new(LockHolder::read(&file));
                return Err(FolderError::InUse { path: root.path().to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
}

#[cfg(unix)]
fn is_unlinked(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| std::os::unix::fs::MetadataExt::nlink(&metadata) == 0)
}

#[cfg(windows)]
fn is_unlinked(file: &File) -> bool {
    winapi_util::file::information(file).is_ok_and(|found| found.number_of_links() == 0)
}
