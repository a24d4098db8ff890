//! Standard output, which may be a pipe that nobody reads any more or a disk that is full.
//!
//! A reader that has seen enough is no failure: what goes on goes on in silence. Anything else that keeps data from being
//! written is said once, and the program does not end with 0.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use super::progress_line;
use crate::exit::{DISK, Failure};

static FAILED: AtomicBool = AtomicBool::new(false);

/// Writes a line to standard output, at once.
pub(crate) fn say(line: &str) {
    show(&format!("{line}\n"));
}

/// Writes `text` to standard output as it is, at once.
pub(crate) fn show(text: &str) {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        progress_line::erase();
    }
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    note(written);
}

/// Notes how writing to standard output went; whether there is use in writing more.
pub(crate) fn note(written: io::Result<()>) -> bool {
    let Err(error) = written else { return true };
    if error.kind() != io::ErrorKind::BrokenPipe && !FAILED.swap(true, Ordering::Relaxed) {
        Failure::new(DISK, format!("writing to standard output: {error}")).print();
    }
    false
}

/// The exit code, when all data was to be written first.
pub(crate) fn all_written(code: ExitCode) -> ExitCode {
    if FAILED.load(Ordering::Relaxed) && code == ExitCode::SUCCESS { ExitCode::from(DISK) } else { code }
}
