//! The index of the folder's files, in SQLite: a cache that may be deleted at any time.
//!
//! It saves hashing unchanged files; nothing else depends on it. An invalid row is skipped, and a damaged file is
//! moved aside and created again. The whole index is loaded at the start. Its owner, the keeper, writes to it in
//! batches.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use brigade_core::{
    id::{Content, ContentId},
    name::FileName,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};

use super::{
    file_stamp::Stamp,
    folder::{INDEX_FILE, foreign_owner},
    hash::piece_list_from_bytes,
    share::{DamagedFile, SharedFile},
};

mod damaged_rows;

/// The file of the index, in the private folder, and the files that SQLite has beside it while it is open.
const INDEX_FILES: [&str; 3] = [INDEX_FILE, "index.db-wal", "index.db-shm"];

/// The version of the table's layout; a file with another one is created again.
const LAYOUT: i64 = 1;

const CREATE: &str = "
    CREATE TABLE files (
        name TEXT PRIMARY KEY, device INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
        executable INTEGER, id BLOB, list BLOB
    ) STRICT";

/// The open index.
#[derive(Debug)]
pub(crate) struct Index {
    connection: Connection,
}

/// One change of the index.
#[derive(Debug, Clone)]
pub(crate) enum IndexWrite {
    /// Adds or replaces a file.
    Put(Arc<SharedFile>),
    /// Removes a file.
    Delete(FileName),
    /// Adds or replaces a damaged file.
    Damaged(Arc<DamagedFile>),
    /// Removes a damaged file.
    Undamaged(FileName),
}

/// The error when the index was not opened or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// An error of SQLite.
    #[error("could not {action} the index {path}: {source}")]
    Sqlite {
        /// The attempted action.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// Another account has left the file, and this account may not use it.
    #[error("the index {path} belongs to {owner}: give it to this account with `chown`, or delete it")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The other account.
        owner: String,
    },
    /// The path is a folder.
    #[error("the index {path} is a folder: move it away, and the index is created again")]
    IsFolder {
        /// The path.
        path: PathBuf,
    },
    /// The damaged file could not be moved aside.
    #[error("could not move the damaged index {path} aside: {source}")]
    Aside {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl IndexError {
    /// The error of attempting `action` on the index at `path`; not that of a damaged file.
    fn new(action: &'static str, path: PathBuf, source: rusqlite::Error) -> Self {
        use ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
        let is_denied = matches!(source.sqlite_error_code(), Some(CannotOpen | PermissionDenied | ReadOnly));
        match foreign_file(&path).filter(|_| is_denied) {
            Some((path, owner)) => Self::Foreign { path, owner },
            None if path.is_dir() => Self::IsFolder { path },
            None => Self::Sqlite { action, path, source },
        }
    }

    /// Whether the text says what to do.
    pub(crate) const fn has_advice(&self) -> bool {
        matches!(self, Self::Foreign { .. } | Self::IsFolder { .. })
    }
}

impl Index {
    /// Opens the index at `path` and loads all files of it. A damaged index is moved aside and created again.
    ///
    /// # Errors
    /// If it cannot be opened now: a full disk, too many open files. The file is unchanged then.
    pub(crate) fn open(path: &Path) -> Result<(Self, HashMap<FileName, Arc<SharedFile>>), IndexError> {
        match Self::open_and_load(path) {
            Ok(opened) => Ok(opened),
            Err(source) if !is_damage(&source) => Err(IndexError::new("open", path.to_owned(), source)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the index is damaged: a new one is created");
                move_aside(path).map_err(|source| IndexError::Aside { path: path.to_owned(), source })?;
                Self::open_and_load(path).map_err(|source| IndexError::Sqlite {
                    action: "open",
                    path: path.to_owned(),
                    source,
                })
            }
        }
    }

    fn open_and_load(path: &Path) -> rusqlite::Result<(Self, HashMap<FileName, Arc<SharedFile>>)> {
        // The connection is used by one thread, and the file's name is not a URI.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let layout: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if layout != LAYOUT {
            connection.execute_batch("DROP TABLE IF EXISTS files")?;
            connection.execute_batch(CREATE)?;
            connection.pragma_update(None, "user_version", LAYOUT)?;
        }
        connection.execute_batch(damaged_rows::CREATE)?;
        let index = Self { connection };
        let known = index.load()?;
        Ok((index, known))
    }

    /// The damaged files in it.
    pub(crate) fn damaged(&self) -> Vec<Arc<DamagedFile>> {
        damaged_rows::load(&self.connection).unwrap_or_else(|error| {
            tracing::warn!(%error, "the damaged files in the index cannot be read");
            vec![]
        })
    }

    fn load(&self) -> rusqlite::Result<HashMap<FileName, Arc<SharedFile>>> {
        let mut known = HashMap::new();
        let mut statement = self.connection.prepare(
            "SELECT name, device, inode, size, mtime_ns, ctime_ns, executable, id, list FROM files",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(shared) = parse_row(row)? {
                known.insert(shared.name.clone(), Arc::new(shared));
            }
        }
        Ok(known)
    }

    /// Writes all of `writes` in order, or none of them.
    pub(crate) fn write(&mut self, writes: &[IndexWrite]) -> Result<(), IndexError> {
        self.write_all(writes).map_err(|source| {
            IndexError::new("write to", self.connection.path().unwrap_or_default().into(), source)
        })
    }

    fn write_all(&mut self, writes: &[IndexWrite]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction
                .prepare_cached("INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
            let mut delete = transaction.prepare_cached("DELETE FROM files WHERE name = ?1")?;
            for write in writes {
                match write {
                    IndexWrite::Put(file) => {
                        let stamp = &file.stamp;
                        let list = file.list.as_ref().map(|list| list.values().as_flattened());
                        put.execute(params![
                            file.name.as_str(),
                            stamp.device.cast_signed(),
                            stamp.inode.cast_signed(),
                            file.content.size.cast_signed(),
                            stamp.mtime_ns,
                            stamp.ctime_ns,
                            stamp.executable,
                            &file.content.id.0[..],
                            list,
                        ])?;
                    }
                    IndexWrite::Delete(name) => {
                        delete.execute([name.as_str()])?;
                    }
                    IndexWrite::Damaged(file) => damaged_rows::put(&transaction, file)?,
                    IndexWrite::Undamaged(name) => damaged_rows::delete(&transaction, name)?,
                }
            }
        }
        transaction.commit()
    }
}

