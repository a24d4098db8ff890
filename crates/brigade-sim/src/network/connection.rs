//! Connections between peers, with their requests and the segments on their way; they may break.
//!
//! Connections share a holder's link segment by segment, as over TCP. Messages are small: they take the delay and no
//! bandwidth. A window bounds the bytes in transit of a connection, as in TCP, so a narrow link of a downloader fills
//! no endless queue.

use std::collections::{BTreeSet, VecDeque};

use brigade_core::{geometry::PieceIndex, upload::OfferId, wire::Reason};

use crate::{
    identifiers::{ContentNumber, PeerNumber},
    network::link::LinkRates,
};

/// Bytes that every connection may have in transit.
const LEAST_WINDOW_BYTES: u64 = 256 << 10;

/// A connection from a downloader to a holder.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) downloader: PeerNumber,
    pub(crate) holder: PeerNumber,
    pub(crate) alive: bool,
    /// Whether the downloader knows that pieces are sent by turns.
    pub(crate) by_turns: bool,
    /// The contents that the downloader opened.
    pub(crate) channels: Vec<ContentNumber>,
    /// The contents of which the downloader wants any piece, when it is its turn.
    pub(crate) wanted: BTreeSet<ContentNumber>,
    /// Requests that wait for a slot, the earliest first.
    pub(crate) waiting: VecDeque<WaitingRequest>,
    /// The pieces that are being sent, in order.
    pub(crate) sending: VecDeque<SendingPiece>,
    /// The requests that the downloader waits for, and the received bytes of each.
    pub(crate) pending: Vec<(Request, u32)>,
    /// Bytes that were sent and not received, and how many there may be.
    pub(crate) in_flight_bytes: u64,
    pub(crate) window_bytes: u64,
    /// Whether it had something to send when its window was full.
    pub(crate) blocked: bool,
    /// Whether it waits for the holder's link.
    pub(crate) queued: bool,
    /// The number of the next request.
    pub(crate) next_request: u32,
}

/// A request for a piece; one that is taken back and made again has another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) number: u32,
    pub(crate) content: ContentNumber,
    pub(crate) piece: PieceIndex,
}

/// A request that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitingRequest {
    pub(crate) request: Request,
    /// The offer that it takes up, if it does.
    pub(crate) offer: Option<OfferId>,
    /// Whether the core knows that its offer is ready.
    pub(crate) ready: bool,
}

/// A piece that is being sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendingPiece {
    pub(crate) request: Request,
    /// The offer that it took up.
    pub(crate) offer: Option<OfferId>,
    pub(crate) bytes: u32,
    pub(crate) sent: u32,
    pub(crate) cancelled: bool,
}

/// A part of a piece on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) request: Request,
    pub(crate) bytes: u32,
    /// Whether the piece is complete with it.
    pub(crate) last: bool,
}

/// A message.
#[derive(Debug, Clone)]
pub(crate) enum PeerMessage {
    Open(ContentNumber),
    Close(ContentNumber),
    AskList(ContentNumber, u32),
    Request(Request, Option<u32>),
    Cancel(Request),
    Want(ContentNumber, Option<u64>),
    Decline(ContentNumber, u32),
    HaveAll(ContentNumber),
    Bits(ContentNumber, Vec<u8>),
    Have(ContentNumber, PieceIndex),
    ListPage(ContentNumber, u32, Vec<[u8; 32]>),
    RefusedPiece(Request, Reason),
    RefusedAll(ContentNumber, Reason),
    Turns(bool),
    Offer(ContentNumber, u32, Vec<u32>),
}

impl Connection {
    pub(crate) fn new(downloader: PeerNumber, holder: PeerNumber, links: (&LinkRates, &LinkRates)) -> Self {
        let (other, own) = links;
        let round_trip = other.delay + own.delay;
        let bytes_per_second = own.down.min(other.up);
        // Twice the bandwidth-delay product, as with TCP.
        let holds = u128::from(bytes_per_second) * round_trip.as_micros() / 1_000_000;
        let window_bytes = u64::try_from(2 * holds).unwrap_or(u64::MAX).max(LEAST_WINDOW_BYTES);
        Self {
            in_flight_bytes: 0,
            window_bytes,
            downloader,
            holder,
            alive: true,
            by_turns: false,
            channels: Vec::new(),
            wanted: BTreeSet::new(),
            waiting: VecDeque::new(),
            sending: VecDeque::new(),
            pending: Vec::new(),
            blocked: false,
            queued: false,
            next_request: 0,
        }
    }

    /// A request is made; returns it with its number.
    pub(crate) fn request(&mut self, content: ContentNumber, piece: PieceIndex) -> Request {
        let request = Request { number: self.next_request, content, piece };
        self.next_request += 1;
        self.pending.push((request, 0));
        request
    }

    /// Removes a request that is complete or cancelled; `None` if there is no such request.
    pub(crate) fn drop_request(&mut self, fits: impl Fn(&Request) -> bool) -> Option<Request> {
        let at = self.pending.iter().position(|(request, _)| fits(request))?;
        Some(self.pending.swap_remove(at).0)
    }

    /// Counts a received segment. Returns the received bytes of its piece; `None` if the request was cancelled.
    pub(crate) fn count_received(&mut self, segment: Segment) -> Option<u32> {
        let (_, bytes) = self.pending.iter_mut().find(|(request, _)| *request == segment.request)?;
        *bytes += segment.bytes;
        Some(*bytes)
    }

    /// Ends the connection.
    pub(crate) fn end(&mut self) {
        self.alive = false;
        self.waiting = VecDeque::new();
        self.sending = VecDeque::new();
        self.pending = Vec::new();
        self.channels = Vec::new();
        self.wanted = BTreeSet::new();
    }
}
