//! Making a state folder of a copy, all or nothing, in a folder that has no state.
//!
//! The copy becomes `members.sqlite` by one rename, with the key inside. Then the key gets its own file, and is removed
//! from the database. If the process is killed before the rename, the folder has no state; if it is killed after it, the
//! next start of a manager in the folder finishes this. A manager that starts in the folder at the same moment has
//! either created the database before, and the rename fails, or it finds the restored one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use super::{
    backup::draft_of,
    file::{StateCopy, StateCopyError, StateCopySummary, has_backup_table, read_backup_row},
};
use crate::{
    durable_folders::{make_folders, remove_folders, sync_folder},
    identity::key::{KeyError, SecretKey, place_new_file},
    manager::member_database::{MemberDatabase, MemberDatabaseError},
};

/// The names of the files of a state.
pub(crate) struct StateFileNames {
    pub(crate) key: &'static str,
    pub(crate) members: &'static str,
}

/// The files of a state.
pub(crate) const STATE_FILE: StateFileNames =
    StateFileNames { key: "manager.key", members: "members.sqlite" };

/// Why a state could not be restored. The folder is as before, except after [`Self::Finish`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The backup cannot be read, or the state cannot be written.
    #[error("restoring a manager")]
    Copy(#[from] StateCopyError),
    /// The folder has a state already.
    #[error("the folder {path} has the state of a manager already, and nothing in it is replaced")]
    HasState {
        /// The folder.
        path: PathBuf,
    },
    /// A manager uses the folder.
    #[error("a manager is using the folder {path}")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be made or used.
    #[error("using the folder {path} for the state of a manager")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Everything is restored, but the key is not in its own file yet. The next start of a manager in the folder puts it
    /// there.
    #[error("finishing the restored state of a manager, which the next start of the manager does again")]
    Finish(#[from] RestoredKeyError),
}

/// Why the key of a restored state did not get its file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoredKeyError {
    /// The database cannot be used.
    #[error("taking the key from the restored members")]
    Members(#[from] MemberDatabaseError),
    /// The file of the key cannot be written or read.
    #[error("storing the restored key")]
    Key(#[from] KeyError),
    /// The folder has another key.
    #[error("{path} is not the key of the restored members")]
    OtherKey {
        /// The file of the key.
        path: PathBuf,
    },
}

impl RestoreError {
    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Copy(error) => matches!(error, StateCopyError::DiskFull { .. }),
            Self::Folder { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

/// Restores the state of a manager from the file `backup` to the folder `state_dir`, which is made if it does not exist.
/// A manager that is started there is the same one: it has the key, and the usernames of its members. It waits for the
/// disk.
///
/// # Errors
/// If the backup cannot be read, is damaged or was written by a later version, or if the folder has a state or cannot be
/// used. Then nothing of the backup is in the folder.
pub fn restore(backup: &Path, state_dir: &Path) -> Result<StateCopySummary, RestoreError> {
    let copy = StateCopy::read(backup)?;
    let folder_error = |source| RestoreError::Folder { path: state_dir.to_owned(), source };
    let made = make_folders(state_dir, true).map_err(folder_error)?;
    let placed = place_database(&copy, state_dir).inspect_err(|_| remove_folders(&made));
    placed?;
    match MemberDatabase::open(&state_dir.join(STATE_FILE.members)) {
        Ok((members, _)) => drop(take_restored_key(&members, state_dir)?),
        // A manager was started there a moment ago: it has found the restored state, and does the rest.
        Err(MemberDatabaseError::InUse { .. }) => {}
        Err(error) => return Err(RestoredKeyError::from(error).into()),
    }
    Ok(copy.summary())
}

/// Puts the database with the key into a folder that has no state.
fn place_database(copy: &StateCopy, state_dir: &Path) -> Result<(), RestoreError> {
    let members = state_dir.join(STATE_FILE.members);
    check_no_state(state_dir)?;
    let draft = draft_of(&members);
    copy.write(&draft, &members)?;
    let placed = place_new_file(&draft, &members);
    let _ = fs::remove_file(&draft);
    if !placed.map_err(|error| StateCopyError::of_file(&members, error))? {
        return Err(state_found(state_dir));
    }
    sync_folder(state_dir).map_err(|error| StateCopyError::of_file(&members, error))?;
    Ok(())
}

/// Refuses a folder with any file of a state, also a database whose last changes are in a file beside it.
fn check_no_state(state_dir: &Path) -> Result<(), RestoreError> {
    let log = format!("{}-wal", STATE_FILE.members);
    for name in [STATE_FILE.key, STATE_FILE.members, &log] {
        match fs::symlink_metadata(state_dir.join(name)) {
            Ok(_) => return Err(state_found(state_dir)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(RestoreError::Folder { path: state_dir.to_owned(), source }),
        }
    }
    Ok(())
}

/// The error for a folder with a state: whether a manager uses it at this moment.
fn state_found(state_dir: &Path) -> RestoreError {
    let path = state_dir.to_owned();
    if MemberDatabase::is_in_use(&state_dir.join(STATE_FILE.members)) {
        RestoreError::InUse { path }
    } else {
        RestoreError::HasState { path }
    }
}

/// The key of a restored state that is still in the database: it gets its file in `state_dir`, durably, and is removed
/// from the database. `None` if the state is not a restored one, or if this was done before.
pub(crate) fn take_restored_key(
    members: &MemberDatabase,
    state_dir: &Path,
) -> Result<Option<SecretKey>, RestoredKeyError> {
    let Some(key) = members.use_with(restored_key)? else { return Ok(None) };
    let path = state_dir.join(STATE_FILE.key);
    if !key.save(&path)? {
        let found = SecretKey::load(&path)?;
        if found.is_none_or(|found| found.public() != key.public()) {
            return Err(RestoredKeyError::OtherKey { path });
        }
    }
    members.use_with(remove_restored_key)?;
    Ok(Some(key))
}

fn restored_key(database: &Connection) -> rusqlite::Result<Option<SecretKey>> {
    if !has_backup_table(database)? {
        return Ok(None);
    }
    let (_, key, _) = read_backup_row(database)?;
    // The copy was checked when it was restored.
    SecretKey::from_pkcs8(&key).map(Some).ok_or_else(|| {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), None)
    })
}

/// Removes the key, also from pages that are not in use any more and from the log of changes.
fn remove_restored_key(database: &Connection) -> rusqlite::Result<()> {
    database.pragma_update(None, "secure_delete", "ON")?;
    database.execute_batch("DROP TABLE backup; PRAGMA wal_checkpoint(TRUNCATE);")
}

#[cfg(test)]
mod tests;
