//! How fast a holder sends while requests wait for it.
//!
//! [`Meter`](crate::rate::Meter) shows the current rate to people. Here idle time does not count, since a holder
//! without requests is not slow, and the estimate stays when nothing arrives. So there are two estimators.

use std::time::Duration;

use crate::time::Timestamp;

/// Busy time over which older news loses half its weight, or more.
const MEMORY_SECONDS: f64 = 2.0;

/// An average rate over busy time, in which the latest counts most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateEstimate {
    bytes: f64,
    seconds: f64,
    busy_since: Option<Timestamp>,
}

impl RateEstimate {
    /// Nothing seen yet.
    pub(crate) const fn new() -> Self {
        Self { bytes: 0.0, seconds: 0.0, busy_since: None }
    }

    /// From `now` on the holder owes something; no effect where it did already.
    pub(crate) fn start(&mut self, now: Timestamp) {
        self.busy_since.get_or_insert(now);
    }

    /// The holder owes nothing any more.
    pub(crate) const fn stop(&mut self) {
        self.busy_since = None;
    }

    /// `bytes` more have come.
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    pub(crate) fn add(&mut self, now: Timestamp, bytes: u64) {
        let Some(since) = self.busy_since.replace(now) else { return };
        let busy_seconds = now.since(since).as_secs_f64();
        // A rational decay, not an exponential one: the same bits on every machine.
        let kept = MEMORY_SECONDS / (MEMORY_SECONDS + busy_seconds);
        self.bytes = self.bytes * kept + bytes as f64;
        self.seconds = self.seconds * kept + busy_seconds;
    }

    /// Bytes a second; `None` while nothing was seen of it. At least 1.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // positive, and saturating
    pub(crate) fn rate(&self) -> Option<u64> {
        (self.bytes > 0.0).then(|| (self.bytes / self.seconds.max(1e-6)) as u64).map(|rate| rate.max(1))
    }

    /// How long `bytes` take at a rate of `bytes_per_second`.
    pub(crate) fn time_for(bytes: u64, bytes_per_second: u64) -> Duration {
        let micros = u128::from(bytes) * 1_000_000 / u128::from(bytes_per_second.max(1));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, RateEstimate, Timestamp};

    #[test]
    fn idle_time_does_not_count_and_a_change_shows_soon() {
        let mut send_rate = RateEstimate::new();
        let mut now = Timestamp::default();
        assert_eq!(send_rate.rate(), None);
        let mut send = |send_rate: &mut RateEstimate, count: u32, every_ms: u64| {
            for _ in 0..count {
                send_rate.start(now);
                now = now.after(Duration::from_millis(every_ms));
                send_rate.add(now, 1000);
                send_rate.stop();
                now = now.after(Duration::from_secs(60));
            }
            send_rate.rate().unwrap()
        };
        assert_eq!(send(&mut send_rate, 1, 10), 100_000);
        assert!((99_000..101_000).contains(&send(&mut send_rate, 100, 10)));
        assert!((9_000..15_000).contains(&send(&mut send_rate, 100, 100)));
    }
}
