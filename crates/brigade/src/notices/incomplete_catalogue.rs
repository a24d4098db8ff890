//! Messages about a catalogue that is not complete yet, because the manager was restarted.
//!
//! `brigade-node` decides how long to wait. A list that may be incomplete has a note on standard error.

use std::time::Duration;

use crate::terminal::standard_error::print_error_line;

/// The message that a command waits for the catalogue, once.
#[derive(Debug, Default)]
pub(crate) struct CatalogueWait {
    reported: bool,
}

impl CatalogueWait {
    /// The message if the catalogue is complete after at most `left`; `None` if it was printed before.
    pub(crate) fn text(&mut self, left: Duration) -> Option<String> {
        let first = !std::mem::replace(&mut self.reported, true);
        first.then(|| {
            format!(
                "the manager has just started; waiting up to {} s for its peers to reconnect",
                seconds(left)
            )
        })
    }
}

/// The note below a list; `None` if the list is complete.
pub(crate) fn incomplete_note(incomplete_ms: Option<u64>) -> Option<String> {
    let left = seconds(Duration::from_millis(incomplete_ms?));
    Some(format!(
        "the list may be incomplete: the manager has just started, and its peers reconnect within {left} s"
    ))
}

/// Prints the note on standard error.
pub(crate) fn print_incomplete_note(incomplete_ms: Option<u64>) {
    if let Some(note) = incomplete_note(incomplete_ms) {
        print_error_line(&note);
    }
}

/// Whole seconds, at least one.
fn seconds(left: Duration) -> u64 {
    left.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{CatalogueWait, Duration, incomplete_note};

    #[test]
    fn a_wait_is_reported_once_and_in_whole_seconds() {
        let mut waiting = CatalogueWait::default();
        let reported = waiting.text(Duration::from_millis(11_001)).unwrap();
        assert!(reported.contains("waiting up to 12 s"), "{reported}");
        assert_eq!(waiting.text(Duration::from_millis(10_500)), None);
        assert_eq!(incomplete_note(None), None);
        assert!(incomplete_note(Some(1)).unwrap().ends_with("within 1 s"));
    }
}
