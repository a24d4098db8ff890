//! What is going to happen, and in which order: by time, and what was said first comes first.
//!
//! Only the order is kept here; what follows from each happening is in `world` and its siblings.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use brigade_core::{
    geometry::PieceIndex,
    manager::SessionId,
    time::Timestamp,
    wire::manager::{FromManager, ToManager},
};

use crate::{
    network::{ConnectionNumber, Note, Segment},
    workload::Deed,
    world::{ContentNumber, PeerNumber},
};

/// Something that is going to happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// The plan has something in store.
    Deed(Deed),
    /// A message comes to the holder's end of a connection, or to the newcomer's.
    Note { on: ConnectionNumber, to_holder: bool, note: Note },
    /// A peer tells of its new pieces.
    Tell { by: PeerNumber, content: ContentNumber },
    /// All who hear of them do.
    Passed { by: PeerNumber, content: ContentNumber, pieces: Box<[u32]> },
    /// A peer has sent a segment.
    Sent { by: PeerNumber, on: ConnectionNumber, segment: Segment },
    /// A segment comes to the newcomer's line.
    AtLine { on: ConnectionNumber, segment: Segment },
    /// It is through.
    Received { on: ConnectionNumber, segment: Segment },
    /// The holder's end hears that segments came, after it could send no more without that.
    Acknowledged { by: PeerNumber, on: ConnectionNumber },
    /// A piece is hashed and, where it is right, written.
    Hashed { by: PeerNumber, from: PeerNumber, content: ContentNumber, piece: PieceIndex },
    /// An attempt to connect has come to something.
    Dialled { by: PeerNumber, to: PeerNumber },
    /// The newcomer sees that its connection is gone.
    Broken { on: ConnectionNumber },
    /// A peer's deadline as a newcomer.
    Deadline { of: PeerNumber },
    /// A peer's deadline as a holder.
    OfferDeadline { of: PeerNumber },
    /// A peer that sends by turns shows those who wait that it lives.
    Signs { of: PeerNumber },
    /// A peer's connection to the manager is made.
    Entered { peer: PeerNumber },
    /// A message comes to the manager.
    ToManager { session: SessionId, message: Box<ToManager> },
    /// A message comes from the manager.
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

/// All that is going to happen.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

#[derive(Debug)]
pub(crate) struct Scheduled {
    pub(crate) at: Timestamp,
    pub(crate) number: u64,
    pub(crate) what: Happening,
}

impl Queue {
    pub(crate) fn add(&mut self, at: Timestamp, what: Happening) {
        self.scheduled += 1;
        self.heap.push(Reverse(Scheduled { at, number: self.scheduled, what }));
    }

    pub(crate) fn next(&mut self) -> Option<Scheduled> {
        self.heap.pop().map(|Reverse(next)| next)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// How long before a deadline that has passed already: at once.
pub(crate) fn no_earlier(at: Timestamp, now: Timestamp) -> Timestamp {
    at.max(now)
}

/// How long a connection takes to be made, in delays: TCP, TLS, hello.
pub(crate) fn handshake(delay: Duration) -> Duration {
    delay * 6
}
