//! Why a fetch does not begin, and which kinds of errors a file of it can have.
//!
//! A fetch that has begun does not end with one of these: its [`Progress`](crate::progress::Progress) lists the files
//! that failed. Why a request names no files is in `fetch_request/resolve_error`.

use std::{fmt, path::PathBuf};

use brigade_core::{name::FileName, plural};

/// Why a fetch did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// It does not fit on the disk.
    #[error(transparent)]
    NotEnoughSpace(#[from] NotEnoughSpace),
    /// Some files can never get their names.
    #[error(transparent)]
    CannotLand(#[from] CannotLand),
    /// The peer is stopping.
    #[error("the peer is stopping")]
    Stopping,
}

/// The files do not fit on the disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not enough space for {} in {}", called(.name, *.others), .folder.display())]
#[non_exhaustive]
pub struct NotEnoughSpace {
    /// The requested name.
    pub name: String,
    /// The number of names that were requested with it.
    pub others: usize,
    /// The folder.
    pub folder: PathBuf,
    /// The missing space.
    pub missing: MissingSpace,
}

/// Missing space on a file system: how much is needed beside the present pieces, and how much is free and not promised
/// to other fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingSpace {
    /// Bytes.
    Bytes {
        /// Needed.
        needed: u64,
        /// Free.
        free: u64,
    },
    /// Inodes: the file system cannot hold so many more files.
    Inodes {
        /// Needed.
        needed: u64,
        /// Free.
        free: u64,
    },
}

/// Some files can never get their names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{count} of {} of {} cannot be put into {}", plural::count(*.files, "file"), called(.name, *.others), .folder.display())]
#[non_exhaustive]
pub struct CannotLand {
    /// The requested name.
    pub name: String,
    /// The number of names that were requested with it.
    pub others: usize,
    /// The folder.
    pub folder: PathBuf,
    /// The files with their reasons; the first hundred entries.
    pub refused: Vec<RefusedFiles>,
    /// The number of these files.
    pub count: usize,
    /// The number of all files, of all names together.
    pub files: usize,
    /// Whether a limit on open files is the reason for some of them: then nobody knows whether they can land.
    pub lacks_open_files: bool,
}

/// Files in a row that cannot get their names for the same reason, such as a folder that cannot be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedFiles {
    /// The first file.
    pub first: FileName,
    /// The number of files.
    pub count: usize,
    /// The reason.
    pub reason: String,
}

impl fmt::Display for RefusedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, count, reason } = self;
        match count {
            1 => write!(f, "{first}: {reason}"),
            _ => write!(f, "{first} and {}: {reason}", plural::count(count - 1, "other file")),
        }
    }
}

/// The text for `name` and the other names of a fetch.
fn called(name: &str, others: usize) -> String {
    match others {
        0 => format!("\"{name}\""),
        _ => format!("\"{name}\" and {}", plural::count(others, "other name")),
    }
}

/// The kind of error by which a file cannot be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileErrorKind {
    /// An error of the disk or the system.
    Disk,
    /// A file with another content has its name, and was not to be kept aside.
    Occupied,
    /// Its holders changed it, or described it wrongly.
    Changed,
}
