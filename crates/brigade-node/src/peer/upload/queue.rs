//! What one newcomer has asked for and was not answered: from the side that reads to the side that sends.
//!
//! Counted and bounded here; who is served when is decided in [`super::slots`], and sent in [`super::send`].

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use brigade_core::{
    limits,
    upload::OfferId,
    wire::{
        hello::Goodbye,
        peer::{FromHolder, ListPage},
    },
};

use super::{read::Source, slots::Accepted};

/// Pages of piece lists that a newcomer may ask for and not have read: one for each content that it may have open.
const LISTS_IN_FLIGHT: usize = limits::OPEN_CHANNELS;

/// What the reading side wants done.
pub(crate) enum Work {
    /// A message.
    Say(FromHolder),
    /// A page of a piece list.
    List(ListPage),
    /// A piece.
    Piece(Queued),
    /// A request is taken back.
    Cancel(u32),
    /// A channel and all its requests are.
    CloseChannel(u32),
    /// The connection ends, in these words.
    Close(Goodbye),
}

/// What one newcomer has asked and was not answered, counted by the reading side and by this one.
#[derive(Debug, Default)]
pub(crate) struct Load {
    requests: AtomicUsize,
    lists: AtomicUsize,
}

impl Load {
    /// Requests that are not answered.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Counts a request.
    pub(crate) fn take_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a page of a list; false where there are as many as there may be.
    pub(crate) fn take_list(&self) -> bool {
        self.lists.fetch_add(1, Ordering::Relaxed) < LISTS_IN_FLIGHT
    }

    /// A page of a list is on its way.
    pub(crate) fn list_sent(&self) {
        self.lists.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many requests are answered.
    pub(crate) fn answered(&self, requests: usize) {
        self.requests.fetch_sub(requests, Ordering::Relaxed);
    }
}

/// A piece that is to be sent, and how much of it was.
pub(crate) struct Queued {
    pub(crate) request: u32,
    pub(crate) channel: Option<u32>,
    /// The offer that it takes up.
    pub(crate) offer: Option<Accepted>,
    pub(crate) source: Source,
    pub(crate) file_offset: u64,
    pub(crate) bytes: u32,
    pub(crate) done: u32,
}

/// What waits to be sent.
#[derive(Default)]
pub(crate) struct Pieces {
    pub(crate) queue: VecDeque<Queued>,
}

impl Pieces {
    /// The request and the offer of the next piece.
    pub(crate) fn front(&self) -> Option<(u32, Option<OfferId>)> {
        let offer = |piece: &Queued| piece.offer.as_ref().map(Accepted::offer);
        self.queue.front().map(|piece| (piece.request, offer(piece)))
    }

    /// The next piece has its slot.
    pub(crate) fn front_has_its_slot(&mut self) {
        if let Some(accepted) = self.queue.front_mut().and_then(|piece| piece.offer.as_mut()) {
            accepted.has_its_slot();
        }
    }

    /// Drops pieces that wait to be sent, or of which a part was; how many, and whether a part of one of them was.
    pub(crate) fn drop_some(&mut self, is_dropped: impl Fn(&Queued) -> bool) -> (usize, bool) {
        let before = self.queue.len();
        let mut begun = false;
        self.queue.retain(|piece| {
            let dropped = is_dropped(piece);
            begun |= dropped && piece.done > 0;
            !dropped
        });
        (before - self.queue.len(), begun)
    }
}
