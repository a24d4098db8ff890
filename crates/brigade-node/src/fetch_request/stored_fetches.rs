//! The numbers of fetches, and the fetches that go on after a restart, in `.brigade/fetches.db`.
//!
//! Only threads that may wait for the disk use the database. A fetch is stored before it begins, and removed when it has
//! ended; a peer that is killed finds its fetches at the next start. If the database cannot be used, fetches run all the
//! same, but are forgotten at the end: a message in the log says so.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use brigade_core::{
    download::Priority,
    id::{Content, ContentId},
    time::UnixTime,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};

use super::{
    FetchId, FetchOptions,
    new_fetch::OrderedFetch,
    wanted_files::{Resolved, WantedFile},
};

/// The file, in the private folder, and those that SQLite has beside it while it is open.
const DATABASE_FILES: [&str; 3] = ["fetches.db", "fetches.db-wal", "fetches.db-shm"];

/// The version of the tables.
const LAYOUT: i64 = 1;

const CREATE: &str = "
    CREATE TABLE last (number INTEGER NOT NULL) STRICT;
    INSERT INTO last VALUES (0);
    CREATE TABLE fetches (
        number INTEGER PRIMARY KEY, name TEXT NOT NULL, member TEXT, replace INTEGER NOT NULL,
        left_out INTEGER NOT NULL, priority INTEGER NOT NULL, paused INTEGER NOT NULL, begun_s INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE files (
        number INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, catalogue_name TEXT NOT NULL,
        id BLOB NOT NULL, size INTEGER NOT NULL, mtime_s INTEGER NOT NULL, executable INTEGER NOT NULL,
        replace INTEGER NOT NULL, PRIMARY KEY (number, position)
    ) STRICT, WITHOUT ROWID;";

/// The numbers and the stored fetches.
#[derive(Debug, Default)]
pub(crate) struct StoredFetches {
    last: AtomicU64,
    /// `None` if the fetches are not kept.
    database: Option<Mutex<Connection>>,
    /// The last change of each fetch that is not written yet. A thread takes them while it has the database: no change is
    /// written after a later one. Never locked while something waits for the disk.
    changes: Mutex<BTreeMap<FetchId, StoredChange>>,
}

/// A change of a stored fetch.
#[derive(Debug, Clone, Copy)]
enum StoredChange {
    Options(FetchOptions),
    Removal,
}

impl StoredFetches {
    /// Opens the database in the private folder. Returns the fetches of earlier runs that had not ended, too.
    pub(crate) fn open(private: &Path) -> (Self, Vec<OrderedFetch>) {
        match open_or_replace(private) {
            Ok((database, last, fetches)) => {
                let database = Some(Mutex::new(database));
                (Self { last: AtomicU64::new(last), database, ..Self::default() }, fetches)
            }
            Err(error) => {
                let path = private.join(DATABASE_FILES[0]);
                tracing::warn!(path = %path.display(), %error, "fetches are not kept over a restart");
                (Self::default(), vec![])
            }
        }
    }

    /// Stores fetches that begin. Returns their numbers.
    pub(crate) fn add(&self, fetches: &[OrderedFetch]) -> Vec<FetchId> {
        let number = |fetch: &OrderedFetch| {
            fetch.id.unwrap_or_else(|| FetchId(self.last.fetch_add(1, Ordering::Relaxed) + 1))
        };
        let numbers: Vec<FetchId> = fetches.iter().map(number).collect();
        let new = numbers.iter().zip(fetches).filter(|(_, fetch)| fetch.id.is_none());
        let new: Vec<(FetchId, &OrderedFetch)> = new.map(|(number, fetch)| (*number, fetch)).collect();
        if !new.is_empty() {
            self.write("store", |database| store(database, &new));
        }
        numbers
    }

    /// Changes the options of a fetch, unless it is removed. [`Self::write_changes`] stores them.
    pub(crate) fn change_options(&self, id: FetchId, options: FetchOptions) {
        self.change(&[id], StoredChange::Options(options));
    }

    /// Removes fetches that have ended; no other change of them counts any more. [`Self::write_changes`] stores this.
    pub(crate) fn remove(&self, ids: &[FetchId]) {
        self.change(ids, StoredChange::Removal);
    }

    fn change(&self, ids: &[FetchId], change: StoredChange) {
        if self.database.is_none() {
            return;
        }
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            let last = changes.entry(*id).or_insert(change);
            if !matches!(last, StoredChange::Removal) {
                *last = change;
            }
        }
    }

    /// Stores the changes that are not stored yet, in one transaction. Only for threads that may wait for the disk.
    pub(crate) fn write_changes(&self) {
        self.write("change", |database| {
            let changes = std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner));
            if changes.is_empty() {
                return Ok(()); // another thread has stored them
            }
            let transaction = database.transaction()?;
            for (id, change) in changes {
                let number = id.0.cast_signed();
                match change {
                    StoredChange::Options(options) => {
                        let sql = "UPDATE fetches SET priority = ?2, paused = ?3 WHERE number = ?1";
                        transaction.execute(sql, params![number, rank(options.priority), options.paused])?;
                    }
                    StoredChange::Removal => {
                        transaction.execute("DELETE FROM fetches WHERE number = ?1", [number])?;
                        transaction.execute("DELETE FROM files WHERE number = ?1", [number])?;
                    }
                }
            }
            transaction.commit()
        });
    }

    fn write(&self, action: &str, write: impl FnOnce(&mut Connection) -> rusqlite::Result<()>) {
        let Some(database) = &self.database else { return };
        let mut database = database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = write(&mut database) {
            tracing::warn!(action, %error, "the list of fetches could not be written: a restart may not know them");
        }
    }
}

