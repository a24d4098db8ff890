//! The status of a peer, and the version of the program.
//!
//! [`PeerStatus`] has the values of one moment; those that change often are events too.

use brigade_node::peer as node;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fetch::Traffic;

/// The status of a peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerStatus {
    /// Its username now: one that is not bound may have another number after the manager was away.
    pub username: String,
    /// Its key, 64 hexadecimal digits.
    pub key: String,
    /// The key of the manager, which is the network's, 64 hexadecimal digits.
    pub network: String,
    /// The address on which it listens.
    pub address: String,
    /// Which peers cannot reach it there, and what to do, as a sentence; null if all reach it.
    pub unreached: Option<String>,
    /// Its folder.
    pub folder: String,
    /// The session with the manager.
    pub manager: ManagerLink,
    /// The difference between its clock and the manager's, if it is too large.
    pub clock: Option<ClockDifference>,
    /// Files that it shares.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Files that are not hashed yet, and so not shared.
    pub hashing: Hashing,
    /// Bytes of piece data that are sent a second now.
    pub sending: u64,
    /// Bytes of piece data that are received a second now.
    pub receiving: u64,
    /// The piece data sent to each downloader since the start, the largest first.
    pub sent: Vec<Traffic>,
    /// Parts of files that nobody fetches.
    pub kept: KeptParts,
    /// Fetches that have not ended.
    pub fetches: u64,
    /// The number of files that are not shared, and of problems of the folder.
    pub problems: u64,
    /// The version of the program.
    pub version: String,
    /// The number of its process.
    pub pid: u32,
    /// When it was started, in seconds since 1970.
    pub since_s: u64,
}

/// The session of a peer with its manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManagerLink {
    /// Its state.
    pub state: ManagerConnection,
    /// Why the manager is away, or refuses the peer.
    pub cause: Option<String>,
    /// Whether all files that were in the folder at the start are in the catalogue.
    pub announced: bool,
}

/// The state of a session with a manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ManagerConnection {
    /// It is connected.
    Connected,
    /// It is not connected, and is dialled again and again.
    Away,
    /// It refuses this peer for good, and is not dialled again.
    Refused,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// A difference between two clocks that is too large for memberships.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockDifference {
    /// Whether this machine's clock is behind the manager's.
    pub is_behind: bool,
    /// The difference in seconds.
    pub apart_s: u64,
    /// The difference and its effect, as a sentence.
    pub text: String,
}

/// The progress of hashing. Bytes are counted from the time at which there was last nothing to hash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hashing {
    /// Files that wait to be hashed, or are being hashed.
    pub files: u64,
    /// Bytes of these files and of those that were hashed since then.
    pub bytes: u64,
    /// Bytes that were hashed since then.
    pub bytes_done: u64,
    /// The large file that is being hashed.
    pub current: Option<String>,
    /// The time that the rest takes; null while it is not known.
    pub seconds_left: Option<u64>,
    /// Files that were written a moment ago or are open for writing: they are hashed later.
    pub settling: u64,
}

/// Parts of files that nobody fetches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptParts {
    /// How many there are.
    pub parts: u64,
    /// Bytes that they take on the disk.
    pub bytes: u64,
}

/// The versions of a program and of its API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// The version of the program.
    pub version: String,
    /// The version of the API: the first part of each path.
    pub api: String,
    /// `peer` or `manager`.
    pub kind: String,
}

impl From<&node::ManagerState> for ManagerLink {
    fn from(state: &node::ManagerState) -> Self {
        let link =
            |state, cause: Option<&String>, announced| Self { state, cause: cause.cloned(), announced };
        match state {
            node::ManagerState::Here { announced } => link(ManagerConnection::Connected, None, *announced),
            node::ManagerState::Away { cause } => link(ManagerConnection::Away, Some(cause), false),
            node::ManagerState::Refused { cause } => link(ManagerConnection::Refused, Some(cause), false),
            _ => link(ManagerConnection::Unknown, None, false),
        }
    }
}

impl From<node::ClockDifference> for ClockDifference {
    fn from(difference: node::ClockDifference) -> Self {
        let text = difference.to_string();
        Self { is_behind: difference.is_behind, apart_s: difference.apart_s, text }
    }
}

impl From<&node::HashingProgress> for Hashing {
    fn from(progress: &node::HashingProgress) -> Self {
        Self {
            files: progress.files as u64,
            bytes: progress.bytes,
            bytes_done: progress.bytes_done,
            current: progress.current.as_ref().map(ToString::to_string),
            seconds_left: progress.time_left().map(|left| left.as_secs()),
            settling: progress.settling as u64,
        }
    }
}

impl From<node::KeptTotals> for KeptParts {
    fn from(kept: node::KeptTotals) -> Self {
        Self { parts: kept.parts as u64, bytes: kept.bytes }
    }
}
