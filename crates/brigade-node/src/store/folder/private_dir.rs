//! `.brigade/`, the private folder of a peer: creates it, locks it, and restores it if it is removed while the peer
//! runs.
//!
//! Without it the lock excludes no other session, and the peer's key would be lost at the end of the process. So every
//! use of it first checks that it still exists, and counts what was removed. If another session has taken the folder,
//! or has left another key in it, nothing of that is changed: this peer then shares and receives nothing.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    error::FolderError,
    lock::{FolderLock, LockHolder},
    private_dir_handles::{PrivateDirHandles, is_absent},
    root::Root,
    staging_list::{STAGING_LIST, StagingList},
};
use crate::{durable_folders::sync_folder, store::system::Dir};

/// The name of the private folder, in the shared one.
pub(crate) const PRIVATE: &str = ".brigade";

/// The directory for received files on the file system of the shared folder itself, in the private folder.
pub(in crate::store) const PARTS: &str = "parts";

/// The file of the index, in the private folder.
pub(in crate::store) const INDEX_FILE: &str = "index.db";

/// The file that is locked, in the private folder.
const LOCK: &str = "lock";

/// The files of a peer in `.brigade/`, beside the lock, that are restored if they are removed.
pub(crate) trait ProtectedFiles: fmt::Debug + Send + Sync {
    /// Whether the files exist in the folder `private`; true if that cannot be found out.
    fn exist(&self, private: &Path) -> bool;

    /// Whether the folder `private` has such files of another session; false if that cannot be found out.
    fn are_foreign(&self, private: &Path) -> bool;

    /// Writes the files into the folder `private` again, durably.
    ///
    /// # Errors
    /// [`FolderError::Taken`] if the folder has files of another session.
    fn restore(&self, private: &Path) -> Result<(), FolderError>;
}

/// How often `.brigade/`, or a part of it alone, was removed and restored while this session has the folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PrivateState {
    /// All of it, with the files that were being received.
    pub recreated: u32,
    /// The file of the lock.
    pub lock: u32,
    /// The protected files.
    pub protected: u32,
    /// The directory for received files, with those files. A new one is created when it is needed.
    pub parts: u32,
    /// The file of the index. Its owner, the keeper, creates a new one.
    pub index: u32,
}

/// The private folder, with its lock.
#[derive(Debug, Default)]
pub(super) struct PrivateDir {
    lock: OnceLock<FolderLock>,
    protected: OnceLock<Box<dyn ProtectedFiles>>,
    staging_list: StagingList,
    dirs: PrivateDirHandles,
    /// Held while something is restored, which is rare: two threads would block each other's lock.
    restoring: Mutex<()>,
    /// Held to read or change the numbers.
    state: Mutex<PrivateState>,
    /// Set while another session has the folder.
    is_taken: AtomicBool,
}

impl PrivateDir {
    /// Its path in the shared folder; it may not exist yet.
    pub(super) fn path(root: &Root) -> PathBuf {
        root.path().join(PRIVATE)
    }

    /// Its handle. It is created if it does not exist.
    pub(super) fn open(root: &Root) -> Result<Dir, FolderError> {
        create_private_dir(root.dir(), PRIVATE, Self::path(root))
    }

    /// The handle of the directory for received files in it, which is created if it does not exist.
    pub(super) fn open_parts(&self, root: &Root) -> Result<Dir, FolderError> {
        let path = Self::path(root).join(PARTS);
        let parts = create_private_dir(&Self::open(root)?, PARTS, path.clone())?;
        if self.lock.get().is_some() {
            let remembered = self.dirs.remember_parts(&parts);
            remembered.map_err(|error| FolderError::new("open the folder", path, error))?;
        }
        Ok(parts)
    }

    /// Remembers the file of the index, which its owner has opened: from now on a removed or replaced index is counted.
    pub(super) fn remember_index(&self, root: &Root) -> Result<(), FolderError> {
        let failed = |error| FolderError::new("look at", Self::path(root).join(INDEX_FILE), error);
        let found = root.dir().status(format!("{PRIVATE}/{INDEX_FILE}").as_ref()).map_err(failed)?;
        self.dirs.remember_index(found.stamp.file_id());
        Ok(())
    }

    /// Locks it against other sessions, for as long as `self` exists.
    pub(super) fn lock(&self, root: &Root) -> Result<FolderLock, FolderError> {
        let lock = FolderLock::new(lock_file(root)?);
        self.dirs.set_private(Self::open(root)?);
        Ok(self.lock.get_or_init(|| lock).clone())
    }

    /// Sets the files that are restored beside the lock.
    pub(super) fn protect(&self, files: Box<dyn ProtectedFiles>) {
        let _ = self.protected.set(files);
    }

    /// The list of the directories for received files, which is restored too.
    pub(super) const fn staging_list(&self) -> &StagingList {
        &self.staging_list
    }

    /// The state at the last check.
    pub(super) fn state(&self) -> PrivateState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if another session had the folder at the last check.
    pub(super) fn check(&self, root: &Root) -> Result<(), FolderError> {
        match self.is_taken.load(Ordering::Relaxed) {
            true => Err(FolderError::Taken { path: Self::path(root) }),
            false => Ok(()),
        }
    }

