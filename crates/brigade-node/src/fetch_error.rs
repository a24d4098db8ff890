//! Why a request names no files, why a fetch does not begin, and which kinds of errors a file of it can have.
//!
//! A fetch that has begun does not end with one of these: its [`Progress`](crate::progress::Progress) lists the files
//! that failed.

use std::path::PathBuf;

use brigade_core::{
    limits,
    name::{FileName, NameError, Username},
    plural::{self, count},
    wire::manager::Version,
};

use crate::{fetch_request::AmbiguousName, peer_error::AskError};

/// Why a request names no files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Nobody shares it.
    #[error("nobody shares \"{name}\"")]
    NotFound {
        /// The requested name.
        name: String,
        /// Similar names.
        closest: Vec<FileName>,
    },
    /// A name has several contents.
    #[error("{} has {}", .choices[0].name, count(.choices[0].versions.len(), "content"))]
    Ambiguous {
        /// The names and their contents; at least one, at most 64.
        choices: Vec<AmbiguousName>,
        /// The number of further names with several contents.
        rest: usize,
    },
    /// The name exists, but not the requested version.
    #[error("no content of \"{name}\" is {wanted}")]
    NoSuchVersion {
        /// The name.
        name: String,
        /// The requested version.
        wanted: String,
        /// The existing contents.
        versions: Vec<Version>,
    },
    /// The requested member is not in the network now.
    #[error("nobody with the username \"{username}\" is in the network now")]
    NotHere {
        /// The member.
        username: Username,
    },
    /// The name is not valid.
    #[error("\"{name}\" cannot be the name of a file: {reason}")]
    BadName {
        /// The requested name.
        name: String,
        /// The rule that it breaks.
        reason: NameError,
    },
    /// The pattern is not valid.
    #[error("\"{pattern}\" is not a pattern: {reason}")]
    BadPattern {
        /// The requested name.
        pattern: String,
        /// The reason.
        reason: String,
    },
    /// The name has more files than one fetch takes.
    #[error("\"{name}\" has more than {} files", limits::ANNOUNCED_NAMES)]
    TooMany {
        /// The requested name.
        name: String,
    },
    /// A name was given for the file, and the request names several files.
    #[error("\"{name}\" has {}, and only one file can be saved as \"{save_as}\"", count(*.files, "file"))]
    SeveralFiles {
        /// The requested name.
        name: String,
        /// The number of its files.
        files: usize,
        /// The name that was given.
        save_as: FileName,
    },
    /// The manager did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

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
    /// The files, and the reason for each; the first hundred.
    pub refused: Vec<(FileName, String)>,
    /// The number of these files.
    pub count: usize,
    /// The number of all files, of all names together.
    pub files: usize,
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
