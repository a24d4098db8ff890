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
pub(in crate::download) enum HolderPieces {
    /// Every one.
    All,
    /// These.
    Some(Bitfield),
}

/// How far a content is opened at a holder. A content of a single piece counts as open once it is connected.
#[derive(Debug)]
pub(in crate::download) enum Channel {
    /// Not at all.
    Closed,
    /// It was asked for.
    Opening,
    /// The holder said what it has.
    Open(HolderPieces),
}

/// Whether a holder may be asked for a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::download) enum SourceState {
    /// It may.
    Usable,
    /// It refused, and is asked again after a while.
    BackingOff,
    /// It lied, and is not asked again.
    Banned,
}

/// One holder of one content.
#[derive(Debug)]
pub(in crate::download) struct Source {
    pub(in crate::download) holder: HolderId,
    /// Whether the manager names it now.
    pub(in crate::download) named: bool,
    pub(in crate::download) state: SourceState,
    pub(in crate::download) channel: Channel,
    /// How long it is left alone after each refusal since it sent a piece.
    pub(in crate::download) retry: Backoff,
    /// Bytes of this content asked of it and not stored.
    pub(in crate::download) in_flight_bytes: u64,
    /// How many missing pieces a partial holder has.
    pub(in crate::download) useful: u32,
    /// Whether the holder's list of contents to ask for has this one.
    pub(in crate::download) ready: bool,
    /// Whether it was told that a turn is wanted.
    pub(in crate::download) wanted: bool,
    /// Whether its last offer was declined, and nothing has changed since.
    pub(in crate::download) is_declined: bool,
    /// Since when it has nothing that is missing here.
    pub(in crate::download) useless_since: Option<Timestamp>,
}

impl HolderPieces {
    pub(in crate::download) fn has(&self, piece: PieceIndex) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => bits.has(piece),
        }
    }
}

impl Source {
    pub(in crate::download) const fn new(holder: HolderId) -> Self {
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
    pub(in crate::download) const fn has(&self) -> Option<&HolderPieces> {
        match &self.channel {
            Channel::Open(has) => Some(has),
            Channel::Closed | Channel::Opening => None,
        }
    }

    /// Whether it said that it has `piece`, and may be asked.
    pub(in crate::download) fn offers(&self, piece: PieceIndex) -> bool {
        self.state == SourceState::Usable && self.has().is_some_and(|has| has.has(piece))
    }
}
