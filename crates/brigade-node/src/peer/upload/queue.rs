//! Requests of one downloader that are not answered: a queue from the task that reads to the task that sends.
//!
//! This module counts and limits them; [`super::slots`] decides the order between downloaders, [`super::send`] sends.

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

use super::{read::PieceSource, turns::AcceptedOffer};

/// Pages of piece lists that a downloader may request and not have read: one for each content that it may have open.
const LISTS_IN_FLIGHT: usize = limits::OPEN_CHANNELS;

/// A task of the reading side for the sending side.
pub(crate) enum SendTask {
    /// Send a message.
    Message(FromHolder),
    /// Send a page of a piece list.
    List(ListPage),
    /// Send a piece.
    Piece(QueuedPiece),
    /// Drop a request.
    Cancel(u32),
    /// Drop all requests of a channel.
    CloseChannel(u32),
    /// Close the connection with this goodbye.
    Close(Goodbye),
}

/// The number of open requests of one downloader: the reading side adds, the sending side subtracts.
#[derive(Debug, Default)]
pub(crate) struct OpenRequests {
    pieces: AtomicUsize,
    lists: AtomicUsize,
}

impl OpenRequests {
    /// The number of open requests for pieces.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces.load(Ordering::Relaxed)
    }

    /// Adds a request for a piece.
    pub(crate) fn add_piece(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds a request for a page of a list; false if there are too many.
    pub(crate) fn add_list(&self) -> bool {
        self.lists.fetch_add(1, Ordering::Relaxed) < LISTS_IN_FLIGHT
    }

    /// A page of a list was sent.
    pub(crate) fn list_sent(&self) {
        self.lists.fetch_sub(1, Ordering::Relaxed);
    }

    /// This many requests for pieces were answered.
    pub(crate) fn pieces_answered(&self, pieces: usize) {
        self.pieces.fetch_sub(pieces, Ordering::Relaxed);
    }
}

/// A piece to send, and how much of it was sent.
pub(crate) struct QueuedPiece {
    pub(crate) request: u32,
    pub(crate) channel: Option<u32>,
    /// The offer that the request answers.
    pub(crate) offer: Option<AcceptedOffer>,
    pub(crate) source: PieceSource,
    pub(crate) file_offset: u64,
    pub(crate) bytes: u32,
    pub(crate) done: u32,
}

/// The pieces that wait to be sent, in order.
#[derive(Default)]
pub(crate) struct PieceQueue {
    pub(crate) queue: VecDeque<QueuedPiece>,
}

impl PieceQueue {
    /// The request and the offer of the next piece.
    pub(crate) fn front(&self) -> Option<(u32, Option<OfferId>)> {
        let offer = |piece: &QueuedPiece| piece.offer.as_ref().map(AcceptedOffer::offer);
        self.queue.front().map(|piece| (piece.request, offer(piece)))
    }

    /// The next piece has its slot.
    pub(crate) fn set_front_has_slot(&mut self) {
        if let Some(accepted) = self.queue.front_mut().and_then(|piece| piece.offer.as_mut()) {
            accepted.set_has_slot();
        }
    }

    /// Drops pieces. Returns how many, and whether a part of one of them was sent.
    pub(crate) fn drop_some(&mut self, is_dropped: impl Fn(&QueuedPiece) -> bool) -> (usize, bool) {
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
