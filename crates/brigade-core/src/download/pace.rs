//! How fast a holder sends while it has something to send: what it has shown, and so what it promises.
//!
//! [`Meter`](crate::rate::Meter) shows people what goes on now. Here, time in which nothing was asked of the holder does
//! not count, since a holder that was idle is not slow; and what it was worth stays when nothing comes. So the two are
//! apart.

use std::time::Duration;

use crate::time::Timestamp;

/// Busy time over which older news loses half its weight, or more.
const MEMORY_SECONDS: f64 = 2.0;

/// An average rate over busy time, in which the latest counts most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    bytes: f64,
    seconds: f64,
    busy_since: Option<Timestamp>,
}

impl Pace {
    /// Nothing seen yet.
    pub(super) const fn new() -> Self {
        Self { bytes: 0.0, seconds: 0.0, busy_since: None }
    }

    /// From `now` on the holder owes something; no effect where it did already.
    pub(super) fn start(&mut self, now: Timestamp) {
        self.busy_since.get_or_insert(now);
    }

    /// The holder owes nothing any more.
    pub(super) const fn stop(&mut self) {
        self.busy_since = None;
    }

    /// `bytes` more have come.
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    pub(super) fn add(&mut self, now: Timestamp, bytes: u64) {
        let Some(since) = self.busy_since.replace(now) else { return };
        let passed = now.since(since).as_secs_f64();
        // A rational decay, not an exponential one: the same bits on every machine.
        let kept = MEMORY_SECONDS / (MEMORY_SECONDS + passed);
        self.bytes = self.bytes * kept + bytes as f64;
        self.seconds = self.seconds * kept + passed;
    }

    /// Bytes a second; `None` while nothing was seen of it. At least 1.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive, and saturating
    pub(super) fn rate(&self) -> Option<u64> {
        (self.bytes > 0.0).then(|| (self.bytes / self.seconds.max(1e-6)) as u64).map(|rate| rate.max(1))
    }

    /// How long `bytes` take at a rate of `bytes_per_second`.
    pub(super) fn time_for(bytes: u64, bytes_per_second: u64) -> Duration {
        let micros = u128::from(bytes) * 1_000_000 / u128::from(bytes_per_second.max(1));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Pace, Timestamp};

    #[test]
    fn idle_time_does_not_count_and_a_change_shows_soon() {
        let mut pace = Pace::new();
        let mut now = Timestamp::default();
        assert_eq!(pace.rate(), None);
        let mut send = |pace: &mut Pace, count: u32, every_ms: u64| {
            for _ in 0..count {
                pace.start(now);
                now = now.after(Duration::from_millis(every_ms));
                pace.add(now, 1000);
                pace.stop();
                now = now.after(Duration::from_secs(60));
            }
            pace.rate().unwrap()
        };
        assert_eq!(send(&mut pace, 1, 10), 100_000);
        assert!((99_000..101_000).contains(&send(&mut pace, 100, 10)));
        assert!((9_000..15_000).contains(&send(&mut pace, 100, 100)));
    }
}
