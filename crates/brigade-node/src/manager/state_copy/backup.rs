//! Making the copy: it is written beside its place, synced, and then gets its name, which replaces nothing.
//!
//! `handle.rs` reads the state for it while the manager runs. An interrupted backup leaves a file with another name,
//! never half a backup.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::file::{StateCopy, StateCopyError, StateCopySummary};
use crate::{
    clock,
    durable_folders::sync_folder,
    identity::key::{SecretKey, place_new_file},
    manager::member_database::{MemberDatabaseError, StoredMember},
};

/// Why the state could not be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is something at the path already.
    #[error("{path} exists already, and a backup replaces nothing")]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("making a backup of the manager")]
    Copy(#[from] StateCopyError),
    /// The members cannot be read.
    #[error("reading the members for a backup")]
    Members(#[from] MemberDatabaseError),
    /// The manager has stopped.
    #[error("the manager has stopped")]
    Stopped,
}

impl BackupError {
    /// Whether the disk of the backup is full.
    pub const fn is_disk_full(&self) -> bool {
        matches!(self, Self::Copy(StateCopyError::DiskFull { .. }))
    }
}

/// Writes the key and the members to the new file `to`. It waits for the disk.
pub(crate) fn back_up(
    key: SecretKey,
    members: Vec<StoredMember>,
    to: &Path,
) -> Result<StateCopySummary, BackupError> {
    let exists = || BackupError::Exists { path: to.to_owned() };
    if fs::symlink_metadata(to).is_ok() {
        return Err(exists());
    }
    let copy = StateCopy { key, at: clock::unix_now(), members };
    let draft = draft_of(to);
    copy.write(&draft, to)?;
    let failed = |error| StateCopyError::of_file(to, error);
    let placed = place_new_file(&draft, to);
    let _ = fs::remove_file(&draft); // it does not exist any more if it was renamed
    if !placed.map_err(failed)? {
        return Err(exists());
    }
    sync_folder(to.parent().unwrap_or(Path::new(""))).map_err(failed)?;
    Ok(copy.summary())
}

/// The name beside `path` of a file that is not complete yet.
pub(super) fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    path.with_file_name(name)
}