    /// Whether this session still has the folder under its path: it was not moved away, and the locked file has its
    /// name.
    pub(super) fn is_own(&self, root: &Root) -> bool {
        root.is_at_path() && self.lock.get().is_some_and(|lock| has_lock(root, lock))
    }

    /// Checks that all files exist, once the folder is locked; restores them if not.
    pub(super) fn ensure(&self, root: &Root) -> Result<PrivateState, FolderError> {
        if let Some(lock) = self.lock.get()
            && !self.check_complete(root, lock)
        {
            let _alone = self.restoring.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.check_complete(root, lock) {
                if !root.is_at_path() {
                    return Err(FolderError::Gone { path: root.path().to_owned() });
                }
                let restored = self.restore(root, lock);
                self.is_taken.store(matches!(restored, Err(FolderError::Taken { .. })), Ordering::Relaxed);
                restored?;
            }
        }
        Ok(self.state())
    }

    /// Whether nothing has to be restored. Then no other session has the folder.
    fn check_complete(&self, root: &Root, lock: &FolderLock) -> bool {
        let is_complete = self.is_complete(root, lock);
        if is_complete {
            self.is_taken.store(false, Ordering::Relaxed);
        }
        is_complete
    }

    /// Whether the locked file still has its name, the protected files exist, and so do the directory for received
    /// files and the index if there were any.
    fn is_complete(&self, root: &Root, lock: &FolderLock) -> bool {
        has_lock(root, lock) && self.has_protected(root) && self.has_parts(root) && self.has_index(root)
    }

    fn has_protected(&self, root: &Root) -> bool {
        self.protected.get().is_none_or(|files| files.exist(&Self::path(root)))
    }

    fn has_parts(&self, root: &Root) -> bool {
        self.dirs.has_parts(root, &format!("{PRIVATE}/{PARTS}"))
    }

    fn has_index(&self, root: &Root) -> bool {
        self.dirs.has_index(root, &format!("{PRIVATE}/{INDEX_FILE}"))
    }

    /// Locks another file if the one before has lost its name. Then restores the other files, so that a session that
    /// starts at this moment does not find a folder without a key.
    fn restore(&self, root: &Root, lock: &FolderLock) -> Result<(), FolderError> {
        let path = Self::path(root);
        let taken = |error| match error {
            FolderError::InUse { .. } => FolderError::Taken { path: path.clone() },
            other => other,
        };
        let is_locked = has_lock(root, lock);
        // The files of another session are not even locked: it may start at this moment.
        if !is_locked && self.protected.get().is_some_and(|files| files.are_foreign(&path)) {
            return Err(FolderError::Taken { path });
        }
        let had_protected = self.has_protected(root);
        let (had_parts, had_index) = (self.has_parts(root), self.has_index(root));
        let file = if is_locked { None } else { Some(lock_file(root).map_err(taken)?) };
        let restored = self.protected.get().map_or(Ok(()), |files| files.restore(&path));
        if matches!(restored, Err(FolderError::Taken { .. })) {
            return restored; // this unlocks the file for its owner
        }
        // The steps before create the folder if it is removed meanwhile: only now it is known whether it is the same.
        let private = Self::open(root)?;
        let is_same = self.dirs.is_private(&private);
        if file.is_some() {
            let failed = |error| FolderError::new("write", path.join(STAGING_LIST), error);
            self.staging_list.restore(&private).map_err(failed)?;
        }
        sync_folder(root.path()).map_err(|error| FolderError::new("sync", root.path().to_owned(), error))?;
        restored?;
        // Last: a step that failed is tried again at the next check, because until then something is missing.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if is_same {
            state.lock += u32::from(file.is_some());
            state.protected += u32::from(!had_protected);
            state.parts += u32::from(!had_parts);
            state.index += u32::from(!had_index);
        } else {
            state.recreated += 1;
            self.dirs.set_private(private);
        }
        if !had_parts {
            self.dirs.forget_parts();
        }
        if !had_index {
            self.dirs.forget_index();
        }
        if let Some(file) = file {
            lock.move_to(file);
        }
        // The keeper reports it to people, as a problem.
        tracing::debug!(folder = %root.path().display(), ?state, "`.brigade` was removed, or a part of it");
        Ok(())
    }
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

fn has_lock(root: &Root, lock: &FolderLock) -> bool {
    match root.dir().status(format!("{PRIVATE}/{LOCK}").as_ref()) {
        Ok(found) => lock.is_on(&found.stamp),
        Err(error) => !is_absent(&error),
    }
}

/// Opens the file of the lock and locks it.
fn lock_file(root: &Root) -> Result<File, FolderError> {
    let path = PrivateDir::path(root).join(LOCK);
    let failed = |error| FolderError::of_own("lock", path.clone(), error);
    loop {
        let file = PrivateDir::open(root)?.open_or_create(LOCK).map_err(failed)?;
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

#[cfg(unix)]
#[cfg(test)]
mod tests;