type Opened = (Connection, u64, Vec<OrderedFetch>);

/// Opens the database. A damaged one, or one of a later version, is moved aside, and a new one is created.
fn open_or_replace(private: &Path) -> rusqlite::Result<Opened> {
    let path = private.join(DATABASE_FILES[0]);
    let error = match open(&path) {
        Ok(opened) => return Ok(opened),
        Err(error) => error,
    };
    let is_damaged = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SchemaChanged) | None
    );
    if !is_damaged {
        return Err(error);
    }
    let aside = private.join("fetches.damaged.db");
    tracing::warn!(path = %path.display(), %error, aside = %aside.display(), "the list of fetches is damaged: a new one is created");
    let others = DATABASE_FILES.iter().skip(1).map(|name| private.join(name));
    others.for_each(|file: PathBuf| drop(fs::remove_file(file)));
    if fs::rename(&path, aside).is_err() {
        return Err(error);
    }
    open(&path)
}

fn open(path: &Path) -> rusqlite::Result<Opened> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut database = Connection::open_with_flags(path, flags)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    // A fetch that was accepted is durable. Fetches begin rarely.
    database.pragma_update(None, "synchronous", "FULL")?;
    let layout: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match layout {
        LAYOUT => {}
        0 => {
            let transaction = database.transaction()?;
            transaction.execute_batch(CREATE)?;
            transaction.pragma_update(None, "user_version", LAYOUT)?;
            transaction.commit()?;
        }
        _ => return Err(rusqlite::Error::InvalidQuery),
    }
    let last: i64 = database.query_row("SELECT number FROM last", [], |row| row.get(0))?;
    let fetches = load(&database)?;
    Ok((database, last.cast_unsigned(), fetches))
}

fn store(database: &mut Connection, fetches: &[(FetchId, &OrderedFetch)]) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    {
        let mut add_file =
            transaction.prepare_cached("INSERT INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
        for (id, OrderedFetch { files, options, at, .. }) in fetches {
            let number = id.0.cast_signed();
            let member = files.from.as_ref().map(|member| member.as_str());
            transaction.execute(
                "INSERT INTO fetches VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    number,
                    files.name,
                    member,
                    files.replace,
                    files.left_out.cast_signed(),
                    rank(options.priority),
                    options.paused,
                    at.0.cast_signed()
                ],
            )?;
            for (position, file) in (0_i64..).zip(&files.files) {
                add_file.execute(params![
                    number,
                    position,
                    file.name.as_str(),
                    file.catalogue_name.as_str(),
                    &file.content.id.0[..],
                    file.content.size.cast_signed(),
                    file.mtime_s,
                    file.executable,
                    file.replace
                ])?;
            }
            transaction.execute("UPDATE last SET number = MAX(number, ?1)", [number])?;
        }
    }
    transaction.commit()
}

fn load(database: &Connection) -> rusqlite::Result<Vec<OrderedFetch>> {
    let mut fetches = database.prepare("SELECT * FROM fetches ORDER BY number")?;
    let mut files = database.prepare("SELECT * FROM files WHERE number = ?1 ORDER BY position")?;
    let mut loaded = vec![];
    let mut rows = fetches.query([])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get("number")?;
        let wanted: rusqlite::Result<Vec<Option<WantedFile>>> =
            files.query_map([number], parse_file)?.collect();
        // A row that is not valid is a file that is not fetched.
        let wanted = wanted?.into_iter().flatten().collect();
        let member: Option<String> = row.get("member")?;
        let files = Resolved {
            name: row.get("name")?,
            files: wanted,
            left_out: row.get::<_, i64>("left_out")?.cast_unsigned(),
            from: member.and_then(|member| member.parse().ok()),
            replace: row.get("replace")?,
        };
        let options = FetchOptions { priority: priority(row.get("priority")?), paused: row.get("paused")? };
        let at = UnixTime(row.get::<_, i64>("begun_s")?.cast_unsigned());
        loaded.push(OrderedFetch { id: Some(FetchId(number.cast_unsigned())), files, options, at });
    }
    Ok(loaded)
}

