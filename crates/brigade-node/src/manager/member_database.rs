//! The bindings of usernames to keys, in an SQLite database.
//!
//! One thread writes, in the order of the requests. It writes all waiting bindings in one transaction, and the manager
//! answers a join only after its binding is on the disk. One manager at a time can open the database; a second one is
//! refused. The core has the rules about names (`manager/username_bindings.rs` there).

use std::{path::Path, time::Duration};

use brigade_core::{id::PeerKey, manager::Binding, name::Username, time::UnixTime};
use rusqlite::{Connection, params};
use tokio::sync::mpsc;

use crate::clock;

/// The version of the tables. A later version of the program updates them, an earlier one refuses them.
const SCHEMA_VERSION: u32 = 1;

/// Bindings written in one transaction, at most.
const BATCH: usize = 256;

/// How long another program may hold the database before it counts as in use.
const PATIENCE: Duration = Duration::from_millis(250);

/// The open database.
#[derive(Debug)]
pub(super) struct MemberDatabase {
    database: Connection,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemberDatabaseError {
    /// Another manager has it open.
    #[error("another manager is using {path}")]
    InUse {
        /// The database.
        path: String,
    },
    /// A later version of the program wrote it.
    #[error("{path} was written by a later version of brigade (its tables are version {found})")]
    TooNew {
        /// The database.
        path: String,
        /// The version of its tables.
        found: u32,
    },
    /// SQLite reported an error.
    #[error("using the members' database {path}")]
    Database {
        /// The database.
        path: String,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
}

impl MemberDatabaseError {
    /// The path of the database, if its file is damaged or is no database.
    pub fn damaged(&self) -> Option<&str> {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let Self::Database { path, source } = self else { return None };
        matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)).then_some(path.as_str())
    }

    /// Whether the disk of the database is full.
    pub fn is_disk_full(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
    }
}

/// A username, and whether its binding is durable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BindingResult {
    pub(super) username: Username,
    pub(super) durable: bool,
}

impl MemberDatabase {
    /// Opens or creates the database, and reads all bindings in the order in which they were made.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Binding>), MemberDatabaseError> {
        let name = path.display().to_string();
        let database =
            Connection::open(path).and_then(|database| prepare(&database).map(|found| (database, found)));
        match database {
            Ok((_, found)) if found > SCHEMA_VERSION => {
                Err(MemberDatabaseError::TooNew { path: name, found })
            }
            Ok((database, _)) => {
                let bindings = load(&database)
                    .and_then(|bindings| without_fetches(&database, bindings))
                    .map_err(|source| MemberDatabaseError::Database { path: name, source })?;
                Ok((Self { database }, bindings))
            }
            Err(source) if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
                Err(MemberDatabaseError::InUse { path: name })
            }
            Err(source) => Err(MemberDatabaseError::Database { path: name, source }),
        }
    }

    /// Writes bindings until the channel is closed, and reports the result of each. It blocks its thread.
    pub(super) fn run(
        mut self,
        mut requests: mpsc::Receiver<Binding>,
        results: &mpsc::Sender<BindingResult>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        while requests.blocking_recv_many(&mut batch, BATCH) > 0 {
            let written = self.write(&batch, clock::unix_now());
            if let Err(error) = &written {
                tracing::error!(error = %error, members = batch.len(), "members could not be stored");
            }
            for Binding { username, .. } in batch.drain(..) {
                if results.blocking_send(BindingResult { username, durable: written.is_ok() }).is_err() {
                    return;
                }
            }
        }
    }

    fn write(&mut self, bindings: &[Binding], now: UnixTime) -> rusqlite::Result<()> {
        let since_s = i64::try_from(now.0).unwrap_or(i64::MAX);
        let transaction = self.database.transaction()?;
        {
            let sql = "INSERT INTO members (username, key, since_s) VALUES (?1, ?2, ?3)";
            let mut insert = transaction.prepare_cached(sql)?;
            for Binding { username, key } in bindings {
                insert.execute(params![username.as_str(), key.0, since_s])?;
            }
        }
        transaction.commit()
    }
}

/// Locks the database for this process, creates missing tables, and returns their version.
fn prepare(database: &Connection) -> rusqlite::Result<u32> {
    database.busy_timeout(PATIENCE)?;
    // With the lock held from the first write to the end, a second manager finds the database busy.
    database.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?; // a commit is on the disk when it returns
    let found = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Ok(found);
    }
    database.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS members (
             username TEXT NOT NULL PRIMARY KEY,
             key BLOB NOT NULL CHECK (length(key) = 32),
             since_s INTEGER NOT NULL
         ) STRICT;
         PRAGMA user_version = {SCHEMA_VERSION};
         COMMIT;"
    ))?;
    Ok(SCHEMA_VERSION)
}

