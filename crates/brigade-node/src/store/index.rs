//! What is known of the folder's files from before, in SQLite: a cache that may be thrown away at any time.
//!
//! It spares hashing what did not change, nothing else depends on it: a row that makes no sense is passed over, and
//! a damaged file is moved aside and begun anew. It is loaded whole at the start and written in batches by its
//! owner, the keeper.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use brigade_core::{
    content::PieceList,
    id::{Content, ContentId},
    name::FileName,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};

use super::{folder::Stamp, share::Shared};

/// Counts the layouts that the table has had; a file of another layout is begun anew.
const LAYOUT: i64 = 1;

const CREATE: &str = "
    CREATE TABLE files (
        name TEXT PRIMARY KEY, device INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
        executable INTEGER, id BLOB, list BLOB
    ) STRICT";

/// Bytes of a chaining value.
const VALUE_BYTES: usize = 32;

/// The open index.
#[derive(Debug)]
pub struct Index {
    connection: Connection,
}

/// One change to the index.
#[derive(Debug, Clone)]
pub enum Write {
    /// This is known of a file.
    Put(Arc<Shared>),
    /// This file is gone.
    Delete(FileName),
}

/// Why the index was not opened or written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite did not do it.
    #[error("could not {action} the index {path}: {source}")]
    Sqlite {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The damaged file could not be put aside.
    #[error("could not put the damaged index {path} aside: {source}")]
    Aside {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Index {
    /// Opens the index at `path` and says all that it knows; what is damaged is put aside and begun anew.
    ///
    /// # Errors
    /// Where it cannot be opened now: a full disk, too many open files. Nothing happens to the file then.
    pub fn open(path: &Path) -> Result<(Self, HashMap<FileName, Arc<Shared>>), IndexError> {
        match Self::open_and_load(path) {
            Ok(opened) => Ok(opened),
            Err(source) if !is_damage(&source) => {
                Err(IndexError::Sqlite { action: "open", path: path.to_owned(), source })
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the index is begun anew");
                put_aside(path).map_err(|source| IndexError::Aside { path: path.to_owned(), source })?;
                Self::open_and_load(path).map_err(|source| IndexError::Sqlite {
                    action: "open",
                    path: path.to_owned(),
                    source,
                })
            }
        }
    }

    fn open_and_load(path: &Path) -> rusqlite::Result<(Self, HashMap<FileName, Arc<Shared>>)> {
        // No other thread uses the connection, and the file's name is no URI.
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
        let index = Self { connection };
        let known = index.load()?;
        Ok((index, known))
    }

    fn load(&self) -> rusqlite::Result<HashMap<FileName, Arc<Shared>>> {
        let mut known = HashMap::new();
        let mut statement = self.connection.prepare(
            "SELECT name, device, inode, size, mtime_ns, ctime_ns, executable, id, list FROM files",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(shared) = shared(row)? {
                known.insert(shared.name.clone(), Arc::new(shared));
            }
        }
        Ok(known)
    }

    /// Writes all of `writes` in order, or nothing.
    pub fn write(&mut self, writes: &[Write]) -> Result<(), IndexError> {
        self.write_all(writes).map_err(|source| IndexError::Sqlite {
            action: "write to",
            path: self.connection.path().unwrap_or_default().into(),
            source,
        })
    }

    fn write_all(&mut self, writes: &[Write]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut put = transaction
                .prepare_cached("INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
            let mut delete = transaction.prepare_cached("DELETE FROM files WHERE name = ?1")?;
            for write in writes {
                match write {
                    Write::Put(file) => {
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
                    Write::Delete(name) => {
                        delete.execute([name.as_str()])?;
                    }
                }
            }
        }
        transaction.commit()
    }
}

/// What a row says; nothing where it makes no sense.
fn shared(row: &Row<'_>) -> rusqlite::Result<Option<Shared>> {
    let number = |column: usize| row.get::<_, i64>(column);
    let Ok(name) = row.get_ref(0)?.as_str().unwrap_or_default().parse::<FileName>() else { return Ok(None) };
    let Ok(id) = row.get_ref(7)?.as_blob().unwrap_or_default().try_into() else { return Ok(None) };
    let content = Content { id: ContentId(id), size: number(3)?.cast_unsigned() };
    let list = match row.get_ref(8)?.as_blob_or_null() {
        Ok(Some(bytes)) => match list(content, bytes) {
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
    Ok(complete.then_some(Shared { name, content, list, stamp }))
}

/// The piece list in `bytes`, if it is that of `content`.
pub(super) fn list(content: Content, bytes: &[u8]) -> Option<PieceList> {
    let (values, rest) = bytes.as_chunks::<VALUE_BYTES>();
    if rest.is_empty() { PieceList::new(content, values.to_vec()).ok() } else { None }
}

fn needs_list(size: u64) -> bool {
    brigade_core::geometry::Geometry::new(size).is_ok_and(|geometry| geometry.count() > 1)
}

/// Whether it is the file that is wrong, and no attempt will ever read it; else the disk or the system failed.
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

/// The damaged file stays beside the new one for whoever wants to look; what belongs to it goes.
fn put_aside(path: &Path) -> io::Result<()> {
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

    use super::{Index, Shared, Stamp, Write};
    use crate::store::hash::hash_file;

    fn file(name: &str, size: usize) -> Arc<Shared> {
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
        Arc::new(Shared { name: name.parse().unwrap(), content: hashed.content, list: hashed.list, stamp })
    }

    #[test]
    fn what_was_written_is_known_after_a_restart() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("index.db");
        let (small, large, gone) = (file("a/b", 10), file("c", 600 << 10), file("gone", 0));
        let (mut index, known) = Index::open(&path).unwrap();
        assert!(known.is_empty());
        let puts: Vec<_> = [&small, &large, &gone].map(|file| Write::Put(file.clone())).into();
        index.write(&puts).unwrap();
        index.write(&[Write::Delete(gone.name.clone())]).unwrap();
        drop(index);
        let (_, known) = Index::open(&path).unwrap();
        assert_eq!(known.len(), 2);
        assert_eq!(known[&small.name], small);
        assert_eq!(known[&large.name], large);
    }

    #[test]
    fn a_damaged_file_is_put_aside() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("index.db");
        fs::write(&path, "this is no database, however long it may be ".repeat(100)).unwrap();
        let (mut index, known) = Index::open(&path).unwrap();
        assert!(known.is_empty());
        index.write(&[Write::Put(file("a", 1))]).unwrap();
        assert!(path.with_extension("damaged").exists());
    }

    /// As on a full disk, or with too many open files: SQLite cannot open what is a folder.
    #[test]
    fn a_file_that_cannot_be_opened_now_stays_as_it_is() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("index.db");
        let (mut index, _) = Index::open(&path).unwrap();
        index.write(&[Write::Put(file("a", 1))]).unwrap();
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
    fn rows_that_make_no_sense_are_passed_over() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("index.db");
        let (mut index, _) = Index::open(&path).unwrap();
        index
            .write(&[
                Write::Put(file("good", 5)),
                Write::Put(file("bad", 5)),
                Write::Put(file("cut", 600 << 10)),
            ])
            .unwrap();
        index.connection.execute("UPDATE files SET name = '../x' WHERE name = 'bad'", []).unwrap();
        index.connection.execute("UPDATE files SET list = x'00' WHERE name = 'cut'", []).unwrap();
        drop(index);
        let (_, known) = Index::open(&path).unwrap();
        assert_eq!(known.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["good"]);
    }
}
