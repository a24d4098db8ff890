//! How fast a verification reads: at most half of the time, and at most a constant number of bytes in a second.
//!
//! So the disk and a processor are free for serving for at least half of the time. Short pauses are collected, because
//! the system rounds each one up.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use brigade_core::time::Timestamp;

use crate::{clock::now, store::hash::BUFFER_BYTES};

/// The most bytes in a second: faster than most disks, and a quarter of what one processor hashes.
const RATE: u64 = 256 << 20;

/// Pauses are collected until they are so long.
const SHORTEST: Duration = Duration::from_millis(5);

/// The longest pause: a cancelled verification ends within this time and that of one read.
const LONGEST: Duration = Duration::from_millis(100);

/// The time of the last read, and the pause that is due. The lock is never held during a pause by two threads: only one
/// reads.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<PaceState>);

#[derive(Debug, Default)]
struct PaceState {
    /// The end of the last pause.
    since: Option<Timestamp>,
    due: Duration,
}

impl Pace {
    /// To be called before each read, of a file with so many bytes: pauses if enough was read before.
    pub(super) fn read_next(&self, file_bytes: u64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = state.pause(now(), file_bytes.min(BUFFER_BYTES as u64));
        if !pause.is_zero() {
            thread::sleep(pause);
            state.since = Some(now());
        }
    }
}

impl PaceState {
    /// The pause before the next read of so many bytes; zero if it is not due yet.
    fn pause(&mut self, now: Timestamp, bytes: u64) -> Duration {
        let worked = self.since.replace(now).map_or(Duration::ZERO, |since| now.since(since));
        self.due += worked.max(Duration::from_micros(bytes * 1_000_000 / RATE));
        if self.due < SHORTEST {
            return Duration::ZERO;
        }
        std::mem::take(&mut self.due).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::{BUFFER_BYTES, Duration, LONGEST, PaceState, RATE, SHORTEST, Timestamp};

    #[test]
    fn half_of_the_time_and_the_rate_are_kept() {
        let mut state = PaceState::default();
        let at = |millis: u64| Timestamp::from_micros(millis * 1000);
        let portion = BUFFER_BYTES as u64;
        assert_eq!(state.pause(at(0), portion), Duration::ZERO);
        assert!(state.pause(at(20), portion) >= Duration::from_millis(20), "as long as it has read");
        assert_eq!(state.pause(at(2_000), portion), LONGEST);
        let mut state = PaceState::default();
        let mut slept = Duration::ZERO;
        for _ in 0..RATE / portion {
            slept += state.pause(at(0), portion); // reading takes no time at all
        }
        assert!(slept + SHORTEST >= Duration::from_secs(1) - Duration::from_millis(50), "{slept:?}");
    }
}
