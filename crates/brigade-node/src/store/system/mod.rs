//! Differences between operating systems: directory handles, positioned reads, open files of other processes.
//!
//! `linux` keeps a directory open and resolves every name below it in the kernel, which refuses links and `..`.
//! `portable` has the same functions for other systems. It checks each component of a path before it uses the path, so
//! a program that replaces a folder by a link between the two steps can redirect it. Both pass the same tests. `rename`
//! and `volume` have more functions of the directory handles on Linux, `writers` finds open files; `entry`, `space` and
//! `error` have the types that all of them use.

mod entry;
mod error;
#[cfg(target_os = "linux")]
mod linux;
mod permissions;
#[cfg(any(test, not(target_os = "linux")))]
#[cfg_attr(target_os = "linux", allow(dead_code, reason = "on Linux only its tests use it"))]
mod portable;
mod positioned;
#[cfg(target_os = "linux")]
mod rename;
mod space;
#[cfg(target_os = "linux")]
mod volume;
#[cfg(target_os = "linux")]
mod writers;

#[cfg(not(target_os = "linux"))]
pub(super) use self::portable::{Dir, TELLS_WRITERS, open_for_writing};
pub(crate) use self::positioned::{read_cached_at, read_exact_at};
pub use self::{
    entry::FileKind,
    error::{ErrorText, OpenFilesLimit},
    space::{FileSystemId, FreeSpace},
};
pub(super) use self::{
    entry::{EntryStatus, FolderEntry},
    error::{is_link, is_not_kept},
    permissions::set_executable,
    positioned::{is_in_memory, read_at, write_at},
    space::lacks_inodes,
};
#[cfg(target_os = "linux")]
pub(super) use self::{
    linux::{Dir, TELLS_WRITERS},
    writers::open_for_writing,
};

#[cfg(test)]
mod tests;
