//! What was reported of a fetch, so that each thing is reported once: waits, tenths of the way, holders that cannot be used,
//! files that failed, and files without a holder.
//!
//! `fetch_progress` prints the lines; `progress_texts` has the texts.

use std::{collections::BTreeSet, time::Duration};

use brigade_node::peer::{FetchState, Progress};

use super::progress_texts::{line, unreachable_holder, without_holder};
use crate::text::escape::escape;

/// The last report of a fetch that is not drawn in place.
#[derive(Default)]
pub(super) struct LastReport {
    tenths: u64,
    /// The time that the fetch had taken at the last report.
    at: Duration,
    wait_cause: WaitCause,
    /// The unreachable holders that were reported, with the cause; at most [`CAUSES`].
    causes: BTreeSet<String>,
    /// The failed files that were reported; at most [`CAUSES`].
    failed: BTreeSet<String>,
    without_holder: WithoutHolder,
}

/// What was reported of the files that no connected holder has.
#[derive(Default)]
struct WithoutHolder {
    /// The time that the fetch had taken when there was the first such file.
    since: Option<Duration>,
    /// The last line, and the time that the fetch had taken then.
    text: String,
    at: Option<Duration>,
    /// The number of lines; at most [`CAUSES`].
    lines: usize,
}

/// The most causes that are reported for one fetch: more are not useful. `status` and the end of the fetch have the
/// current ones.
const CAUSES: usize = 32;

/// The longest time without a report of a running fetch that is not drawn in place.
const QUIET: Duration = Duration::from_secs(15);

/// The time after which a fetch that goes on names the files that no connected holder has: holders come and go.
const WITHOUT_HOLDER_TIME: Duration = Duration::from_secs(5);

/// The reason why a fetch waits.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum WaitCause {
    #[default]
    None,
    Fetch,
    /// No connected peer has the missing pieces.
    Holders,
    /// No holder can be reached.
    OutOfReach,
    /// Holders that sent wrong data.
    WrongData,
    Disk,
    /// Somebody paused it.
    Paused,
}

impl LastReport {
    /// The line if the fetch began or stopped waiting, or waits for another reason than before.
    pub(super) fn wait_change(&mut self, progress: &Progress) -> Option<String> {
        let now = match progress.state {
            FetchState::WaitingForFetch => WaitCause::Fetch,
            FetchState::Waiting if progress.wrong_data > 0 => WaitCause::WrongData,
            FetchState::Waiting if progress.out_of_reach > 0 => WaitCause::OutOfReach,
            FetchState::Waiting => WaitCause::Holders,
            FetchState::Full { .. } => WaitCause::Disk,
            FetchState::Paused => WaitCause::Paused,
            FetchState::Fetching => WaitCause::None,
            _ => return None,
        };
        let is_new = now != self.wait_cause;
        self.wait_cause = now;
        let text = line(progress);
        is_new.then(|| if now == WaitCause::None { format!("{text}  it continues") } else { text })
    }

    /// The lines that need no line of the progress: about holders and files, each once.
    pub(super) fn new_lines(&mut self, progress: &Progress) -> Vec<String> {
        let mut new_lines = self.causes(progress);
        new_lines.extend(self.new_failed(progress));
        new_lines.extend(self.without_holder.change(progress));
        new_lines
    }

    /// The files that failed, each once. The summary at the end has them all.
    fn new_failed(&mut self, progress: &Progress) -> Vec<String> {
        let mut new = vec![];
        for (file, error) in progress.errors.iter().filter(|_| !progress.is_over()) {
            if self.failed.len() < CAUSES && self.failed.insert(file.to_string()) {
                new.push(format!("  {} failed: {}", escape(file), escape(error)));
            }
        }
        new
    }

    /// The holders that it waits for and cannot use, each once.
    fn causes(&mut self, progress: &Progress) -> Vec<String> {
        let waits = progress.state == FetchState::Waiting;
        let mut new = vec![];
        for cause in progress.unreached.iter().filter(|_| waits).map(unreachable_holder) {
            if self.causes.len() < CAUSES && self.causes.insert(cause.clone()) {
                new.push(cause);
            }
        }
        new
    }

    /// The line if it is a tenth further, or if nothing was reported for a while.
    pub(super) fn advance(&mut self, progress: &Progress) -> Option<String> {
        let tenths = progress.bytes_done * 10 / progress.bytes.max(1);
        let is_further = tenths > self.tenths && tenths < 10;
        let is_quiet = progress.took.saturating_sub(self.at) >= QUIET;
        (progress.state == FetchState::Fetching && (is_further || is_quiet)).then(|| {
            self.tenths = tenths;
            self.at = progress.took;
            line(progress)
        })
    }
}

