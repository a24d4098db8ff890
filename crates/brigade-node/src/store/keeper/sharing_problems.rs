//! Files that are not shared, with the reason: a list of limited length, for `status`, and events for changes.
//! Problems of the keeper itself are reported to people at once.
//!
//! A problem remembers how it was found: only the same kind of check can clear it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use tokio::sync::watch;

use super::{keeper_messages::Change, watch::WatchError};
use crate::store::{ignore_patterns::IgnoredCounts, name_ranges::at_or_below};

/// Problems that are listed; the others are only counted.
const LISTED: usize = 1000;

/// A problem that keeps the keeper from its work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperProblem {
    /// The shared folder was removed, moved away or unmounted, or another one is at its path.
    #[error("the folder {} is not there any more: nothing of it is shared", .0.display())]
    Gone(PathBuf),
    /// `.brigade/` was removed while the peer runs and could not be created again, or another session has it now.
    #[error("{0}")]
    PrivateLost(String),
    /// `.brigade/` was removed while the peer runs and was created again, this many times.
    #[error(
        "`.brigade` was removed while this peer runs{}: its lock and its key were written again, and its index is \
         created again; files that were being received are lost", times(*.0)
    )]
    PrivateRemoved(u32),
    /// The lock in `.brigade/` alone was removed while the peer runs and was written again, this many times.
    #[error("`.brigade/lock` was removed while this peer runs{}: it was written again", times(*.0))]
    LockRemoved(u32),
    /// The key in `.brigade/` alone was removed, overwritten or replaced while the peer runs and was written again, this
    /// many times.
    #[error(
        "`.brigade/key` was removed or replaced while this peer runs{}: it was written again, and a file that replaced \
         it is kept beside it, as `key.replaced-` and a number", times(*.0)
    )]
    KeyRemoved(u32),
    /// The index in `.brigade/` was removed, or replaced by another file, while the peer runs, this many times; it is
    /// created again.
    #[error("`.brigade/index.db` was removed while this peer runs{}: it is created again", times(*.0))]
    IndexRemoved(u32),
    /// The directory for received files alone was removed while the peer runs, this many times.
    #[error(
        "`.brigade/parts` was removed while this peer runs{}: the files of several pieces that were being received \
         there are fetched from the beginning; fetch again the files of one piece that failed", times(*.0)
    )]
    PartsRemoved(u32),
    /// Files cannot be written into the shared folder.
    #[error("{0}: fetches into it fail, serving goes on")]
    ReadOnly(String),
    /// Some folders cannot be watched.
    #[error("{0}: changes are found by scanning the folder every few seconds")]
    Unwatched(WatchError),
    /// The index cannot be opened or written.
    #[error("hashes are not stored for the next start: {reason}")]
    Unindexed {
        /// The cause.
        reason: String,
        /// Whether the cause says what to do.
        has_advice: bool,
    },
}

fn times(times: u32) -> String {
    if times > 1 { format!(" ({times} times)") } else { String::new() }
}

/// The current problems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProblemList {
    /// Problems of the keeper; at most one of each kind.
    pub keeper_problems: Vec<KeeperProblem>,
    /// The numbers of ignored files.
    pub ignored: IgnoredCounts,
    /// Paths below the folder that are not shared, with the reasons; in the order of the paths.
    pub listed: Vec<(String, String)>,
    /// The number of problems that are not listed.
    pub rest: usize,
}

/// How a problem was found: the same kind of check clears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProblemSource {
    /// A walk over the folder.
    Walk,
    /// An attempt to hash or share the file.
    File,
}

#[derive(Debug)]
pub(super) struct Problems {
    keeper_problems: Vec<KeeperProblem>,
    ignored: IgnoredCounts,
    listed: BTreeMap<String, (ProblemSource, String)>,
    rest: usize,
    changed: bool,
    changes: Vec<Change>,
    sender: watch::Sender<Arc<ProblemList>>,
}

impl Problems {
    pub(super) fn new(sender: watch::Sender<Arc<ProblemList>>) -> Self {
        let (keeper_problems, ignored) = (Vec::new(), IgnoredCounts::default());
        Self {
            keeper_problems,
            ignored,
            listed: BTreeMap::new(),
            rest: 0,
            changed: false,
            changes: Vec::new(),
            sender,
        }
    }

    /// Reports a problem of the keeper. It replaces the problem of the same kind.
    pub(super) fn report_keeper_problem(&mut self, problem: KeeperProblem) {
        if !self.keeper_problems.contains(&problem) {
            tracing::info!(%problem, "the keeper has a problem");
            self.clear_keeper_problem(&problem);
            self.keeper_problems.push(problem);
            self.keeper_problems.sort_unstable();
            self.changed = true;
        }
    }

    /// Clears the problem of this kind.
    pub(super) fn clear_keeper_problem(&mut self, kind: &KeeperProblem) {
        let before = self.keeper_problems.len();
        self.keeper_problems
            .retain(|problem| std::mem::discriminant(problem) != std::mem::discriminant(kind));
        self.changed |= self.keeper_problems.len() != before;
    }

    /// Sets the numbers of ignored files.
    pub(super) fn set_ignored(&mut self, ignored: IgnoredCounts) {
        self.changed |= self.ignored != ignored;
        self.ignored = ignored;
    }

