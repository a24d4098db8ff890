//! What differs between systems, in one place: directory handles, positioned reads, who writes to a file.
//!
//! `linux` keeps a directory open and resolves every name below it in the kernel, which refuses links and `..`.
//! `portable` is its twin on the standard library alone: it looks at each component before it goes through it, so
//! someone who swaps a folder for a link at the right instant can still lead it astray. Both have the same
//! functions and pass the same tests.

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, IoSliceMut},
    path::Path,
};

use super::stamp::Stamp;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
#[cfg_attr(target_os = "linux", allow(dead_code, reason = "on Linux only its tests use it"))]
mod portable;
#[cfg(target_os = "linux")]
mod rename;
mod told;
#[cfg(target_os = "linux")]
mod volume;
#[cfg(target_os = "linux")]
mod writers;

pub use told::{OpenFiles, Told};

#[cfg(target_os = "linux")]
pub(super) use linux::{Dir, TELLS_WRITERS};
#[cfg(not(target_os = "linux"))]
pub(super) use portable::{Dir, TELLS_WRITERS, open_for_writing};
#[cfg(target_os = "linux")]
pub(super) use writers::open_for_writing;

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, or what Windows has instead.
    Link,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device, or something that this system alone has.
    Device,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Link => "a link",
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

/// One entry of a folder.
pub(super) struct Entry {
    pub(super) name: OsString,
    pub(super) kind: Kind,
}

/// What stands under a name, and its stamp.
pub(super) struct Status {
    pub(super) kind: Kind,
    pub(super) stamp: Stamp,
    /// Whether it has other names (hard links).
    pub(super) linked: bool,
}

/// A file system as renames see it: what is on two of them has to be copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileSystemId {
    device: u64,
    mount: u64,
}

/// What a file system still takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// Bytes; `u64::MAX` where the system does not say.
    pub bytes: u64,
    /// Files and folders (inodes); `u64::MAX` where there is no such bound, or the system does not say.
    pub files: u64,
}

impl Free {
    /// Where nothing is known.
    pub const UNKNOWN: Self = Self { bytes: u64::MAX, files: u64::MAX };

    /// Whether there are bytes but no inodes left.
    pub const fn lacks_inodes(&self) -> bool {
        self.files == 0 && self.bytes > 0
    }
}

/// What is free, in what the system says. Where inodes are made as they are needed (Btrfs), their number is 0.
#[cfg(unix)]
fn free_of(found: &rustix::fs::StatVfs) -> Free {
    let files = if found.f_files == 0 { u64::MAX } else { found.f_favail };
    Free { bytes: found.f_bavail.saturating_mul(found.f_frsize), files }
}

/// Whether the file system at `path`, or at the nearest folder that is there, has bytes but no inodes left; for a
/// message, after something could not be made.
pub(super) fn lacks_inodes(path: &Path) -> bool {
    #[cfg(unix)]
    {
        let found = path.ancestors().find_map(|path| rustix::fs::statvfs(path).ok());
        found.is_some_and(|found| free_of(&found).lacks_inodes())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Whether an error says that the file system does not keep what was to be noted of a file: modes on FAT, times where
/// the file is another user's. The bytes are right all the same.
pub(super) fn is_not_kept(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
    )
}

/// A link stands on the way, or the way leads out of the folder.
#[derive(Debug, thiserror::Error)]
#[error("a link stands on the way")]
struct LinkOnTheWay;

fn link_on_the_way() -> io::Error {
    io::Error::other(LinkOnTheWay)
}

/// Whether that is why something was not opened.
pub(super) fn is_link(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<LinkOnTheWay>())
}

/// Fills all of `into`, in order, from `offset` if that can be done without waiting for a disk; false where it cannot, or where the
/// system does not say. May be called on a thread that must not wait.
#[cfg(target_os = "linux")]
pub(crate) fn read_cached_at(file: &File, into: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<bool> {
    linux::read_cached_at(file, into, offset)
}

/// Fills all of `into`, in order, from `offset` if that can be done without waiting for a disk: nobody says so here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn read_cached_at(_: &File, _: &mut [IoSliceMut<'_>], _: u64) -> io::Result<bool> {
    Ok(false)
}

/// Whether a file is on a file system in memory, as far as the system says.
pub(super) fn is_in_memory(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    return linux::is_in_memory(file);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        false
    }
}

