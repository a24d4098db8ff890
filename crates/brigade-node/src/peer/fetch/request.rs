//! What a person asks for: the files that this means, what they take on the disk, and why they cannot be fetched.
//!
//! These are values only. [`mod@super::resolve`] finds the files, [`super::disk_space`] and [`super::prepare`] look
//! whether they can be fetched.

use std::{collections::BTreeMap, path::PathBuf};

use brigade_core::{
    id::Content,
    limits,
    name::{FileName, NameError, Username},
    plural::{self, count},
    wire::manager::Version,
};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::progress::Progress;
use crate::{
    peer::session::AskError,
    store::{folder::FileSystemId, landing::Landing},
};

/// The number of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobId(pub(crate) u32);

/// A request of a person.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The name that the person typed: a file, a folder, `NAME@ID-PREFIX` or a pattern.
    pub name: String,
    /// If a name has several contents: the one that this member shares.
    pub from: Option<Username>,
    /// If a name has several contents: the chosen one.
    pub chosen: BTreeMap<FileName, Content>,
    /// Whether a file with the name and another content is kept aside.
    pub replace: bool,
}

/// The files of a request, and their common name.
#[derive(Debug)]
pub struct Resolved {
    pub(crate) name: String,
    pub(crate) files: Vec<WantedFile>,
}

/// A wanted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedFile {
    /// Its name.
    pub name: FileName,
    /// Its content.
    pub content: Content,
    /// When it was last written, in seconds since 1970.
    pub mtime_s: i64,
    /// Whether it is executable.
    pub executable: bool,
    /// Whether a file with the name and another content is kept aside.
    pub replace: bool,
}

impl WantedFile {
    /// How it lands.
    pub(crate) fn landing(&self) -> Landing {
        Landing {
            name: self.name.clone(),
            mtime_s: self.mtime_s,
            executable: self.executable,
            replace: self.replace,
        }
    }
}

/// A name with several contents.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The name.
    pub name: FileName,
    /// The contents, the one with most holders first.
    pub versions: Vec<Version>,
}

/// Why a request names no files.
#[derive(Debug, thiserror::Error)]
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
        choices: Vec<Choice>,
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
    #[error("\"{name}\" cannot be the name of a file: {why}")]
    BadName {
        /// The requested name.
        name: String,
        /// The rule that it breaks.
        why: NameError,
    },
    /// The pattern is not valid.
    #[error("\"{pattern}\" is not a pattern: {why}")]
    BadPattern {
        /// The requested name.
        pattern: String,
        /// The reason.
        why: String,
    },
    /// The name has more files than one fetch takes.
    #[error("\"{name}\" has more than {} files", limits::ANNOUNCED_NAMES)]
    TooMany {
        /// The requested name.
        name: String,
    },
    /// The manager did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// The files do not fit on the disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no room for {} in {}", called(.name, *.others), .folder.display())]
pub struct NoRoom {
    /// The requested name.
    pub name: String,
    /// The number of names that were requested with it.
    pub others: usize,
    /// The folder.
    pub folder: PathBuf,
    /// The missing space.
    pub lacks: Lacks,
}

/// Missing space on a file system: how much is needed beside the present pieces, and how much is free and not promised
/// to other fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacks {
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

/// Why fetches do not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchRefusal {
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error(transparent)]
    CannotLand(#[from] CannotLand),
}

/// Contents of several pieces that are fetched at the same time: each has three open files.
pub(crate) const OPEN_PARTS: usize = 64;

/// The space that a fetch needs on the disk: measured before it begins, and counted down since.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpaceNeeds {
    /// The file system of the folder itself.
    own: FileSystemId,
    /// Bytes that are still to be written.
    bytes: BTreeMap<FileSystemId, u64>,
    /// Files that are to be made.
    files: BTreeMap<FileSystemId, u64>,
    /// Names that are not on the file system of the folder itself.
    elsewhere: BTreeMap<FileName, FileSystemId>,
    /// A folder on each file system.
    folders: BTreeMap<FileSystemId, String>,
}

impl SpaceNeeds {
    /// A fetch that takes nothing yet, into a folder on this file system.
    pub(crate) fn new(own: FileSystemId) -> Self {
        Self { own, ..Self::default() }
    }

    /// The file system that a name is on.
    pub(crate) fn file_system_of(&self, name: &FileName) -> FileSystemId {
        self.elsewhere.get(name).copied().unwrap_or(self.own)
    }

    /// A folder on a file system, below the shared one.
    pub(crate) fn folder_on(&self, file_system: FileSystemId) -> String {
        self.folders.get(&file_system).cloned().unwrap_or_default()
    }

    /// Bytes that are still to be written to a file system.
    pub(crate) fn bytes_on(&self, file_system: FileSystemId) -> u64 {
        self.bytes.get(&file_system).copied().unwrap_or(0)
    }

    /// So many bytes are written, or are not needed.
    pub(crate) fn less(&mut self, name: &FileName, bytes: u64) {
        let left = self.bytes.entry(self.file_system_of(name)).or_default();
        *left = left.saturating_sub(bytes);
    }

    /// So many bytes are not written after all.
    pub(crate) fn more(&mut self, name: &FileName, bytes: u64) {
        let left = self.bytes.entry(self.file_system_of(name)).or_default();
        *left = left.saturating_add(bytes);
    }

    /// Bytes that are still to be written, by file system.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = (FileSystemId, u64)> {
        self.bytes.iter().map(|(file_system, bytes)| (*file_system, *bytes))
    }

    /// Files that are to be made on a file system.
    pub(crate) fn files_on(&self, file_system: FileSystemId) -> u64 {
        self.files.get(&file_system).copied().unwrap_or(0)
    }

    /// So many more files and folders are to be made on a file system.
    pub(crate) fn add_files(&mut self, file_system: FileSystemId, files: u64) {
        *self.files.entry(file_system).or_default() += files;
    }

    /// This is a folder on the file system, below the shared one.
    pub(crate) fn set_folder(&mut self, file_system: FileSystemId, folder: &str) {
        self.folders.insert(file_system, folder.to_owned());
    }

    /// A file takes so many bytes on a file system.
    pub(crate) fn add(&mut self, file: &WantedFile, file_system: FileSystemId, bytes: u64) {
        if file_system != self.own {
            self.elsewhere.insert(file.name.clone(), file_system);
        }
        let sum = self.bytes.entry(file_system).or_default();
        *sum = sum.saturating_add(bytes);
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

/// What is known of a full file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FullDisk {
    pub(crate) on: FileSystemId,
    pub(crate) free_bytes: u64,
    /// Whether there are bytes but no inodes.
    pub(crate) inodes: bool,
}

/// Fetches that are ordered together: all of them begin, or none.
#[derive(Debug)]
pub(crate) struct FetchOrder {
    pub(crate) fetches: Vec<OrderedFetch>,
    /// Receives whether they begin, or the reason.
    pub(crate) begun: oneshot::Sender<Result<(), FetchRefusal>>,
}

/// One ordered fetch.
#[derive(Debug)]
pub(crate) struct OrderedFetch {
    pub(crate) files: Resolved,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) given_up: CancellationToken,
}