/// The number of files of the index that do not exist in the folder `private`.
pub(crate) fn missing_files(private: &Path) -> u64 {
    INDEX_FILES.iter().map(|name| u64::from(!private.join(name).exists())).sum()
}

/// The file of a row; `None` if the row is invalid.
fn parse_row(row: &Row<'_>) -> rusqlite::Result<Option<SharedFile>> {
    let number = |column: usize| row.get::<_, i64>(column);
    let Ok(name) = row.get_ref(0)?.as_str().unwrap_or_default().parse::<FileName>() else { return Ok(None) };
    let Ok(id) = row.get_ref(7)?.as_blob().unwrap_or_default().try_into() else { return Ok(None) };
    let content = Content { id: ContentId(id), size: number(3)?.cast_unsigned() };
    let list = match row.get_ref(8)?.as_blob_or_null() {
        Ok(Some(bytes)) => match piece_list_from_bytes(content, bytes) {
            Some(list) => Some(Arc::new(list)),
            None => return Ok(None),
        },
        _ => None,
    };
    let stamp = Stamp {
        device: number(1)?.cast_unsigned(),
        inode: number(2)?.cast_unsigned(),
        size: content.size,
        mtime_ns: number(4)?,
        ctime_ns: number(5)?,
        executable: row.get(6)?,
    };
    let complete = list.is_some() == needs_list(content.size);
    Ok(complete.then_some(SharedFile { name, content, list, stamp }))
}

fn needs_list(size: u64) -> bool {
    brigade_core::geometry::Geometry::new(size).is_ok_and(|geometry| geometry.count() > 1)
}

/// Whether the file is damaged, so that no attempt can ever read it; otherwise the disk or the system failed.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::NotADatabase
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::Unknown
                | ErrorCode::TypeMismatch
        ),
        _ => true, // a column that is missing, or has a value of another type
    }
}

/// A file of the index that belongs to another account, and that account. SQLite does not say which file it could not
/// open.
fn foreign_file(path: &Path) -> Option<(PathBuf, String)> {
    let files = ["", "-wal", "-shm"].map(|ending| PathBuf::from(format!("{}{ending}", path.display())));
    files.iter().filter(|file| file.exists()).find_map(|file| foreign_owner(file))
}

