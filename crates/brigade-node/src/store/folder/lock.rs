//! The right to be the only session of a folder, as a locked file.
//!
//! The system's lock decides. The file also has a note for a person who starts a second session: `lock_holder` writes
//! and reads it.

use std::{
    fs::File,
    io::{self, Seek, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::lock_holder::LockHolder;
use crate::store::file_stamp::{Stamp, stamp_of};

/// The interval of the check whether other holders of the lock remain, at the end of a session.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The right to be the only session of a folder. Each handle of the folder has it, and each object that writes to the
/// folder. It ends when the last of them is dropped, or with the process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FolderLock(Arc<LockState>);

#[derive(Debug)]
struct LockState {
    /// The locked file; the first field, so that it is dropped first. It is replaced if `.brigade` is created again,
    /// and is held while the note is written.
    file: Mutex<File>,
    noted: Mutex<Option<LockHolder>>,
}

impl FolderLock {
    /// A lock with a locked file.
    pub(crate) fn new(file: File) -> Self {
        Self(Arc::new(LockState { file: Mutex::new(file), noted: Mutex::default() }))
    }

    /// Whether the locked file has this stamp.
    pub(crate) fn is_on(&self, found: &Stamp) -> bool {
        let file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        stamp_of(&file).is_ok_and(|ours| (ours.device, ours.inode) == (found.device, found.inode))
    }

    /// Replaces the locked file by another locked one, with the same note.
    pub(crate) fn move_to(&self, file: File) {
        *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        let noted = self.0.noted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Err(error)) = noted.map(|holder| self.write(&holder)) {
            tracing::debug!(%error, "the note in the folder's lock could not be written");
        }
    }

    /// Waits until this is the only clone of the lock: all others that could write to the folder have ended.
    pub(crate) async fn alone(&self) {
        while Arc::strong_count(&self.0) > 1 {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Replaces the note.
    pub(crate) fn note(&mut self, holder: &LockHolder) -> io::Result<()> {
        *self.0.noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(holder.clone());
        self.write(holder)
    }

    fn write(&self, holder: &LockHolder) -> io::Result<()> {
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(holder.note().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use brigade_core::time::UnixTime;

    use super::{FolderLock, LockHolder};

    #[test]
    fn a_note_replaces_the_one_before_and_is_read_up_to_its_bound() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        std::fs::write(&path, "x".repeat(2000) + "\nprocess 3\n").unwrap();
        let open = || std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert_eq!(LockHolder::read(&open()), LockHolder::default());
        let holder = LockHolder {
            process: Some(7),
            username: Some("Zoë".parse().unwrap()),
            address: Some(([127, 0, 0, 1], 7001).into()),
            since: Some(UnixTime(5)),
        };
        let mut lock = FolderLock::new(open());
        lock.note(&LockHolder { process: Some(7), ..LockHolder::default() }).unwrap();
        lock.note(&holder).unwrap();
        assert_eq!(LockHolder::read(&open()), holder);
    }
}
