//! Standard output, which may be a closed pipe or a full disk.
//!
//! A reader that closes the pipe is not an error, and neither is a terminal that is closed: the program continues
//! silently, and SIGHUP ends it. Any other error is printed once, and the exit code is not 0.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{covered_output, progress_line};
use crate::failure::{DISK, Failure};

static FAILED: AtomicBool = AtomicBool::new(false);

/// Writes a line to standard output and flushes it.
pub(crate) fn print_line(line: &str) {
    print_text(&format!("{line}\n"));
}

/// Writes `text` to standard output and flushes it.
pub(crate) fn print_text(text: &str) {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        if covered_output::is_covered() {
            return covered_output::keep(text);
        }
        progress_line::erase();
    }
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    record_write(written);
}

/// Prints the first error of writing to standard output. Returns whether more can be written.
pub(crate) fn record_write(written: io::Result<()>) -> bool {
    let Err(error) = written else { return true };
    let is_reader_gone = error.kind() == io::ErrorKind::BrokenPipe || is_closed_terminal(&error);
    if !is_reader_gone && !FAILED.swap(true, Ordering::Relaxed) {
        Failure::new(DISK, format!("writing to standard output: {error}")).print();
    }
    false
}

/// Whether an error of writing to standard output means that its terminal was closed.
#[cfg(unix)]
fn is_closed_terminal(error: &io::Error) -> bool {
    use rustix::{
        fs::{FileType, fstat},
        io::Errno,
    };
    let is_device = |mode| FileType::from_raw_mode(mode) == FileType::CharacterDevice;
    Errno::from_io_error(error) == Some(Errno::IO)
        && fstat(io::stdout()).is_ok_and(|found| is_device(found.st_mode))
}

#[cfg(not(unix))]
fn is_closed_terminal(_: &io::Error) -> bool {
    false
}

/// Whether data could not be written, for example to a full disk. A reader that is gone does not count.
pub(crate) fn has_failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

/// The exit code: `code`, or that of the disk if data could not be written.
pub(crate) fn all_written(code: ExitCode) -> ExitCode {
    if has_failed() && code == ExitCode::SUCCESS { ExitCode::from(DISK) } else { code }
}
