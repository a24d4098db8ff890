//! Noticing that `.brigade/`, `.brigade/parts/` or the index was removed or replaced, by other programs or by people.
//!
//! The open directories and the open index show whether the directories and the file at these paths are still the same
//! ones. A handle is needed for a directory, since a new directory soon gets the inode number of a removed one. The
//! index is open in SQLite, so that its inode number stays its own. `private_dir_restoration` decides what follows when
//! one was removed.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::root::Root;
use crate::store::system::{Dir, is_link};

/// The directories, as far as they were opened and were not removed since.
#[derive(Debug, Default)]
pub(super) struct RemovalDetection(Mutex<KnownDirs>);

#[derive(Debug, Default)]
struct KnownDirs {
    private: Option<Arc<Dir>>,
    parts: Option<Arc<Dir>>,
    /// The file system and the inode number of the index.
    index: Option<(u64, u64)>,
}

impl RemovalDetection {
    /// Sets the private folder, which is new: its directory for received files and its index are not known yet.
    pub(super) fn set_private(&self, dir: Dir) {
        *self.known() = KnownDirs { private: Some(Arc::new(dir)), ..KnownDirs::default() };
    }

    /// Remembers the directory for received files, unless one is known.
    pub(super) fn remember_parts(&self, dir: &Dir) -> io::Result<()> {
        let mut known = self.known();
        if known.parts.is_none() {
            known.parts = Some(Arc::new(dir.try_clone()?));
        }
        Ok(())
    }

    /// Forgets the directory for received files, which was removed.
    pub(super) fn forget_parts(&self) {
        self.known().parts = None;
    }

    /// Remembers the index, which was opened, by its file system and its inode number.
    pub(super) fn remember_index(&self, file_id: (u64, u64)) {
        self.known().index = Some(file_id);
    }

    /// Forgets the index, which was removed.
    pub(super) fn forget_index(&self) {
        self.known().index = None;
    }

    /// Whether `dir` is the private folder.
    pub(super) fn is_private(&self, dir: &Dir) -> bool {
        self.known().private.as_ref().is_none_or(|private| private.is_same(dir))
    }

    /// Whether the directory for received files is at `path`, in the shared folder, if it is known.
    pub(super) fn has_parts(&self, root: &Root, path: &str) -> bool {
        let parts = self.known().parts.clone();
        parts.is_none_or(|parts| is_at(root, path, &parts))
    }

    /// Whether the index is at `path`, in the shared folder, if it is known; true if that cannot be found out.
    pub(super) fn has_index(&self, root: &Root, path: &str) -> bool {
        let index = self.known().index;
        index.is_none_or(|index| match root.dir().status(path.as_ref()) {
            Ok(found) => found.stamp.file_id() == index,
            Err(error) => !is_absent(&error),
        })
    }

    fn known(&self) -> MutexGuard<'_, KnownDirs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an error means that no file or directory of this process is at a path.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) || is_link(error)
}

/// Whether `dir` is at `path`; true if that cannot be found out.
fn is_at(root: &Root, path: &str, dir: &Dir) -> bool {
    match root.dir().open_path_only(path) {
        Ok(found) => found.is_same(dir),
        Err(error) => !is_absent(&error),
    }
}
