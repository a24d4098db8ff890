//! The bindings of usernames to keys, in an SQLite database, and when each member was last seen.
//!
//! One thread writes and reads, in the order of the requests. It writes all waiting bindings in one transaction, and
//! the manager answers a join only after its binding is on the disk. One manager at a time can open the database; a
//! second one is refused. The core has the rules about names (`manager/username_bindings.rs` there). `schema.rs` has
//! the tables, `requests.rs` the requests.

mod error;
mod requests;
pub(super) mod schema;

use std::{path::Path, time::Duration};

use brigade_core::{id::PeerKey, manager::Binding, name::Username, time::UnixTime};
use rusqlite::{Connection, OpenFlags, params};
use tokio::sync::mpsc;

pub use self::error::MemberDatabaseError;
pub(super) use self::requests::{BindingResult, DatabaseRequest, MembersAnswer, StoredMember};
use self::schema::{SCHEMA_VERSION, create_tables};
use crate::clock;

/// Requests that are carried out together, at most: their bindings are written in one transaction.
const BATCH: usize = 256;

/// How long another program may hold the database before it counts as in use.
const PATIENCE: Duration = Duration::from_millis(250);

/// The open database.
#[derive(Debug)]
pub(super) struct MemberDatabase {
    database: Connection,
    path: String,
}

impl MemberDatabase {
    /// Opens or creates the database, and reads all bindings in the order in which they were made.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Binding>), MemberDatabaseError> {
        let name = path.display().to_string();
        // The path is no URI, also if it looks like one.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Connection::open_with_flags(path, flags)
            .and_then(|database| prepare(&database).map(|found| (database, found)));
        match database {
            Ok((_, found)) if found > SCHEMA_VERSION => {
                Err(MemberDatabaseError::TooNew { path: name, found })
            }
            Ok((database, _)) => {
                let bindings = load(&database)
                    .and_then(|bindings| without_fetches(&database, bindings))
                    .map_err(|source| MemberDatabaseError::Database { path: name.clone(), source })?;
                Ok((Self { database, path: name }, bindings))
            }
            Err(source) if source.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
                Err(MemberDatabaseError::InUse { path: name })
            }
            Err(source) => Err(MemberDatabaseError::Database { path: name, source }),
        }
    }

    /// Whether another manager has the database at `path` open. The database is not changed.
    pub(super) fn is_in_use(path: &Path) -> bool {
        if !std::fs::metadata(path).is_ok_and(|found| found.is_file()) {
            return false;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let read = Connection::open_with_flags(path, flags).and_then(|database| {
            database.busy_timeout(PATIENCE)?;
            database.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        });
        let busy = Some(rusqlite::ErrorCode::DatabaseBusy);
        read.is_err_and(|error| error.sqlite_error_code() == busy)
    }

    /// Carries out requests until the channel is closed, and reports the result of each binding. It blocks its thread.
    pub(super) fn run(
        mut self,
        mut requests: mpsc::Receiver<DatabaseRequest>,
        results: &mpsc::Sender<BindingResult>,
    ) {
        let mut batch = Vec::with_capacity(BATCH);
        while requests.blocking_recv_many(&mut batch, BATCH) > 0 {
            let (mut bindings, mut seen, mut questions) = (vec![], vec![], vec![]);
            for request in batch.drain(..) {
                match request {
                    DatabaseRequest::Bind(binding) => bindings.push(binding),
                    DatabaseRequest::Seen(members) => seen.extend(members),
                    question => questions.push(question),
                }
            }
            if !bindings.is_empty() || !seen.is_empty() {
                let written = self.write(&bindings, &seen, clock::unix_now());
                if let Err(error) = &written {
                    tracing::error!(error = %error, members = bindings.len(), "members could not be stored");
                }
                for Binding { username, .. } in bindings {
                    if results.blocking_send(BindingResult { username, durable: written.is_ok() }).is_err() {
                        return;
                    }
                }
            }
            questions.into_iter().for_each(|question| self.answer(question));
        }
    }

    /// Lets a function use the database.
    ///
    /// # Errors
    /// If the function fails.
    pub(super) fn use_with<T>(
        &self,
        using: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, MemberDatabaseError> {
        let failed = |source| MemberDatabaseError::Database { path: self.path.clone(), source };
        using(&self.database).map_err(failed)
    }

    /// Answers a question about the members; one whose answer nobody waits for any more is dropped.
    fn answer(&self, question: DatabaseRequest) {
        let (answer, read, _permit) = match question {
            DatabaseRequest::Page { after, limit, answer, permit } => {
                let after = after.as_deref().unwrap_or_default();
                (answer, self.use_with(|database| schema::page(database, after, limit)), permit)
            }
            DatabaseRequest::All { answer, permit } => {
                (answer, self.use_with(|database| schema::all(database, usize::MAX)), permit)
            }
            DatabaseRequest::Bind(_) | DatabaseRequest::Seen(_) => return,
        };
        let _ = answer.send(read);
    }

    fn write(
        &mut self,
        bindings: &[Binding],
        seen: &[(Username, UnixTime)],
        now: UnixTime,
    ) -> rusqlite::Result<()> {
        let as_number = |time: UnixTime| i64::try_from(time.0).unwrap_or(i64::MAX);
        let members: Vec<StoredMember> = bindings
            .iter()
            .map(|Binding { username, key }| StoredMember {
                username: username.to_string(),
                key: *key,
                since_s: as_number(now),
                last_seen_s: None,
            })
            .collect();
        let transaction = self.database.transaction()?;
        schema::insert(&transaction, &members)?;
        {
            let mut update =
                transaction.prepare_cached("UPDATE members SET last_seen_s = ?2 WHERE username = ?1")?;
            for (username, at) in seen {
                update.execute(params![username.as_str(), as_number(*at)])?;
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
    create_tables(database)
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
mod tests;
