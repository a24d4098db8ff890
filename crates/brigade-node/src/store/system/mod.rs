//! Differences between operating systems: directory handles, positioned reads, open files of other processes.
//!
//! `linux_directory` keeps a directory open and resolves every name below it in the kernel, which refuses links and
//! `..`. `portable` has the same functions for other systems. It checks each component of a path before it uses the
//! path, so a program that replaces a folder by a link between the two steps can redirect it. Both pass the same tests.
//! `rename_without_replacing` and `linux_file_system_info` have more functions of the directory handles on Linux,
//! `files_open_for_writing` finds open files; `entry`, `file_system_info` and `io_errors` have the types that all of them use.

mod entry;
mod executable_bit;
mod file_system_info;
#[cfg(target_os = "linux")]
mod files_open_for_writing;
mod io_errors;
#[cfg(target_os = "linux")]
mod linux_directory;
#[cfg(target_os = "linux")]
mod linux_file_system_info;
#[cfg(any(test, not(target_os = "linux")))]
#[cfg_attr(target_os = "linux", allow(dead_code, reason = "on Linux only its tests use it"))]
mod portable;
mod positioned_io;
#[cfg(target_os = "linux")]
mod rename_without_replacing;

#[cfg(not(target_os = "linux"))]
pub(super) use self::portable::{Dir, TELLS_WRITERS, open_for_writing};
pub(crate) use self::positioned_io::{drop_from_cache, read_all_at, read_cached_at, read_exact_at};
pub(crate) use self::{
    entry::FileKind,
    file_system_info::{FileSystemId, FreeSpace},
    io_errors::ErrorText,
};
pub(super) use self::{
    entry::{EntryStatus, FolderEntry},
    executable_bit::set_executable,
    file_system_info::lacks_inodes,
    io_errors::{is_link, is_not_kept},
    positioned_io::{is_in_memory, read_at, write_at},
};
#[cfg(target_os = "linux")]
pub(super) use self::{
    files_open_for_writing::open_for_writing,
    linux_directory::{Dir, TELLS_WRITERS},
};

#[cfg(test)]
mod tests;
