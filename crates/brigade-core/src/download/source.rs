//! What one holder is to one content: whether it may be asked, and which pieces it has.
//!
//! Windows and the queue of what was asked are the holder's, over all contents: see `holder`.

use super::HolderId;
use crate::{bitfield::Bitfield, geometry::PieceIndex, time::Timestamp};

/// Which pieces a holder has.
#[derive(Debug)]
pub(super) enum Has {
    /// Every one.
    All,
    /// These.
    Some(Bitfield),
}

/// How far a content is opened at a holder. A content of a single piece counts as open once it is connected.
#[derive(Debug)]
pub(super) enum Channel {
    /// Not at all.
    Closed,
    /// It was asked for.
    Opening,
    /// The holder said what it has.
    Open(Has),
}

/// Whether a holder may be asked for a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It may.
    Good,
    /// It refused, and is asked again after a while.
    Resting,
    /// It lied, and is not asked again.
    Shunned,
}

/// One holder of one content.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) holder: HolderId,
    /// Whether the manager names it now.
    pub(super) named: bool,
    pub(super) standing: Standing,
    pub(super) channel: Channel,
    /// How often it refused since it sent a piece.
    pub(super) refusals: u32,
    /// Bytes of this content asked of it and not stored.
    pub(super) in_flight_bytes: u64,
    /// How many missing pieces a partial holder has.
    pub(super) useful: u32,
    /// Whether the holder's list of contents to ask for has this one.
    pub(super) ready: bool,
    /// Whether it was told that a turn is wanted.
    pub(super) wanted: bool,
    /// Whether its last offer was declined, and nothing has changed since.
    pub(super) passed: bool,
    /// Since when it has nothing that is missing here.
    pub(super) useless_since: Option<Timestamp>,
}

impl Has {
    pub(super) fn has(&self, piece: PieceIndex) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => bits.has(piece),
        }
    }
}

impl Source {
    pub(super) const fn new(holder: HolderId) -> Self {
        Self {
            holder,
            named: true,
            standing: Standing::Good,
            channel: Channel::Closed,
            refusals: 0,
            in_flight_bytes: 0,
            useful: 0,
            ready: false,
            wanted: false,
            passed: false,
            useless_since: None,
        }
    }

    /// What it has, where it said so.
    pub(super) const fn has(&self) -> Option<&Has> {
        match &self.channel {
            Channel::Open(has) => Some(has),
            Channel::Closed | Channel::Opening => None,
        }
    }

    /// Whether it said that it has `piece`, and may be asked.
    pub(super) fn offers(&self, piece: PieceIndex) -> bool {
        self.standing == Standing::Good && self.has().is_some_and(|has| has.has(piece))
    }
}
