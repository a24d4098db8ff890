//! The manager's durable facts: which username belongs to which key, in SQLite.
//!
//! One thread writes, in the order of asking; what waits is written in one transaction, and nobody hears that they
//! joined before it is on the disk. The database belongs to one manager at a time: a second one is refused. The
//! rules about names are the core's (`members.rs` there).

use std::{path::Path, time::Duration};

use brigade_core::{id::PeerKey, manager::Binding, name::Username, time::UnixTime};
use rusqlite::{Connection, params};
use tokio::sync::mpsc;

use crate::clock;

/// What the tables look like; a later version brings them up to date, an earlier one refuses them.
const SCHEMA_VERSION: u32 = 1;

/// Bindings written in one transaction, at most.
const BATCH: usize = 256;

/// How long another program may hold the database before it counts as in use.
const PATIENCE: Duration = Duration::from_millis(250);

/// The open database.
#[derive(Debug)]
pub(super) struct MemberFile {
    database: Connection,
}

/// Why the durable facts are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum PersistError {
    /// Another manager has them open.
    #[error("another manager is using {path}")]
    InUse {
        /// The database.
        path: String,
    },
    /// A later version of the program wrote them.
    #[error("{path} was written by a later version of brigade (its tables are version {found})")]
    TooNew {
        /// The database.
        path: String,
        /// The version of its tables.
        found: u32,
    },
    /// SQLite cannot.
    #[error("using the members' database {path}")]
    Database {
        /// The database.
        path: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

/// A username of which it is now known whether its binding is durable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) username: Username,
    pub(super) durable: bool,
}

impl MemberFile {
    /// Opens the database, or makes it, and reads all bindings in the order of their making.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Binding>), PersistError> {
        let name = path.display().to_string();
        let database =
            Connection::open(path).and_then(|database| prepare(&database).map(|found| (database, found)));
        match database {
            Ok((_, found)) if found > SCHEMA_VERSION => Err(PersistError::TooNew { path: name, found }),
            Ok((database, _)) => {
                let bindings = load(&database)
                    .and_then(|bindings| without_fetches(&database, bindings))
                    .map_err(|source| PersistError::Database { path: name, source })?;
                Ok((Self { database }, bindings))
            }
            Err(source) if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
                Err(PersistError::InUse { path: name })
            }
            Err(source) => Err(PersistError::Database { path: name, source }),
        }
    }

    /// Writes bindings as they come until there is nobody left to ask, and says of each how it went. It blocks:
    /// it wants a thread of its own.
    pub(super) fn run(mut self, mut asked: mpsc::Receiver<Binding>, done: &mpsc::Sender<Recorded>) {
        let mut batch = Vec::with_capacity(BATCH);
        while asked.blocking_recv_many(&mut batch, BATCH) > 0 {
            let written = self.write(&batch, clock::unix_now());
            if let Err(error) = &written {
                tracing::error!(error = %error, members = batch.len(), "members could not be written down");
            }
            for Binding { username, .. } in batch.drain(..) {
                if done.blocking_send(Recorded { username, durable: written.is_ok() }).is_err() {
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

/// Takes the database for this process, makes the tables where there are none, and says which version they are.
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
            // Nobody can ask for such a name any more, so nobody can take it over either.
            Err(error) => tracing::warn!(username, %error, "a member's username is left out"),
        }
    }
    Ok(bindings)
}

/// Removes what earlier versions bound for every fetch into a new folder: such names lead nobody to anybody, and in the
/// end filled the network.
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

/// Whether a name was made of the key that it is bound to, which only a fetch did: `fetch-` and eight digits of it.
fn is_of_a_fetch(Binding { username, key }: &Binding) -> bool {
    let key = key.to_string();
    username.strip_prefix("fetch-").is_some_and(|digits| key.get(..8) == Some(digits))
}

#[cfg(test)]
mod tests {
    use super::{Binding, MemberFile, PeerKey, PersistError, Recorded, UnixTime, mpsc};

    fn binding(name: &str, key: u8) -> Binding {
        Binding { username: name.parse().unwrap(), key: PeerKey([key; 32]) }
    }

    #[test]
    fn bindings_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members.sqlite");
        let bindings = [binding("water_user", 2), binding("fire_user", 1), binding("Zoë", 1)];
        {
            let (mut file, before) = MemberFile::open(&path).unwrap();
            assert_eq!(before, []);
            file.write(&bindings, UnixTime(1)).unwrap();
            assert!(file.write(&[binding("new", 3), binding("fire_user", 9)], UnixTime(2)).is_err());
        }
        assert_eq!(MemberFile::open(&path).unwrap().1, bindings);
    }

    #[test]
    fn names_that_fetches_bound_are_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members.sqlite");
        let kept = [binding("fire_user", 1), binding("fetch-02020202", 9), binding("fetch-0303030", 3)];
        {
            let (mut file, _) = MemberFile::open(&path).unwrap();
            let fetches = [binding("fetch-01010101", 1), binding("fetch-07070707", 7)];
            file.write(&[&kept[..], &fetches].concat(), UnixTime(1)).unwrap();
        }
        for _ in 0..2 {
            let (file, bindings) = MemberFile::open(&path).unwrap();
            assert_eq!(bindings, kept);
            let rows: isize =
                file.database.query_row("SELECT count(*) FROM members", [], |row| row.get(0)).unwrap();
            assert_eq!(rows, 3);
        }
    }

    #[test]
    fn everything_asked_is_answered_and_durable_by_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members.sqlite");
        let (asked, asks) = mpsc::channel(8);
        let (done, mut answers) = mpsc::channel(8);
        let (file, _) = MemberFile::open(&path).unwrap();
        let all: Vec<_> = (0..5).map(|i| binding(&format!("user {i}"), i)).collect();
        all.iter().for_each(|binding| asked.try_send(binding.clone()).unwrap());
        drop(asked);
        file.run(asks, &done);
        for Binding { username, .. } in &all {
            let expected = Recorded { username: username.clone(), durable: true };
            assert_eq!(answers.try_recv(), Ok(expected));
        }
        assert_eq!(MemberFile::open(&path).unwrap().1, all);
    }

    #[test]
    fn one_manager_at_a_time_and_no_tables_of_the_future() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("members.sqlite");
        let (file, _) = MemberFile::open(&path).unwrap();
        assert!(matches!(MemberFile::open(&path), Err(PersistError::InUse { .. })));
        file.database.pragma_update(None, "user_version", 2).unwrap();
        drop(file);
        assert!(matches!(MemberFile::open(&path), Err(PersistError::TooNew { found: 2, .. })));
        std::fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
        assert!(matches!(MemberFile::open(&path), Err(PersistError::Database { .. })));
    }
}