/// Fills `into` from `offset`, or fails.
pub(crate) fn read_exact_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<()> {
    let wanted = into.len();
    if read_at(file, into, offset)? == wanted { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Reads at `offset` until `into` is full or the file ends; the number of bytes read.
pub(super) fn read_at(file: &File, mut into: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let wanted = into.len();
    while !into.is_empty() {
        match read_some_at(file, into, offset) {
            Ok(0) => break,
            Ok(read) => {
                into = &mut into[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - into.len())
}

#[cfg(unix)]
fn read_some_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, offset)
}

#[cfg(windows)]
fn read_some_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, offset)
}

/// Writes all of `bytes` at `offset`.
#[cfg(unix)]
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes all of `bytes` at `offset`.
#[cfg(windows)]
pub(super) fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

/// Gives a file that may be read the right to be run by whoever may read it, or takes it away.
#[cfg(unix)]
pub(super) fn set_executable(file: &File, executable: bool) -> io::Result<()> {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    let mode = file.metadata()?.permissions().mode() & 0o777;
    let wanted = if executable { mode | ((mode & 0o444) >> 2) } else { mode & !0o111 };
    if wanted == mode { Ok(()) } else { file.set_permissions(Permissions::from_mode(wanted)) }
}

/// There is no such right here.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "its twin can fail")]
pub(super) fn set_executable(_: &File, _: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, fs, os::unix::fs::symlink};

    use super::{Kind, is_link};

    /// What both twins promise.
    macro_rules! promises {
        ($twin:ident) => {
            mod $twin {
                use super::{super::$twin::Dir, Kind, OsStr, fs, is_link, symlink};

                #[test]
                fn nothing_is_opened_through_a_link_or_outside() {
                    let outside = tempfile::tempdir().unwrap();
                    fs::write(outside.path().join("secret"), "s").unwrap();
                    let temp = tempfile::tempdir().unwrap();
                    let root = temp.path();
                    fs::create_dir(root.join("in")).unwrap();
                    fs::write(root.join("in/file"), "f").unwrap();
                    symlink(outside.path(), root.join("out")).unwrap();
                    symlink("in", root.join("inner")).unwrap();
                    symlink("in/file", root.join("link")).unwrap();
                    let dir = Dir::open_root(root).unwrap();
                    assert!(dir.open_file("in/file").is_ok());
                    for way in ["out/secret", "inner/file", "link"] {
                        let error = dir.open_file(way).unwrap_err();
                        assert!(is_link(&error), "{way}: {error}");
                    }
                    assert!(is_link(&dir.sub("out").err().unwrap()));
                    assert!(is_link(&dir.sub("inner").err().unwrap()));
                    assert!(dir.open_file("in/../in/../../x").is_err());
                }

                #[test]
                fn a_rename_never_replaces() {
                    let temp = tempfile::tempdir().unwrap();
                    let dir = Dir::open_root(temp.path()).unwrap();
                    fs::write(temp.path().join("old"), "old").unwrap();
                    fs::write(temp.path().join("new"), "new").unwrap();
                    let error = dir.rename_new("new", &dir, "old").unwrap_err();
                    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
                    assert_eq!(fs::read(temp.path().join("old")).unwrap(), b"old");
                    dir.rename_new("new", &dir, "free").unwrap();
                    assert_eq!(fs::read(temp.path().join("free")).unwrap(), b"new");
                    assert!(!temp.path().join("new").exists());
                }

                #[test]
                fn entries_and_status_tell_what_is_there() {
                    let temp = tempfile::tempdir().unwrap();
                    let dir = Dir::open_root(temp.path()).unwrap();
                    dir.make_dir("d", false).unwrap();
                    fs::write(temp.path().join("f"), "12345").unwrap();
                    symlink("f", temp.path().join("l")).unwrap();
                    let mut entries: Vec<_> =
                        dir.entries().unwrap().into_iter().map(|e| (e.name, e.kind)).collect();
                    entries.sort_by(|a, b| a.0.cmp(&b.0));
                    let expected = [("d", Kind::Folder), ("f", Kind::File), ("l", Kind::Link)]
                        .map(|(n, k)| (n.into(), k));
                    assert_eq!(entries, expected);
                    let status = dir.status(OsStr::new("f")).unwrap();
                    assert_eq!((status.kind, status.stamp.size), (Kind::File, 5));
                    let open = crate::store::stamp::stamp_of(&dir.open_file("f").unwrap()).unwrap();
                    assert_eq!(status.stamp, open);
                    assert_eq!(dir.status(OsStr::new("l")).unwrap().kind, Kind::Link);
                }
            }
        };
    }

    #[cfg(target_os = "linux")]
    promises!(linux);
    promises!(portable);
}
