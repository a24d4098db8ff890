//! The log of breaches of the protocol: a flood of them does not fill it.
//!
//! A breach by a member is a warning; one by a stranger, who may come to any open port, is of less interest. Of each kind
//! a few lines are written in a minute; how many were left out stands in the next line. Those are logged for debugging.

use std::{
    fmt::Display,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use brigade_core::{id::PeerKey, name::Username, time::Timestamp};

use crate::clock;

/// Lines of one kind in a [`WINDOW`]: enough to see who it is, few enough to read.
const MOST_LINES: u32 = 10;

/// The time for which they are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// What is logged of the connections of one listener, or of those to holders; they share it.
#[derive(Debug, Default)]
pub(crate) struct BreachLog {
    /// Of members of the network.
    members: LineLimit,
    /// Of all others, of whom there may be any number: they do not use up the lines of members.
    strangers: LineLimit,
}

impl BreachLog {
    /// The other side of a connection broke the protocol, and the connection ends. `member` is its username where it
    /// has shown that it is a member.
    pub(crate) fn broke(&self, member: Option<&Username>, remote: SocketAddr, error: &dyn Display) {
        match (member, self.line(member.is_some())) {
            (Some(username), Some(Line { left_out })) => {
                tracing::warn!(%username, %remote, %error, left_out, "a member broke the protocol");
            }
            (None, Some(Line { left_out })) => {
                tracing::info!(%remote, %error, left_out, "a stranger broke the protocol");
            }
            (username, None) => {
                let username = username.map(Username::as_str);
                tracing::debug!(username, %remote, %error, "the other side broke the protocol");
            }
        }
    }

    /// A connection was refused because its membership is not valid. `member` is the username in it where only the time
    /// is wrong: then a clock is.
    pub(crate) fn refused(
        &self,
        member: Option<&Username>,
        remote: SocketAddr,
        key: PeerKey,
        error: &dyn Display,
    ) {
        let key = key.short();
        match (member, self.line(member.is_some())) {
            (Some(username), Some(Line { left_out })) => {
                tracing::warn!(%username, %remote, %error, left_out, "refused a member");
            }
            (None, Some(Line { left_out })) => {
                tracing::info!(%remote, key, %error, left_out, "refused a connection");
            }
            (_, None) => tracing::debug!(%remote, key, %error, "refused a connection"),
        }
    }

    fn line(&self, is_member: bool) -> Option<Line> {
        let limit = if is_member { &self.members } else { &self.strangers };
        limit.next(clock::now())
    }
}

/// The lines of one kind.
#[derive(Debug, Default)]
// A lock, since a message to an owner would cost more than what it is there to save; it is held for a count.
struct LineLimit(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    since: Timestamp,
    lines: u32,
    left_out: u64,
}

/// A line that may be written.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// How many were not, since the last one, where there were any.
    left_out: Option<u64>,
}

impl LineLimit {
    /// Another line, where one may be written now.
    fn next(&self, now: Timestamp) -> Option<Line> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(written.since) >= WINDOW {
            (written.since, written.lines) = (now, 0);
        }
        if written.lines == MOST_LINES {
            written.left_out += 1;
            return None;
        }
        written.lines += 1;
        let left_out = std::mem::take(&mut written.left_out);
        Some(Line { left_out: (left_out > 0).then_some(left_out) })
    }
}

#[cfg(test)]
mod tests {
    use super::{BreachLog, Line, MOST_LINES, Timestamp, WINDOW};

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let BreachLog { strangers, members } = BreachLog::default();
        let now = Timestamp::from_micros(1_000_000);
        let written = (0..1000).filter(|_| strangers.next(now).is_some()).count();
        assert_eq!(written, MOST_LINES as usize);
        assert_eq!(members.next(now), Some(Line { left_out: None }));
        let later = now.after(WINDOW);
        assert_eq!(strangers.next(later), Some(Line { left_out: Some(1000 - u64::from(MOST_LINES)) }));
        assert_eq!(strangers.next(later), Some(Line { left_out: None }));
    }
}
