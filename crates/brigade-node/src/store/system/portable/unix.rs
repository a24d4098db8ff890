//! Entries and file systems on Unix systems other than Linux, by their paths.
//!
//! `windows` has the same functions.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use crate::store::{
    file_stamp::stamp,
    system::{
        entry::EntryStatus,
        file_system_info::{FreeSpace, free_of},
    },
};

/// The status of the entry at `path`; a link is not followed.
pub(super) fn status(path: &Path) -> io::Result<EntryStatus> {
    let metadata = fs::symlink_metadata(path)?;
    Ok(EntryStatus {
        kind: metadata.file_type().into(),
        stamp: stamp(&metadata),
        linked: metadata.nlink() > 1,
    })
}

/// Makes a folder accessible for its owner only.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Whether the file system of `path` is known to be read-only.
pub(super) fn is_read_only(path: &Path) -> io::Result<bool> {
    Ok(rustix::fs::statvfs(path)?.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// The space in the file system of `path` that an ordinary user may still use.
pub(super) fn free(path: &Path) -> io::Result<FreeSpace> {
    Ok(free_of(&rustix::fs::statvfs(path)?))
}
