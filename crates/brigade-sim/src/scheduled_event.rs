//! The events of a simulation that can lie in the future.
//!
//! `event_queue` orders them by time, and `event_loop` handles them.

use brigade_core::{
    geometry::PieceIndex,
    manager::SessionId,
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
