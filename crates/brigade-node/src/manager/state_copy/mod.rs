//! A copy of a manager's state in one file: its key and its members. `backup.rs` makes it while the manager runs,
//! `backup_file.rs` is
//! such a file that a client writes, `restore.rs` makes a state folder of it.
//!
//! The file is an SQLite database: the table of members as in `members.sqlite`, and a table `backup` with one row, which
//! has the version of the format, the time, the secret key, and a checksum over all of it. `file.rs` writes and reads
//! it. **It has the secret key of the network**: only its owner can read it, and it must not lie in a shared folder.

mod backup;
mod backup_file;
mod file;
mod restore;

pub use self::{
    backup::BackupError,
    backup_file::BackupFile,
    file::{StateCopyError, StateCopySummary},
    restore::{RestoreError, RestoredKeyError, restore},
};
pub(super) use self::{
    backup::back_up,
    restore::{STATE_FILE, take_restored_key},
};
