//! The files of a folder that are not shared, with the reasons, and the problems of the folder itself.
//!
//! The peer lists a bounded number of them, and counts the others.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A file or folder that is not shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnsharedFile {
    /// Its path below the shared folder.
    pub path: String,
    /// Why it is not shared.
    pub reason: String,
}

/// A page of the files that are not shared, in the order of their paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnsharedPage {
    /// Problems of the folder itself, as sentences.
    pub folder: Vec<String>,
    /// What to do about each of them, in the same order.
    #[serde(default)]
    pub folder_hints: Vec<String>,
    /// What ignore files exclude.
    pub ignored: IgnoredFiles,
    /// The files.
    pub files: Vec<UnsharedFile>,
    /// The value of `after` for the next page; null after the last one.
    pub next: Option<String>,
    /// The number of further files, which are not listed.
    pub rest: u64,
}

/// What ignore files exclude.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IgnoredFiles {
    /// Files with patterns.
    pub files: u64,
    /// Patterns in them.
    pub patterns: u64,
    /// Files and folders that the last scan ignored.
    pub entries: u64,
}
