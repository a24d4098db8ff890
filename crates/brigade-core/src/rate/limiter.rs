//! A limit on bytes a second: a token bucket.
//!
//! It says whether bytes may be sent now, or how long to wait. The caller waits, so that the node and the simulator use
//! the same limiter.

use std::time::Duration;

use crate::time::Timestamp;

/// The largest burst after a pause, as a time at the limit's rate.
const BURST: Duration = Duration::from_millis(100);

/// The size of a slice, as a part of a second at the limit's rate: 50 ms.
const SLICES_PER_SECOND: u64 = 20;

/// Bounds of a slice in bytes: not so short that a small limit costs many wake-ups, and one read at most.
const SLICE_BYTES: (u64, u64) = (1 << 10, 64 << 10);

/// A limit that a user set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// None: as fast as it goes.
    Off,
    /// So many bytes a second.
    At(u64),
}

/// A limit in bytes a second over everything that asks it.
///
/// There are two methods. [`pass`](Self::pass) takes nothing before the bytes may be sent, so a caller that stops
/// waiting owes nothing; the callers decide whose turn it is. [`take`](Self::take) reserves the bytes: it is for a
/// caller that always sends them.
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

    /// Sets another limit. Bytes that were sent before are not charged again, and reserved bytes are forgotten: a
    /// caller that waits asks again before it sends. So at most one burst is sent at once after this.
    pub fn set(&mut self, now: Timestamp, bytes_per_second: Option<u64>) {
        *self = Self { paid_until: self.paid_until.min(now), ..Self::new(bytes_per_second) };
    }

    /// How many bytes are asked for at once, so that several callers share the limit in small turns; `None` where there
    /// is no limit.
    pub fn slice_bytes(&self) -> Option<u64> {
        let (least, most) = SLICE_BYTES;
        self.bytes_per_second.map(|rate| (rate / SLICES_PER_SECOND).clamp(least, most))
    }

    /// Takes `bytes` from the limit if they may be sent now.
    ///
    /// # Errors
    /// The time until they may be sent, if nothing else is sent before and the limit stays the same. Nothing is taken
    /// then, and the caller asks again.
    pub fn pass(&mut self, now: Timestamp, bytes: u64) -> Result<(), Duration> {
        let Some(rate) = self.bytes_per_second else { return Ok(()) };
        let cost = time_for(bytes, rate);
        // More than a burst is only let go when all of it was waited for.
        let paid = self.paid_since(now, BURST.max(cost)).after(cost);
        if paid > now {
            return Err(paid.since(now));
        }
        self.paid_until = paid;
        Ok(())
    }

    /// Gives back `bytes` that were taken and not sent.
    pub fn give_back(&mut self, bytes: u64) {
        if let Some(rate) = self.bytes_per_second {
            let micros = micros(time_for(bytes, rate));
            self.paid_until = Timestamp::from_micros(self.paid_until.as_micros().saturating_sub(micros));
        }
    }

    /// Reserves `bytes`, and says how long the caller waits before it sends them.
    pub fn take(&mut self, now: Timestamp, bytes: u64) -> Duration {
        let Some(rate) = self.bytes_per_second else { return Duration::ZERO };
        // The bytes may go once the bucket holds them, that is, when they are paid for.
        self.paid_until = self.paid_since(now, BURST).after(time_for(bytes, rate));
        self.paid_until.since(now)
    }

    /// From when on what goes next is paid for: what was not used counts for at most `burst`.
    fn paid_since(&self, now: Timestamp, burst: Duration) -> Timestamp {
        self.paid_until.max(Timestamp::from_micros(now.as_micros().saturating_sub(micros(burst))))
    }
}

fn time_for(bytes: u64, bytes_per_second: u64) -> Duration {
    let micros = u128::from(bytes) * 1_000_000 / u128::from(bytes_per_second);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
