//! Files that are not shared, with the reason: a list of limited length, for `status`, and events for changes.
//! Problems of the keeper itself are reported to people at once.
//!
//! A problem remembers how it was found: only the same kind of check can clear it.

use std::collections::BTreeMap;

use brigade_core::name::FileName;

pub(crate) use self::problem_board::ProblemBoard;
use self::problem_list::LISTED;
pub use self::problem_list::{KeeperProblem, ProblemList};
use super::keeper_messages::Change;
use crate::store::{ignore_patterns::IgnoredCounts, name_ranges::at_or_below};

mod problem_board;
mod problem_list;

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
    board: ProblemBoard,
    /// The share in place that has them; `None` for the peer's own folder.
    share: Option<FileName>,
}

impl Problems {
    pub(super) fn new(board: ProblemBoard, share: Option<FileName>) -> Self {
        let (keeper_problems, ignored) = (Vec::new(), IgnoredCounts::default());
        Self {
            keeper_problems,
            ignored,
            listed: BTreeMap::new(),
            rest: 0,
            changed: false,
            changes: Vec::new(),
            board,
            share,
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
            let list = ProblemList { keeper_problems, ignored, listed, rest };
            self.board.publish(self.share.as_ref(), list);
        }
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use tokio::sync::watch;

    use super::{KeeperProblem, LISTED, ProblemBoard, ProblemList, ProblemSource, Problems};

    fn problems() -> (Problems, watch::Receiver<Arc<ProblemList>>) {
        let board = ProblemBoard::new();
        let list = board.subscribe();
        (Problems::new(board, None), list)
    }

    #[test]
    fn a_walk_clears_only_problems_of_walks() {
        let (mut problems, list) = problems();
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
        let (mut problems, list) = problems();
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
        let (mut problems, list) = problems();
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
