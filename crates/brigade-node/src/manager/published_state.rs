//! The published state of the manager: a snapshot of the table of peers, and its events.
//!
//! The owner publishes. A user interface follows the snapshot (`watch`: only the latest counts) or the events
//! (`broadcast`: a slow receiver misses the oldest ones, and the manager never waits for it).

use std::net::SocketAddr;

use brigade_core::{
    id::PeerKey,
    manager::{Event, Row},
    time::UnixTime,
};

/// Events that a slow receiver may be behind before it misses some.
pub(super) const EVENTS: usize = 256;

/// The state of the manager at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ManagerView {
    /// The address on which it listens.
    pub address: SocketAddr,
    /// Its key, which is the network's.
    pub key: PeerKey,
    /// When it was started.
    pub since: UnixTime,
    /// The limit on peers that are connected at one time.
    pub max_peers: usize,
    /// The connected peers, by username.
    pub rows: Vec<Row>,
}

impl ManagerView {
    /// A manager without peers.
    pub const fn new(address: SocketAddr, key: PeerKey, since: UnixTime, max_peers: usize) -> Self {
        Self { address, key, since, max_peers, rows: vec![] }
    }
}

/// An event in the life of the network, with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LifeEvent {
    /// When it happened.
    pub at: UnixTime,
    /// The event.
    pub event: Event,
}

impl LifeEvent {
    /// An event at this time.
    pub const fn new(at: UnixTime, event: Event) -> Self {
        Self { at, event }
    }
}
