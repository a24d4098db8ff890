//! Events that [`Downloads`](super::Downloads) handles, and actions that it returns.
//!
//! Events and actions are plain values: tests write them by hand, and the simulator carries them out in the same way as
//! the node.

use std::sync::Arc;

use crate::{
    bitfield::Bitfield,
    geometry::PieceIndex,
    id::{Content, ContentId},
    piece_list::PieceList,
    wire::Reason,
};

/// The caller's number for a holder: one for each key, for any number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderId(pub u32);

/// The caller's number for a content that is being fetched; not used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownloadId(pub u32);

/// How urgent a content is. A holder that has several contents is asked for the most urgent one first.
///
/// A holder whose uplink has a limit chooses itself what it offers, whatever the priority is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Before all others.
    High,
    /// The priority of a content unless another one is set.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl Priority {
    /// The position of a content among all: by its priority, and then by the number of contents that `started` before.
    pub(super) const fn order(self, started: u64) -> u64 {
        let rank: u64 = match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low => 2,
        };
        rank << Self::RANK_SHIFT | started
    }

    /// No peer starts as many contents as this leaves room for.
    const RANK_SHIFT: u32 = 60;
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A content is wanted. If a holder has several, those with a higher priority come first, and among equal ones
    /// those that were started earlier.
    Start {
        /// Its number, which no other has.
        download: DownloadId,
        /// What is wanted.
        content: Content,
        /// Its piece list where that is known already.
        list: Option<Arc<PieceList>>,
        /// The pieces that are here and verified; of a length that fits the content.
        have: Bitfield,
        /// How urgent it is.
        priority: Priority,
    },
    /// Who holds the content now, as the manager says; in place of what it said before.
    Holders {
        /// Which content.
        download: DownloadId,
        /// Those who have all of it; at most [`HOLDERS_NAMED`](crate::limits::HOLDERS_NAMED) are looked at.
        complete: Vec<HolderId>,
        /// Those who have a part of it; likewise.
        partial: Vec<HolderId>,
    },
    /// The holder is connected and greeted.
    Connected {
        /// Who.
        holder: HolderId,
    },
    /// The holder could not be reached, or refused the connection: before the greeting, or as the first thing after it.
    Unreachable {
        /// Who.
        holder: HolderId,
    },
    /// The connection to the holder ended, and all that was asked on it with it.
    Lost {
        /// Who.
        holder: HolderId,
    },
    /// The holder has every piece.
    HaveAll {
        /// Who.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
    },
    /// A page of the holder's bitfield.
    Bits {
        /// Who.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// The piece of the first bit.
        first: u32,
        /// One bit a piece.
        bits: Vec<u8>,
    },
    /// Pieces that the holder has since.
    Have {
        /// Who.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// Which.
        pieces: Vec<u32>,
    },
    /// Whether the holder sends pieces by turns from now on; or, where nothing changes by that, a sign of life while a
    /// turn is waited for.
    Turns {
        /// Who.
        holder: HolderId,
        /// Whether it does.
        limited: bool,
    },
    /// The holder offers a piece; [`Action::Request`] or [`Action::Decline`] answers.
    Offered {
        /// Who.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// The holder's number for it.
        offer: u32,
        /// The pieces that it has sent least; at most [`OFFERED_PIECES`](crate::limits::OFFERED_PIECES) are looked at.
        pieces: Vec<u32>,
    },
    /// A page of the piece list.
    ListPage {
        /// Who sent it.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// The piece of the first value.
        first: u32,
        /// One chaining value a piece.
        values: Vec<[u8; 32]>,
    },
    /// This many bytes of a piece are here. The caller may report this a few times a second, or never. It shows that a
    /// long piece on a slow connection still makes progress.
    Progress {
        /// Who sends it.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// Which piece.
        piece: PieceIndex,
        /// Its bytes that are here, from its start.
        bytes: u32,
    },
    /// Whether the caller does not read from the holder, because our own limit makes it wait. Meanwhile the holder's
    /// silence and its rate say nothing about the holder.
    Throttled {
        /// Whom it does not read from, or reads from again.
        holder: HolderId,
        /// Whether it does so.
        throttled: bool,
    },
    /// All bytes of a piece are in memory; [`Event::Stored`] or [`Event::Wrong`] follows, even if the connection
    /// ends before.
    Arrived {
        /// Who sent it.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// Which piece.
        piece: PieceIndex,
    },
    /// A piece is verified and written.
    Stored {
        /// Who sent it.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// Which piece.
        piece: PieceIndex,
    },
    /// A piece does not hash to what it must.
    Wrong {
        /// Who sent it.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// Which piece.
        piece: PieceIndex,
    },
    /// The holder refused a piece, or all of a content.
    Refused {
        /// Who.
        holder: HolderId,
        /// Which content.
        download: DownloadId,
        /// The piece; `None` where the content's channel was refused, and is closed thereby.
        piece: Option<PieceIndex>,
        /// Why.
        reason: Reason,
    },
    /// The content is not wanted any more, or cannot be written.
    Forget {
        /// Which.
        download: DownloadId,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Dial the holder; [`Event::Connected`] or [`Event::Unreachable`] answers.
    Connect {
        /// Who.
        holder: HolderId,
    },
    /// End the connection to the holder; no event answers.
    Disconnect {
        /// Who.
        holder: HolderId,
    },
    /// Open a content on a channel; [`Event::HaveAll`], [`Event::Bits`] or [`Event::Refused`] answers.
    Open {
        /// At whom.
        holder: HolderId,
        /// Which.
        download: DownloadId,
        /// The same for the wire.
        content: Content,
    },
    /// Close a content's channel; whatever was asked on it is taken back thereby.
    Close {
        /// At whom.
        holder: HolderId,
        /// Which.
        download: DownloadId,
    },
    /// Ask for the piece list from a piece on; [`Event::ListPage`] or [`Event::Refused`] answers.
    AskList {
        /// Whom.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// The first piece whose value is wanted.
        first: u32,
    },
    /// Ask for a piece; for a content of a single piece, by its id and without a channel.
    Request {
        /// Whom.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// Which.
        piece: PieceIndex,
        /// The offer that this takes up, if it does.
        offer: Option<u32>,
    },
    /// Say that any piece would be taken that the holder has; [`Event::Offered`] answers, again and again, until one is
    /// declined or the channel is closed.
    Want {
        /// To whom.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
    },
    /// Say that nothing is needed of what was offered; nothing more is offered then until [`Action::Want`].
    Decline {
        /// To whom.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// The offer.
        offer: u32,
    },
    /// More holders are needed: too few of the named ones are useful. The caller asks the manager for others.
    MoreHolders {
        /// Of which content.
        download: DownloadId,
    },
    /// Take a request back, and drop what of the piece has come from this holder.
    Cancel {
        /// From whom.
        holder: HolderId,
        /// Of which content.
        download: DownloadId,
        /// Which.
        piece: PieceIndex,
    },
    /// The piece list is known and folds to the content's id: keep it, and serve from it.
    ListKnown {
        /// Of which content.
        download: DownloadId,
        /// The list.
        list: Arc<PieceList>,
    },
    /// Every piece is stored; the download is forgotten.
    Finished {
        /// Which.
        download: DownloadId,
    },
    /// The content cannot be fetched from anyone; the download is forgotten.
    Failed {
        /// Which.
        download: DownloadId,
        /// Why.
        error: DownloadError,
    },
    /// No holder can send the missing pieces. The download continues by itself when one can.
    Starved {
        /// Which content.
        download: DownloadId,
    },
    /// A holder can send the missing pieces again.
    Fed {
        /// Which content.
        download: DownloadId,
    },
    /// The holder is not asked for this content any more.
    Banned {
        /// Who.
        holder: HolderId,
        /// For which content.
        download: DownloadId,
        /// What it sent.
        fault: HolderFault,
    },
}

/// Why a content cannot be fetched from anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// It is larger than [`Geometry::MAX_SIZE`](crate::geometry::Geometry::MAX_SIZE).
    #[error("a content of {0} bytes is larger than Brigade carries")]
    TooLarge(u64),
    /// It claims to be empty, and its id is not that of no bytes.
    #[error("the content {0} is announced as empty, but has another id")]
    NotEmpty(ContentId),
}

/// What a holder sent that it should not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HolderFault {
    /// A piece that does not hash to what it must.
    #[error("piece {} has a wrong hash", .0.0)]
    WrongPiece(PieceIndex),
    /// A piece list that does not fold to the content's id.
    #[error("its list of hashes does not belong to this file")]
    WrongList,
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadStatus {
    /// How many pieces there are.
    pub pieces: u32,
    /// How many of them are stored.
    pub stored: u32,
    /// The content's length in bytes.
    pub bytes: u64,
    /// Bytes of it that are stored.
    pub bytes_stored: u64,
    /// Bytes of pieces that are asked for and not stored.
    pub in_flight_bytes: u64,
    /// Holders that are connected and may be asked for it.
    pub holders: usize,
    /// Whether nobody could send what is missing.
    pub starved: bool,
}