/// Moves the damaged file aside, for people who want to examine it, and removes the files that belong to it.
fn move_aside(path: &Path) -> io::Result<()> {
    for ending in ["-wal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ending);
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    match fs::rename(path, path.with_extension("damaged")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, sync::Arc};

    use super::{Index, IndexWrite, SharedFile, Stamp};
    use crate::store::hash::hash_file;

    fn file(name: &str, size: usize) -> Arc<SharedFile> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; size]).unwrap();
        let hashed = hash_file(&file, size as u64, 1, &|| false).unwrap();
        let stamp = Stamp {
            device: u64::MAX,
            inode: 5,
            size: size as u64,
            mtime_ns: -3,
            ctime_ns: 9,
            executable: true,
        };
        Arc::new(SharedFile {
            name: name.parse().unwrap(),
            content: hashed.content,
            list: hashed.list,
            stamp,
        })
    }

    #[test]
    fn written_rows_survive_a_restart() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("index.db");
        let (small, large, removed) = (file("a/b", 10), file("c", 600 << 10), file("gone", 0));
        let (mut index, known) = Index::open(&path).unwrap();
        assert!(known.is_empty());
        let puts: Vec<_> = [&small, &large, &removed].map(|file| IndexWrite::Put(file.clone())).into();
        index.write(&puts).unwrap();
        index.write(&[IndexWrite::Delete(removed.name.clone())]).unwrap();
        drop(index);
        let (_, known) = Index::open(&path).unwrap();
        assert_eq!(known.len(), 2);
        assert_eq!(known[&small.name], small);
        assert_eq!(known[&large.name], large);
    }

    #[test]
    fn damaged_files_survive_a_restart() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("index.db");
        let of = |name: &str| {
            let SharedFile { name, content, stamp, .. } = SharedFile::clone(&file(name, 10));
            let found = brigade_core::id::ContentId([9; 32]);
            Arc::new(super::DamagedFile { name, expected: content, found, stamp })
        };
        let (mut index, _) = Index::open(&path).unwrap();
        let writes = ["a", "b"].map(|name| IndexWrite::Damaged(of(name)));
        index.write(&writes).unwrap();
        index.write(&[IndexWrite::Undamaged(of("b").name.clone())]).unwrap();
        drop(index);
        assert_eq!(Index::open(&path).unwrap().0.damaged(), [of("a")]);
    }

    #[test]
    fn a_damaged_file_is_moved_aside() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("index.db");
        fs::write(&path, "this is no database, however long it may be ".repeat(100)).unwrap();
        let (mut index, known) = Index::open(&path).unwrap();
        assert!(known.is_empty());
        index.write(&[IndexWrite::Put(file("a", 1))]).unwrap();
        assert!(path.with_extension("damaged").exists());
    }

    /// As on a full disk, or with too many open files. SQLite cannot open a folder.
    #[test]
    fn a_file_that_cannot_be_opened_now_stays_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("index.db");
        let (mut index, _) = Index::open(&path).unwrap();
        index.write(&[IndexWrite::Put(file("a", 1))]).unwrap();
        drop(index);
        let sound = fs::read(&path).unwrap();
        fs::create_dir(temp.path().join("index.db-wal")).unwrap();
        assert!(Index::open(&path).is_err());
        assert!(!path.with_extension("damaged").exists());
        assert_eq!(fs::read(&path).unwrap(), sound);
        fs::remove_dir(temp.path().join("index.db-wal")).unwrap();
        assert_eq!(Index::open(&path).unwrap().1.len(), 1);
    }

    #[test]
    fn invalid_rows_are_skipped() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("index.db");
        let (mut index, _) = Index::open(&path).unwrap();
        index
            .write(&[
                IndexWrite::Put(file("good", 5)),
                IndexWrite::Put(file("bad", 5)),
                IndexWrite::Put(file("cut", 600 << 10)),
            ])
            .unwrap();
        index.connection.execute("UPDATE files SET name = '../x' WHERE name = 'bad'", []).unwrap();
        index.connection.execute("UPDATE files SET list = x'00' WHERE name = 'cut'", []).unwrap();
        drop(index);
        let (_, known) = Index::open(&path).unwrap();
        assert_eq!(known.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["good"]);
    }

    #[test]
    fn a_folder_with_the_name_of_the_index_is_named_as_one() {
        let temp = tempfile::tempdir().unwrap();
        let error = Index::open(temp.path()).map(drop).unwrap_err();
        assert!(error.to_string().contains(" is a folder: move it away"), "{error}");
    }
}
