//! What people are told of a catalogue that is not complete yet, because the manager was started again a moment ago.
//!
//! What is waited for is decided in `brigade-node`; what is merely listed says on standard error that it may lack something.

use std::time::Duration;

/// Says once that something is waited for.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    said: bool,
}

impl Waiting {
    /// What to say where the catalogue is complete after `left` at the latest; nothing where it was said before.
    pub(crate) fn text(&mut self, left: Duration) -> Option<String> {
        let first = !std::mem::replace(&mut self.said, true);
        first.then(|| {
            format!(
                "the manager has just started; waiting up to {} s for its peers to come back",
                seconds(left)
            )
        })
    }
}

/// What to say under a list; nothing where it is complete.
pub(crate) fn remark(incomplete_ms: Option<u64>) -> Option<String> {
    let left = seconds(Duration::from_millis(incomplete_ms?));
    Some(format!(
        "the list is not complete yet: the manager has just started, and its peers are back within {left} s"
    ))
}

/// Says it on standard error.
#[allow(clippy::print_stderr)]
pub(crate) fn note_remark(incomplete_ms: Option<u64>) {
    if let Some(remark) = remark(incomplete_ms) {
        eprintln!("{remark}");
    }
}

/// Whole seconds, and at least one.
fn seconds(left: Duration) -> u64 {
    left.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Duration, Waiting, remark};

    #[test]
    fn a_wait_is_said_once_and_in_whole_seconds() {
        let mut waiting = Waiting::default();
        let said = waiting.text(Duration::from_millis(11_001)).unwrap();
        assert!(said.contains("waiting up to 12 s"), "{said}");
        assert_eq!(waiting.text(Duration::from_millis(10_500)), None);
        assert_eq!(remark(None), None);
        assert!(remark(Some(1)).unwrap().ends_with("within 1 s"));
    }
}
