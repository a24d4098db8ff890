//! A limit on bytes a second, and a measure of them.
//!
//! [`Limiter`] is a token bucket: it says how long to wait before the next bytes may go, and leaves the waiting to
//! the caller, so that the node and the simulator run the very same one. [`Meter`] shows a rate to people and
//! judges holders.

use std::time::Duration;

use crate::time::Timestamp;

/// How much may go at once after a pause, as a time at the limit's rate.
const BURST: Duration = Duration::from_millis(100);

/// A limit as somebody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// None: as fast as it goes.
    Off,
    /// So many bytes a second.
    At(u64),
}

/// A limit in bytes a second over everything that asks it.
#[derive(Debug, Clone)]
pub struct Limiter {
    bytes_per_second: Option<u64>,
    /// When all that was let through so far is paid for at the limit's rate.
    paid_until: Timestamp,
}

impl Cap {
    /// The limit in bytes a second; `None` for none.
    pub const fn bytes_per_second(self) -> Option<u64> {
        match self {
            Self::Off => None,
            Self::At(rate) => Some(rate),
        }
    }
}

impl Limiter {
    /// A limit of so many bytes a second; `None` for no limit. Zero is taken as one.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        Self { bytes_per_second: bytes_per_second.map(|rate| rate.max(1)), paid_until: Timestamp::default() }
    }

    /// The limit in force.
    pub const fn bytes_per_second(&self) -> Option<u64> {
        self.bytes_per_second
    }

    /// Sets another limit. What was let through before is not charged again, and what still waits to be let through
    /// is forgotten: whoever waits asks anew, and sends nothing before that. So no more than one burst can go at once
    /// after this either.
    pub fn set(&mut self, now: Timestamp, bytes_per_second: Option<u64>) {
        *self = Self { paid_until: self.paid_until.min(now), ..Self::new(bytes_per_second) };
    }

    /// Lets `bytes` go, and says how long the caller waits before it sends them.
    pub fn take(&mut self, now: Timestamp, bytes: u64) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        // What was not used counts for at most one burst.
        let oldest = Timestamp::from_micros(now.as_micros().saturating_sub(micros(BURST)));
        let from = self.paid_until.max(oldest);
        let cost = u64::try_from(u128::from(bytes) * 1_000_000 / u128::from(rate)).unwrap_or(u64::MAX);
        self.paid_until = from.after(Duration::from_micros(cost));
        // The bytes may go once the bucket holds them, that is, when they are paid for.
        self.paid_until.since(now)
    }
}

/// The rate of a stream of bytes over the last two seconds: it rises with the first bytes, and is zero two seconds
/// after the last ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meter {
    /// Bytes of the slot that runs now, and of those before it.
    slots: [u64; Self::SLOTS],
    /// The number of the slot that runs now, counted from the clock's start.
    slot: u64,
    since: Timestamp,
}

impl Meter {
    const SLOTS: usize = 4;
    const SLOT_MICROS: u64 = 500_000;

    /// A meter that begins at `now`.
    pub fn new(now: Timestamp) -> Self {
        Self { slots: [0; Self::SLOTS], slot: now.as_micros() / Self::SLOT_MICROS, since: now }
    }

    /// Counts `bytes` that came or went.
    pub fn add(&mut self, now: Timestamp, bytes: u64) {
        self.roll(now);
        self.slots[0] = self.slots[0].saturating_add(bytes);
    }

    /// Bytes a second now.
    pub fn rate(&mut self, now: Timestamp) -> u64 {
        self.roll(now);
        let in_slot = now.as_micros() % Self::SLOT_MICROS;
        let window = Self::SLOT_MICROS * (Self::SLOTS as u64 - 1) + in_slot;
        // A tenth of a second at least: less says nothing.
        let covered = micros(now.since(self.since)).min(window).max(100_000);
        let bytes: u128 = self.slots.iter().map(|bytes| u128::from(*bytes)).sum();
        u64::try_from(bytes * 1_000_000 / u128::from(covered)).unwrap_or(u64::MAX)
    }

    fn roll(&mut self, now: Timestamp) {
        let slot = now.as_micros() / Self::SLOT_MICROS;
        let passed = usize::try_from(slot.saturating_sub(self.slot)).unwrap_or(Self::SLOTS).min(Self::SLOTS);
        self.slots.rotate_right(passed % Self::SLOTS);
        self.slots[..passed].fill(0);
        self.slot = self.slot.max(slot);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Limiter, Meter, Timestamp};

    /// Sends as fast as the limiter lets it; the bytes sent until `end`.
    fn sent_until(limiter: &mut Limiter, mut now: Timestamp, end: Timestamp, step: u64) -> u64 {
        let mut sent = 0;
        loop {
            now = now.after(limiter.take(now, step));
            if now >= end {
                return sent;
            }
            sent += step;
        }
    }

