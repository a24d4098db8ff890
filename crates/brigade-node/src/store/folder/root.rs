//! The open directory of the shared folder, and whether it is still at its path.
//!
//! The handle stays valid when the folder is moved, removed or unmounted. Another folder at the path is not the same
//! folder.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use super::error::FolderError;
use crate::store::system::{Dir, FileSystemId};

/// The directory and its path.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    dir: Dir,
    file_system: FileSystemId,
    /// Set while the path has another folder, or none.
    is_gone: AtomicBool,
}

impl Root {
    /// Opens the folder at `path`. A link at `path` itself is followed: the user named it.
    pub(super) fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |error| FolderError::new("open the folder", path.to_owned(), error);
        let absolute = canonical_path(path).map_err(failed)?;
        let dir = Dir::open_root(&absolute).map_err(failed)?;
        let file_system = dir.file_system().map_err(failed)?;
        Ok(Self { path: absolute, dir, file_system, is_gone: AtomicBool::new(false) })
    }

    /// The path: absolute, without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory.
    pub(super) const fn dir(&self) -> &Dir {
        &self.dir
    }

    /// The file system of the folder.
    pub(super) const fn file_system(&self) -> FileSystemId {
        self.file_system
    }

    /// Checks whether this directory is at its path, and remembers the answer for [`is_gone`](Self::is_gone).
    pub(super) fn is_at_path(&self) -> bool {
        let is_at_path = self.dir.is_at(&self.path);
        self.is_gone.store(!is_at_path, Ordering::Relaxed);
        is_at_path
    }

    /// Whether the directory was not at its path when that was last checked.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }
}

/// The path, absolute and without links, as a [`Root`] at it has it.
pub(crate) fn canonical_path(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize().map(plain)
}

#[cfg(not(windows))]
fn plain(path: PathBuf) -> PathBuf {
    path
}

/// Paths from this length keep their form.
#[cfg(windows)]
const LONG_PATH: usize = 200;

/// The path in its usual form: `C:\folder` for `\\?\C:\folder`. A path that has another meaning in that form stays as
/// it is.
#[cfg(windows)]
fn plain(path: PathBuf) -> PathBuf {
    let Some(text) = path.to_str().and_then(|text| text.strip_prefix(r"\\?\")) else { return path };
    let usual = PathBuf::from(
        text.strip_prefix(r"UNC\").map_or_else(|| text.to_owned(), |share| format!(r"\\{share}")),
    );
    let is_same = std::path::absolute(&usual).is_ok_and(|absolute| absolute == usual);
    // Programs find no usual path of more than 260 characters. The path can be that of a folder: names are added to it.
    if is_same && usual.is_absolute() && usual.as_os_str().len() < LONG_PATH { usual } else { path }
}

#[cfg(windows)]
#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_path_has_its_usual_form_unless_that_is_another_path() {
        for (long, expected) in [
            (r"\\?\C:\a\b", r"C:\a\b"),
            (r"\\?\UNC\server\share\a", r"\\server\share\a"),
            (r"\\?\C:\a.", r"\\?\C:\a."),
            (r"\\?\C:\a ", r"\\?\C:\a "),
            (r"\\?\Volume{1}\a", r"\\?\Volume{1}\a"),
            (r"C:\a", r"C:\a"),
        ] {
            assert_eq!(plain(long.into()).to_str(), Some(expected));
        }
    }
}
