//! A fetch of a peer: its request, its progress, and its result.
//!
//! `fetch_progress` converts it to and from the progress that the library publishes. `fetch_order` has what a client
//! asks for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A fetch. The fields have the same names as in the events of `fetch --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fetch {
    /// Its number, which no other fetch of this folder gets.
    pub id: u64,
    /// The requested name: a file, a folder, or a pattern.
    pub name: String,
    /// The member whose files were requested, if one was named.
    pub requested_from: Option<String>,
    /// Whether a file with the name and another content is kept aside.
    pub replace: bool,
    /// Its priority among the fetches of the peer.
    pub priority: Priority,
    /// Its state.
    pub state: FetchState,
    /// With `disk_full` and `no_inodes`: bytes that are still to be written.
    pub missing_bytes: Option<u64>,
    /// With `disk_full` and `no_inodes`: free bytes.
    pub free_bytes: Option<u64>,
    /// When it began, in seconds since 1970.
    pub begun_s: u64,
    /// When it ended, in seconds since 1970; null while it runs.
    pub ended_s: Option<u64>,
    /// How long it has run, in seconds.
    pub seconds: f64,
    /// The number of files.
    pub files: u64,
    /// Files that are done: fetched, or here before.
    pub files_done: u64,
    /// Files that were here before.
    pub files_already: u64,
    /// Files that only others share than the requested member.
    pub left_out: u64,
    /// Pieces of all its files.
    pub pieces: u64,
    /// Pieces that are verified and written.
    pub pieces_done: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Bytes that are verified and written.
    pub bytes_done: u64,
    /// Bytes that were here before the fetch began.
    pub bytes_already: u64,
    /// Bytes that were copied from an equal file.
    pub bytes_copied: u64,
    /// Bytes that another fetch of this peer received meanwhile.
    pub bytes_of_other_fetches: u64,
    /// Bytes that were received twice.
    pub bytes_twice: u64,
    /// Bytes a second that are received now.
    pub rate: u64,
    /// Bytes that are still to be received, as far as is known.
    pub left_bytes: u64,
    /// Bytes a second over a longer time; null while it is not known.
    pub steady_rate: Option<u64>,
    /// The time until the end; null while it is not known.
    pub seconds_left: Option<u64>,
    /// The number of connected holders of the contents that are fetched now.
    pub holders: u64,
    /// The bytes and pieces from each holder, most first.
    pub from: Vec<Traffic>,
    /// What each holder sends now, most first.
    pub holder_rates: Vec<HolderTraffic>,
    /// Files that failed; the first hundred.
    pub errors: Vec<FileError>,
    /// The number of files that failed.
    pub failed: u64,
    /// Those of them whose names belong to files with another content.
    pub occupied: u64,
    /// Those of them that their holders changed.
    pub changed: u64,
    /// Files that were kept aside for fetched files with their names; the first hundred.
    pub kept_aside: Vec<KeptAside>,
    /// Files of which no connected holder can send the missing pieces now; the first few.
    #[serde(default)]
    pub without_holder: Vec<String>,
    /// The number of these files.
    #[serde(default)]
    pub files_without_holder: u64,
    /// The number of known holders that cannot be reached, if the fetch waits for them.
    pub out_of_reach: u64,
    /// The number of holders that sent wrong data, if the fetch waits for one.
    pub wrong_data: u64,
    /// The holders that could not be used, and why; the first few.
    pub unreached: Vec<UnreachedHolder>,
}

/// A list of fetches, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FetchList {
    /// The fetches.
    pub fetches: Vec<Fetch>,
}

/// The state of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FetchState {
    /// The files that are here already are checked.
    Checking,
    /// Pieces are being received.
    Fetching,
    /// Other fetches of the same peer receive the missing files.
    WaitingForFetch,
    /// No connected holder can send the missing pieces; the fetch goes on when one can.
    Waiting,
    /// The disk is full; the fetch goes on when there is space.
    DiskFull,
    /// The file system cannot hold one more file; the fetch goes on when it can.
    NoInodes,
    /// It was paused.
    Paused,
    /// All files are verified, durable and under their names.
    Done,
    /// Some files failed.
    Failed,
    /// It was cancelled, or the peer stopped. Verified pieces are kept.
    Stopped,
    /// A state of a later version.
    #[serde(other)]
    Unknown,
}

/// The priority of a fetch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before all others.
    High,
    /// The usual one.
    #[default]
    Normal,
    /// After all others.
    Low,
}

/// The piece data from or to a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// The member.
    pub username: String,
    /// Bytes of piece data.
    pub bytes: u64,
    /// Whole pieces.
    pub pieces: u64,
}

/// What a holder sends to a fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderTraffic {
    /// The holder.
    pub username: String,
    /// Its address.
    pub address: String,
    /// Bytes of piece data since the fetch began.
    pub bytes: u64,
    /// Whole pieces since the fetch began.
    pub pieces: u64,
    /// Bytes a second now.
    pub rate: u64,
    /// Whether it is connected now.
    pub connected: bool,
}

/// A file that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileError {
    /// Its name.
    pub name: String,
    /// Its error.
    pub error: String,
}

/// A file that was kept aside for a fetched file with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptAside {
    /// Its name before.
    pub name: String,
    /// Its name now.
    pub aside: String,
}

/// A holder that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreachedHolder {
    /// Its username.
    pub username: String,
    /// The address that was dialled.
    pub address: String,
    /// The last error.
    pub cause: String,
}

/// Which pieces of a content are here: of the file of several pieces that a fetch receives now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PieceMap {
    /// The name of the file.
    pub name: String,
    /// The number of its pieces.
    pub pieces: u32,
    /// A bit for each piece, 1 if it is here: hexadecimal digits; the highest bit of the first byte is piece 0.
    pub have: String,
}

impl PieceMap {
    /// Whether each piece is here, in the order of the pieces; a piece that `have` does not mention is not.
    pub fn bits(&self) -> Vec<bool> {
        let digit =
            |at: usize| self.have.as_bytes().get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let bit = |piece: usize| digit(piece / 4).is_some_and(|bits| bits & (8 >> (piece % 4)) != 0);
        // What an answer claims must not decide how much memory is taken.
        let pieces = usize::try_from(self.pieces).unwrap_or(0).min(self.have.len().saturating_mul(4));
        (0..pieces).map(bit).collect()
    }
}

impl FetchState {
    /// Whether the fetch has ended.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::{FetchState, PieceMap};

    #[test]
    fn bits_of_a_piece_map_begin_with_the_highest() {
        let map = |pieces, have: &str| PieceMap { name: "a".into(), pieces, have: have.into() };
        assert_eq!(map(3, "a0").bits(), [true, false, true]);
        assert_eq!(map(9, "0180").bits(), [false, false, false, false, false, false, false, true, true]);
        assert_eq!(map(u32::MAX, "8").bits(), [true, false, false, false], "the digits bound the memory");
        assert_eq!(map(4, "zz").bits(), [false; 4]);
    }

    #[test]
    fn a_state_of_a_later_version_is_unknown() {
        assert_eq!(serde_json::from_str::<FetchState>("\"teleporting\"").unwrap(), FetchState::Unknown);
    }
}
