//! When the whole folder is scanned: seldom while it is watched, often while a part of it is not, and sooner if an
//! event or an unreadable entry requires it. A scan never takes more than a share of the time.
//!
//! It only calculates; the parent module scans.

use std::time::Duration;

use brigade_core::{backoff::Backoff, time::Timestamp};

/// The interval of scans while all folders are watched.
const SAFETY: Duration = Duration::from_secs(60);

/// The interval of scans while some folders are not watched; a scan takes at most one part in `SCAN_SHARE` of the
/// time.
const POLL: Duration = Duration::from_secs(1);
const SCAN_SHARE: u32 = 4;

/// The times of the last scan and of the next one.
#[derive(Debug)]
pub(crate) struct ScanSchedule {
    next: Timestamp,
    last: Timestamp,
    /// The duration of the last scan.
    cost: Duration,
    /// Whether the keeper scans often, since some folders are not watched.
    polling: bool,
    /// The pauses before the next scans after an entry could not be read.
    retry: Backoff,
}

impl ScanSchedule {
    /// A first scan is due `now`. `retry` has the pauses after an entry could not be read.
    pub(crate) const fn new(now: Timestamp, polling: bool, retry: Backoff) -> Self {
        Self { next: now, last: now, cost: Duration::ZERO, polling, retry }
    }

    /// The time of the next scan.
    pub(crate) const fn next(&self) -> Timestamp {
        self.next
    }

    /// The duration of the last scan.
    pub(crate) const fn cost(&self) -> Duration {
        self.cost
    }

    /// Schedules a scan at `at`, or as soon after it as the share of time allows.
    pub(crate) fn soon(&mut self, at: Timestamp) {
        let earliest = self.last.after(self.cost * SCAN_SHARE);
        self.next = self.next.min(at.max(earliest));
    }

    /// Schedules a scan after the current pause: an entry could not be read.
    pub(crate) fn retry_soon(&mut self, now: Timestamp) {
        self.soon(now.after(self.retry.nth_pause(self.retry.taken())));
    }

    /// Some folders are not watched: scans often from now on, and soon.
    pub(crate) fn start_polling(&mut self, now: Timestamp) {
        if !self.polling {
            self.polling = true;
            self.soon(now);
        }
    }

    /// A scan of the whole folder has ended. If all folders are watched now, the next scans are seldom; returns whether
    /// that is new.
    pub(crate) fn scanned(&mut self, began: Timestamp, now: Timestamp, is_watched: bool) -> bool {
        (self.last, self.cost) = (now, now.since(began));
        let stops_polling = self.polling && is_watched;
        self.polling &= !is_watched;
        self.next = now.after(if self.polling { self.poll_pause() } else { SAFETY });
        stops_polling
    }

    /// A check of the landed files has ended; there are no other scans.
    pub(crate) fn checked(&mut self, began: Timestamp, now: Timestamp) {
        self.cost = now.since(began);
        self.next = now.after(self.poll_pause());
    }

    /// Schedules a scan if some entries could not be read. The pause grows while scans of everything find such entries.
    pub(crate) fn plan_retry(&mut self, now: Timestamp, of_everything: bool, unreadable: bool) {
        if unreadable {
            self.retry_soon(now);
        }
        if of_everything && unreadable {
            self.retry.next_pause();
        } else if of_everything {
            self.retry.reset();
        }
    }

    fn poll_pause(&self) -> Duration {
        POLL.max(self.cost * SCAN_SHARE)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, POLL, SAFETY, SCAN_SHARE, ScanSchedule, Timestamp};

    const RETRY: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(60));

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn scans_are_seldom_while_the_folder_is_watched_and_often_while_it_is_not() {
        let mut times = ScanSchedule::new(at(0), false, RETRY);
        assert!(!times.scanned(at(0), at(0), true));
        assert_eq!(times.next(), at(0).after(SAFETY));
        times.start_polling(at(5));
        assert_eq!(times.next(), at(5));
        assert!(!times.scanned(at(5), at(5), false));
        assert_eq!(times.next(), at(5).after(POLL));
        assert!(times.scanned(at(6), at(6), true), "polling ends");
        assert_eq!(times.next(), at(6).after(SAFETY));
    }

    #[test]
    fn long_scans_take_only_their_share_of_the_time() {
        let mut times = ScanSchedule::new(at(0), true, RETRY);
        times.scanned(at(0), at(10), false);
        assert_eq!(times.next(), at(10 + 10 * u64::from(SCAN_SHARE)));
        times.soon(at(11));
        assert_eq!(times.next(), at(50), "not sooner than the share allows");
    }

    #[test]
    fn the_pause_after_an_unreadable_entry_grows_and_is_reset() {
        let mut times = ScanSchedule::new(at(0), false, RETRY);
        for (now, pause) in [(100, 10), (200, 20), (300, 40)] {
            times.scanned(at(now), at(now), true);
            times.plan_retry(at(now), true, true);
            assert_eq!(times.next(), at(now + pause));
        }
        times.scanned(at(400), at(400), true);
        times.plan_retry(at(400), true, false);
        assert_eq!(times.next(), at(400).after(SAFETY));
        times.plan_retry(at(401), false, true);
        assert_eq!(times.next(), at(411));
    }
}
