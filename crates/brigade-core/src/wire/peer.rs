//! Messages between two peers. The side that dialled is the downloader and asks; the side that was dialled is the
//! holder.
//!
//! A content of several pieces is opened on a channel, over which pieces are asked for by number; one of a single
//! piece is asked for at once, by its id. Piece data is not a CBOR message: see
//! [`frame::PieceHeader`](super::frame::PieceHeader).

use minicbor::{Decode, Encode};

use super::{greeting::Goodbye, message_set::messages, reason::Reason};
use crate::id::ContentId;

messages! {
    /// From the downloader to the holder.
    ToHolder {
        /// The connection ends.
        0x02 Goodbye,
        /// Opens a content on a channel.
        0x40 Open,
        /// Closes a channel.
        0x41 Close,
        /// Asks for a page of the piece list.
        0x42 AskList,
        /// Asks for a piece of an open content.
        0x43 Request,
        /// Asks for a content of a single piece.
        0x44 RequestWhole,
        /// Cancels a request.
        0x45 Cancel,
        /// Would take any piece of an open content, when it is this downloader's turn.
        0x46 Want,
        /// Needs nothing of what was offered.
        0x47 Decline,
    }
}

messages! {
    /// From the holder to the downloader.
    FromHolder {
        /// The connection ends.
        0x02 Goodbye,
        /// The holder has every piece.
        0x48 HaveAll,
        /// A page of the holder's bitfield.
        0x49 Bits,
        /// Pieces that the holder has since.
        0x4a Have,
        /// A page of the piece list.
        0x4b ListPage,
        /// Refuses a request, or everything on a channel.
        0x4c Refuse,
        /// Whether pieces are sent by turns.
        0x4d Turns,
        /// It is the downloader's turn.
        0x4e Offer,
    }
}

/// Opens a content; answered by [`HaveAll`] or [`Bits`], or [`Refuse`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Open {
    /// The downloader's number for it on this connection, not in use.
    #[n(0)]
    pub channel: u32,
    /// The content's id.
    #[n(1)]
    pub id: ContentId,
    /// The content's size in bytes.
    #[n(2)]
    pub size: u64,
}

/// Closes a channel: its requests are taken back, and no more news of it comes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Close {
    /// The channel.
    #[n(0)]
    pub channel: u32,
}

/// Asks for a page of the piece list; answered by [`ListPage`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct AskList {
    /// The content's channel.
    #[n(0)]
    pub channel: u32,
    /// The first piece whose chaining value is wanted; at most [`crate::limits::LIST_PAGE_VALUES`] come.
    #[n(1)]
    pub first: u32,
}

/// Asks for a piece of an open content; answered by its data or by [`Refuse`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Request {
    /// The downloader's number for it on this connection, not in use.
    #[n(0)]
    pub request: u32,
    /// The content's channel.
    #[n(1)]
    pub channel: u32,
    /// The piece.
    #[n(2)]
    pub piece: u32,
    /// The offer that it takes up, if it does.
    #[n(3)]
    pub offer: Option<u32>,
}

/// Asks for a content of a single piece; answered by its data or by [`Refuse`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RequestWhole {
    /// As in [`Request`].
    #[n(0)]
    pub request: u32,
    /// The content's id.
    #[n(1)]
    pub id: ContentId,
    /// The content's size in bytes.
    #[n(2)]
    pub size: u64,
}

/// Takes a request back. Data that is on its way may still come.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Cancel {
    /// The request.
    #[n(0)]
    pub request: u32,
}

/// Would take any piece of an open content that the downloader lacks; answered by [`Offer`] whenever it is its turn,
/// until it declines one or closes the channel.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Want {
    /// The content's channel.
    #[n(0)]
    pub channel: u32,
    /// Bytes a second that the downloader can pass on, where it knows that: 0 for one that only takes.
    #[n(1)]
    pub uplink: Option<u64>,
}

/// Needs nothing of what was offered: its turn goes to others, and it wants no more of that content until it says so.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Decline {
    /// The offer.
    #[n(0)]
    pub offer: u32,
}

/// Whether the holder sends pieces by turns, because what it sends has a limit. Said when that begins and ends, and
/// again every second to a downloader whose turn has not come.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Turns {
    /// Whether pieces go by turns from now on.
    #[n(0)]
    pub limited: bool,
}

/// It is the downloader's turn: one piece that it asks for soon is sent next.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Offer {
    /// The holder's number for it on this connection; it counts up.
    #[n(0)]
    pub offer: u32,
    /// The content's channel.
    #[n(1)]
    pub channel: u32,
    /// Pieces that the holder has sent least, at most [`crate::limits::OFFERED_PIECES`]; the best first. Any other that
    /// it has may be asked for as well.
    #[n(2)]
    pub pieces: Vec<u32>,
}

/// The holder has every piece.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HaveAll {
    /// The content's channel.
    #[n(0)]
    pub channel: u32,
}

/// A page of the holder's bitfield, the first piece in the highest bit of the first byte.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Bits {
    /// The content's channel.
    #[n(0)]
    pub channel: u32,
    /// The piece of the first bit, a multiple of 8.
    #[n(1)]
    pub first: u32,
    /// One bit a piece, at most [`crate::limits::BITFIELD_PAGE_PIECES`].
    #[cbor(n(2), with = "minicbor::bytes")]
    pub bits: Vec<u8>,
}

/// Pieces that the holder has since.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Have {
    /// The content's channel.
    #[n(0)]
    pub channel: u32,
    /// At most [`crate::limits::HAVE_PIECES`] pieces.
    #[n(1)]
    pub pieces: Vec<u32>,
}

/// A page of the piece list.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ListPage {
    /// The content's channel.
    #[n(0)]
    pub channel: u32,
    /// The first piece whose chaining value is here.
    #[n(1)]
    pub first: u32,
    /// Chaining values of 32 bytes each, at most [`crate::limits::LIST_PAGE_VALUES`].
    #[cbor(n(2), with = "minicbor::bytes")]
    pub values: Vec<u8>,
}

/// A request, or everything on a channel, was refused.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Refuse {
    /// The request, where it is about one.
    #[n(0)]
    pub request: Option<u32>,
    /// The channel, where it is about all of it: the channel is closed thereby.
    #[n(1)]
    pub channel: Option<u32>,
    /// The cause, for programs.
    #[n(2)]
    pub reason: Reason,
    /// The cause, for people.
    #[n(3)]
    pub text: String,
}