    #[test]
    fn the_limit_holds_within_two_per_cent_over_ten_seconds() {
        for (rate, step) in [(10_000_000, 65_536), (100_000, 16_384), (1_000_000_000, 262_144)] {
            let mut limiter = Limiter::new(Some(rate));
            let start = Timestamp::from_micros(5_000_000);
            let sent = sent_until(&mut limiter, start, start.after(Duration::from_secs(10)), step);
            let ratio = sent as f64 / (rate * 10) as f64;
            assert!((0.98..1.02).contains(&ratio), "{rate}: {ratio}");
        }
    }

    /// What leaves over many connections, each of which takes what it likes when it is through with what it took before.
    #[test]
    fn over_all_takers_together_no_ten_seconds_see_two_per_cent_more_or_less() {
        for (seed, rate) in [(1, 50_000), (2, 1_000_000), (3, 10_000_000), (4, 300_000_000)] {
            let mut limiter = Limiter::new(Some(rate));
            let mut random = crate::random::Random::new(seed);
            // A piece of what goes takes less than a hundredth of a second, as the callers see to it.
            let most = usize::try_from(rate / 100).unwrap();
            let mut takers = [Timestamp::from_micros(5_000_000); 9];
            let mut left = vec![];
            while left.last().is_none_or(|(at, _)| *at < Timestamp::from_micros(45_000_000)) {
                let next = takers.iter_mut().min().unwrap();
                let bytes = 1 + random.below(most) as u64;
                *next = next.after(limiter.take(*next, bytes));
                left.push((*next, bytes));
                left.sort_unstable();
            }
            let sent = |from: Timestamp, seconds: f64| {
                let end = from.after(Duration::from_secs_f64(seconds));
                left.iter().filter(|(at, _)| *at >= from && *at < end).map(|(_, bytes)| bytes).sum::<u64>()
                    as f64
            };
            for tenth in 0..300u64 {
                let from = Timestamp::from_micros(5_000_000 + tenth * 100_000);
                let ratio = sent(from, 10.0) / (rate * 10) as f64;
                assert!((0.98..1.02).contains(&ratio), "{rate}, from {from:?}: {ratio}");
                let burst = sent(from, 0.001) / rate as f64;
                assert!(burst <= 0.1 + 0.011, "{rate}, at {from:?}: {burst} s' worth at once");
            }
        }
    }

    #[test]
    fn a_pause_earns_one_burst_and_no_more() {
        let mut limiter = Limiter::new(Some(1_000_000));
        let now = Timestamp::from_micros(60_000_000);
        assert_eq!(limiter.take(now, 100_000), Duration::ZERO);
        assert_eq!(limiter.take(now, 100_000), Duration::from_millis(100));
    }

    /// However the limit was changed before, what goes from then on is the new limit's and one burst.
    #[test]
    fn another_limit_holds_at_once_with_one_burst_at_most() {
        for before in [None, Some(1), Some(1_000_000), Some(1_000_000_000)] {
            for (rate, step) in [(100_000, 1000), (1_000_000, 10_000), (50_000_000, 65_536)] {
                for pause in [0, 10, 1000] {
                    let mut limiter = Limiter::new(before);
                    let mut now = Timestamp::from_micros(5_000_000);
                    for _ in 0..20 {
                        limiter.take(now, 65_536);
                    }
                    for changed in [None, Some(7), Some(rate)] {
                        now = now.after(Duration::from_millis(pause));
                        limiter.set(now, changed);
                    }
                    let end = now.after(Duration::from_millis(500));
                    let sent = sent_until(&mut limiter, now, end, step);
                    let most = rate * 6 / 10 + rate / 1000; // waits are in whole microseconds
                    assert!(sent <= most && sent + step >= rate / 2, "{before:?}, {rate}: {sent} of {most}");
                }
            }
        }
    }

    #[test]
    fn a_long_debt_ends_with_the_limit_that_made_it() {
        let mut limiter = Limiter::new(Some(1));
        let now = Timestamp::from_micros(5_000_000);
        assert!(limiter.take(now, 100_000) > Duration::from_secs(99_000));
        limiter.set(now, Some(1_000_000));
        assert_eq!(limiter.take(now, 100_000), Duration::from_millis(100));
        limiter.set(now, None);
        assert_eq!(limiter.take(now, u64::MAX), Duration::ZERO);
    }

    #[test]
    fn no_limit_never_waits() {
        assert_eq!(Limiter::new(None).take(Timestamp::default(), u64::MAX), Duration::ZERO);
    }

    #[test]
    fn a_meter_settles_at_the_rate_and_falls_to_zero() {
        let mut meter = Meter::new(Timestamp::default());
        let mut now = Timestamp::default();
        for _ in 0..500 {
            now = now.after(Duration::from_millis(10));
            meter.add(now, 10_000);
        }
        assert!((950_000..=1_050_000).contains(&meter.rate(now)), "{}", meter.rate(now));
        now = now.after(Duration::from_millis(2100));
        assert_eq!(meter.rate(now), 0);
    }
}
