//! Directory handles on Linux: the kernel resolves names below an open directory and refuses links.
//!
//! `openat2` does that in one call (Linux 5.6). If a sandbox or an old kernel does not have it, each component is
//! opened separately with `O_NOFOLLOW`, with the same results. `rename_without_replacing` has the renames,
//! `linux_file_system_info` the information on file systems.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_NOW},
    io::Errno,
};

use super::{
    entry::{EntryStatus, FileKind, FolderEntry},
    io_errors::symlink_in_path,
};
use crate::store::file_stamp::{Stamp, nanoseconds};

/// Whether [`super::open_for_writing`] can find open files on this system.
pub(in crate::store) const TELLS_WRITERS: bool = true;

/// Attempts to resolve a path while the kernel gives up because of a rename.
const RESOLVE_TRIES: usize = 16;

/// Set when `openat2` does not exist.
static WITHOUT_OPENAT2: AtomicBool = AtomicBool::new(false);

/// An open directory.
#[derive(Debug)]
pub(in crate::store) struct Dir(pub(super) OwnedFd);

impl Dir {
    /// The directory at `path`, which is trusted: the user named it.
    pub(in crate::store) fn open_root(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Whether this directory is at `path`. If that cannot be found out, the answer is yes.
    pub(in crate::store) fn is_at(&self, path: &Path) -> bool {
        match (rustix::fs::stat(path), rustix::fs::fstat(&self.0)) {
            (Ok(there), Ok(this)) => (there.st_dev, there.st_ino) == (this.st_dev, this.st_ino),
            (Err(error), _) => !matches!(error, Errno::NOENT | Errno::NOTDIR),
            (_, Err(_)) => true,
        }
    }

    /// The directory at `below`, with components separated by `/`.
    pub(in crate::store) fn sub(&self, below: &str) -> io::Result<Self> {
        open_beneath(self.0.as_fd(), below.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .map(Self)
    }

    /// The same, only for looking at entries (`O_PATH`): this causes no event for watchers, including this process.
    pub(in crate::store) fn open_path_only(&self, below: &str) -> io::Result<Self> {
        open_beneath(self.0.as_fd(), below.as_ref(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .map(Self)
    }

    /// Another handle of the same directory.
    pub(in crate::store) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// The entry at `below`, for reading. It may be no regular file; opening never waits, not even for a pipe.
    pub(in crate::store) fn open_file(&self, below: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        open_beneath(self.0.as_fd(), below.as_ref(), flags, Mode::empty()).map(File::from)
    }

    /// The same, but reading does not change the access time of the entry, if it belongs to this account.
    pub(in crate::store) fn open_without_access_time(&self, below: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOATIME;
        match open_beneath(self.0.as_fd(), below.as_ref(), flags, Mode::empty()) {
            Ok(file) => Ok(file.into()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.open_file(below),
            Err(error) => Err(error),
        }
    }

    /// Creates a file in this directory, for reading and writing; an existing one is an error.
    pub(in crate::store) fn create_new(&self, name: &str, executable: bool) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        open_beneath(self.0.as_fd(), name.as_ref(), flags, mode).map(File::from)
    }

    /// A file in this directory, for reading and writing; it is created if it does not exist.
    pub(in crate::store) fn open_or_create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
        open_beneath(self.0.as_fd(), name.as_ref(), flags, Mode::from_raw_mode(0o666)).map(File::from)
    }

    /// A file in this directory that exists, for reading and writing.
    pub(in crate::store) fn open_existing(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY;
        open_beneath(self.0.as_fd(), name.as_ref(), flags, Mode::empty()).map(File::from)
    }

    /// Creates a directory in this one; a private one is for its owner only.
    pub(in crate::store) fn make_dir(&self, name: &str, private: bool) -> io::Result<()> {
        let mode = Mode::from_raw_mode(if private { 0o700 } else { 0o777 });
        Ok(rustix::fs::mkdirat(&self.0, name, mode)?)
    }

    /// The status of the entry at `below`; a link is not followed.
    pub(in crate::store) fn status(&self, below: &OsStr) -> io::Result<EntryStatus> {
        let bytes = below.as_bytes();
        let Some(slash) = bytes.iter().rposition(|byte| *byte == b'/') else { return status(&self.0, bytes) };
        let parent = OsStr::from_bytes(&bytes[..slash]);
        let parent = open_beneath(self.0.as_fd(), parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        status(&parent, &bytes[slash + 1..])
    }

    /// Fails if this process may not create files here.
    pub(in crate::store) fn may_be_written(&self) -> io::Result<()> {
        use rustix::fs::{Access, accessat};
        Ok(accessat(&self.0, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
    }

    /// The time when the file was created, in nanoseconds since 1970; `None` if the file system does not store it.
    pub(in crate::store) fn created_ns(&self, below: &OsStr) -> io::Result<Option<i64>> {
        use rustix::fs::{StatxFlags, statx};
        let file = open_beneath(self.0.as_fd(), below, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
        let found = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME)?;
        let is_known = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
        Ok(is_known.then(|| nanoseconds(found.stx_btime.tv_sec, found.stx_btime.tv_nsec)))
    }

    /// All entries of this directory, in no order.
    pub(in crate::store) fn entries(&self) -> io::Result<Vec<FolderEntry>> {
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let name = OsString::from_vec(name.to_vec());
            let kind = match entry.file_type() {
                // Some file systems do not tell the kind; an entry that is gone by now is left out.
                FileType::Unknown => match self.status(&name) {
                    Ok(status) => status.kind,
                    Err(_) => continue,
                },
                known => kind(known),
            };
            entries.push(FolderEntry { name, kind });
        }
        Ok(entries)
    }

    /// Removes a file from this directory.
    pub(in crate::store) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes an empty directory from this one.
    pub(in crate::store) fn remove_dir(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Makes the names in this directory durable.
    pub(in crate::store) fn sync(&self) -> io::Result<()> {
        match rustix::fs::fsync(&self.0) {
            // Some file systems cannot sync directories.
            Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Makes all files of this file system durable; false if that is not possible.
    pub(in crate::store) fn sync_everything(&self) -> io::Result<bool> {
        match rustix::fs::syncfs(&self.0) {
            Ok(()) => Ok(true),
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes as little as possible: the time of the last change.
    pub(in crate::store) fn touch(&self) -> io::Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        Ok(rustix::fs::futimens(&self.0, &Timestamps { last_access: now, last_modification: now })?)
    }
}

fn open_beneath(dir: BorrowedFd<'_>, below: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    if !WITHOUT_OPENAT2.load(Ordering::Relaxed) {
        // With `O_NOFOLLOW` the error for the last component would be "not a directory"; this refuses links
        // everywhere, with an error of its own.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let open = || rustix::fs::openat2(dir, below.as_bytes(), flags, mode, resolve);
        let mut result = open();
        for _ in 1..RESOLVE_TRIES {
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
            result = open();
        }
        match result {
            Ok(fd) => return Ok(fd),
            Err(Errno::LOOP | Errno::XDEV) => return Err(symlink_in_path()),
            Err(Errno::NOSYS) => WITHOUT_OPENAT2.store(true, Ordering::Relaxed),
            Err(Errno::PERM) => {} // a sandbox, or the file's permissions: the other method finds out
            Err(error) => return Err(error.into()),
        }
    }
    open_by_component(dir, below, flags | OFlags::NOFOLLOW, mode)
}

/// Opens one component after the other, and no link.
fn open_by_component(dir: BorrowedFd<'_>, below: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let mut components = below.as_bytes().split(|byte| *byte == b'/').peekable();
    let mut at: Option<OwnedFd> = None;
    while let Some(component) = components.next() {
        if component.is_empty() || component == b"." || component == b".." {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let parent = at.as_ref().map_or(dir, AsFd::as_fd);
        let last = components.peek().is_none();
        let flags =
            if last { flags } else { OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC };
        let mode = if last { mode } else { Mode::empty() };
        at = Some(
            rustix::fs::openat(parent, component, flags, mode)
                .map_err(|error| explain(parent, component, error))?,
        );
    }
    at.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn status(dir: &OwnedFd, name: &[u8]) -> io::Result<EntryStatus> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = kind(FileType::from_raw_mode(stat.st_mode));
    Ok(EntryStatus { kind, stamp: stamp(&stat), linked: stat.st_nlink > 1 })
}

/// The error for opening a component: a link as a directory gives "not a directory", which this replaces.
fn explain(dir: BorrowedFd<'_>, name: &[u8], error: Errno) -> io::Error {
    let is_link = || {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    };
    match error {
        Errno::LOOP => symlink_in_path(),
        Errno::NOTDIR if is_link() => symlink_in_path(),
        other => other.into(),
    }
}

const fn kind(file_type: FileType) -> FileKind {
    match file_type {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        FileType::Fifo => FileKind::Pipe,
        FileType::Socket => FileKind::Socket,
        _ => FileKind::Device,
    }
}

fn stamp(stat: &Stat) -> Stamp {
    Stamp {
        device: stat.st_dev,
        inode: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
        ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        executable: stat.st_mode & 0o100 != 0,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{AsFd, Dir, Mode, OFlags, open_by_component};
    use crate::store::system::is_link;

    #[test]
    fn resolution_without_openat2_refuses_the_same_paths() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("a/b")).unwrap();
        fs::write(temp.path().join("a/b/file"), "f").unwrap();
        symlink("a", temp.path().join("link")).unwrap();
        symlink("file", temp.path().join("a/b/leaf")).unwrap();
        let dir = Dir::open_root(temp.path()).unwrap();
        let open = |path: &str| {
            open_by_component(dir.0.as_fd(), path.as_ref(), OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty())
        };
        assert!(open("a/b/file").is_ok());
        for path in ["link/b/file", "link", "a/b/leaf"] {
            assert!(is_link(&open(path).unwrap_err()), "{path}");
        }
        for path in ["a/../a/b/file", "/etc/passwd", "..", "a//b"] {
            assert!(open(path).is_err(), "{path}");
        }
    }
}
