//! The tables of the members' database, and the rows in them.
//!
//! A copy of the state (`state_copy`) has the same table of members, so that it becomes a database by a rename.

use brigade_core::id::PeerKey;
use rusqlite::{Connection, params};

use super::requests::StoredMember;

/// The version of the tables. A later version of the program updates them, an earlier one refuses them.
///
/// 1 had no `last_seen_s`.
pub(crate) const SCHEMA_VERSION: u32 = 2;

/// Creates or updates the tables, and returns their version. Tables of a later version are left as they are.
pub(crate) fn create_tables(database: &Connection) -> rusqlite::Result<u32> {
    let found = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > SCHEMA_VERSION {
        return Ok(found);
    }
    let update = if found == 1 { "ALTER TABLE members ADD COLUMN last_seen_s INTEGER;" } else { "" };
    database.execute_batch(&format!(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS members (
             username TEXT NOT NULL PRIMARY KEY,
             key BLOB NOT NULL CHECK (length(key) = 32),
             since_s INTEGER NOT NULL,
             last_seen_s INTEGER
         ) STRICT;
         {update}
         PRAGMA user_version = {SCHEMA_VERSION};
         COMMIT;"
    ))?;
    Ok(SCHEMA_VERSION)
}

/// Adds members, in this order.
pub(crate) fn insert<'a>(
    database: &Connection,
    members: impl IntoIterator<Item = &'a StoredMember>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO members (username, key, since_s, last_seen_s) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = database.prepare_cached(sql)?;
    for StoredMember { username, key, since_s, last_seen_s } in members {
        insert.execute(params![username, key.0, since_s, last_seen_s])?;
    }
    Ok(())
}

/// At most `limit` members in the order in which they were bound.
pub(crate) fn all(database: &Connection, limit: usize) -> rusqlite::Result<Vec<StoredMember>> {
    let sql = "SELECT username, key, since_s, last_seen_s FROM members ORDER BY rowid LIMIT ?1";
    let mut select = database.prepare(sql)?;
    select.query_map([as_number(limit)], member)?.collect()
}

/// At most `limit` members after a username, by username.
pub(crate) fn page(database: &Connection, after: &str, limit: usize) -> rusqlite::Result<Vec<StoredMember>> {
    let sql = "SELECT username, key, since_s, last_seen_s FROM members
               WHERE username > ?1 ORDER BY username LIMIT ?2";
    let mut select = database.prepare_cached(sql)?;
    select.query_map(params![after, as_number(limit)], member)?.collect()
}

fn member(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredMember> {
    let key = PeerKey(row.get(1)?);
    Ok(StoredMember { username: row.get(0)?, key, since_s: row.get(2)?, last_seen_s: row.get(3)? })
}

fn as_number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
