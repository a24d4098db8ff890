//! The rows of damaged files in the index: without them, the next start would share the damaged bytes as a new version.
//!
//! An index of an earlier version has no table for them; it gets one when it is opened.

use std::sync::Arc;

use brigade_core::{
    id::{Content, ContentId},
    name::FileName,
};
use rusqlite::{Connection, Row, Transaction, params};

use crate::store::{file_stamp::Stamp, share::DamagedFile};

/// Creates the table if it does not exist.
pub(super) const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS damaged (
        name TEXT PRIMARY KEY, device INTEGER, inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
        executable INTEGER, id BLOB, found BLOB
    ) STRICT";

/// All damaged files. An invalid row is skipped.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<Arc<DamagedFile>>> {
    let mut statement = connection.prepare(
        "SELECT name, device, inode, size, mtime_ns, ctime_ns, executable, id, found FROM damaged",
    )?;
    let mut rows = statement.query([])?;
    let mut files = vec![];
    while let Some(row) = rows.next()? {
        files.extend(parse(row)?.map(Arc::new));
    }
    Ok(files)
}

/// Adds or replaces a file.
pub(super) fn put(transaction: &Transaction<'_>, file: &DamagedFile) -> rusqlite::Result<()> {
    let DamagedFile { name, expected, found, stamp } = file;
    let mut put = transaction
        .prepare_cached("INSERT OR REPLACE INTO damaged VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
    put.execute(params![
        name.as_str(),
        stamp.device.cast_signed(),
        stamp.inode.cast_signed(),
        expected.size.cast_signed(),
        stamp.mtime_ns,
        stamp.ctime_ns,
        stamp.executable,
        &expected.id.0[..],
        &found.0[..],
    ])?;
    Ok(())
}

/// Removes a file.
pub(super) fn delete(transaction: &Transaction<'_>, name: &FileName) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM damaged WHERE name = ?1")?.execute([name.as_str()])?;
    Ok(())
}

fn parse(row: &Row<'_>) -> rusqlite::Result<Option<DamagedFile>> {
    let number = |column: usize| row.get::<_, i64>(column);
    let id = |column: usize| -> rusqlite::Result<Option<ContentId>> {
        Ok(row.get_ref(column)?.as_blob().unwrap_or_default().try_into().ok().map(ContentId))
    };
    let Ok(name) = row.get_ref(0)?.as_str().unwrap_or_default().parse::<FileName>() else { return Ok(None) };
    let (Some(expected), Some(found)) = (id(7)?, id(8)?) else { return Ok(None) };
    let size = number(3)?.cast_unsigned();
    let stamp = Stamp {
        device: number(1)?.cast_unsigned(),
        inode: number(2)?.cast_unsigned(),
        size,
        mtime_ns: number(4)?,
        ctime_ns: number(5)?,
        executable: row.get(6)?,
    };
    Ok(Some(DamagedFile { name, expected: Content { id: expected, size }, found, stamp }))
}
