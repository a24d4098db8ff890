//! `.brigade/`, where a peer keeps its own things: made, locked, and made anew where it is removed under a peer that runs.
//!
//! Without it the lock keeps nobody out, and the peer's key would be lost with the process. So whatever uses it looks
//! first whether it is there still. Where another session has taken the folder meanwhile, or left another key in it, nothing
//! of that is touched: nothing is shared or received any more.

use std::{
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use super::{
    folder::{Folder, FolderError, FolderLock, LockHolder, PRIVATE},
    system::{Dir, is_link},
};
use crate::durable::sync_folder;

/// The file that is locked, in the private folder.
const LOCK: &str = "lock";

/// What else a peer keeps there, and writes again where it was removed.
pub trait Belongings: fmt::Debug + Send + Sync {
    /// Whether it is in the folder `private`; where that cannot be said, it is believed to be.
    fn are_there(&self, private: &Path) -> bool;

    /// Writes it into the folder `private` again, durably.
    ///
    /// # Errors
    /// [`FolderError::Taken`] where another session has left its own there.
    fn write(&self, private: &Path) -> Result<(), FolderError>;
}

/// How our own folder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrivateState {
    /// How often it was removed, and made anew.
    pub made_anew: u32,
}

/// What is known of our own folder.
#[derive(Debug, Default)]
pub(super) struct Private {
    lock: OnceLock<FolderLock>,
    belongings: OnceLock<Box<dyn Belongings>>,
    /// Held while it is made anew, which happens hardly ever: two at once would be kept out by each other's lock.
    making: Mutex<()>,
    made_anew: AtomicU32,
    /// Set while it is another session's.
    taken: AtomicBool,
}

impl Folder {
    /// The path of `.brigade/`, which may not be there yet.
    pub fn private_dir(&self) -> PathBuf {
        self.path().join(PRIVATE)
    }

    /// Makes `.brigade/` where it is not there, for its owner alone; its path. A link in its place is refused.
    pub fn private(&self) -> Result<PathBuf, FolderError> {
        self.private_handle()?;
        Ok(self.private_dir())
    }

    /// Keeps every other session out of this folder, and clears away what one that was cut off left half written. It is
    /// locked until the last handle is gone, this one, its clones, and what was given out.
    pub fn lock(&self) -> Result<FolderLock, FolderError> {
        let lock = FolderLock::new(self.locked()?);
        super::parts::clear(self)?;
        self.remove_empty_places()?;
        Ok(self.0.private.lock.get_or_init(|| lock).clone())
    }

    /// From now on, what is written again beside the lock where it was removed.
    pub fn keeps(&self, belongings: Box<dyn Belongings>) {
        let _ = self.0.private.belongings.set(belongings);
    }

    /// Sees that our own folder is there, with all that was kept there, once it was locked; what was removed is made anew.
    ///
    /// # Errors
    /// [`FolderError::Taken`] where another session has it now; any other where it could not be made anew.
    pub fn keep_private(&self) -> Result<PrivateState, FolderError> {
        let private = &self.0.private;
        if let Some(lock) = private.lock.get()
            && !self.has_private(lock)
        {
            let _alone = private.making.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.has_private(lock) {
                if !self.is_in_place() {
                    return Err(FolderError::Gone { path: self.path().to_owned() });
                }
                let made = self.make_private_anew(lock);
                private.taken.store(matches!(made, Err(FolderError::Taken { .. })), Ordering::Relaxed);
                made?;
            }
        }
        Ok(self.private_state())
    }

    /// How our own folder stood when it was last looked at.
    pub fn private_state(&self) -> PrivateState {
        PrivateState { made_anew: self.0.private.made_anew.load(Ordering::Relaxed) }
    }

    /// The error that our own folder is another session's, if it was when somebody last looked.
    pub(super) fn check_private(&self) -> Result<(), FolderError> {
        match self.0.private.taken.load(Ordering::Relaxed) {
            true => Err(FolderError::Taken { path: self.private_dir() }),
            false => Ok(()),
        }
    }

    pub(super) fn private_handle(&self) -> Result<Dir, FolderError> {
        self.make_private_dir(&self.0.root, PRIVATE, self.private_dir())
    }

