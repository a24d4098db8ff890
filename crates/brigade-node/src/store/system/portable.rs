//! Directory handles for systems other than Linux: paths, each component of which is checked before it is used.
//!
//! macOS and Windows use it. What these two do in different ways is in `unix` and `windows`, which have the same
//! functions.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

#[cfg(unix)]
use self::unix as platform;
#[cfg(windows)]
use self::windows as platform;
use super::{
    entry::{EntryStatus, FileKind, FolderEntry},
    executable_bit::set_executable,
    file_system_info::{FileSystemId, FreeSpace},
    io_errors::{is_not_kept, symlink_in_path},
};

/// Whether [`open_for_writing`] can find open files on this system.
pub(in crate::store) const TELLS_WRITERS: bool = false;

/// A directory, by its path and its identity.
#[derive(Debug)]
pub(in crate::store) struct Dir {
    path: PathBuf,
    /// Its file system and its number there.
    id: (u64, u64),
}

/// The files that are open for writing: this system does not report them.
pub(in crate::store) fn open_for_writing(_: &BTreeSet<(u64, u64)>) -> BTreeSet<(u64, u64)> {
    BTreeSet::new()
}

impl Dir {
    /// See `linux_directory`.
    pub(in crate::store) fn open_root(path: &Path) -> io::Result<Self> {
        Self::open(path.canonicalize()?)
    }

    /// See `linux_file_system_info`.
    pub(in crate::store) fn is_read_only(&self) -> io::Result<bool> {
        platform::is_read_only(&self.path)
    }

