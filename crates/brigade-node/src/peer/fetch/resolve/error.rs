//! Why nothing can be fetched under a name, each reason with what was asked for.
//!
//! What people are told to do about it is the terminal's to say.

use brigade_core::{
    limits,
    name::{BadName, FileName, Username},
    plural::count,
    wire::manager::Version,
};

use super::{AskError, Choice};

/// Why nothing can be fetched under a name.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Nobody shares it.
    #[error("nobody shares \"{name}\"")]
    NotFound {
        /// What was asked for.
        name: String,
        /// Names that come near it.
        closest: Vec<FileName>,
    },
    /// There are several contents under a name.
    #[error("{} has {}", .choices[0].name, count(.choices[0].versions.len(), "content"))]
    Ambiguous {
        /// The names and their contents; at least one, at most 64.
        choices: Vec<Choice>,
        /// How many more names there are with several contents.
        rest: usize,
    },
    /// There is the name, but not the version that was asked for.
    #[error("no content of \"{name}\" is {wanted}")]
    NoSuchVersion {
        /// The name.
        name: String,
        /// What was wanted of it.
        wanted: String,
        /// The contents that there are.
        versions: Vec<Version>,
    },
    /// The member that the content was wanted from is not in the network now.
    #[error("nobody with the username \"{username}\" is in the network now")]
    NotHere {
        /// The member.
        username: Username,
    },
    /// The name cannot be one.
    #[error("\"{name}\" cannot be the name of a file: {why}")]
    BadName {
        /// What was asked for.
        name: String,
        /// Which rule it breaks.
        why: BadName,
    },
    /// The pattern makes no sense.
    #[error("\"{pattern}\" is not a pattern: {why}")]
    BadPattern {
        /// What was asked for.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// More files than one fetch takes.
    #[error("\"{name}\" has more than {} files", limits::ANNOUNCED_NAMES)]
    TooMany {
        /// What was asked for.
        name: String,
    },
    /// The manager did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}
