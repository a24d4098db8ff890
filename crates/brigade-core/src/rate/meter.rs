//! A measure of bytes a second: the rates that people see.
//!
//! `download` has its own measure of a holder's speed, which leaves out idle time.

use std::{collections::VecDeque, time::Duration};

use crate::time::Timestamp;

/// The rate of a stream of bytes, as people are shown it.
///
/// The rate is computed between events, not over a fixed time: from one event to a later one, exactly the bytes after
/// the first event count. So it is right for bytes that come in large groups too, if these are at most
/// [`Self::MAX_IDLE_TIMEOUT`] apart. Reading the rate changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    total: u64,
    /// When bytes were last counted in each [`Self::SLOT`] of this run, and the total after that; the latest last.
    samples: VecDeque<Sample>,
    /// When this run began, which ends with the quiet after which the rate is zero, and the total before it.
    began: Sample,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sample {
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
    const SAMPLES: usize = 152;
    /// Less than this between two events says little.
    const LEAST_SPAN: Duration = Duration::from_millis(500);
    /// The shortest time without a byte after which the rate is zero; twice the longest pause of late, if that is
    /// longer.
    const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
    /// The longest such time.
    pub const MAX_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

    /// Counts `bytes` that came or went. A `now` that is earlier than one before is taken for that.
    pub fn add(&mut self, now: Timestamp, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let now = self.samples.back().map_or(now, |last| now.max(last.at));
        if self.is_idle(now) {
            self.samples.clear();
            self.began = Sample { at: now, total: self.total };
        }
        self.total = self.total.saturating_add(bytes);
        let mark = Sample { at: now, total: self.total };
        match self.samples.back_mut() {
            Some(last) if slot(last.at) == slot(now) => *last = mark,
            _ => {
                if self.samples.len() == Self::SAMPLES {
                    self.samples.pop_front();
                }
                self.samples.push_back(mark);
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
        let is_known = self.samples.len() > 1 && now.since(self.began.at) >= Self::WINDOW;
        let rate = self.rate_over(now, Self::STEADY_WINDOW);
        (is_known && rate > 0).then_some(rate)
    }

    fn rate_over(&self, now: Timestamp, window: Duration) -> u64 {
        if self.is_idle(now) {
            return 0;
        }
        let Some((last, before)) = self.samples.iter().next_back().zip(self.base(now, window)) else {
            // All that came so far, over a second at least: the time before the first event is not known.
            return per_second(self.total - self.began.total, now.since(self.began.at).max(SECOND));
        };
        // A pause that is longer than those before it counts as it grows.
        let late = now.since(last.at).saturating_sub(self.longest_pause(before));
        per_second(last.total - before.total, last.at.since(before.at) + late)
    }

    /// What the last mark is compared with: the latest one that is a window old, or the first; none where that is too
    /// near.
    fn base(&self, now: Timestamp, window: Duration) -> Option<Sample> {
        let last = self.samples.len().checked_sub(1)?;
        let old = self.samples.partition_point(|mark| now.since(mark.at) >= window);
        let base = *self.samples.range(..last).nth(old.saturating_sub(1).min(last.checked_sub(1)?))?;
        let is_far = self.samples.back()?.at.since(base.at) >= Self::LEAST_SPAN;
        (is_far || base.at > self.began.at.after(Self::LEAST_SPAN)).then_some(base)
    }

    /// The longest time between two marks from `base` on; of those within a slot, its length.
    fn longest_pause(&self, base: Sample) -> Duration {
        let from = self.samples.partition_point(|mark| mark.at < base.at);
        let after = self.samples.range(from..).skip(1);
        let pauses = self.samples.range(from..).zip(after).map(|(one, next)| next.at.since(one.at));
        pauses.max().unwrap_or_default().max(Self::SLOT * 2)
    }

    /// Whether nothing has come for so long that the stream has ended, or none ever has.
    fn is_idle(&self, now: Timestamp) -> bool {
        let Some(last) = self.samples.back() else { return true };
        let quiet = now.since(last.at);
        if quiet < Self::IDLE_TIMEOUT || self.samples.len() == 1 {
            return quiet >= Self::MAX_IDLE_TIMEOUT; // of a single event, its pause is not known
        }
        let base = self.base(now, Self::WINDOW).unwrap_or(self.samples[0]);
        quiet >= (self.longest_pause(base) * 2).clamp(Self::IDLE_TIMEOUT, Self::MAX_IDLE_TIMEOUT)
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn slot(at: Timestamp) -> u128 {
    u128::from(at.as_micros()) / Meter::SLOT.as_micros()
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000 / time.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}
