//! The queue of future events, ordered by time and then by the order of scheduling.
//!
//! Only the order is kept here: `scheduled_event` has the events, and `event_loop` handles them.

use std::{cmp::Reverse, collections::BinaryHeap};

use brigade_core::time::Timestamp;

use crate::scheduled_event::ScheduledEvent;

/// All future events, the earliest first.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    heap: BinaryHeap<Reverse<QueueEntry>>,
    scheduled: u64,
}

#[derive(Debug)]
pub(crate) struct QueueEntry {
    pub(crate) at: Timestamp,
    pub(crate) number: u64,
    pub(crate) what: ScheduledEvent,
}

impl EventQueue {
    pub(crate) fn add(&mut self, at: Timestamp, what: ScheduledEvent) {
        self.scheduled += 1;
        self.heap.push(Reverse(QueueEntry { at, number: self.scheduled, what }));
    }

    pub(crate) fn next(&mut self) -> Option<QueueEntry> {
        self.heap.pop().map(|Reverse(next)| next)
    }
}

impl PartialEq for QueueEntry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for QueueEntry {}
impl PartialOrd for QueueEntry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for QueueEntry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// The time of a deadline, or now if it has passed.
pub(crate) fn no_earlier(at: Timestamp, now: Timestamp) -> Timestamp {
    at.max(now)
}
