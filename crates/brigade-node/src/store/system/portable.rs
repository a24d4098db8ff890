//! Directory handles where Linux's are not: paths, each component of which is looked at before it is used.
//!
//! On the standard library alone, so that it stands on macOS and Windows alike.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File, FileType, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use super::{Entry, FileSystemId, Free, Kind, Status, link_on_the_way};
use crate::store::stamp::stamp;

/// Whether [`open_for_writing`] finds anything out here.
pub(in crate::store) const TELLS_WRITERS: bool = false;

/// A directory, by its path.
#[derive(Debug)]
pub(in crate::store) struct Dir(PathBuf);

/// Which of the files are open for writing: nothing can be said here.
pub(in crate::store) fn open_for_writing(_: &BTreeSet<(u64, u64)>) -> BTreeSet<(u64, u64)> {
    BTreeSet::new()
}

impl Dir {
    /// See `linux`.
    pub(in crate::store) fn open_root(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.is_dir() {
            Ok(Self(path.to_owned()))
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    }

    /// See `linux`.
    pub(in crate::store) fn is_read_only(&self) -> io::Result<bool> {
        Ok(fs::metadata(&self.0)?.permissions().readonly())
    }

    /// See `linux`. A directory cannot be touched everywhere: it is believed that it could be.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store) fn touch(&self) -> io::Result<()> {
        Ok(())
    }

