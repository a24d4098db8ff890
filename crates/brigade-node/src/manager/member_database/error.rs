//! The errors of the members' database.
//!
//! The program shows them with the cause, and with a hint for a damaged file and for a full disk.

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
