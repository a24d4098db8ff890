//! A limit on bytes a second, and a measure of them.
//!
//! [`Limiter`] is a token bucket: it says whether bytes may go, or how long to wait before that, and leaves the
//! waiting to the caller, so that the node and the simulator run the very same one. [`Meter`] is the one estimator
//! of rates that people are shown. How fast a holder is while something is asked of it, `download` judges by its own
//! measure, which leaves out idle time.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use crate::time::Timestamp;

/// How much may go at once after a pause, as a time at the limit's rate.
const BURST: Duration = Duration::from_millis(100);

/// What is let through at once, as a part of a second at the limit's rate: 50 ms' worth.
const SLICES_PER_SECOND: u64 = 20;

/// Bounds of a slice in bytes: not so short that a small limit costs many wake-ups, and one read at most.
const SLICE_BYTES: (u64, u64) = (1 << 10, 64 << 10);

/// A limit as somebody sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// None: as fast as it goes.
    Off,
    /// So many bytes a second.
    At(u64),
}

/// A limit in bytes a second over everything that asks it.
///
/// There are two ways to ask. [`pass`](Self::pass) takes nothing before the bytes may go, so that a caller that stops
/// waiting owes nothing; who is next is up to the callers. [`take`](Self::take) reserves: it suits a caller that always
/// sends what it took.
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

    /// Sets another limit. What was let through before is not charged again, and what was reserved is forgotten: a
    /// caller that waits asks anew, and sends nothing before that. So no more than one burst can go at once after this
    /// either.
    pub fn set(&mut self, now: Timestamp, bytes_per_second: Option<u64>) {
        *self = Self { paid_until: self.paid_until.min(now), ..Self::new(bytes_per_second) };
    }

    /// How many bytes are asked for at once, so that several callers share the limit in small turns; `None` where there
    /// is no limit.
    pub fn slice_bytes(&self) -> Option<u64> {
        let (least, most) = SLICE_BYTES;
        self.bytes_per_second.map(|rate| (rate / SLICES_PER_SECOND).clamp(least, most))
    }

    /// Lets `bytes` go now.
    ///
    /// # Errors
    /// How long it is until they may go, if nothing else goes before and the limit stays. Nothing is taken then: the
    /// caller asks again.
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

    /// Gives back `bytes` that were let go and did not go.
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

/// The rate of a stream of bytes, as people are shown it.
///
/// It is reckoned between events, not over a fixed time: from one event to a later one exactly what came after the
/// first one counts. So it is right for bytes in lumps too, as long as these are not further apart than
/// [`Self::LONGEST_QUIET`], and reading it changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    total: u64,
    /// When bytes were last counted in each [`Self::SLOT`] of this run, and the total after that; the latest last.
    marks: VecDeque<Mark>,
    /// When this run began, which ends with the quiet after which the rate is zero, and the total before it.
    began: Mark,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    at: Timestamp,
    total: u64,
}

impl Meter {
    /// Events that are not told apart.
    const SLOT: Duration = Duration::from_millis(100);
    /// What a rate is taken over: short enough to follow a change, long enough not to jump.
    const WINDOW: Duration = Duration::from_secs(2);
    /// What a steady rate is taken over.
    const STEADY_WINDOW: Duration = Duration::from_secs(15);
    /// Marks that are kept: those of the longest window, and the one before it.
    const MARKS: usize = 152;
    /// Less than this between two events says little.
    const LEAST_SPAN: Duration = Duration::from_millis(500);
    /// The shortest time without a byte after which the rate is zero; twice the longest pause of late, if that is longer.
    const QUIET: Duration = Duration::from_secs(2);
    /// The longest such time.
    pub const LONGEST_QUIET: Duration = Duration::from_secs(4);

    /// Counts `bytes` that came or went. A `now` that is earlier than one before is taken for that.
    pub fn add(&mut self, now: Timestamp, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let now = self.marks.back().map_or(now, |last| now.max(last.at));
        if self.is_quiet(now) {
            self.marks.clear();
            self.began = Mark { at: now, total: self.total };
        }
        self.total = self.total.saturating_add(bytes);
        let mark = Mark { at: now, total: self.total };
        match self.marks.back_mut() {
            Some(last) if slot(last.at) == slot(now) => *last = mark,
            _ => {
                if self.marks.len() == Self::MARKS {
                    self.marks.pop_front();
                }
                self.marks.push_back(mark);
            }
        }
    }

    /// All bytes so far.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Bytes a second now: it rises with the first bytes, and is zero a few seconds after the last ones.
    pub fn rate(&self, now: Timestamp) -> u64 {
        self.rate_over(now, Self::WINDOW)
    }

    /// Bytes a second over a longer time, to foretell by; `None` while too little was seen for that, and where nothing
    /// comes.
    pub fn steady_rate(&self, now: Timestamp) -> Option<u64> {
        let is_known = self.marks.len() > 1 && now.since(self.began.at) >= Self::WINDOW;
        let rate = self.rate_over(now, Self::STEADY_WINDOW);
        (is_known && rate > 0).then_some(rate)
    }

    fn rate_over(&self, now: Timestamp, window: Duration) -> u64 {
        if self.is_quiet(now) {
            return 0;
        }
        let Some((last, before)) = self.marks.iter().next_back().zip(self.base(now, window)) else {
            // All that came so far, over a second at least: the time before the first event is not known.
            return per_second(self.total - self.began.total, now.since(self.began.at).max(SECOND));
        };
        // A pause that is longer than those before it counts as it grows.
        let late = now.since(last.at).saturating_sub(self.longest_pause(before));
        per_second(last.total - before.total, last.at.since(before.at) + late)
    }

    /// What the last mark is compared with: the latest one that is a window old, or the first; none where that is too near.
    fn base(&self, now: Timestamp, window: Duration) -> Option<Mark> {
        let last = self.marks.len().checked_sub(1)?;
        let old = self.marks.partition_point(|mark| now.since(mark.at) >= window);
        let base = *self.marks.range(..last).nth(old.saturating_sub(1).min(last.checked_sub(1)?))?;
        let is_far = self.marks.back()?.at.since(base.at) >= Self::LEAST_SPAN;
        (is_far || base.at > self.began.at.after(Self::LEAST_SPAN)).then_some(base)
    }

    /// The longest time between two marks from `base` on; of those within a slot, its length.
    fn longest_pause(&self, base: Mark) -> Duration {
        let from = self.marks.partition_point(|mark| mark.at < base.at);
        let after = self.marks.range(from..).skip(1);
        let pauses = self.marks.range(from..).zip(after).map(|(one, next)| next.at.since(one.at));
        pauses.max().unwrap_or_default().max(Self::SLOT * 2)
    }

    /// Whether nothing has come for so long that the stream has ended, or none ever has.
    fn is_quiet(&self, now: Timestamp) -> bool {
        let Some(last) = self.marks.back() else { return true };
        let quiet = now.since(last.at);
        if quiet < Self::QUIET || self.marks.len() == 1 {
            return quiet >= Self::LONGEST_QUIET; // of a single event, its pause is not known
        }
        let base = self.base(now, Self::WINDOW).unwrap_or(self.marks[0]);
        quiet >= (self.longest_pause(base) * 2).clamp(Self::QUIET, Self::LONGEST_QUIET)
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn slot(at: Timestamp) -> u64 {
    at.as_micros() / micros(Meter::SLOT)
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000 / time.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

fn time_for(bytes: u64, bytes_per_second: u64) -> Duration {
    let micros = u128::from(bytes) * 1_000_000 / u128::from(bytes_per_second);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
