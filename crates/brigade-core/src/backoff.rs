//! Growing pauses between attempts: the first one is short, each next one is longer, up to a ceiling.
//!
//! Nothing here waits or reads a clock: [`Backoff`] says how long the pause is, and the caller adds it to its own
//! `now`. A success resets it. [`jittered`] spreads the attempts of many peers that failed at the same moment.

use std::time::Duration;

use crate::random::Random;

/// The pauses between attempts that fail.
///
/// The `n`th pause after a reset is `first * factor^n`, and at most the ceiling. The arithmetic saturates: any number
/// of failures is fine, and no pause is longer than the ceiling.
///
/// ```
/// use std::time::Duration;
/// use brigade_core::backoff::Backoff;
///
/// let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
/// let pauses = [backoff.next_pause(), backoff.next_pause(), backoff.next_pause(), backoff.next_pause()];
/// assert_eq!(pauses.map(|pause| pause.as_secs()), [1, 2, 4, 5]);
/// backoff.reset();
/// assert_eq!(backoff.next_pause(), Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    factor: u32,
    taken: u32,
}

impl Backoff {
    /// Pauses that double, from `first` up to `ceiling`. A ceiling below `first` is the length of every pause.
    pub const fn new(first: Duration, ceiling: Duration) -> Self {
        Self { first, ceiling, factor: 2, taken: 0 }
    }

    /// The same bounds with another factor; 1 keeps every pause at the first one, and 0 is taken as 1.
    pub const fn with_factor(self, factor: u32) -> Self {
        Self { factor: if factor == 0 { 1 } else { factor }, ..self }
    }

    /// Takes the next pause: the first one after a reset, then longer ones.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.nth_pause(self.taken);
        self.taken = self.taken.saturating_add(1);
        pause
    }

    /// The pause that was taken last; the first one where none was taken since the reset.
    pub fn last_pause(&self) -> Duration {
        self.nth_pause(self.taken.saturating_sub(1))
    }

    /// How many pauses were taken since the reset.
    pub const fn taken(&self) -> u32 {
        self.taken
    }

    /// The pause that follows `taken` others.
    pub fn nth_pause(&self, taken: u32) -> Duration {
        self.first.saturating_mul(self.factor.saturating_pow(taken)).min(self.ceiling)
    }

    /// An attempt succeeded: the next pause is the first one again.
    pub const fn reset(&mut self) {
        self.taken = 0;
    }
}

/// A random time between half of `pause` and all of it. Equal seeds give equal times.
pub fn jittered(pause: Duration, random: &mut Random) -> Duration {
    let half_us = usize::try_from(pause.as_micros() / 2).unwrap_or(usize::MAX);
    let jitter_us = u64::try_from(random.below(half_us)).unwrap_or(0);
    pause / 2 + Duration::from_micros(jitter_us)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, jittered};
    use crate::{random::Random, time::Timestamp};

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// The times of the attempts in milliseconds, of which every one fails.
    fn attempts(mut backoff: Backoff, count: usize) -> Vec<u64> {
        let mut now = Timestamp::default();
        let attempt = |_| {
            now = now.after(backoff.next_pause());
            now.as_micros() / 1000
        };
        (0..count).map(attempt).collect()
    }

    #[test]
    fn pauses_grow_by_the_factor_up_to_the_ceiling() {
        let backoff = Backoff::new(MS(250), MS(1500));
        assert_eq!(attempts(backoff, 6), [250, 750, 1750, 3250, 4750, 6250]);
        assert_eq!(attempts(backoff.with_factor(3), 4), [250, 1000, 2500, 4000]);
        assert_eq!(attempts(backoff.with_factor(1), 3), [250, 500, 750]);
        assert_eq!(attempts(backoff.with_factor(0), 3), [250, 500, 750]);
        assert_eq!(attempts(Backoff::new(MS(250), MS(100)), 2), [100, 200]);
    }

    #[test]
    fn a_success_begins_again_with_the_first_pause() {
        let mut backoff = Backoff::new(MS(10), MS(1000));
        assert_eq!((backoff.last_pause(), backoff.taken()), (MS(10), 0));
        backoff.next_pause();
        assert_eq!((backoff.next_pause(), backoff.last_pause(), backoff.taken()), (MS(20), MS(20), 2));
        backoff.reset();
        assert_eq!((backoff.next_pause(), backoff.last_pause()), (MS(10), MS(10)));
    }

    #[test]
    fn any_number_of_failures_keeps_the_bounds() {
        let mut backoff = Backoff::new(MS(250), Duration::from_secs(10));
        assert!((0..10_000).map(|_| backoff.next_pause()).all(|pause| pause <= Duration::from_secs(10)));
        assert_eq!(backoff.nth_pause(u32::MAX), Duration::from_secs(10));
        assert_eq!(Backoff::new(Duration::MAX, Duration::MAX).nth_pause(5), Duration::MAX);
    }

    #[test]
    fn jitter_follows_from_the_seed_and_stays_in_the_upper_half() {
        let times = |seed| {
            let mut random = Random::new(seed);
            [(); 100].map(|()| jittered(MS(1000), &mut random))
        };
        assert!(times(1).iter().all(|time| (MS(500)..MS(1000)).contains(time)));
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
        assert_eq!(jittered(Duration::ZERO, &mut Random::new(1)), Duration::ZERO);
    }
}
