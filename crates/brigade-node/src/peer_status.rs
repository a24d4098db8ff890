//! The status of a peer, and of its session with the manager.
//!
//! A peer also publishes the values that change often as `watch` channels; [`PeerStatus`] has all values of one moment.

use std::{net::SocketAddr, sync::Arc};

use brigade_core::{id::PeerKey, name::Username};

use crate::{
    identity::clock_check::ClockDifference,
    listen_addresses::UnreachableFrom,
    progress::MemberTraffic,
    store::keeper::{HashingProgress, ProblemList},
};

/// The status of a peer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Its name.
    pub username: Username,
    /// Its key.
    pub key: PeerKey,
    /// The address on which it listens.
    pub address: SocketAddr,
    /// The peers that cannot reach it there, if there are any.
    pub unreached: Option<UnreachableFrom>,
    /// The state of the session with the manager.
    pub manager: ManagerState,
    /// The difference between its clock and the manager's, if it is too large.
    pub clock: Option<ClockDifference>,
    /// Files shared, and their bytes together.
    pub files: usize,
    /// Bytes shared.
    pub bytes: u64,
    /// Bytes of piece data that are sent per second now.
    pub sending: u64,
    /// Bytes of piece data that are received per second now.
    pub receiving: u64,
    /// The piece data sent to each downloader, the largest first.
    pub sent: Vec<MemberTraffic>,
    /// Files that are not hashed yet, and so not shared.
    pub backlog: HashingProgress,
    /// Parts of files that nobody is fetching.
    pub kept: KeptTotals,
    /// Files that are not shared, and errors of the keeper.
    pub problems: Arc<ProblemList>,
}

/// The state of the session, as the user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagerState {
    /// The manager is connected.
    Here {
        /// Whether all files that were in the folder at the start are in the catalogue.
        announced: bool,
    },
    /// The manager is not connected; the session goes on dialling it.
    Away {
        /// The cause.
        cause: String,
    },
    /// The manager refuses this peer for good; it is not dialled again.
    Refused {
        /// The cause.
        cause: String,
    },
}

/// The parts that nobody is fetching.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptTotals {
    /// How many there are.
    pub parts: usize,
    /// Bytes that they take on the disk.
    pub bytes: u64,
}

/// How much of a content is in the folder of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalContent {
    /// All of it, and it is shared.
    Whole,
    /// It is being fetched, and the pieces that are here are served.
    Partly,
    /// Nothing of it is shared or served.
    Missing,
}
