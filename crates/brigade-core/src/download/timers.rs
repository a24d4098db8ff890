//! Timers of the downloads: at most one time for each.
//!
//! No timer fires by itself: the caller comes back at the deadline, and `Downloads` takes out the expired timers.

use std::collections::{BTreeMap, BTreeSet};

use super::events_and_actions::{DownloadId, HolderId};
use crate::time::Timestamp;

/// What is looked at when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Dial the holder again.
    Redial(HolderId),
    /// Nobody needed the connection for a while: end it.
    Idle(HolderId),
    /// Has anything come from the holder, which owes us something?
    Silence(HolderId),
    /// The holder refused the content a while ago: ask again.
    Retry(HolderId, DownloadId),
    /// Are the holders that are connected for a content of any use?
    Neighbours(DownloadId),
}

/// The timers that are set.
#[derive(Debug)]
pub(super) struct Timers {
    by_time: BTreeSet<(Timestamp, Timer)>,
    by_timer: BTreeMap<Timer, Timestamp>,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_timer: BTreeMap::new() }
    }

    /// Sets `timer` to `at`, in place of its earlier time.
    pub(super) fn set(&mut self, timer: Timer, at: Timestamp) {
        self.clear(timer);
        self.by_timer.insert(timer, at);
        self.by_time.insert((at, timer));
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.by_timer.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.by_timer.contains_key(&timer)
    }

    /// Sets `timer` to `at`, unless it is set to an earlier time.
    pub(super) fn set_by(&mut self, timer: Timer, at: Timestamp) {
        if self.by_timer.get(&timer).is_none_or(|set| at < *set) {
            self.set(timer, at);
        }
    }

    /// The earliest time that is set.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest timer whose time is `now` or before.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Timer> {
        let (at, timer) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::{HolderId, Timer, Timers, Timestamp};

    #[test]
    fn a_timer_has_one_time_and_fires_once() {
        let (one, two) = (Timer::Redial(HolderId(1)), Timer::Idle(HolderId(2)));
        let at = Timestamp::from_micros;
        let mut timers = Timers::new();
        timers.set(one, at(5));
        timers.set(two, at(3));
        timers.set(two, at(7));
        assert_eq!(timers.next(), Some(at(5)));
        assert_eq!(timers.due(at(4)), None);
        assert_eq!(timers.due(at(9)), Some(one));
        assert_eq!(timers.due(at(9)), Some(two));
        assert_eq!(timers.due(at(9)), None);
        timers.set(one, at(1));
        timers.clear(one);
        assert!(!timers.is_set(one) && timers.next().is_none());
    }
}
