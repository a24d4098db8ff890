//! `--wait`: asks again for a name that nobody shares yet, and says so once.
//!
//! The caller asks; this file decides when, and how long.

use std::time::{Duration, Instant};

use crate::{
    command_line::args::FetchArgs, terminal::standard_error::print_error_line, text::escape::escape,
};

/// The pause before the first repetition, and the longest one: the manager is asked each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The wait for a name.
pub(super) struct NameWait {
    name: String,
    /// Whether `--wait` was given.
    waits: bool,
    /// The end of the wait, if it has one.
    deadline: Option<Instant>,
    pause: Duration,
    quiet: bool,
}

impl NameWait {
    /// The wait for `name` from now on.
    pub(super) fn new(args: &FetchArgs, name: &str) -> Self {
        let limit = args.wait.flatten();
        Self {
            name: name.to_owned(),
            waits: args.wait.is_some(),
            deadline: limit.and_then(|limit| Instant::now().checked_add(limit)),
            pause: FIRST_PAUSE,
            quiet: args.quiet,
        }
    }

    /// The pause before the next question; `None` if the wait is over. The first time, it prints that it waits.
    pub(super) fn next_pause(&mut self) -> Option<Duration> {
        let left = self.deadline.map_or(LONGEST_PAUSE, |deadline| deadline.duration_since(Instant::now()));
        if !self.waits || left.is_zero() {
            return None;
        }
        if self.pause == FIRST_PAUSE && !self.quiet {
            print_error_line(&format!("nobody shares {} yet; waiting for it", escape(&self.name)));
        }
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }
}
