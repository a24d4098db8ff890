//! The formats of log records: lines with the time and the level, lines for the journal of systemd, and JSON.
//!
//! A record has a time, a level, a message and fields. Text for people is escaped by its writer; JSON has its own escapes.
//! No record has a line break in it, except that the journal gets one entry for each line of a message.

use std::fmt::Write;

use brigade_core::time::UnixTime;
use serde_json::{Map, Value, json};

use crate::text::{escape::escape, format};

/// How important a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// A format of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordFormat {
    /// Whether a record is a JSON object on one line; otherwise it is text.
    pub(crate) is_json: bool,
    /// Whether each line begins with the priority of syslog in angle brackets, which the journal of systemd reads. The
    /// journal has the time itself.
    pub(crate) is_journal: bool,
}

impl LogLevel {
    /// The name for programs.
    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The priority of syslog.
    const fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warn => 4,
            Self::Info => 6,
            Self::Debug | Self::Trace => 7,
        }
    }
}

impl RecordFormat {
    /// The record, with a line break at its end.
    pub(super) fn record(
        self,
        at: UnixTime,
        level: LogLevel,
        message: &str,
        fields: &Map<String, Value>,
    ) -> String {
        let prefix = if self.is_journal { format!("<{}>", level.priority()) } else { String::new() };
        if self.is_json {
            let record = json!({ "time": format::time(at), "level": level.name(), "message": message, "fields": fields });
            return format!("{prefix}{record}\n");
        }
        let start = if self.is_journal {
            prefix
        } else {
            format!("{} {:>5} ", format::time(at), level.name().to_uppercase())
        };
        let mut text = String::new();
        let mut lines = message.lines().peekable();
        while let Some(line) = lines.next() {
            text += &start;
            text += line;
            if lines.peek().is_none() {
                text += &shown_fields(fields);
            }
            text.push('\n');
        }
        text
    }
}

/// The fields as ` key=value`. A value with spaces is in quotation marks.
fn shown_fields(fields: &Map<String, Value>) -> String {
    let mut shown = String::new();
    for (key, value) in fields {
        let _ = match value {
            Value::String(text) if text.contains(char::is_whitespace) && !text.starts_with('"') => {
                write!(shown, " {key}=\"{}\"", escape(text))
            }
            Value::String(text) => write!(shown, " {key}={}", escape(text)),
            other => write!(shown, " {key}={}", escape(&other.to_string())),
        };
    }
    shown
}

/// Whether standard error is a stream of systemd's journal: `JOURNAL_STREAM` has the device and inode of the stream.
pub(crate) fn is_journal_stream() -> bool {
    #[cfg(unix)]
    {
        let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        let found = rustix::fs::fstat(std::io::stderr());
        found.is_ok_and(|found| named == format!("{}:{}", found.st_dev, found.st_ino))
    }
    #[cfg(not(unix))]
    {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{LogLevel, Map, RecordFormat, UnixTime, Value, json};

    fn fields() -> Map<String, Value> {
        let Value::Object(fields) = json!({ "bytes": 7, "what": "a b\u{1b}" }) else { unreachable!() };
        fields
    }

    #[track_caller]
    fn check(is_json: bool, is_journal: bool, expected: &str) {
        let format = RecordFormat { is_json, is_journal };
        assert_eq!(format.record(UnixTime(0), LogLevel::Warn, "one\ntwo", &fields()), expected);
    }

    #[test]
    fn a_record_has_its_time_its_level_and_its_fields() {
        let text =
            "1970-01-01T00:00:00Z  WARN one\n1970-01-01T00:00:00Z  WARN two bytes=7 what=\"a b\\u{1b}\"\n";
        check(false, false, text);
        check(false, true, "<4>one\n<4>two bytes=7 what=\"a b\\u{1b}\"\n");
        let json = r#"{"fields":{"bytes":7,"what":"a b\u001b"},"level":"warn","message":"one\ntwo","time":"1970-01-01T00:00:00Z"}"#;
        check(true, false, &format!("{json}\n"));
        check(true, true, &format!("<4>{json}\n"));
    }
}
