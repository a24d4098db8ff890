//! What is to be looked at again, and when: at most one time for each alarm.
//!
//! Nothing rings by itself: the shell comes back at the deadline, and `Downloads` takes out what is due.

use std::collections::{BTreeMap, BTreeSet};

use super::{DownloadId, HolderId};
use crate::time::Timestamp;

/// What is looked at when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
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

/// The alarms that are set.
#[derive(Debug)]
pub(super) struct Timers {
    by_time: BTreeSet<(Timestamp, Alarm)>,
    by_alarm: BTreeMap<Alarm, Timestamp>,
}

impl Timers {
    pub(super) const fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_alarm: BTreeMap::new() }
    }

    /// Sets `alarm` to `at`, in place of the time that it was set to.
    pub(super) fn set(&mut self, alarm: Alarm, at: Timestamp) {
        self.clear(alarm);
        self.by_alarm.insert(alarm, at);
        self.by_time.insert((at, alarm));
    }

    pub(super) fn clear(&mut self, alarm: Alarm) {
        if let Some(at) = self.by_alarm.remove(&alarm) {
            self.by_time.remove(&(at, alarm));
        }
    }

    pub(super) fn is_set(&self, alarm: Alarm) -> bool {
        self.by_alarm.contains_key(&alarm)
    }

    /// Sets `alarm` to `at`, unless it rings before that anyway.
    pub(super) fn set_by(&mut self, alarm: Alarm, at: Timestamp) {
        if self.by_alarm.get(&alarm).is_none_or(|set| at < *set) {
            self.set(alarm, at);
        }
    }

    /// The earliest time that is set.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out the earliest alarm whose time is `now` or before.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<Alarm> {
        let (at, alarm) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(alarm);
        Some(alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::{Alarm, HolderId, Timers, Timestamp};

    #[test]
    fn an_alarm_has_one_time_and_comes_once() {
        let (one, two) = (Alarm::Redial(HolderId(1)), Alarm::Idle(HolderId(2)));
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
