//! Standard error, which may be a closed terminal, a closed pipe or a full disk.
//!
//! A line that cannot be written is lost, since there is no other place for it. The program continues. While a screen covers the terminal,
//! the line is kept for the screen.

use std::io::{self, IsTerminal, Write};

use super::covered_output;

/// Writes a line to standard error. Unlike `eprintln!`, it does not panic if that fails.
pub(crate) fn print_error_line(line: &str) {
    let mut err = io::stderr().lock();
    if covered_output::is_covered() && err.is_terminal() {
        return covered_output::keep(line);
    }
    let _ = err.write_all(format!("{line}\n").as_bytes());
}
