//! What the keeper does when the folder disappears, and when it is back.
//!
//! `folder_presence` checks it. While the folder is away, nothing of it is shared, and its index is not updated: it was
//! moved with the folder, and its rows are still true.

use std::collections::{BTreeMap, HashMap};

use brigade_core::time::Timestamp;

use crate::store::{
    ignore_patterns::IgnoredCounts,
    index::IndexWrite,
    keeper::{event_loop::KeeperOwner, sharing_problems::KeeperProblem},
};

/// Files that are taken from the share at once.
const PAGE: usize = 1024;

impl KeeperOwner {
    /// Checks whether the folder is at its path.
    pub(in crate::store::keeper) fn check_presence(&mut self, now: Timestamp) {
        let change = self.presence.check(&mut self.problems, now);
        if change.has_lost_index {
            self.write_new_index();
        }
        if change.is_taken {
            self.index.close(); // its path is in the folder of another session
        }
        if let Some(problem) = change.disappeared {
            self.folder_disappeared(Some(problem));
        } else if change.has_returned {
            self.problems.clear_keeper_problem(&KeeperProblem::Gone(self.folder.path().to_owned()));
            let known = self.presence.take_away();
            let damaged = self.index.damaged();
            self.take_damaged(damaged, &known);
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
            for shared in page.into_iter().filter(|shared| self.share.has_in_folder(&shared.name)) {
                self.index.add(IndexWrite::Put(shared), &mut self.problems);
            }
        }
        self.index.write(&mut self.problems); // this creates the index even if there is nothing to write
    }

    /// Withdraws all files, since nothing of the folder is to be shared any more. The keeper of a share in place then
    /// ends.
    pub(in crate::store::keeper) fn unshare(&mut self) {
        self.folder_disappeared(None);
    }

    fn folder_disappeared(&mut self, problem: Option<KeeperProblem>) {
        if let Some(problem) = problem {
            self.problems.report_keeper_problem(problem);
        }
        if self.folder.share_in_place().is_some() {
            self.index.write(&mut self.problems); // it is elsewhere, and its rows are still true
        }
        let mut away = HashMap::new();
        let (after, before) = self.folder.names().bounds();
        for name in self.share.names_between(&after, before.as_deref()) {
            if let Some(shared) = self.share.remove(&name) {
                self.change_queue.removed(name.clone());
                away.insert(name, shared);
            }
        }
        self.presence.set_away(away);
        self.hide_damaged();
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
        self.unchecked.clear();
        self.changing.clear();
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