impl WithoutHolder {
    /// The line about the files that no connected holder has, if it changed: at once if the fetch waits for them, after
    /// a while if it goes on, and no more often than [`QUIET`].
    fn change(&mut self, progress: &Progress) -> Option<String> {
        let waits = match progress.state {
            FetchState::Waiting => true,
            FetchState::Fetching => false,
            _ => return None,
        };
        let Some(text) = without_holder(progress) else {
            (self.since, self.text) = (None, String::new());
            return None;
        };
        let since = *self.since.get_or_insert(progress.took);
        let is_early = !waits && progress.took.saturating_sub(since) < WITHOUT_HOLDER_TIME;
        let is_quiet = self.at.is_none_or(|at| progress.took.saturating_sub(at) >= QUIET);
        if text == self.text || is_early || !is_quiet || self.lines >= CAUSES {
            return None;
        }
        (self.at, self.lines) = (Some(progress.took), self.lines + 1);
        self.text.clone_from(&text);
        Some(format!("  {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, FetchState, LastReport, Progress};

    fn progress(state: FetchState, seconds: u64) -> Progress {
        let mut progress = Progress::new("data");
        (progress.state, progress.files) = (state, 9);
        progress.took = Duration::from_secs(seconds);
        progress
    }

    #[test]
    fn a_fetch_that_waits_for_another_reason_says_so_once() {
        let mut reported = LastReport::default();
        let mut reason = |out_of_reach, wrong_data| {
            let mut progress = progress(FetchState::Waiting, 1);
            (progress.out_of_reach, progress.wrong_data) = (out_of_reach, wrong_data);
            reported.wait_change(&progress).map(|line| line.rsplit("  ").next().unwrap().to_owned())
        };
        let none_has = "waiting: no connected peer has the missing pieces";
        let unreached = "waiting: its only holder cannot be reached";
        let wrong =
            "waiting: the data of a holder is wrong, and no other connected peer has the missing pieces";
        for (out_of_reach, wrong_data, expected) in
            [(0, 0, none_has), (1, 0, unreached), (0, 0, none_has), (1, 1, wrong), (1, 0, unreached)]
        {
            assert_eq!(reason(out_of_reach, wrong_data).as_deref(), Some(expected));
            assert_eq!(reason(out_of_reach, wrong_data), None);
        }
    }

    #[test]
    fn files_without_a_holder_are_named_when_they_change() {
        let mut reported = LastReport::default();
        let mut new_lines = |state, seconds, files: &[&str], number| {
            let mut progress = progress(state, seconds);
            progress.without_holder = files.iter().map(|name| name.parse().unwrap()).collect();
            progress.files_without_holder = number;
            reported.new_lines(&progress).join("|")
        };
        assert_eq!(
            new_lines(FetchState::Fetching, 1, &["data/a"], 1),
            "",
            "a holder may be about to connect"
        );
        assert_eq!(new_lines(FetchState::Fetching, 6, &["data/a"], 1), "  no holder now: data/a");
        assert_eq!(new_lines(FetchState::Waiting, 20, &["data/a"], 1), "");
        let three = ["data/a", "data/b", "data/c"];
        assert_eq!(
            new_lines(FetchState::Waiting, 25, &three, 4),
            "  no holder now: data/a and 3 other files"
        );
        assert_eq!(new_lines(FetchState::Waiting, 26, &["data/b"], 1), "", "not many lines at once");
        assert_eq!(new_lines(FetchState::Waiting, 40, &["data/b"], 1), "  no holder now: data/b");
        assert_eq!(new_lines(FetchState::Fetching, 50, &[], 0), "");
        let mut of_one_file = progress(FetchState::Waiting, 60);
        (of_one_file.files, of_one_file.files_without_holder) = (1, 1);
        of_one_file.without_holder = vec!["data".parse().unwrap()];
        assert!(LastReport::default().new_lines(&of_one_file).is_empty(), "its line says it");
    }

    #[test]
    fn a_file_that_fails_is_reported_at_once_and_once() {
        let mut reported = LastReport::default();
        let mut fetching = progress(FetchState::Fetching, 1);
        fetching.errors = vec![("data/a".parse().unwrap(), "it was changed".to_owned())];
        assert_eq!(reported.new_lines(&fetching), ["  data/a failed: it was changed"]);
        assert!(reported.new_lines(&fetching).is_empty());
        fetching.errors.extend((0..99).map(|at| (format!("data/{at}").parse().unwrap(), "full".to_owned())));
        assert_eq!(reported.new_lines(&fetching).len(), 31);
        fetching.state = FetchState::Failed;
        assert!(LastReport::default().new_lines(&fetching).is_empty(), "the summary has them");
    }
}
