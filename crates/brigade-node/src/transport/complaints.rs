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

/// Lines of one kind in a [`WINDOW`]: enough to see who it is, few enough to read.
const MOST_LINES: u32 = 10;

/// The time for which they are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// The lines that one listener writes; shared by its connections.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// Of those who belong to the network.
    pub(crate) members: Lines,
    /// Of all others, of whom there may be any number: they shall not hide a member.
    pub(crate) strangers: Lines,
}

/// Lines about one kind of people.
#[derive(Debug, Default)]
// A lock, since a message to an owner would cost more than what it is there to save; it is held for a count.
pub(crate) struct Lines(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    since: Timestamp,
    lines: u32,
    passed_over: u64,
}

/// A line that may be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// How many were not, since the last one, where there were any.
    pub(crate) passed_over: Option<u64>,
}

impl Lines {
    /// Another line, where one may be written now.
    pub(crate) fn next(&self, now: Timestamp) -> Option<Line> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(written.since) >= WINDOW {
            (written.since, written.lines) = (now, 0);
        }
        if written.lines == MOST_LINES {
            written.passed_over += 1;
            return None;
        }
        written.lines += 1;
        let passed_over = std::mem::take(&mut written.passed_over);
        Some(Line { passed_over: (passed_over > 0).then_some(passed_over) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Complaints, Line, MOST_LINES, Timestamp, WINDOW};

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let Complaints { strangers, members } = Complaints::default();
        let now = Timestamp::from_micros(1_000_000);
        let written = (0..1000).filter(|_| strangers.next(now).is_some()).count();
        assert_eq!(written, MOST_LINES as usize);
        assert_eq!(members.next(now), Some(Line { passed_over: None }));
        let later = now.after(WINDOW);
        assert_eq!(strangers.next(later), Some(Line { passed_over: Some(1000 - u64::from(MOST_LINES)) }));
        assert_eq!(strangers.next(later), Some(Line { passed_over: None }));
    }
}
