//! The result of a simulation: the times of all fetches, the bytes of each peer, and the broken rules.
//!
//! `event_loop` fills it in. Two runs of the same plan have the same digest.

use std::collections::{BTreeMap, BTreeSet};

use brigade_core::time::Timestamp;

use crate::identifiers::{ContentNumber, PeerNumber};

/// The result of a simulation.
#[derive(Debug, Default)]
pub struct Outcome {
    /// When each fetch began.
    pub started: BTreeMap<(PeerNumber, ContentNumber), Timestamp>,
    /// When each fetch was complete.
    pub finished: BTreeMap<(PeerNumber, ContentNumber), Timestamp>,
    /// The fetches that were not complete at the end, and whether the core reported `Starved` for them.
    pub unfinished: BTreeMap<(PeerNumber, ContentNumber), bool>,
    /// Bytes of pieces that the first peer stored and the second one sent.
    pub stored: BTreeMap<(PeerNumber, PeerNumber), u64>,
    /// Bytes of pieces that left each peer, by number.
    pub sent: Vec<u64>,
    /// Bytes of received pieces that were neither new nor wrong: sent by a second holder, or incomplete.
    pub fetched_twice: u64,
    /// Holders that one peer was connected to at once, at most.
    pub most_holders: usize,
    /// Turns that were offered, and those of them that were declined.
    pub offers: u64,
    /// See [`Self::offers`].
    pub declined: u64,
    /// Holders that were banned: the downloader that banned the holder, the holder, and the content.
    pub banned: BTreeSet<(PeerNumber, PeerNumber, ContentNumber)>,
    /// The rules that were broken.
    pub faults: Vec<String>,
    /// How many events the cores handled.
    pub events: u64,
    /// A number that is equal in two runs of the same plan and differs in others.
    pub digest: u64,
}
