//! Standard error, which may be a closed terminal, a closed pipe or a full disk.
//!
//! A line that cannot be written is lost, since there is no other place for it. The program continues.

use std::io::{self, Write};

/// Writes a line to standard error. Unlike `eprintln!`, it does not panic if that fails.
pub(crate) fn print_error_line(line: &str) {
    let _ = io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}
