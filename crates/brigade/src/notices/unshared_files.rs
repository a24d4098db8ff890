//! Logs the files that a peer without a prompt does not share.
//!
//! Each file is logged when it becomes a problem, and when the reason changes. The log is bounded: the first problems
//! of a minute have a line each, and of the rest only the number is logged. At a prompt, `status` lists them instead.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use brigade_node::peer::{Peer, ProblemList};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// The most lines in a [`WINDOW`].
const MOST_LINES: usize = 20;

/// The time in which the lines are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Logs the files that are not shared.
pub(crate) struct UnsharedLog {
    problems: watch::Receiver<Arc<ProblemList>>,
    known: BTreeMap<String, String>,
    /// The number of problems that the list does not contain.
    rest: usize,
    budget: Budget,
}

/// The lines that may still be logged.
struct Budget {
    since: Instant,
    lines: usize,
    /// Problems that had no line.
    more: usize,
    /// Whether the number was logged in this window.
    is_counted: bool,
}

impl UnsharedLog {
    /// The log for `peer`, which has just joined.
    pub(crate) fn of(peer: &Peer) -> Self {
        let problems = peer.problems();
        Self { problems, known: BTreeMap::new(), rest: 0, budget: Budget::new(Instant::now()) }
    }

    /// Logs until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let list = self.problems.borrow_and_update().clone();
            let new = self.new_in(&list);
            let now = Instant::now();
            for (what, reason) in &new.listed {
                if self.budget.takes(now) {
                    // Names come from the file system: the log escapes them.
                    tracing::warn!(what = what.as_str(), reason = reason.as_str(), "not shared");
                }
            }
            self.budget.more += new.rest;
            if let Some(more) = self.budget.count(now) {
                tracing::warn!(more, "more files are not shared");
            }
            let window_ends = self.budget.since + WINDOW;
            tokio::select! {
                changed = self.problems.changed() => if changed.is_err() {
                    return std::future::pending().await; // the peer stops: there are no more problems
                },
                () = sleep_until(window_ends), if self.budget.more > 0 => {}
            }
        }
    }

    /// The problems in the list that are new, or have a new reason. They are known from then on.
    fn new_in(&mut self, list: &ProblemList) -> ProblemList {
        let known = std::mem::take(&mut self.known);
        self.known.extend(list.listed.iter().cloned());
        let rest = list.rest.saturating_sub(self.rest);
        self.rest = list.rest;
        let is_new = |(what, reason): &&(String, String)| known.get(what) != Some(reason);
        list_of(list.listed.iter().filter(is_new).cloned().collect(), rest)
    }
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self { since: now, lines: 0, more: 0, is_counted: false }
    }

    /// Whether one more problem may be logged; if not, it is counted.
    fn takes(&mut self, now: Instant) -> bool {
        if now >= self.since + WINDOW {
            *self = Self { more: self.more, ..Self::new(now) };
        }
        let takes = self.lines < MOST_LINES;
        self.lines += usize::from(takes);
        self.more += usize::from(!takes);
        takes
    }

    /// The number of problems without a line, if it is to be logged now: at once, and then at the end of each window.
    fn count(&mut self, now: Instant) -> Option<usize> {
        let is_due = !self.is_counted || now >= self.since + WINDOW;
        if !is_due || self.more == 0 {
            return None;
        }
        if now >= self.since + WINDOW {
            *self = Self { more: self.more, ..Self::new(now) };
        }
        self.is_counted = true;
        Some(std::mem::take(&mut self.more))
    }
}

/// A list of these problems, and of so many others.
fn list_of(listed: Vec<(String, String)>, rest: usize) -> ProblemList {
    let mut list = ProblemList::default();
    (list.listed, list.rest) = (listed, rest);
    list
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::{BTreeMap, Budget, Instant, MOST_LINES, UnsharedLog, WINDOW, list_of};

    #[test]
    fn the_first_problems_have_a_line_each_and_the_rest_a_number() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let lines = |budget: &mut Budget, now| (0..MOST_LINES + 5).filter(|_| budget.takes(now)).count();
        assert_eq!((lines(&mut budget, start), budget.count(start)), (MOST_LINES, Some(5)), "at once");
        assert_eq!((lines(&mut budget, start), budget.count(start)), (0, None), "later");
        let later = start + WINDOW;
        assert_eq!(budget.count(later), Some(MOST_LINES + 5));
        assert_eq!(budget.count(later + WINDOW), None, "nothing is left to log");
        assert_eq!(lines(&mut budget, later + WINDOW), MOST_LINES);
    }

    #[test]
    fn each_problem_is_new_once_and_for_each_reason() {
        let (_sender, problems) = watch::channel(Arc::default());
        let budget = Budget::new(Instant::now());
        let mut log = UnsharedLog { problems, known: BTreeMap::new(), rest: 0, budget };
        let list = |listed: &[(&str, &str)], rest| {
            let listed =
                listed.iter().map(|(what, reason)| ((*what).to_owned(), (*reason).to_owned())).collect();
            list_of(listed, rest)
        };
        let one = list(&[("a", "locked")], 3);
        assert_eq!(log.new_in(&one), one);
        assert_eq!(log.new_in(&one), list(&[], 0));
        assert_eq!(log.new_in(&list(&[("a", "a link"), ("b", "locked")], 5)).listed.len(), 2);
        assert_eq!(log.new_in(&list(&[], 0)), list(&[], 0));
        assert_eq!(log.new_in(&one).listed.len(), 1, "it happened again");
    }
}
