//! File systems: which of them two paths are on, and how much space one has left.
//!
//! `linux_file_system_info` and `portable` ask the system.

use std::path::Path;

/// The identity of a file system for renames: a file is renamed within one file system, and copied from one to
/// another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileSystemId {
    pub(super) device: u64,
    pub(super) mount: u64,
}

/// The free space of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FreeSpace {
    /// Free bytes; `u64::MAX` if the system does not report them.
    pub bytes: u64,
    /// Files and folders (inodes) that can still be created; `u64::MAX` if there is no limit, or if the system does
    /// not report it.
    pub files: u64,
}

impl FreeSpace {
    /// The value for a file system of which nothing is known.
    pub(crate) const UNKNOWN: Self = Self { bytes: u64::MAX, files: u64::MAX };

    /// Whether there are free bytes but no free inodes.
    pub(crate) const fn lacks_inodes(&self) -> bool {
        self.files == 0 && self.bytes > 0
    }
}

/// The free space in the system's answer. A file system that creates inodes when they are needed (Btrfs) reports 0 as
/// their number.
#[cfg(unix)]
pub(super) fn free_of(found: &rustix::fs::StatVfs) -> FreeSpace {
    let files = if found.f_files == 0 { u64::MAX } else { found.f_favail };
    FreeSpace { bytes: found.f_bavail.saturating_mul(found.f_frsize), files }
}

/// Whether the file system of `path`, or of the nearest existing folder above it, has free bytes but no free inodes.
/// For an error message, after a file could not be created.
pub(in crate::store) fn lacks_inodes(path: &Path) -> bool {
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
