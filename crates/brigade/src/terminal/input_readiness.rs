//! Waits for a line that the system reads, without reading it: the system stops a program in the background that reads
//! the terminal, even if it began to read in the foreground.
//!
//! `input` then reads the line. For a terminal with an editor, `editor_suspension` does this. On Windows, nothing stops a
//! program that reads.

#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(unix)]
use tokio::time::sleep;

#[cfg(unix)]
use super::{mode, signals::Continued, standard_output::print_text};

/// Waits until standard input, a terminal, has a line or its end, and the program is in the foreground. Prints `prompt`
/// again after the program was suspended.
#[cfg(unix)]
pub(super) async fn wait_for_typed_line(prompt: &str) {
    let mut continued = Continued::install();
    let mut is_continued = false;
    loop {
        if mode::is_in_foreground() {
            if std::mem::take(&mut is_continued) {
                print_text(prompt);
            }
            if has_input() {
                return;
            }
        }
        tokio::select! {
            () = sleep(mode::FOREGROUND_POLL) => {}
            () = continued.next() => is_continued = true,
        }
    }
}

/// Nothing must be waited for.
#[cfg(not(unix))]
pub(super) async fn wait_for_typed_line(_: &str) {}

/// Whether a read of standard input returns at once.
#[cfg(unix)]
fn has_input() -> bool {
    let input = std::io::stdin();
    // An error means that the system cannot tell.
    poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&Timespec::default())) != Ok(0)
}