fn load(database: &Connection) -> rusqlite::Result<Vec<Binding>> {
    let mut select = database.prepare("SELECT username, key FROM members ORDER BY rowid")?;
    let mut rows = select.query([])?;
    let mut bindings = vec![];
    while let Some(row) = rows.next()? {
        let username: String = row.get(0)?;
        match username.parse() {
            Ok(username) => bindings.push(Binding { username, key: PeerKey(row.get(1)?) }),
            // No peer can request such a name any more, so no other peer can take it.
            Err(error) => tracing::warn!(username, %error, "a member's username is left out"),
        }
    }
    Ok(bindings)
}

/// Removes the bindings that earlier versions made for every fetch into a new folder: no peer uses these names, and in
/// the end they filled the network.
fn without_fetches(database: &Connection, bindings: Vec<Binding>) -> rusqlite::Result<Vec<Binding>> {
    let (fetches, kept): (Vec<_>, Vec<_>) = bindings.into_iter().partition(is_of_a_fetch);
    if fetches.is_empty() {
        return Ok(kept);
    }
    let transaction = database.unchecked_transaction()?;
    for Binding { username, .. } in &fetches {
        let sql = "DELETE FROM members WHERE username = ?1";
        transaction.prepare_cached(sql)?.execute(params![username.as_str()])?;
    }
    transaction.commit()?;
    tracing::info!(names = fetches.len(), "usernames of fetches are not bound any more");
    Ok(kept)
}

/// Whether a name is `fetch-` and the first eight digits of its key, which only a fetch used.
fn is_of_a_fetch(Binding { username, key }: &Binding) -> bool {
    let key = key.to_string();
    username.strip_prefix("fetch-").is_some_and(|digits| key.get(..8) == Some(digits))
}

#[cfg(test)]
mod tests {
    use super::{Binding, BindingResult, MemberDatabase, MemberDatabaseError, PeerKey, UnixTime, mpsc};

    fn binding(name: &str, key: u8) -> Binding {
        Binding { username: name.parse().unwrap(), key: PeerKey([key; 32]) }
    }

    #[test]
    fn bindings_are_durable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members.sqlite");
        let bindings = [binding("water_user", 2), binding("fire_user", 1), binding("Zoë", 1)];
        {
            let (mut file, before) = MemberDatabase::open(&path).unwrap();
            assert_eq!(before, []);
            file.write(&bindings, UnixTime(1)).unwrap();
            assert!(file.write(&[binding("new", 3), binding("fire_user", 9)], UnixTime(2)).is_err());
        }
        assert_eq!(MemberDatabase::open(&path).unwrap().1, bindings);
    }

    #[test]
    fn a_full_disk_is_told_from_other_errors() {
        let error = |code| MemberDatabaseError::Database {
            path: "members.sqlite".to_owned(),
            source: rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None),
        };
        assert!(error(rusqlite::ffi::SQLITE_FULL).is_disk_full());
        assert!(!error(rusqlite::ffi::SQLITE_CANTOPEN).is_disk_full());
    }

    #[test]
    fn names_that_fetches_bound_are_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members.sqlite");
        let kept = [binding("fire_user", 1), binding("fetch-02020202", 9), binding("fetch-0303030", 3)];
        {
            let (mut file, _) = MemberDatabase::open(&path).unwrap();
            let fetches = [binding("fetch-01010101", 1), binding("fetch-07070707", 7)];
            file.write(&[&kept[..], &fetches].concat(), UnixTime(1)).unwrap();
        }
        for _ in 0..2 {
            let (file, bindings) = MemberDatabase::open(&path).unwrap();
            assert_eq!(bindings, kept);
            let rows: isize =
                file.database.query_row("SELECT count(*) FROM members", [], |row| row.get(0)).unwrap();
            assert_eq!(rows, 3);
        }
    }

    #[test]
    fn each_request_is_answered_when_it_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members.sqlite");
        let (requests, requests_out) = mpsc::channel(8);
        let (done, mut answers) = mpsc::channel(8);
        let (file, _) = MemberDatabase::open(&path).unwrap();
        let all: Vec<_> = (0..5).map(|i| binding(&format!("user {i}"), i)).collect();
        all.iter().for_each(|binding| requests.try_send(binding.clone()).unwrap());
        drop(requests);
        file.run(requests_out, &done);
        for Binding { username, .. } in &all {
            let expected = BindingResult { username: username.clone(), durable: true };
            assert_eq!(answers.try_recv(), Ok(expected));
        }
        assert_eq!(MemberDatabase::open(&path).unwrap().1, all);
    }

    #[test]
    fn a_second_manager_and_tables_of_a_later_version_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members.sqlite");
        let (file, _) = MemberDatabase::open(&path).unwrap();
        assert!(matches!(MemberDatabase::open(&path), Err(MemberDatabaseError::InUse { .. })));
        file.database.pragma_update(None, "user_version", 2).unwrap();
        drop(file);
        assert!(matches!(MemberDatabase::open(&path), Err(MemberDatabaseError::TooNew { found: 2, .. })));
        std::fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
        assert!(matches!(MemberDatabase::open(&path), Err(MemberDatabaseError::Database { .. })));
    }
}
