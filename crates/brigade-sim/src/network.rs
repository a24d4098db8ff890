//! Lines between peers: first in, first out, with bandwidth and delay; and connections that may break.
//!
//! A holder's line sends one segment at a time, its connections in turn, as TCP would share it. Messages are small:
//! they take the delay and no bandwidth. What one connection has on its way is bounded, as by TCP's window: a line
//! that is narrow at the newcomer's end fills no endless queue.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use brigade_core::{geometry::PieceIndex, time::Timestamp, upload::OfferId, wire::Reason};

use crate::world::{ContentNumber, PeerNumber};

/// Bytes that every connection may have on its way.
const LEAST_WINDOW_BYTES: u64 = 256 << 10;

/// A peer's line.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Bytes a second that it sends.
    pub up: u64,
    /// Bytes a second that it receives.
    pub down: u64,
    /// How long whatever it sends is on its way.
    pub delay: Duration,
}

/// A connection's number; a new one each time that it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionNumber(pub(crate) u32);

impl ConnectionNumber {
    pub(crate) const fn at(self) -> usize {
        self.0 as usize
    }
}

/// A connection from a newcomer to a holder.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) newcomer: PeerNumber,
    pub(crate) holder: PeerNumber,
    pub(crate) alive: bool,
    /// Whether the newcomer has heard that pieces come by turns.
    pub(crate) by_turns: bool,
    /// The contents that the newcomer opened.
    pub(crate) channels: Vec<ContentNumber>,
    /// Those of them of which any piece is wanted, when its turn comes.
    pub(crate) wanted: BTreeSet<ContentNumber>,
    /// Requests that wait for a slot, the earliest first.
    pub(crate) waiting: VecDeque<Waiting>,
    /// What is being sent, in order.
    pub(crate) sending: VecDeque<Sending>,
    /// What the newcomer awaits, and how much of it has come.
    pub(crate) coming: Vec<(Request, u32)>,
    /// Bytes of segments that were sent and not received, and how many there may be.
    pub(crate) on_the_way: u64,
    pub(crate) window_bytes: u64,
    /// Whether it had something to send when its window was full.
    pub(crate) blocked: bool,
    /// Whether it waits for its turn at the holder's line.
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
pub(crate) struct Waiting {
    pub(crate) request: Request,
    /// The offer that it takes up, if it does.
    pub(crate) offer: Option<OfferId>,
    /// Whether its offer was said to be ready.
    pub(crate) ready: bool,
}

/// A piece that is being sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sending {
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
pub(crate) enum Note {
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
    pub(crate) fn new(newcomer: PeerNumber, holder: PeerNumber, lines: (&Link, &Link)) -> Self {
        let (there, here) = lines;
        let round_trip = there.delay + here.delay;
        let bytes_per_second = here.down.min(there.up);
        // Twice what such a line holds, as TCP ends up with.
        let holds = u128::from(bytes_per_second) * round_trip.as_micros() / 1_000_000;
        let window_bytes = u64::try_from(2 * holds).unwrap_or(u64::MAX).max(LEAST_WINDOW_BYTES);
        Self {
            on_the_way: 0,
            window_bytes,
            newcomer,
            holder,
            alive: true,
            by_turns: false,
            channels: Vec::new(),
            wanted: BTreeSet::new(),
            waiting: VecDeque::new(),
            sending: VecDeque::new(),
            coming: Vec::new(),
            blocked: false,
            queued: false,
            next_request: 0,
        }
    }

    /// A request is made; returns it with its number.
    pub(crate) fn request(&mut self, content: ContentNumber, piece: PieceIndex) -> Request {
        let request = Request { number: self.next_request, content, piece };
        self.next_request += 1;
        self.coming.push((request, 0));
        request
    }

    /// A request is done with, or taken back; `None` where it was not there.
    pub(crate) fn drop_request(&mut self, fits: impl Fn(&Request) -> bool) -> Option<Request> {
        let at = self.coming.iter().position(|(request, _)| fits(request))?;
        Some(self.coming.swap_remove(at).0)
    }

    /// Counts a segment that came. How much of its piece is there then; `None` where nobody awaits it any more.
    pub(crate) fn came(&mut self, segment: Segment) -> Option<u32> {
        let (_, bytes) = self.coming.iter_mut().find(|(request, _)| *request == segment.request)?;
        *bytes += segment.bytes;
        Some(*bytes)
    }

    /// Nothing goes over it any more.
    pub(crate) fn end(&mut self) {
        self.alive = false;
        self.waiting = VecDeque::new();
        self.sending = VecDeque::new();
        self.coming = Vec::new();
        self.channels = Vec::new();
        self.wanted = BTreeSet::new();
    }
}

/// How long `bytes` take on a line of so many bytes a second.
pub(crate) fn time_on_line(bytes: u32, bytes_per_second: u64) -> Duration {
    Duration::from_nanos(u64::from(bytes) * 1_000_000_000 / bytes_per_second.max(1))
}

/// A line that is free again at a time.
pub(crate) fn pass(free_at: &mut Timestamp, now: Timestamp, time: Duration) -> Timestamp {
    *free_at = now.max(*free_at).after(time);
    *free_at
}