fn parse_file(row: &Row<'_>) -> rusqlite::Result<Option<WantedFile>> {
    let (name, catalogue_name): (String, String) = (row.get("name")?, row.get("catalogue_name")?);
    let id: Vec<u8> = row.get("id")?;
    let size = row.get::<_, i64>("size")?.cast_unsigned();
    let (Ok(name), Ok(catalogue_name), Ok(id)) = (name.parse(), catalogue_name.parse(), id.try_into()) else {
        return Ok(None);
    };
    let file = WantedFile::new(name, Content { id: ContentId(id), size });
    Ok(Some(WantedFile {
        catalogue_name,
        mtime_s: row.get("mtime_s")?,
        executable: row.get("executable")?,
        replace: row.get("replace")?,
        ..file
    }))
}

const fn rank(priority: Priority) -> i64 {
    match priority {
        Priority::High => 1,
        Priority::Normal => 0,
        Priority::Low => -1,
    }
}

const fn priority(rank: i64) -> Priority {
    match rank {
        1.. => Priority::High,
        0 => Priority::Normal,
        _ => Priority::Low,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Content, ContentId, DATABASE_FILES, FetchId, FetchOptions, OrderedFetch, Priority, Resolved,
        StoredFetches, UnixTime, WantedFile, fs,
    };

    fn ordered(name: &str) -> OrderedFetch {
        let content = Content { id: ContentId([7; 32]), size: u64::MAX };
        let file = WantedFile::new(format!("{name}/film").parse().unwrap(), content);
        let file = WantedFile { mtime_s: -5, executable: true, ..file.saved_as("other".parse().unwrap()) };
        let files = Resolved { left_out: 3, ..Resolved::for_tests(name, vec![file]) };
        OrderedFetch { id: None, files, options: FetchOptions::default(), at: UnixTime(1_700_000_000) }
    }

    fn shown(fetches: &[OrderedFetch]) -> Vec<(u64, &str, FetchOptions, &[WantedFile])> {
        let one = |fetch: &'_ OrderedFetch| (fetch.id.unwrap().0, fetch.options);
        let rest = |fetch| {
            let (id, options) = one(fetch);
            (id, fetch.files.name.as_str(), options, &fetch.files.files[..])
        };
        fetches.iter().map(rest).collect()
    }

    #[test]
    fn fetches_are_there_after_a_restart_until_they_have_ended() {
        let temp = tempfile::tempdir().unwrap();
        let (stored, before) = StoredFetches::open(temp.path());
        assert!(before.is_empty());
        let (first, second) = (ordered("first"), ordered("second"));
        let files = first.files.files.clone();
        assert_eq!(stored.add(&[first, second]), [FetchId(1), FetchId(2)]);
        assert_eq!(stored.add(&[ordered("third")]), [FetchId(3)]);
        let options = FetchOptions::default().priority(Priority::Low).paused(true);
        stored.change_options(FetchId(1), options);
        stored.remove(&[FetchId(2), FetchId(3)]);
        stored.write_changes();
        drop(stored);
        let (stored, kept) = StoredFetches::open(temp.path());
        assert_eq!(shown(&kept), [(1, "first", options, &files[..])]);
        assert_eq!((kept[0].at, kept[0].files.left_out), (UnixTime(1_700_000_000), 3));
        assert_eq!(stored.add(&kept), [FetchId(1)], "it keeps its number");
        assert_eq!(stored.add(&[ordered("fourth")]), [FetchId(4)], "no number is used again");
    }

    #[test]
    fn the_last_change_of_a_fetch_is_stored_and_its_removal_is_final() {
        let temp = tempfile::tempdir().unwrap();
        let (stored, _) = StoredFetches::open(temp.path());
        stored.add(&[ordered("first"), ordered("second")]);
        let options = |paused| FetchOptions::default().paused(paused);
        stored.change_options(FetchId(1), options(true));
        stored.change_options(FetchId(1), options(false));
        stored.remove(&[FetchId(2)]);
        stored.change_options(FetchId(2), options(true));
        // As with several threads, each of which writes all changes that it finds.
        stored.write_changes();
        stored.write_changes();
        stored.change_options(FetchId(2), options(true));
        stored.write_changes();
        drop(stored);
        let (_, kept) = StoredFetches::open(temp.path());
        let kept: Vec<_> = kept.iter().map(|fetch| (fetch.id, fetch.options.paused)).collect();
        assert_eq!(kept, [(Some(FetchId(1)), false)]);
    }

    #[test]
    fn a_damaged_list_is_moved_aside() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join(DATABASE_FILES[0]);
        fs::write(&path, "no database".repeat(1000)).unwrap();
        let (stored, kept) = StoredFetches::open(temp.path());
        assert!(kept.is_empty());
        stored.add(&[ordered("first")]);
        drop(stored);
        assert_eq!(StoredFetches::open(temp.path()).1.len(), 1);
        assert!(temp.path().join("fetches.damaged.db").exists());
    }

    #[test]
    fn fetches_that_are_not_kept_have_numbers_too() {
        let stored = StoredFetches::default();
        assert_eq!(stored.add(&[ordered("a"), ordered("b")]), [FetchId(1), FetchId(2)]);
        stored.remove(&[FetchId(1)]);
    }
}
