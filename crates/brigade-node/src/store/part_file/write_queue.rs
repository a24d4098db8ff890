//! The pieces of a part file that wait to be written, and whether more are accepted.
//!
//! The part file holds it under a lock; the first thread that adds a piece writes those of all threads.

use std::{collections::VecDeque, fmt};

use brigade_core::geometry::PieceIndex;

use super::error::PartError;
use crate::store::file_stamp::Stamp;

/// The queue of a part file, and the state of the file.
#[derive(Default)]
pub(super) struct WriteQueue {
    /// The pieces that wait.
    pub(super) writes: VecDeque<PieceWrite>,
    /// The bytes of the record.
    pub(super) claimed: Vec<u8>,
    /// The attributes of the file after the last write to it.
    pub(super) left: Option<Stamp>,
    /// Another program has changed the file between two writes.
    pub(super) is_changed: bool,
    /// A thread is emptying the queue.
    pub(super) is_draining: bool,
    /// A piece is being written.
    pub(super) is_writing: bool,
    /// The file has its name, or is getting it: nothing may be written.
    pub(super) finished: bool,
    /// The content is not received any more: nothing may ever be written.
    pub(super) closed: bool,
}

impl WriteQueue {
    /// Whether another program has changed the file, whose attributes are `now`, since it was opened.
    pub(super) fn is_changed_since_open(&self, now: &Stamp) -> bool {
        self.is_changed || self.is_changed_since_write(now)
    }

    /// Whether another program has changed it since the last write.
    pub(super) fn is_changed_since_write(&self, now: &Stamp) -> bool {
        !self.left.is_some_and(|left| now.is_unchanged_since(&left))
    }
}

impl fmt::Debug for WriteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteQueue").field("writes", &self.writes.len()).finish_non_exhaustive()
    }
}

/// A verified piece that is to be written.
pub(super) struct PieceWrite {
    pub(super) piece: PieceIndex,
    pub(super) bytes: Box<dyn AsRef<[u8]> + Send>,
    /// Is called after the write.
    pub(super) done: Box<dyn FnOnce(Result<(), PartError>) + Send>,
}
