//! Shares in place, and the verification of the files on the disk.
//!
//! A share is a folder or a file outside the peer's own folder, served under a name.

use brigade_core::name::FileName;
use brigade_node::peer as node;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fetch::FileError;

/// A folder or a file that is shared in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// The name in the network: a file `x` of the folder has the name `NAME/x`.
    pub name: String,
    /// Its path on this machine.
    pub path: String,
    /// Files that are shared.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Files that are not hashed yet.
    pub backlog: u64,
    /// Why nothing of it is shared at present, or another problem of it as a whole.
    pub problem: Option<String>,
    /// Whether it comes from the settings or the command line: then it is back at the next start, whatever is done here.
    pub configured: bool,
}

/// All shares of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareList {
    /// The shares, by name.
    pub shares: Vec<Share>,
}

/// A folder or a file to share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "path": "/media/films", "name": "films" }))]
pub struct NewShare {
    /// Its absolute path on this machine.
    pub path: String,
    /// The name in the network; null for the last part of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A verification to begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "name": "films", "repair": true }))]
pub struct VerifyOrder {
    /// Only files with this name or below it; empty for all.
    #[serde(default)]
    pub name: String,
    /// Whether damaged files are fetched again.
    #[serde(default)]
    pub repair: bool,
}

/// A verification: the shared files are hashed again and compared with the announced contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// The name that was asked for; empty for all files.
    pub name: String,
    /// Its state.
    pub state: VerificationState,
    /// When it began, in seconds since 1970.
    pub begun_s: u64,
    /// Files to verify.
    pub files: u64,
    /// Files that were verified.
    pub files_done: u64,
    /// Bytes to verify.
    pub bytes: u64,
    /// Bytes that were verified.
    pub bytes_done: u64,
    /// The file that is being hashed.
    pub current: Option<String>,
    /// The damaged files, at most a thousand.
    pub damaged: Vec<DamagedFile>,
    /// Kept parts of files that are damaged: their pieces are fetched again with the file.
    pub damaged_parts: Vec<DamagedPart>,
    /// Files that could not be read.
    pub unreadable: Vec<FileError>,
    /// Files that were changed meanwhile, and are hashed as every changed file.
    pub changed: u64,
    /// The number of findings that are not listed.
    pub rest: u64,
    /// Whether damaged files are fetched again at the end.
    pub repair: bool,
}

/// The state of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerificationState {
    /// It runs.
    Running,
    /// All files were verified.
    Done,
    /// It was cancelled.
    Cancelled,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// A file whose bytes are not those that were announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DamagedFile {
    /// Its name.
    pub name: String,
    /// The id of the announced content, 64 hexadecimal digits.
    pub expected: String,
    /// The size of the announced content in bytes.
    pub size: u64,
    /// The id of the content on the disk.
    pub found: String,
    /// Whether it can be fetched again: it is not in a share in place, where nothing is written.
    pub repairable: bool,
    /// The number of the fetch that repairs it.
    pub repaired_by: Option<u64>,
    /// Why it was not repaired, if that was tried.
    pub repair_error: Option<String>,
}

/// A kept part of a file that is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DamagedPart {
    /// The name under which the file was last wanted.
    pub name: Option<String>,
    /// The id of the content, 64 hexadecimal digits.
    pub id: String,
    /// The size of the content in bytes.
    pub size: u64,
    /// The number of damaged pieces.
    pub pieces: u32,
}

impl From<&node::ShareStatus> for Share {
    fn from(status: &node::ShareStatus) -> Self {
        Self {
            name: status.name.to_string(),
            path: status.path.display().to_string(),
            files: status.files as u64,
            bytes: status.bytes,
            backlog: status.backlog.files as u64,
            problem: status.problem.clone(),
            configured: status.is_configured,
        }
    }
}

impl Verification {
    /// A verification that began at a time in seconds since 1970.
    pub fn new(progress: &node::VerifyProgress, begun_s: u64, repair: bool) -> Self {
        let state = match progress.state {
            node::VerifyState::Running => VerificationState::Running,
            node::VerifyState::Finished => VerificationState::Done,
            node::VerifyState::Cancelled => VerificationState::Cancelled,
            _ => VerificationState::Unknown,
        };
        let unreadable =
            |(name, error): &(FileName, String)| FileError { name: name.to_string(), error: error.clone() };
        Self {
            name: progress.name.clone(),
            state,
            begun_s,
            files: progress.files as u64,
            files_done: progress.files_done as u64,
            bytes: progress.bytes,
            bytes_done: progress.bytes_done,
            current: progress.current.as_ref().map(ToString::to_string),
            damaged: progress.damaged.iter().map(DamagedFile::from).collect(),
            damaged_parts: progress.damaged_parts.iter().map(DamagedPart::from).collect(),
            unreadable: progress.unreadable.iter().map(unreadable).collect(),
            changed: progress.changed as u64,
            rest: progress.unlisted as u64,
            repair,
        }
    }
}

impl From<&node::Damage> for DamagedFile {
    fn from(damage: &node::Damage) -> Self {
        Self {
            name: damage.name.to_string(),
            expected: damage.expected.id.to_string(),
            size: damage.expected.size,
            found: damage.found.to_string(),
            repairable: damage.can_be_repaired,
            repaired_by: None,
            repair_error: None,
        }
    }
}

impl From<&node::DamagedPart> for DamagedPart {
    fn from(part: &node::DamagedPart) -> Self {
        Self {
            name: part.name.as_ref().map(ToString::to_string),
            id: part.content.id.to_string(),
            size: part.content.size,
            pieces: part.pieces,
        }
    }
}
