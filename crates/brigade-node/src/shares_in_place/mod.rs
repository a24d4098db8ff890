//! Shares in place: folders and files that a peer serves where they are, without writing anything there.
//!
//! These are the values that a program gives and gets. `path_checks` decides whether a path may be shared under a name,
//! and `stored_shares` keeps those that were added while the peer ran. `share_keepers` runs them.

pub(crate) mod path_checks;
pub(crate) mod stored_shares;

use std::{io, path::PathBuf};

use brigade_core::name::{FileName, NameError};

use crate::store::keeper::HashingProgress;

/// Shares in place of one peer at the same time: each costs three threads and a watcher of the system.
pub const SHARES: usize = 64;

/// A folder or a file to be shared in place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedPath {
    /// Where it is. Links in it are followed when the share begins, and not later.
    pub path: PathBuf,
    /// Its name in the network: one component. `None` for the last component of the path.
    pub name: Option<FileName>,
}

impl SharedPath {
    /// The folder or file at `path`, under the last component of the path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), name: None }
    }

    /// Sets its name in the network.
    pub fn named(self, name: FileName) -> Self {
        Self { name: Some(name), ..self }
    }
}

/// A share in place that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckedShare {
    /// Its path: absolute, without links.
    pub path: PathBuf,
    /// Its name.
    pub name: FileName,
}

/// The state of a share in place at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ShareStatus {
    /// Its name in the network.
    pub name: FileName,
    /// Its path: absolute, without links.
    pub path: PathBuf,
    /// Files that are shared.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are not hashed yet, and so not shared.
    pub backlog: HashingProgress,
    /// Why nothing of it is shared now, or another problem of it as a whole. Files of it that are not shared are in the
    /// list of problems of the peer.
    pub problem: Option<String>,
    /// Whether it comes from the configuration; if so, it is not remembered for the next start.
    pub is_configured: bool,
}

/// Why a path is not shared in place, or a share not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CannotShare {
    /// There is nothing at the path.
    #[error("{path} cannot be shared: it is not there")]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("{path} cannot be shared: it cannot be read ({source})")]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// It is neither a folder nor a regular file.
    #[error("{path} cannot be shared: it is neither a folder nor a regular file")]
    Kind {
        /// The path.
        path: PathBuf,
    },
    /// It is the root of all files.
    #[error("{path} cannot be shared: it has all files of this machine; share a folder in it")]
    WholeMachine {
        /// The path.
        path: PathBuf,
    },
    /// It is in the private folder of a peer.
    #[error("{path} cannot be shared: `.brigade` has the secret key of a peer, and its other private files")]
    Private {
        /// The path.
        path: PathBuf,
    },
    /// It is the state of a manager, or in it.
    #[error("{path} cannot be shared: {state} is for the secret key and the members of a manager")]
    ManagerState {
        /// The path.
        path: PathBuf,
        /// The folder of the manager.
        state: PathBuf,
    },
    /// The user's own folder of Brigade is in it, or it is in that folder.
    #[error("{path} cannot be shared: BRIGADE_HOME ({home}) has Brigade's own files of this user")]
    Home {
        /// The path.
        path: PathBuf,
        /// The folder.
        home: PathBuf,
    },
    /// The same files would have two names.
    #[error("{path} cannot be shared: {relation}, which is shared already")]
    Overlap {
        /// The path.
        path: PathBuf,
        /// The other shared folder, and how the two overlap.
        relation: Overlap,
    },
    /// The last component of its path is no name.
    #[error("{path} needs another name to be shared: {source}")]
    LastComponent {
        /// The path.
        path: PathBuf,
        /// The error of the name.
        source: NameError,
    },
    /// The name is a path, hidden, or reserved.
    #[error("{name:?} cannot be the name of a share: {reason}")]
    Name {
        /// The name.
        name: String,
        /// The reason.
        reason: &'static str,
    },
    /// Another share has the name, or one that differs only in upper and lower case.
    #[error("{path} cannot be shared as {name}: {other} is shared under this name; give it another name")]
    NameOfShare {
        /// The path.
        path: PathBuf,
        /// The name.
        name: FileName,
        /// The path of the other share.
        other: PathBuf,
    },
    /// A file or folder at the top of the peer's own folder has the name.
    #[error(
        "{path} cannot be shared as {name}: {other} has this name; give the share another one, or rename that"
    )]
    NameInFolder {
        /// The path.
        path: PathBuf,
        /// The name.
        name: FileName,
        /// The path of the other file or folder.
        other: PathBuf,
    },
    /// There are too many.
    #[error(
        "no more than {SHARES} folders and files can be shared in place: remove a share, or share a folder above several of them"
    )]
    TooMany,
    /// It could not be remembered for the next start.
    #[error("the shares cannot be stored for the next start: {reason}")]
    NotStored {
        /// The cause.
        reason: String,
    },
    /// There is no such share.
    #[error("there is no share in place with the name or the path {0:?}")]
    Unknown(String),
    /// The peer shares only the files that it fetched.
    #[error("this session shares only the files that it fetched")]
    OnlyFetched,
    /// The peer is stopping.
    #[error("the peer is stopping")]
    Stopping,
}

/// How a path and a shared folder overlap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Overlap {
    /// They are the same.
    #[error("it is {}", .0.display())]
    Same(PathBuf),
    /// The path is in this shared folder.
    #[error("it is in {}", .0.display())]
    Inside(PathBuf),
    /// This shared folder is in the path.
    #[error("it contains {}", .0.display())]
    Contains(PathBuf),
}
