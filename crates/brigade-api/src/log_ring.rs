//! The last lines of the log of a running program, for those that ask later.
//!
//! The program adds a [`LogRing`] to its subscriber as a layer. The ring is bounded in lines and bytes, and writing to it
//! never waits: a lock is held to add or copy lines.

use std::{
    collections::VecDeque,
    fmt::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::values::{LogLevel, LogLine};

/// Lines that are kept.
pub const LINES: usize = 1000;

/// Bytes of all kept messages together.
const BYTES: usize = 1 << 20;

/// Bytes of one message; a longer one is cut.
const LINE_BYTES: usize = 4096;

/// The last lines of the log. Clones have the same lines.
#[derive(Debug, Clone)]
pub struct LogRing(Arc<RingState>);

#[derive(Debug)]
struct RingState {
    lines: Mutex<RingLines>,
    /// The number of the last line.
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct RingLines {
    lines: VecDeque<LogLine>,
    bytes: usize,
    last: u64,
}

impl Default for LogRing {
    fn default() -> Self {
        Self(Arc::new(RingState { lines: Mutex::default(), last: watch::Sender::new(0) }))
    }
}

impl LogRing {
    /// Adds a line. A message that is too long is cut.
    pub fn add(&self, level: LogLevel, target: &str, mut message: String) {
        message.truncate(message.floor_char_boundary(LINE_BYTES));
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut ring = self.ring();
        ring.last += 1;
        let last = ring.last;
        ring.bytes += message.len();
        ring.lines.push_back(LogLine { number: last, time_ms, level, target: target.to_owned(), message });
        while ring.lines.len() > LINES || ring.bytes > BYTES {
            let removed = ring.lines.pop_front().map_or(0, |line| line.message.len());
            ring.bytes -= removed;
        }
        drop(ring);
        self.0.last.send_replace(last);
    }

    /// The last lines, at most `most`, oldest first.
    pub fn last(&self, most: usize) -> Vec<LogLine> {
        let ring = self.ring();
        ring.lines.iter().skip(ring.lines.len().saturating_sub(most)).cloned().collect()
    }

    /// The kept lines with a larger number than `number`, oldest first.
    pub fn after(&self, number: u64) -> Vec<LogLine> {
        self.ring().lines.iter().filter(|line| line.number > number).cloned().collect()
    }

    /// Follows the number of the last line.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.0.last.subscribe()
    }

    fn ring(&self) -> MutexGuard<'_, RingLines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for LogRing {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = MessageText::default();
        event.record(&mut text);
        let level = match *event.metadata().level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            Level::DEBUG => LogLevel::Debug,
            Level::TRACE => LogLevel::Trace,
        };
        self.add(level, event.metadata().target(), text.message + &text.fields);
    }
}

/// The message of an event, and its fields after it.
#[derive(Debug, Default)]
struct MessageText {
    message: String,
    fields: String,
}

impl Visit for MessageText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            let _ = write!(self.fields, " {}={value:?}", field.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::{LINE_BYTES, LINES, LogLevel, LogRing};

    #[test]
    fn the_last_lines_are_kept_with_their_numbers() {
        let ring = LogRing::default();
        for number in 0..LINES + 5 {
            ring.add(LogLevel::Info, "here", format!("line {number}"));
        }
        let kept = ring.last(usize::MAX);
        assert_eq!((kept.len(), kept[0].number, &*kept[0].message), (LINES, 6, "line 5"));
        assert_eq!(ring.last(2)[0].number, LINES as u64 + 4);
        assert_eq!(ring.after(LINES as u64 + 4).len(), 1);
        assert_eq!(*ring.follow().borrow(), LINES as u64 + 5);
    }

    #[test]
    fn long_lines_do_not_grow_the_ring() {
        let ring = LogRing::default();
        for _ in 0..LINES {
            ring.add(LogLevel::Warn, "here", "é".repeat(LINE_BYTES));
        }
        let bytes: usize = ring.last(LINES).iter().map(|line| line.message.len()).sum();
        assert!(bytes <= super::BYTES && ring.last(1)[0].message.len() == LINE_BYTES);
    }

    #[test]
    fn an_event_has_its_message_before_its_fields() {
        let ring = LogRing::default();
        let subscriber = tracing_subscriber::registry().with(ring.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(port = 7, name = "a b", "the port is taken");
        });
        let line = ring.last(1).remove(0);
        assert_eq!((line.level, &*line.message), (LogLevel::Warn, "the port is taken port=7 name=\"a b\""));
    }
}