    pub(super) fn make_private_dir(
        &self,
        within: &Dir,
        name: &str,
        path: PathBuf,
    ) -> Result<Dir, FolderError> {
        let made = match within.sub(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Another thread may make it at the same moment: opening it again tells.
                match within.make_dir(name, true) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => within.sub(name),
                }
            }
            result => result,
        };
        made.map_err(|error| {
            let action =
                if fs::symlink_metadata(&path).is_ok() { "open the folder" } else { "make the folder" };
            FolderError::of_own(action, path, error)
        })
    }

    /// Whether the file that is locked has its name still, and all else is there.
    fn has_private(&self, lock: &FolderLock) -> bool {
        let belongings = self.0.private.belongings.get();
        self.has_lock(lock) && belongings.is_none_or(|kept| kept.are_there(&self.private_dir()))
    }

    fn has_lock(&self, lock: &FolderLock) -> bool {
        use io::ErrorKind::{NotADirectory, NotFound};
        match self.0.root.status(format!("{PRIVATE}/{LOCK}").as_ref()) {
            Ok(found) => lock.is_on(&found.stamp),
            Err(error) => !matches!(error.kind(), NotFound | NotADirectory) && !is_link(&error),
        }
    }

    /// Another file is locked where the one before has lost its name; then the rest is written, so that no session that
    /// starts meanwhile finds a folder without a key.
    fn make_private_anew(&self, lock: &FolderLock) -> Result<(), FolderError> {
        let path = self.private_dir();
        let taken = |error| match error {
            FolderError::InUse { .. } => FolderError::Taken { path: path.clone() },
            other => other,
        };
        let file = if self.has_lock(lock) { None } else { Some(self.locked().map_err(taken)?) };
        let kept = self.0.private.belongings.get().map_or(Ok(()), |kept| kept.write(&path));
        if matches!(kept, Err(FolderError::Taken { .. })) {
            return kept; // and the file that was just locked is free for its owner
        }
        if let Some(file) = file {
            lock.moves_to(file);
            self.0.private.made_anew.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(folder = %self.path().display(), "`.brigade` was removed while this peer runs");
            self.write_known_places()?;
        }
        sync_folder(self.path()).map_err(|error| FolderError::new("sync", self.path().to_owned(), error))?;
        kept
    }

    /// The file of the lock, locked.
    fn locked(&self) -> Result<File, FolderError> {
        let path = self.private_dir().join(LOCK);
        let failed = |error| FolderError::of_own("lock", path.clone(), error);
        loop {
            let file = self.private_handle()?.open_or_create(LOCK).map_err(failed)?;
            match file.try_lock() {
                // One that was taken back between the two steps keeps nobody out.
                Ok(()) if is_unlinked(&file) => {}
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {
                    let holder = Box::new(LockHolder::read(&file));
                    return Err(FolderError::InUse { path: self.path().to_owned(), holder });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }
}

#[cfg(unix)]
fn is_unlinked(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| std::os::unix::fs::MetadataExt::nlink(&metadata) == 0)
}

/// Elsewhere a file that is open keeps its name until it is closed.
#[cfg(not(unix))]
fn is_unlinked(_: &File) -> bool {
    false
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{Belongings, Folder, FolderError, PrivateState};

    /// A file with a word in it.
    #[derive(Debug)]
    struct Word(&'static str);

    impl Belongings for Word {
        fn are_there(&self, private: &Path) -> bool {
            private.join("word").exists()
        }

        fn write(&self, private: &Path) -> Result<(), FolderError> {
            match fs::read_to_string(private.join("word")) {
                Ok(word) if word != self.0 => Err(FolderError::Taken { path: private.to_owned() }),
                _ => {
                    fs::write(private.join("word"), self.0).unwrap();
                    Ok(())
                }
            }
        }
    }

    fn running(path: &Path) -> Folder {
        let folder = Folder::open(path).unwrap();
        folder.lock().unwrap();
        folder.keeps(Box::new(Word("mine")));
        folder.keep_private().unwrap();
        folder
    }

    #[test]
    fn what_is_removed_under_a_session_is_made_anew_and_locked() {
        let temp = tempfile::tempdir().unwrap();
        let private = temp.path().join(".brigade");
        let folder = running(temp.path());
        let is_locked =
            || matches!(Folder::open(temp.path()).unwrap().lock(), Err(FolderError::InUse { .. }));
        for times in 1..=2 {
            fs::remove_dir_all(&private).unwrap();
            assert_eq!(folder.keep_private().unwrap(), PrivateState { made_anew: times });
            assert!(is_locked());
            assert_eq!(fs::read_to_string(private.join("word")).unwrap(), "mine");
        }
        // Moved away, it is as good as removed.
        fs::rename(&private, temp.path().join("elsewhere")).unwrap();
        folder.parts().unwrap();
        assert!(is_locked() && folder.private_state().made_anew == 3);
        // Where a part of it is removed, the rest stays.
        fs::remove_file(private.join("word")).unwrap();
        assert_eq!(folder.keep_private().unwrap().made_anew, 3);
        assert_eq!(fs::read_to_string(private.join("word")).unwrap(), "mine");
        fs::remove_file(private.join("lock")).unwrap();
        assert_eq!(folder.keep_private().unwrap().made_anew, 4);
        assert!(is_locked());
        drop(folder);
    }

    #[test]
    fn a_session_that_took_the_folder_keeps_it_and_its_key() {
        let temp = tempfile::tempdir().unwrap();
        let private = temp.path().join(".brigade");
        let first = running(temp.path());
        fs::remove_dir_all(&private).unwrap();
        let second = Folder::open(temp.path()).unwrap();
        second.lock().unwrap();
        let is_taken = |looked: Result<PrivateState, FolderError>| {
            matches!(looked, Err(FolderError::Taken { .. }))
                && matches!(first.check_place(), Err(FolderError::Taken { .. }))
                && first.parts().is_err()
        };
        assert!(is_taken(first.keep_private()));
        fs::write(private.join("word"), "theirs").unwrap();
        drop(second);
        assert!(is_taken(first.keep_private()), "the other one left its own");
        assert_eq!(fs::read_to_string(private.join("word")).unwrap(), "theirs");
        Folder::open(temp.path()).unwrap().lock().unwrap();
        // Once that is out of the way, the first one has it again.
        fs::remove_dir_all(&private).unwrap();
        first.keep_private().unwrap();
        first.check_place().unwrap();
    }

    #[test]
    fn what_stands_in_the_way_is_told_and_stays() {
        let temp = tempfile::tempdir().unwrap();
        let private = temp.path().join(".brigade");
        let folder = running(temp.path());
        fs::remove_dir_all(&private).unwrap();
        fs::write(&private, "a file").unwrap();
        assert!(matches!(folder.keep_private(), Err(FolderError::NotAFolder { .. })));
        folder.check_place().unwrap();
        fs::remove_file(&private).unwrap();
        std::os::unix::fs::symlink(temp.path(), &private).unwrap();
        assert!(matches!(folder.keep_private(), Err(FolderError::Link { .. })));
        fs::remove_file(&private).unwrap();
        folder.keep_private().unwrap();
    }
}
