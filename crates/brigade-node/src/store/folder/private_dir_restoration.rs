//! Keeping `.brigade/` complete while a peer runs: if it is removed, or a part of it, it is restored.
//!
//! Without it the lock excludes no other session, and the peer's key would be lost at the end of the process. So every
//! use of it first checks that it still exists, and counts what was removed. If another session has taken the folder,
//! or has left another key in it, nothing of that is changed: this peer then shares and receives nothing. `private_dir`
//! creates the folder and the lock's file, and `private_dir_removal_detection` finds out what was removed.

use std::{
    fmt,
    path::Path,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    error::FolderError,
    lock::FolderLock,
    private_dir::{
        INDEX_FILE, LOCK, PARTS, PRIVATE, create_private_dir, lock_file, open_private, private_path,
    },
    private_dir_removal_detection::{RemovalDetection, is_absent},
    root::Root,
    staging_list::{STAGING_LIST, StagingList},
};
use crate::{durable_folders::sync_folder, store::system::Dir};

/// The files of a peer in `.brigade/`, beside the lock, that are restored if they are removed or replaced.
pub(crate) trait ProtectedFiles: fmt::Debug + Send + Sync {
    /// Whether the files exist in the folder `private` and are those of this session; true if that cannot be found out.
    fn exist(&self, private: &Path) -> bool;

    /// Whether the folder `private` has such files of another session; false if that cannot be found out.
    fn are_foreign(&self, private: &Path) -> bool;

    /// Writes the files into the folder `private` again, durably. With `may_replace`, other files in their places are
    /// renamed: this session has had the lock all the time, so no other session wrote them.
    ///
    /// # Errors
    /// [`FolderError::Taken`] if the folder has files of another session.
    fn restore(&self, private: &Path, may_replace: bool) -> Result<(), FolderError>;
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

/// The private folder with its lock, as it was at the last check.
#[derive(Debug, Default)]
pub(super) struct PrivateDir {
    lock: OnceLock<FolderLock>,
    protected: OnceLock<Box<dyn ProtectedFiles>>,
    staging_list: StagingList,
    removals: RemovalDetection,
    /// Held while something is restored, which is rare: two threads would block each other's lock.
    restoring: Mutex<()>,
    /// Held to read or change the numbers.
    state: Mutex<PrivateState>,
    /// Set while another session has the folder.
    is_taken: AtomicBool,
}

impl PrivateDir {
    /// The handle of the directory for received files in it, which is created if it does not exist.
    pub(super) fn open_parts(&self, root: &Root) -> Result<Dir, FolderError> {
        let path = private_path(root).join(PARTS);
        let parts = create_private_dir(&open_private(root)?, PARTS, path.clone())?;
        if self.lock.get().is_some() {
            let remembered = self.removals.remember_parts(&parts);
            remembered.map_err(|error| FolderError::new("open the folder", path, error))?;
        }
        Ok(parts)
    }

    /// Remembers the file of the index, which its owner has opened: from now on a removed or replaced index is counted.
    pub(super) fn remember_index(&self, root: &Root) -> Result<(), FolderError> {
        let failed = |error| FolderError::new("look at", private_path(root).join(INDEX_FILE), error);
        let found = root.dir().status(format!("{PRIVATE}/{INDEX_FILE}").as_ref()).map_err(failed)?;
        self.removals.remember_index(found.stamp.file_id());
        Ok(())
    }

    /// Locks it against other sessions, for as long as `self` exists.
    pub(super) fn lock(&self, root: &Root) -> Result<FolderLock, FolderError> {
        let lock = FolderLock::new(lock_file(root)?);
        self.removals.set_private(open_private(root)?);
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
            true => Err(FolderError::Taken { path: private_path(root) }),
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
        self.protected.get().is_none_or(|files| files.exist(&private_path(root)))
    }

    fn has_parts(&self, root: &Root) -> bool {
        self.removals.has_parts(root, &format!("{PRIVATE}/{PARTS}"))
    }

    fn has_index(&self, root: &Root) -> bool {
        self.removals.has_index(root, &format!("{PRIVATE}/{INDEX_FILE}"))
    }

    /// Locks another file if the one before has lost its name. Then restores the other files, so that a session that
    /// starts at this moment does not find a folder without a key.
    fn restore(&self, root: &Root, lock: &FolderLock) -> Result<(), FolderError> {
        let path = private_path(root);
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
        let restored = self.protected.get().map_or(Ok(()), |files| files.restore(&path, is_locked));
        if matches!(restored, Err(FolderError::Taken { .. })) {
            return restored; // this unlocks the file for its owner
        }
        // The steps before create the folder if it is removed meanwhile: only now it is known whether it is the same.
        let private = open_private(root)?;
        let is_same = self.removals.is_private(&private);
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
            self.removals.set_private(private);
        }
        if !had_parts {
            self.removals.forget_parts();
        }
        if !had_index {
            self.removals.forget_index();
        }
        if let Some(file) = file {
            lock.move_to(file);
        }
        // The keeper reports it to people, as a problem.
        tracing::debug!(folder = %root.path().display(), ?state, "`.brigade` was removed, or a part of it");
        Ok(())
    }
}

fn has_lock(root: &Root, lock: &FolderLock) -> bool {
    match root.dir().status(format!("{PRIVATE}/{LOCK}").as_ref()) {
        Ok(found) => lock.is_on(&found.stamp),
        Err(error) => !is_absent(&error),
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
