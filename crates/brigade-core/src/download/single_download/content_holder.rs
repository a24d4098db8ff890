//! What one holder is to one content: whether it may be asked, and which pieces it has.
//!
//! A holder has one window and one queue of requests for all contents: they are in `holders::holder`.

use std::time::Duration;

use crate::{
    backoff::Backoff, bitfield::Bitfield, download::events_and_actions::HolderId, geometry::PieceIndex,
    time::Timestamp,
};

/// How long a holder that refused a content is left alone at first, and at most.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Which pieces a holder has.
#[derive(Debug)]
pub(crate) enum HolderPieces {
    /// Every one.
    All,
    /// These.
    Some(Bitfield),
}

/// How far a content is opened at a holder. A content of a single piece counts as open once it is connected.
#[derive(Debug)]
pub(crate) enum Channel {
    /// Not at all.
    Closed,
    /// It was asked for.
    Opening,
    /// The holder said what it has.
    Open(HolderPieces),
}

/// Whether a holder may be asked for a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceState {
    /// It may.
    Usable,
    /// It refused, and is asked again after a while.
    BackingOff,
    /// It lied, and is not asked again.
    Banned,
}

/// One holder of one content.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) holder: HolderId,
    /// Whether the manager names it now.
    pub(crate) named: bool,
    pub(crate) state: SourceState,
    pub(crate) channel: Channel,
    /// How long it is left alone after each refusal since it sent a piece.
    pub(crate) retry: Backoff,
    /// Bytes of this content asked of it and not stored.
    pub(crate) in_flight_bytes: u64,
    /// How many missing pieces a partial holder has.
    pub(crate) useful: u32,
    /// Whether the holder's list of contents to ask for has this one.
    pub(crate) ready: bool,
    /// Whether it was told that a turn is wanted.
    pub(crate) wanted: bool,
    /// Whether its last offer was declined, and nothing has changed since.
    pub(crate) is_declined: bool,
    /// Since when it has nothing that is missing here.
    pub(crate) useless_since: Option<Timestamp>,
}

impl HolderPieces {
    pub(crate) fn has(&self, piece: PieceIndex) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => bits.has(piece),
        }
    }
}

impl Source {
    pub(crate) const fn new(holder: HolderId) -> Self {
        Self {
            holder,
            named: true,
            state: SourceState::Usable,
            channel: Channel::Closed,
            retry: Backoff::new(FIRST_RETRY, LAST_RETRY),
            in_flight_bytes: 0,
            useful: 0,
            ready: false,
            wanted: false,
            is_declined: false,
            useless_since: None,
        }
    }

    /// What it has, where it said so.
    pub(crate) const fn has(&self) -> Option<&HolderPieces> {
        match &self.channel {
            Channel::Open(has) => Some(has),
            Channel::Closed | Channel::Opening => None,
        }
    }

    /// Whether it said that it has `piece`, and may be asked.
    pub(crate) fn offers(&self, piece: PieceIndex) -> bool {
        self.state == SourceState::Usable && self.has().is_some_and(|has| has.has(piece))
    }
}
