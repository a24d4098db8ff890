//! The file with a copy of a manager's state: writing it, and reading it with a check of everything in it.
//!
//! Format 1: the table `members` with the version of its columns in `user_version`, and the table `backup` with one row.
//! The checksum is the BLAKE3 of the format, the time, the key and all members in their order; each text is preceded by
//! its length, so that no two states have the same bytes. A file with any error is refused as a whole.

use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
};

use brigade_core::{id::PeerKey, limits, time::UnixTime};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use zeroize::Zeroizing;

use crate::{
    identity::key::{SecretKey, private_file},
    manager::member_database::{
        StoredMember,
        schema::{all, create_tables, insert},
    },
};

/// The version of the format. A later one is refused.
const FORMAT: u32 = 1;

/// Bytes of a file that is read: several times those of [`limits::MEMBERS`] members.
const FILE_BYTES: u64 = 256 << 20;

/// The text before everything in the checksum, so that no other file has it by chance.
const CHECKSUM_CONTEXT: &[u8] = b"brigade manager state";

/// The state of a manager.
#[derive(Debug)]
pub(super) struct StateCopy {
    pub(super) key: SecretKey,
    /// When the copy was made.
    pub(super) at: UnixTime,
    /// In the order in which they were bound.
    pub(super) members: Vec<StoredMember>,
}

/// What a copy contains, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateCopySummary {
    /// The public key of the manager, which is the network's.
    pub key: PeerKey,
    /// When the copy was made.
    pub at: UnixTime,
    /// How many usernames it has.
    pub members: usize,
}

/// Why a copy cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateCopyError {
    /// The disk is full.
    #[error("writing the copy of a manager's state {path}: the disk is full")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("using the copy of a manager's state {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// SQLite reported an error.
    #[error("using the copy of a manager's state {path}")]
    Database {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The file is something else.
    #[error("{path} is not a backup of a manager")]
    NotACopy {
        /// The file.
        path: PathBuf,
    },
    /// A later version of the program wrote it.
    #[error("{path} was written by a later version of brigade (its format is version {found})")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: u32,
    },
    /// Its content is not what was written.
    #[error("the backup {path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong.
        reason: &'static str,
    },
}

impl StateCopyError {
    /// An error of the system.
    pub(super) fn of_file(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::File { path, source },
        }
    }

    /// An error of SQLite.
    pub(super) fn of_database(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            Some(ErrorCode::NotADatabase) => Self::NotACopy { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, reason: "its pages are not valid" },
            _ => Self::Database { path, source },
        }
    }
}

impl StateCopy {
    /// A summary for people.
    pub(super) fn summary(&self) -> StateCopySummary {
        StateCopySummary { key: self.key.public(), at: self.at, members: self.members.len() }
    }

    /// Writes the copy to the new file `path`, which only its owner can read, durably. `other_name` is named in errors.
    pub(super) fn write(&self, path: &Path, other_name: &Path) -> Result<(), StateCopyError> {
        let written = private_file(path).map_err(|error| StateCopyError::of_file(other_name, error));
        written
            .and_then(|_| {
                self.write_tables(path).map_err(|error| StateCopyError::of_database(other_name, error))
            })
            .and_then(|()| {
                let synced = OpenOptions::new().write(true).open(path).and_then(|file| file.sync_all());
                synced.map_err(|error| StateCopyError::of_file(other_name, error))
            })
            .inspect_err(|_| drop(fs::remove_file(path)))
    }

    fn write_tables(&self, path: &Path) -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut database = Connection::open_with_flags(path, flags)?;
        // The file has its name only when it is complete, so nothing is ever rolled back.
        database.pragma_update(None, "journal_mode", "OFF")?;
        create_tables(&database)?;
        let transaction = database.transaction()?;
        insert(&transaction, &self.members)?;
        transaction.execute_batch(
            "CREATE TABLE backup (
                 format INTEGER NOT NULL,
                 created_s INTEGER NOT NULL,
                 key BLOB NOT NULL,
                 checksum BLOB NOT NULL
             ) STRICT;",
        )?;
        let sql = "INSERT INTO backup (format, created_s, key, checksum) VALUES (?1, ?2, ?3, ?4)";
        let created_s = i64::try_from(self.at.0).unwrap_or(i64::MAX);
        let checksum = checksum(self.key.pkcs8(), created_s, &self.members);
        transaction.execute(sql, params![FORMAT, created_s, self.key.pkcs8(), checksum])?;
        transaction.commit()?;
        database.close().map_err(|(_, error)| error)
    }

    /// Reads the copy in the file `path`, and checks all of it.
    pub(super) fn read(path: &Path) -> Result<Self, StateCopyError> {
        // The kind is checked before: opening a named pipe waits for a writer.
        let found = fs::metadata(path).map_err(|error| StateCopyError::of_file(path, error))?;
        if !found.is_file() || found.len() == 0 || found.len() > FILE_BYTES {
            return Err(StateCopyError::NotACopy { path: path.to_owned() });
        }
        let failed = |error| StateCopyError::of_database(path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags).map_err(failed)?;
        if !has_backup_table(&database).map_err(failed)? {
            return Err(StateCopyError::NotACopy { path: path.to_owned() });
        }
        let found: u32 =
            database.query_row("SELECT format FROM backup", [], |row| row.get(0)).map_err(failed)?;
        if found > FORMAT {
            return Err(StateCopyError::TooNew { path: path.to_owned(), found });
        }
        let damaged = |reason| StateCopyError::Damaged { path: path.to_owned(), reason };
        let (created_s, key, expected) = read_backup_row(&database).map_err(failed)?;
        let members = all(&database, limits::MEMBERS + 1).map_err(failed)?;
        if members.len() > limits::MEMBERS {
            return Err(damaged("it has more members than a network may have"));
        }
        if checksum(&key, created_s, &members)[..] != expected {
            return Err(damaged("its checksum does not fit"));
        }
        let key = SecretKey::from_pkcs8(&key).ok_or_else(|| damaged("it has no Ed25519 key"))?;
        Ok(Self { key, at: UnixTime(created_s.try_into().unwrap_or_default()), members })
    }
}

/// Whether a database has the table of a copy.
pub(super) fn has_backup_table(database: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) > 0 FROM sqlite_schema WHERE type = 'table' AND name = 'backup'";
    database.query_row(sql, [], |row| row.get(0))
}

/// The time, the key as PKCS#8, and the checksum of a copy.
pub(super) fn read_backup_row(database: &Connection) -> rusqlite::Result<(i64, Zeroizing<Vec<u8>>, Vec<u8>)> {
    let sql = "SELECT created_s, key, checksum FROM backup";
    database.query_row(sql, [], |row| Ok((row.get(0)?, Zeroizing::new(row.get(1)?), row.get(2)?)))
}

fn checksum(key: &[u8], created_s: i64, members: &[StoredMember]) -> [u8; 32] {
    fn add(hasher: &mut blake3::Hasher, bytes: &[u8]) {
        hasher.update(&(bytes.len() as u64).to_be_bytes()).update(bytes);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(CHECKSUM_CONTEXT).update(&FORMAT.to_be_bytes()).update(&created_s.to_be_bytes());
    add(&mut hasher, key);
    for StoredMember { username, key, since_s, last_seen_s } in members {
        add(&mut hasher, username.as_bytes());
        hasher.update(&key.0).update(&since_s.to_be_bytes());
        match last_seen_s {
            Some(last_seen_s) => hasher.update(&[1]).update(&last_seen_s.to_be_bytes()),
            None => hasher.update(&[0]),
        };
    }
    hasher.finalize().into()
}
