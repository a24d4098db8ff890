//! Why a request names no files; and a name with several contents, of which a person has to choose one.
//!
//! These are values only. [`Peer::resolve`](crate::peer::Peer::resolve) returns them.

use brigade_core::{
    limits,
    name::{FileName, NameError, Username},
    plural::count,
    wire::manager::Version,
};

use crate::peer_error::AskError;

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

impl ResolveError {
    /// Nobody shares `name`; these names are similar.
    pub(crate) fn not_found(name: &str, closest: Vec<FileName>) -> Self {
        Self::NotFound { name: name.to_owned(), closest }
    }

    /// No content of `name` is `wanted`.
    pub(crate) fn no_version(name: &str, wanted: String) -> Self {
        Self::NoSuchVersion { name: name.to_owned(), wanted, versions: vec![] }
    }

    /// Whether the answer may change when peers come back.
    pub(crate) const fn may_change(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::NoSuchVersion { .. } => true,
            Self::Ask(error) => error.is_not_here(),
            _ => false,
        }
    }
}

/// A name with several contents.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AmbiguousName {
    /// The name.
    pub name: FileName,
    /// The contents, the one with most holders first.
    pub versions: Vec<Version>,
}

impl AmbiguousName {
    /// A name, and its contents.
    pub const fn new(name: FileName, versions: Vec<Version>) -> Self {
        Self { name, versions }
    }
}
