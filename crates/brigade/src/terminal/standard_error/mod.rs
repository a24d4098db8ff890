//! Standard error, which may be a closed terminal, a closed pipe or a full disk.
//!
//! A line that cannot be written is lost, since there is no other place for it. The program continues. While a screen
//! covers the terminal, the line is kept for the screen. A service writes
//! records instead of plain lines: [`log_records`] has their formats, and [`set_format`] chooses one for all that goes
//! to standard error from then on.

pub(crate) mod log_records;

use std::{
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use brigade_node::clock;
use serde_json::{Map, Value};

use self::log_records::{LogLevel, RecordFormat};
use super::covered_output;

/// The format of records; without one, lines are written as they are.
static FORMAT: OnceLock<RecordFormat> = OnceLock::new();

/// Writes records of this format from now on. Only the first call has an effect.
pub(crate) fn set_format(format: RecordFormat) {
    let _ = FORMAT.set(format);
}

/// Whether standard error gets records instead of plain lines.
pub(crate) fn has_records() -> bool {
    FORMAT.get().is_some()
}

/// Whether these records are JSON.
pub(crate) fn has_json_records() -> bool {
    FORMAT.get().is_some_and(|format| format.is_json)
}

/// Writes a line to standard error, or a record of the level `info`. Unlike `eprintln!`, it does not panic if that
/// fails.
pub(crate) fn print_error_line(line: &str) {
    match FORMAT.get() {
        None => write(&format!("{line}\n")),
        Some(_) => print_record(LogLevel::Info, line, &Map::new()),
    }
}

/// Writes a record, if records are written; otherwise a line with the message alone.
pub(crate) fn print_record(level: LogLevel, message: &str, fields: &Map<String, Value>) {
    match FORMAT.get() {
        None => write(&format!("{message}\n")),
        Some(format) => write(&format.record(clock::unix_now(), level, message, fields)),
    }
}

/// One write for each call, so that the lines of several threads are not mixed.
fn write(text: &str) {
    let mut err = io::stderr().lock();
    if covered_output::is_covered() && err.is_terminal() {
        return covered_output::keep(text.trim_end_matches('\n'));
    }
    let _ = err.write_all(text.as_bytes());
}
