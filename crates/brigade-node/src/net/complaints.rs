//! How often it is said that somebody broke the protocol: who does so a thousand times a second must not fill the
//! log of the one who suffers it.
//!
//! What is said, and how loud, is the caller's business. Nothing is lost but the lines: every connection that breaks
//! the protocol is closed, and how many were passed over stands in the next line.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use brigade_core::time::Timestamp;

/// Lines in a [`WINDOW`]: enough to see who it is, few enough to read.
const LINES: u32 = 10;

/// The time for which they are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// The lines that one listener writes; shared by its connections.
#[derive(Debug, Default)]
// A lock, since a message to an owner would cost more than what it is there to save; it is held for a count.
pub(crate) struct Complaints(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    since: Timestamp,
    lines: u32,
    passed_over: u64,
}

impl Complaints {
    /// How many complaints were passed over since the last line, where another line may be written now.
    pub(crate) fn next(&self, now: Timestamp) -> Option<u64> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(written.since) >= WINDOW {
            (written.since, written.lines) = (now, 0);
        }
        if written.lines == LINES {
            written.passed_over += 1;
            return None;
        }
        written.lines += 1;
        Some(std::mem::take(&mut written.passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::{Complaints, LINES, Timestamp, WINDOW};

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let complaints = Complaints::default();
        let now = Timestamp::from_micros(1_000_000);
        let written = (0..1000).filter(|_| complaints.next(now).is_some()).count();
        assert_eq!(written, LINES as usize);
        assert_eq!(complaints.next(now.after(WINDOW)), Some(1000 - u64::from(LINES)));
        assert_eq!(complaints.next(now.after(WINDOW)), Some(0));
    }
}
