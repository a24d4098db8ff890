//! What the manager shows: the table of peers as a snapshot, and the events of its life.
//!
//! The owner publishes; whoever shows something follows the snapshot (`watch`: only the latest counts) or the
//! events (`broadcast`: who is too slow misses the oldest, and the manager never waits).

use std::net::SocketAddr;

use brigade_core::{
    id::PeerKey,
    manager::{Event, Row},
    time::UnixTime,
};

/// Events that a slow listener may be behind before it misses some.
pub(super) const EVENTS: usize = 256;

/// The manager as it is at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its key, which is the network's.
    pub key: PeerKey,
    /// When it was started.
    pub since: UnixTime,
    /// How many peers may be there at once.
    pub max_peers: usize,
    /// Those that are there, by username.
    pub rows: Vec<Row>,
}

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifeEvent {
    /// When.
    pub at: UnixTime,
    /// What.
    pub event: Event,
}
