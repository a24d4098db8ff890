//! The lines of a log.
//!
//! `log_ring` keeps the last ones of a running program.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Counts the lines since the start, from 1.
    pub number: u64,
    /// When it was written, in milliseconds since 1970.
    pub time_ms: u64,
    /// Its level.
    pub level: LogLevel,
    /// The module that wrote it.
    pub target: String,
    /// The message, and its fields as `NAME=VALUE`.
    pub message: String,
}

/// The level of a log line, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Odd, but handled.
    Warn,
    /// A step in the life of the program.
    Info,
    /// A decision.
    Debug,
    /// A frame.
    Trace,
}

/// The last lines of the log, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLines {
    /// The lines.
    pub lines: Vec<LogLine>,
}
