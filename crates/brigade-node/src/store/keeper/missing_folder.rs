//! What the keeper does when the folder disappears, and when it is back.
//!
//! `folder_presence` checks it. While the folder is away, nothing of it is shared, and its index is not updated: it was
//! moved with the folder, and its rows are still true.

use std::collections::{BTreeMap, HashMap};

use brigade_core::time::Timestamp;

use super::{event_loop::KeeperOwner, sharing_problems::KeeperProblem};
use crate::store::{ignore_patterns::IgnoredCounts, index::IndexWrite};

/// Files that are taken from the share at once.
const PAGE: usize = 1024;

impl KeeperOwner {
    /// Checks whether the folder is at its path.
    pub(super) fn check_presence(&mut self, now: Timestamp) {
        let change = self.presence.check(&mut self.problems, now);
        if change.has_lost_index {
            self.write_new_index();
        }
        if change.is_taken {
            self.index.close(); // its path is in the folder of another session
        }
        if let Some(problem) = change.disappeared {
            self.folder_disappeared(problem);
        } else if change.has_returned {
            self.problems.clear_keeper_problem(&KeeperProblem::Gone(self.folder.path().to_owned()));
            let known = self.presence.take_away();
            self.first_scan(known);
        }
    }

    /// The index was removed, alone or with `.brigade/`: writes all known files into a new one.
    fn write_new_index(&mut self) {
        self.index.close(); // before another one is opened: closing it would remove the other's files
        // While the folder is away, nothing is shared, and the rows about its files are still true.
        for file in self.presence.away_files() {
            self.index.add(IndexWrite::Put(file.clone()), &mut self.problems);
        }
        let mut last = None;
        loop {
            let page = self.share.page(last.as_ref(), PAGE);
            let Some(end) = page.last() else { break };
            last = Some(end.name.clone());
            for shared in page {
                self.index.add(IndexWrite::Put(shared), &mut self.problems);
            }
        }
        self.index.write(&mut self.problems); // this creates the index even if there is nothing to write
    }

    fn folder_disappeared(&mut self, problem: KeeperProblem) {
        self.problems.report_keeper_problem(problem);
        let mut away = HashMap::new();
        for name in self.share.names_between("", None) {
            if let Some(shared) = self.share.remove(&name) {
                self.change_queue.removed(name.clone());
                away.insert(name, shared);
            }
        }
        self.presence.set_away(away);
        self.index.forget_waiting();
        let waiting: Vec<_> = self
            .settle
            .names()
            .chain(self.hashing.names())
            .chain(self.failed_reads.keys())
            .cloned()
            .collect();
        for name in waiting {
            self.removed(&name);
        }
        self.problems.walked("", &BTreeMap::new());
        for name in self.problems.of_files("") {
            self.problems.solved(&name);
        }
        self.departed.clear();
        self.problems.set_ignored(IgnoredCounts::default());
        if let Some(initial) = &mut self.initial {
            initial.clear();
        }
    }
}