    /// See `linux_directory`. Not every system can change the time of a directory: this assumes that it is writable.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store) fn touch(&self) -> io::Result<()> {
        Ok(())
    }

    /// See `linux_directory`.
    pub(in crate::store) fn is_at(&self, path: &Path) -> bool {
        match Self::open_root(path) {
            Ok(found) => self.is_same(&found),
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        }
    }

    /// See `linux_directory`.
    pub(in crate::store) fn sub(&self, below: &str) -> io::Result<Self> {
        Self::open(self.checked_path(below)?)
    }

    /// See `linux_directory`.
    pub(in crate::store) fn open_path_only(&self, below: &str) -> io::Result<Self> {
        self.sub(below)
    }

    /// See `linux_directory`.
    #[allow(clippy::unnecessary_wraps, reason = "its twin can fail")]
    pub(in crate::store) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { path: self.path.clone(), id: self.id })
    }

    /// See `linux_directory`. An entry that is no regular file is not opened at all, since that might wait.
    pub(in crate::store) fn open_file(&self, below: &str) -> io::Result<File> {
        let path = self.checked_path(below)?;
        match FileKind::from(fs::symlink_metadata(&path)?.file_type()) {
            FileKind::File => File::open(path),
            FileKind::Link => Err(symlink_in_path()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// See `linux_directory`. These systems have no such option.
    pub(in crate::store) fn open_without_access_time(&self, below: &str) -> io::Result<File> {
        self.open_file(below)
    }

    /// See `linux_directory`.
    pub(in crate::store) fn create_new(&self, name: &str, executable: bool) -> io::Result<File> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).open(self.checked_path(name)?)?;
        if executable {
            set_executable(&file, true)?;
        }
        Ok(file)
    }

    /// See `linux_directory`.
    pub(in crate::store) fn open_or_create(&self, name: &str) -> io::Result<File> {
        self.open_for_both(name, true)
    }

    /// See `linux_directory`.
    pub(in crate::store) fn open_existing(&self, name: &str) -> io::Result<File> {
        self.open_for_both(name, false)
    }

    /// Opens a file for reading and writing.
    fn open_for_both(&self, name: &str, create: bool) -> io::Result<File> {
        let path = self.checked_path(name)?;
        match fs::symlink_metadata(&path).map(|metadata| FileKind::from(metadata.file_type())) {
            Ok(FileKind::Link) => Err(symlink_in_path()),
            _ => OpenOptions::new().read(true).write(true).create(create).truncate(false).open(path),
        }
    }

    /// See `linux_directory`. On Windows a private directory has the permissions of its parent.
    pub(in crate::store) fn make_dir(&self, name: &str, private: bool) -> io::Result<()> {
        let path = self.checked_path(name)?;
        fs::create_dir(&path)?;
        if private { platform::make_private(&path) } else { Ok(()) }
    }

    /// See `linux_directory`.
    pub(in crate::store) fn status(&self, below: &OsStr) -> io::Result<EntryStatus> {
        let path = match below.to_str() {
            Some(below) => self.checked_path(below)?,
            None => self.path.join(below), // an entry of this directory whose name is not UTF-8
        };
        platform::status(&path)
    }

    /// See `linux_directory`; here an attempt to write finds out.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store) fn may_be_written(&self) -> io::Result<()> {
        Ok(())
    }

    /// See `linux_directory`.
    pub(in crate::store) fn created_ns(&self, below: &OsStr) -> io::Result<Option<i64>> {
        let Some(below) = below.to_str() else { return Ok(None) };
        let created = fs::symlink_metadata(self.checked_path(below)?)?.created().ok();
        let since = created.and_then(|created| created.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(since.and_then(|since| i64::try_from(since.as_nanos()).ok()))
    }

    /// See `linux_directory`.
    pub(in crate::store) fn entries(&self) -> io::Result<Vec<FolderEntry>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            Ok(FolderEntry { name: entry.file_name(), kind: FileKind::from(entry.file_type()?) })
        };
        fs::read_dir(&self.path)?.map(entry).collect()
    }

    /// See `rename_without_replacing`: a hard link, or an empty file as a placeholder if there are no hard links.
    pub(in crate::store) fn rename_new(
        &self,
        from: &str,
        to: &Self,
        to_name: &str,
        before_placeholder: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let (source, target) = (self.checked_path(from)?, to.checked_path(to_name)?);
        match fs::hard_link(&source, &target) {
            Ok(()) => fs::remove_file(source).inspect_err(|_| {
                let _ = fs::remove_file(&target);
            }),
            Err(error) if is_not_kept(&error) || error.kind() == io::ErrorKind::TooManyLinks => {
                before_placeholder()?;
                rename_over_placeholder(&source, &target)
            }
            Err(error) => Err(error),
        }
    }

    /// See `rename_without_replacing`.
    pub(in crate::store) fn rename_over(&self, from: &str, to_name: &str) -> io::Result<()> {
        fs::rename(self.checked_path(from)?, self.checked_path(to_name)?)
    }

    /// See `linux_file_system_info`.
    pub(in crate::store) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
    }

    /// See `linux_directory`.
    pub(in crate::store) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.checked_path(name)?)
    }

    /// See `linux_directory`. Windows keeps names durable by itself.
    pub(in crate::store) fn sync(&self) -> io::Result<()> {
        if cfg!(windows) { Ok(()) } else { File::open(&self.path)?.sync_all() }
    }

    /// See `linux_directory`: this system has no such call.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store) fn sync_everything(&self) -> io::Result<bool> {
        Ok(false)
    }

    /// See `linux_directory`.
    pub(in crate::store) fn remove_dir(&self, name: &str) -> io::Result<()> {
        fs::remove_dir(self.checked_path(name)?)
    }

    /// See `linux_file_system_info`. Mounts are not distinguished here.
    #[allow(clippy::unnecessary_wraps, reason = "its twin can fail")]
    pub(in crate::store) fn file_system(&self) -> io::Result<FileSystemId> {
        Ok(FileSystemId { device: self.id.0, mount: 0 })
    }

    /// See `linux_file_system_info`.
    pub(in crate::store) fn free(&self) -> io::Result<FreeSpace> {
        platform::free(&self.path)
    }

    /// Not known here.
    #[allow(clippy::unused_self, reason = "its twin asks")]
    pub(in crate::store) fn longest_name(&self) -> Option<u64> {
        None
    }

    /// See `linux_file_system_info`; here an attempt to move finds out.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store) fn may_move(&self, _: &str) -> io::Result<bool> {
        Ok(true)
    }

    /// The directory at `path`; a link there is an error.
    fn open(path: PathBuf) -> io::Result<Self> {
        let found = platform::status(&path)?;
        match found.kind {
            FileKind::Folder => Ok(Self { path, id: found.stamp.file_id() }),
            FileKind::Link => Err(symlink_in_path()),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The path of `below`, after a check that each component but the last is a folder.
    fn checked_path(&self, below: &str) -> io::Result<PathBuf> {
        let mut path = self.path.clone();
        let mut parts = below.split('/').peekable();
        while let Some(part) = parts.next() {
            if matches!(part, "" | "." | "..") || part.contains(['\\', ':']) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            path.push(part);
            if parts.peek().is_some() {
                match FileKind::from(fs::symlink_metadata(&path)?.file_type()) {
                    FileKind::Folder => {}
                    FileKind::Link => return Err(symlink_in_path()),
                    _ => return Err(io::ErrorKind::NotADirectory.into()),
                }
            }
        }
        Ok(path)
    }
}

/// Creates an empty file `target`, and renames `source` over it.
fn rename_over_placeholder(source: &Path, target: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(target)?;
    let renamed = fs::rename(source, target);
    if renamed.is_err() && fs::symlink_metadata(target).is_ok_and(|found| found.len() == 0) {
        let _ = fs::remove_file(target);
    }
    renamed
}
