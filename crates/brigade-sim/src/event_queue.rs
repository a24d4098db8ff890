//! The queue of future events, ordered by time and then by the order of scheduling.
//!
//! Only the order is kept here; `event_loop` handles the events.

use std::{cmp::Reverse, collections::BinaryHeap};

use brigade_core::{
    geometry::PieceIndex,
    manager::SessionId,
    time::Timestamp,
    wire::manager::{FromManager, ToManager},
};

use crate::{
    identifiers::{ConnectionNumber, ContentNumber, PeerNumber},
    network::connection::{PeerMessage, Segment},
    plan::PlannedEvent,
};

/// An event in the future.
#[derive(Debug)]
pub(crate) enum ScheduledEvent {
    /// An event of the plan.
    Planned(PlannedEvent),
    /// A message arrives at the holder's end of a connection, or at the downloader's.
    Message { on: ConnectionNumber, to_holder: bool, message: PeerMessage },
    /// A peer sends the numbers of its new pieces.
    SendHave { by: PeerNumber, content: ContentNumber },
    /// The downloaders of a content receive them.
    HaveReceived { by: PeerNumber, content: ContentNumber, pieces: Box<[u32]> },
    /// A peer has sent a segment.
    Sent { by: PeerNumber, on: ConnectionNumber, segment: Segment },
    /// A segment arrives at the downloader's link.
    AtLink { on: ConnectionNumber, segment: Segment },
    /// It has passed the link.
    Received { on: ConnectionNumber, segment: Segment },
    /// The holder learns that segments arrived, after its window was full.
    Acknowledged { by: PeerNumber, on: ConnectionNumber },
    /// A piece is hashed and, where it is right, written.
    Hashed { by: PeerNumber, from: PeerNumber, content: ContentNumber, piece: PieceIndex },
    /// An attempt to connect ended.
    Dialled { by: PeerNumber, to: PeerNumber },
    /// The downloader sees that its connection is gone.
    Broken { on: ConnectionNumber },
    /// A peer's deadline as a downloader.
    Deadline { of: PeerNumber },
    /// A peer's deadline as a holder.
    OfferDeadline { of: PeerNumber },
    /// A peer that sends by turns sends a sign of life to waiting downloaders.
    KeepAlive { of: PeerNumber },
    /// A peer's connection to the manager is made.
    Entered { peer: PeerNumber },
    /// A message arrives at the manager.
    ToManager { session: SessionId, message: Box<ToManager> },
    /// A message from the manager arrives.
    FromManager { to: PeerNumber, session: SessionId, message: Box<FromManager> },
    /// The manager sees that a session is gone.
    SessionBroken { session: SessionId },
    /// A peer sees that its session is gone.
    SessionEnded { of: PeerNumber, session: SessionId },
    /// A peer keeps its lease.
    Renew { of: PeerNumber, session: SessionId },
    /// The manager's deadline.
    ManagerDeadline,
}

/// All future events, the earliest first.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    heap: BinaryHeap<Reverse<QueueEntry>>,
    scheduled: u64,
}

#[derive(Debug)]
pub(crate) struct QueueEntry {
    pub(crate) at: Timestamp,
    pub(crate) number: u64,
    pub(crate) what: ScheduledEvent,
}

impl EventQueue {
    pub(crate) fn add(&mut self, at: Timestamp, what: ScheduledEvent) {
        self.scheduled += 1;
        self.heap.push(Reverse(QueueEntry { at, number: self.scheduled, what }));
    }

    pub(crate) fn next(&mut self) -> Option<QueueEntry> {
        self.heap.pop().map(|Reverse(next)| next)
    }
}

impl PartialEq for QueueEntry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for QueueEntry {}
impl PartialOrd for QueueEntry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for QueueEntry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// The time of a deadline, or now if it has passed.
pub(crate) fn no_earlier(at: Timestamp, now: Timestamp) -> Timestamp {
    at.max(now)
}
