//! Making the copy: it is written beside its place, synced, and then gets its name, which replaces nothing.
//!
//! `handle.rs` reads the state for it while the manager runs. An interrupted backup leaves a file with another name,
//! never half a backup.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
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
    check_absent(to)?;
    let copy = StateCopy { key, at: clock::unix_now(), members };
    let draft = draft_of(to);
    copy.write(&draft, to)?;
    give_name(&draft, to)?;
    Ok(copy.summary())
}

/// Refuses a path that something has.
pub(super) fn check_absent(to: &Path) -> Result<(), BackupError> {
    match fs::symlink_metadata(to) {
        Ok(_) => Err(BackupError::Exists { path: to.to_owned() }),
        Err(_) => Ok(()), // making the file reports any other error
    }
}

/// Gives the complete file `draft` the name `to`, durably and without replacing anything.
pub(super) fn give_name(draft: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |error| StateCopyError::of_file(to, error);
    let placed = place_new_file(draft, to);
    let _ = fs::remove_file(draft); // it does not exist any more if it was renamed
    if !placed.map_err(failed)? {
        return Err(BackupError::Exists { path: to.to_owned() });
    }
    Ok(sync_folder(to.parent().unwrap_or(Path::new(""))).map_err(failed)?)
}

/// A name beside `path` for a file that is not complete yet; no other one in this process has it.
pub(super) fn draft_of(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".new-{}-{count}", std::process::id()));
    path.with_file_name(name)
}