    /// See `linux`. One directory cannot be told from another here.
    #[allow(clippy::unused_self, reason = "its twin compares itself")]
    pub(in crate::store) fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).map_or_else(
            |error| !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
            |metadata| metadata.is_dir(),
        )
    }

    /// See `linux`.
    pub(in crate::store) fn sub(&self, below: &str) -> io::Result<Self> {
        let path = self.way(below)?;
        match kind(fs::symlink_metadata(&path)?.file_type()) {
            Kind::Folder => Ok(Self(path)),
            Kind::Link => Err(link_on_the_way()),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// See `linux`.
    pub(in crate::store) fn place(&self, below: &str) -> io::Result<Self> {
        self.sub(below)
    }

    /// See `linux`.
    #[allow(clippy::unnecessary_wraps, reason = "its twin can fail")]
    pub(in crate::store) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.clone()))
    }

    /// See `linux`. What is no regular file is not opened at all, since that might wait.
    pub(in crate::store) fn open_file(&self, below: &str) -> io::Result<File> {
        let path = self.way(below)?;
        match kind(fs::symlink_metadata(&path)?.file_type()) {
            Kind::File => File::open(path),
            Kind::Link => Err(link_on_the_way()),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// See `linux`.
    pub(in crate::store) fn create_new(&self, name: &str, executable: bool) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.way(name)?)?;
        if executable {
            super::set_executable(&file, true)?;
        }
        Ok(file)
    }

    /// See `linux`.
    pub(in crate::store) fn open_or_create(&self, name: &str) -> io::Result<File> {
        let path = self.way(name)?;
        match fs::symlink_metadata(&path).map(|metadata| kind(metadata.file_type())) {
            Ok(Kind::Link) => Err(link_on_the_way()),
            _ => OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path),
        }
    }

    /// See `linux`. On Windows a private directory has the rights of the one it is in.
    pub(in crate::store) fn make_dir(&self, name: &str, private: bool) -> io::Result<()> {
        let path = self.way(name)?;
        fs::create_dir(&path)?;
        if private { make_private(&path) } else { Ok(()) }
    }

    /// See `linux`.
    pub(in crate::store) fn status(&self, below: &OsStr) -> io::Result<Status> {
        let path = match below.to_str() {
            Some(below) => self.way(below)?,
            None => self.0.join(below), // one entry of this directory, whose name is not text
        };
        let metadata = fs::symlink_metadata(path)?;
        Ok(Status { kind: kind(metadata.file_type()), stamp: stamp(&metadata), linked: is_linked(&metadata) })
    }

    /// See `linux`; here it is seen when something is written.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store) fn may_be_written(&self) -> io::Result<()> {
        Ok(())
    }

    /// See `linux`.
    pub(in crate::store) fn born_ns(&self, below: &OsStr) -> io::Result<Option<i64>> {
        let Some(below) = below.to_str() else { return Ok(None) };
        let born = fs::symlink_metadata(self.way(below)?)?.created().ok();
        let since = born.and_then(|born| born.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(since.and_then(|since| i64::try_from(since.as_nanos()).ok()))
    }

    /// See `linux`.
    pub(in crate::store) fn entries(&self) -> io::Result<Vec<Entry>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            Ok(Entry { name: entry.file_name(), kind: kind(entry.file_type()?) })
        };
        fs::read_dir(&self.0)?.map(entry).collect()
    }

    /// See `rename`: a hard link, and where there are none an empty file that takes the name first.
    pub(in crate::store) fn rename_new(&self, from: &str, to: &Self, to_name: &str) -> io::Result<()> {
        let (source, target) = (self.way(from)?, to.way(to_name)?);
        match fs::hard_link(&source, &target) {
            Ok(()) => fs::remove_file(source).inspect_err(|_| {
                let _ = fs::remove_file(&target);
            }),
            Err(error) if super::is_not_kept(&error) => rename_over_placeholder(&source, &target),
            Err(error) => Err(error),
        }
    }

    /// See `rename`.
    pub(in crate::store) fn rename_over(&self, from: &str, to_name: &str) -> io::Result<()> {
        fs::rename(self.way(from)?, self.way(to_name)?)
    }

    /// See `volume`. The same path is the same directory.
    pub(in crate::store) fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// See `linux`.
    pub(in crate::store) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.way(name)?)
    }

    /// See `linux`. Windows keeps names durable by itself.
    pub(in crate::store) fn sync(&self) -> io::Result<()> {
        if cfg!(windows) { Ok(()) } else { File::open(&self.0)?.sync_all() }
    }

    /// See `linux`: there is no such call.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store) fn sync_everything(&self) -> io::Result<bool> {
        Ok(false)
    }

    /// See `linux`.
    pub(in crate::store) fn remove_dir(&self, name: &str) -> io::Result<()> {
        fs::remove_dir(self.way(name)?)
    }

    /// See `volume`. Mounts are not told apart here.
    #[cfg(unix)]
    pub(in crate::store) fn file_system(&self) -> io::Result<FileSystemId> {
        use std::os::unix::fs::MetadataExt;
        Ok(FileSystemId { device: fs::metadata(&self.0)?.dev(), mount: 0 })
    }

    /// Not known here: all of a folder counts as one file system.
    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store) fn file_system(&self) -> io::Result<FileSystemId> {
        Ok(FileSystemId::default())
    }

    /// See `volume`.
    #[cfg(unix)]
    pub(in crate::store) fn free(&self) -> io::Result<Free> {
        Ok(super::free_of(&rustix::fs::statvfs(&self.0)?))
    }

    /// Not known here: as much as there may be.
    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store) fn free(&self) -> io::Result<Free> {
        Ok(Free::UNKNOWN)
    }

    /// Not known here.
    #[allow(clippy::unused_self, reason = "its twin asks")]
    pub(in crate::store) fn longest_name(&self) -> Option<u64> {
        None
    }

    /// See `volume`; here it is seen when something is moved.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "its twin can fail")]
    pub(in crate::store) fn may_move(&self, _: &str) -> io::Result<bool> {
        Ok(true)
    }

    /// The path to `below`, once no component but the last is seen to be anything but a folder.
    fn way(&self, below: &str) -> io::Result<PathBuf> {
        let mut path = self.0.clone();
        let mut parts = below.split('/').peekable();
        while let Some(part) = parts.next() {
            if matches!(part, "" | "." | "..") || part.contains(['\\', ':']) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            path.push(part);
            if parts.peek().is_some() {
                match kind(fs::symlink_metadata(&path)?.file_type()) {
                    Kind::Folder => {}
                    Kind::Link => return Err(link_on_the_way()),
                    _ => return Err(io::ErrorKind::NotADirectory.into()),
                }
            }
        }
        Ok(path)
    }
}

/// Takes the name `target` with an empty file, and renames `source` over it.
fn rename_over_placeholder(source: &Path, target: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(target)?;
    let renamed = fs::rename(source, target);
    if renamed.is_err() && fs::symlink_metadata(target).is_ok_and(|there| there.len() == 0) {
        let _ = fs::remove_file(target);
    }
    renamed
}

#[cfg(unix)]
fn is_linked(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink() > 1
}

/// Not known here: then a change through one name is found under the others by looking at everything.
#[cfg(not(unix))]
fn is_linked(_: &fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "its twin can fail")]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn kind(file_type: FileType) -> Kind {
    use std::os::unix::fs::FileTypeExt;

    if file_type.is_fifo() {
        Kind::Pipe
    } else if file_type.is_socket() {
        Kind::Socket
    } else {
        plain_kind(file_type)
    }
}

#[cfg(not(unix))]
fn kind(file_type: FileType) -> Kind {
    plain_kind(file_type)
}

fn plain_kind(file_type: FileType) -> Kind {
    if file_type.is_symlink() {
        Kind::Link
    } else if file_type.is_dir() {
        Kind::Folder
    } else if file_type.is_file() {
        Kind::File
    } else {
        Kind::Device
    }
}