    pub(super) fn add(&mut self, source: ProblemSource, what: &str, reason: String) {
        let known = self.listed.get(what).is_some_and(|(_, old)| *old == reason);
        if known {
            return;
        }
        self.changed = true;
        if self.listed.len() >= LISTED && !self.listed.contains_key(what) {
            self.rest += 1;
            return;
        }
        self.listed.insert(what.to_owned(), (source, reason.clone()));
        self.changes.push(Change::Problem { what: what.to_owned(), reason });
    }

    pub(super) fn solved(&mut self, what: &str) {
        if self.listed.remove(what).is_some() {
            self.changed = true;
            self.changes.push(Change::Solved { what: what.to_owned() });
        }
    }

    /// Clears the problems of a path and of all paths below it: nothing exists there any more.
    pub(super) fn removed(&mut self, path: &str) {
        for what in at_or_below(&self.listed, path) {
            self.solved(&what);
        }
    }

    /// Clears the problems of all paths below this one.
    pub(super) fn removed_below(&mut self, path: &str) {
        for what in at_or_below(&self.listed, path).into_iter().filter(|what| what != path) {
            self.solved(&what);
        }
    }

    /// Takes the result of a walk over the folder `path` (the whole folder for ""): these problems and no others.
    pub(super) fn walked(&mut self, path: &str, found: &BTreeMap<String, String>) {
        let before = if path.is_empty() {
            self.listed.keys().cloned().collect()
        } else {
            at_or_below(&self.listed, path)
        };
        for what in before {
            let by_walk = self.listed.get(&what).is_some_and(|(source, _)| *source == ProblemSource::Walk);
            if by_walk && !found.contains_key(&what) {
                self.solved(&what);
            }
        }
        for (what, reason) in found {
            self.add(ProblemSource::Walk, what, reason.clone());
        }
    }

    /// The paths at or below this one (all of them for "") with a problem that a check of the file found.
    pub(super) fn of_files(&self, path: &str) -> Vec<String> {
        let paths = if path.is_empty() {
            self.listed.keys().cloned().collect()
        } else {
            at_or_below(&self.listed, path)
        };
        let of_file =
            |what: &String| self.listed.get(what).is_some_and(|(source, _)| *source == ProblemSource::File);
        paths.into_iter().filter(of_file).collect()
    }

    /// Sets the number of all problems after a scan.
    pub(super) fn counted(&mut self, all: usize) {
        let rest = all.saturating_sub(self.listed.len());
        self.changed |= rest != self.rest;
        self.rest = rest;
    }

    /// Publishes the list if it changed. Returns the changes since the last call.
    pub(super) fn publish(&mut self) -> Vec<Change> {
        if self.changed {
            self.changed = false;
            let listed =
                self.listed.iter().map(|(what, (_, reason))| (what.clone(), reason.clone())).collect();
            let (keeper_problems, ignored, rest) = (self.keeper_problems.clone(), self.ignored, self.rest);
            self.sender.send_replace(Arc::new(ProblemList { keeper_problems, ignored, listed, rest }));
        }
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use tokio::sync::watch;

    use super::{KeeperProblem, LISTED, ProblemList, ProblemSource, Problems};

    #[test]
    fn a_walk_clears_only_problems_of_walks() {
        let (sender, list) = watch::channel(Arc::new(ProblemList::default()));
        let mut problems = Problems::new(sender);
        let found = |names: &[&str]| -> BTreeMap<String, String> {
            names.iter().map(|name| ((*name).to_owned(), "why".to_owned())).collect()
        };
        problems.walked("", &found(&["a", "d/b"]));
        problems.add(ProblemSource::File, "d/c", "unreadable".to_owned());
        assert_eq!(problems.publish().len(), 3);
        problems.walked("d", &found(&[]));
        problems.walked("", &found(&["a"]));
        assert_eq!(problems.publish().len(), 1);
        let listed: Vec<_> = list.borrow().listed.iter().map(|(what, _)| what.clone()).collect();
        assert_eq!(listed, ["a", "d/c"]);
        problems.removed("d");
        problems.publish();
        assert_eq!(list.borrow().listed.len(), 1);
    }

    #[test]
    fn there_is_one_problem_of_each_kind() {
        let (sender, list) = watch::channel(Arc::new(ProblemList::default()));
        let mut problems = Problems::new(sender);
        for reason in ["full", "full", "read-only"] {
            problems.report_keeper_problem(KeeperProblem::Unindexed {
                reason: reason.to_owned(),
                has_advice: false,
            });
        }
        problems.report_keeper_problem(KeeperProblem::Gone("folder".into()));
        problems.publish();
        let unindexed = KeeperProblem::Unindexed { reason: "read-only".to_owned(), has_advice: false };
        assert_eq!(list.borrow().keeper_problems, [KeeperProblem::Gone("folder".into()), unindexed.clone()]);
        problems.clear_keeper_problem(&KeeperProblem::Gone("another".into()));
        problems.publish();
        assert_eq!(list.borrow().keeper_problems, [unindexed]);
    }

    #[test]
    fn the_list_is_limited_and_the_rest_is_counted() {
        let (sender, list) = watch::channel(Arc::new(ProblemList::default()));
        let mut problems = Problems::new(sender);
        for number in 0..LISTED + 5 {
            problems.add(ProblemSource::File, &number.to_string(), "why".to_owned());
        }
        problems.publish();
        assert_eq!((list.borrow().listed.len(), list.borrow().rest), (LISTED, 5));
        problems.counted(LISTED + 2);
        problems.publish();
        assert_eq!(list.borrow().rest, 2);
    }
}
