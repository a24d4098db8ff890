//! Directory handles on Linux: names are resolved by the kernel below an open directory, through no link.
//!
//! `openat2` does that in one call (Linux 5.6); where a sandbox or an old kernel lacks it, each component is opened
//! by itself with `O_NOFOLLOW`, which leads to the same answers. Renaming is in `rename`, what is said of file systems in
//! `volume`.

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

use super::{Entry, Kind, Status, link_on_the_way};
use crate::store::stamp::{Stamp, nanoseconds};

/// Whether [`super::open_for_writing`] finds anything out here.
pub(in crate::store) const TELLS_WRITERS: bool = true;

/// How often a resolution is tried again that the kernel gave up because something was renamed meanwhile.
const RESOLVE_TRIES: usize = 16;

/// Set once `openat2` turned out not to be there.
static WITHOUT_OPENAT2: AtomicBool = AtomicBool::new(false);

/// An open directory.
#[derive(Debug)]
pub(in crate::store) struct Dir(pub(super) OwnedFd);

impl Dir {
    /// The directory at `path`, which is trusted: its owner named it.
    pub(in crate::store) fn open_root(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Whether this very directory is at `path`. Where the system refuses to look there, it is believed to be.
    pub(in crate::store) fn is_at(&self, path: &Path) -> bool {
        match (rustix::fs::stat(path), rustix::fs::fstat(&self.0)) {
            (Ok(there), Ok(this)) => (there.st_dev, there.st_ino) == (this.st_dev, this.st_ino),
            (Err(error), _) => !matches!(error, Errno::NOENT | Errno::NOTDIR),
            (_, Err(_)) => true,
        }
    }

    /// The directory at `below`, components separated by `/`.
    pub(in crate::store) fn sub(&self, below: &str) -> io::Result<Self> {
        open_beneath(self.0.as_fd(), below.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .map(Self)
    }

    /// The same, only to look from: it is opened for nothing, which is no news to those who watch it, ourselves among
    /// them.
    pub(in crate::store) fn place(&self, below: &str) -> io::Result<Self> {
        open_beneath(self.0.as_fd(), below.as_ref(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
            .map(Self)
    }

    /// Another handle of the same directory.
    pub(in crate::store) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// What stands at `below`, for reading. It may be no regular file; opening never waits, for a pipe neither.
    pub(in crate::store) fn open_file(&self, below: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        open_beneath(self.0.as_fd(), below.as_ref(), flags, Mode::empty()).map(File::from)
    }

    /// A new file in this directory, for reading and writing; one that is there is an error.
    pub(in crate::store) fn create_new(&self, name: &str, executable: bool) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
        open_beneath(self.0.as_fd(), name.as_ref(), flags, mode).map(File::from)
    }

    /// A file in this directory, for reading and writing; made where it is not there.
    pub(in crate::store) fn open_or_create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
        open_beneath(self.0.as_fd(), name.as_ref(), flags, Mode::from_raw_mode(0o666)).map(File::from)
    }

    /// Makes a directory in this one; a private one is for its owner alone.
    pub(in crate::store) fn make_dir(&self, name: &str, private: bool) -> io::Result<()> {
        let mode = Mode::from_raw_mode(if private { 0o700 } else { 0o777 });
        Ok(rustix::fs::mkdirat(&self.0, name, mode)?)
    }

    /// What stands at `below`; a link is not followed.
    pub(in crate::store) fn status(&self, below: &OsStr) -> io::Result<Status> {
        let bytes = below.as_bytes();
        let Some(slash) = bytes.iter().rposition(|byte| *byte == b'/') else { return status(&self.0, bytes) };
        let parent = OsStr::from_bytes(&bytes[..slash]);
        let parent = open_beneath(self.0.as_fd(), parent, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        status(&parent, &bytes[slash + 1..])
    }

    /// Whether files may be made here, by this process; why not, where they may not.
    pub(in crate::store) fn may_be_written(&self) -> io::Result<()> {
        use rustix::fs::{Access, accessat};
        Ok(accessat(&self.0, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
    }

    /// When the file was made, in nanoseconds since 1970; `None` where the file system does not say.
    pub(in crate::store) fn born_ns(&self, below: &OsStr) -> io::Result<Option<i64>> {
        use rustix::fs::{StatxFlags, statx};
        let file = open_beneath(self.0.as_fd(), below, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
        let found = statx(&file, "", AtFlags::EMPTY_PATH, StatxFlags::BTIME)?;
        let is_known = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
        Ok(is_known.then(|| nanoseconds(found.stx_btime.tv_sec, found.stx_btime.tv_nsec)))
    }

    /// Everything in this directory, in no order.
    pub(in crate::store) fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let name = OsString::from_vec(name.to_vec());
            let kind = match entry.file_type() {
                // Some file systems do not say; one that is gone by now is left out.
                FileType::Unknown => match self.status(&name) {
                    Ok(status) => status.kind,
                    Err(_) => continue,
                },
                known => kind(known),
            };
            entries.push(Entry { name, kind });
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
            // Some file systems have no such thing for directories.
            Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Makes everything on this file system durable in one go; false where that cannot be done.
    pub(in crate::store) fn sync_everything(&self) -> io::Result<bool> {
        match rustix::fs::syncfs(&self.0) {
            Ok(()) => Ok(true),
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the least that there is to write: that it was changed now.
    pub(in crate::store) fn touch(&self) -> io::Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        Ok(rustix::fs::futimens(&self.0, &Timestamps { last_access: now, last_modification: now })?)
    }
}

fn open_beneath(dir: BorrowedFd<'_>, below: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    if !WITHOUT_OPENAT2.load(Ordering::Relaxed) {
        // With `O_NOFOLLOW` the last component would be "not a directory"; this refuses links everywhere, and says so.
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
            Err(Errno::LOOP | Errno::XDEV) => return Err(link_on_the_way()),
            Err(Errno::NOSYS) => WITHOUT_OPENAT2.store(true, Ordering::Relaxed),
            Err(Errno::PERM) => {} // a sandbox's refusal, or the file's own: the other way tells
            Err(error) => return Err(error.into()),
        }
    }
    open_by_component(dir, below, flags | OFlags::NOFOLLOW, mode)
}

/// Opens one component after the other, following none that is a link.
fn open_by_component(dir: BorrowedFd<'_>, below: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let mut parts = below.as_bytes().split(|byte| *byte == b'/').peekable();
    let mut at: Option<OwnedFd> = None;
    while let Some(part) = parts.next() {
        if part.is_empty() || part == b"." || part == b".." {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let here = at.as_ref().map_or(dir, AsFd::as_fd);
        let last = parts.peek().is_none();
        let flags =
            if last { flags } else { OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC };
        let mode = if last { mode } else { Mode::empty() };
        at = Some(rustix::fs::openat(here, part, flags, mode).map_err(|error| explain(here, part, error))?);
    }
    at.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn status(dir: &OwnedFd, name: &[u8]) -> io::Result<Status> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = kind(FileType::from_raw_mode(stat.st_mode));
    Ok(Status { kind, stamp: stamp(&stat), linked: stat.st_nlink > 1 })
}

/// A link is "not a directory" to an open that wants one: says what it is.
fn explain(dir: BorrowedFd<'_>, name: &[u8], error: Errno) -> io::Error {
    let is_link = || {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    };
    match error {
        Errno::LOOP => link_on_the_way(),
        Errno::NOTDIR if is_link() => link_on_the_way(),
        other => other.into(),
    }
}

const fn kind(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        FileType::Fifo => Kind::Pipe,
        FileType::Socket => Kind::Socket,
        _ => Kind::Device,
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

/// The number by which `statfs` names a file system in memory (`linux/magic.h`).
const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;

/// Whether a file is on a file system in memory.
pub(in crate::store) fn is_in_memory(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|system| system.f_type == TMPFS_MAGIC)
}

/// Reads what the page cache has (`RWF_NOWAIT`); a file system in memory, which does not know that flag, has all.
pub(super) fn read_cached_at(
    file: &File,
    mut into: &mut [io::IoSliceMut<'_>],
    mut offset: u64,
) -> io::Result<bool> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut flags = ReadWriteFlags::NOWAIT;
    while !into.is_empty() {
        match preadv2(file, into, offset, flags) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                io::IoSliceMut::advance_slices(&mut into, read);
                offset += read as u64;
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::OPNOTSUPP) if is_in_memory(file) => flags = ReadWriteFlags::empty(),
            Err(Errno::OPNOTSUPP) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{AsFd, Dir, Mode, OFlags, open_by_component};
    use crate::store::system::is_link;

    #[test]
    fn the_way_without_openat2_refuses_the_same() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("a/b")).unwrap();
        fs::write(temp.path().join("a/b/file"), "f").unwrap();
        symlink("a", temp.path().join("link")).unwrap();
        symlink("file", temp.path().join("a/b/leaf")).unwrap();
        let dir = Dir::open_root(temp.path()).unwrap();
        let open = |way: &str| {
            open_by_component(dir.0.as_fd(), way.as_ref(), OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty())
        };
        assert!(open("a/b/file").is_ok());
        for way in ["link/b/file", "link", "a/b/leaf"] {
            assert!(is_link(&open(way).unwrap_err()), "{way}");
        }
        for way in ["a/../a/b/file", "/etc/passwd", "..", "a//b"] {
            assert!(open(way).is_err(), "{way}");
        }
    }
}
