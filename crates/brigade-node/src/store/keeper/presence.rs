//! Whether the shared folder is at its path and writable, and what to do if not.
//!
//! A handle stays valid when its folder is moved, removed or unmounted, and its files could still be served. But the
//! user took the folder away: until the same folder is back, the keeper shares and hashes nothing, and nothing is
//! received. Another folder at the same path is not used: it has another key and may hold private files.

use std::{collections::HashMap, time::Duration};

use brigade_core::time::Timestamp;

use super::{owner::KeeperOwner, problems::KeeperProblem};
use crate::store::{
    folder::{FolderError, PrivateState},
    ignore::IgnoredCounts,
    index::IndexWrite,
};

/// The interval of the check: moving a folder above the shared one causes no event.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The interval of writing to the disk as a check; a short one would keep a disk awake.
const WRITE_CHECK_EVERY: Duration = Duration::from_secs(20);

/// Files that are taken from the share at once.
const PAGE: usize = 1024;

impl KeeperOwner {
    /// Checks whether the folder is at its path.
    pub(super) fn check_presence(&mut self, now: Timestamp) {
        self.next_presence_check = now.after(CHECK_EVERY);
        let removed = match self.folder.is_at_path() {
            true => self.check_private_dir(),
            false => Some(KeeperProblem::Gone(self.folder.path().to_owned())),
        };
        match (removed, self.away.is_some()) {
            (Some(problem), false) => self.folder_disappeared(problem),
            (None, true) => self.folder_returned(),
            (None, false) => self.check_writable_now(now),
            (Some(_), true) => {}
        }
    }

    /// Checks `.brigade/`. Returns a problem if another session has it.
    fn check_private_dir(&mut self) -> Option<KeeperProblem> {
        match self.folder.keep_private() {
            Ok(state) => {
                self.problems.clear_keeper_problem(&KeeperProblem::PrivateLost(String::new()));
                let before = std::mem::replace(&mut self.private, state);
                if state != before {
                    self.private_dir_restored(before, state);
                }
                None
            }
            Err(FolderError::Gone { path }) => Some(KeeperProblem::Gone(path)),
            Err(taken @ FolderError::Taken { .. }) => Some(KeeperProblem::PrivateLost(taken.to_string())),
            Err(error) => {
                let reason = format!(
                    "`.brigade` was removed while this peer runs, and cannot be created again: {error}"
                );
                self.problems.report_keeper_problem(KeeperProblem::PrivateLost(reason));
                None
            }
        }
    }

    /// All of `.brigade/`, or a part of it, was removed and is restored: reports that.
    fn private_dir_restored(&mut self, before: PrivateState, now: PrivateState) {
        let numbers: [(u32, u32, fn(u32) -> KeeperProblem); 4] = [
            (before.recreated, now.recreated, KeeperProblem::PrivateRemoved),
            (before.lock, now.lock, KeeperProblem::LockRemoved),
            (before.protected, now.protected, KeeperProblem::KeyRemoved),
            (before.parts, now.parts, KeeperProblem::PartsRemoved),
        ];
        for (_, times, problem) in numbers.into_iter().filter(|(before, now, _)| before != now) {
            self.problems.report_keeper_problem(problem(times));
        }
        if before.recreated != now.recreated {
            self.write_new_index();
        }
    }

    /// The index was removed with `.brigade/`: writes all known files into a new one.
    fn write_new_index(&mut self) {
        self.forget_index_writes();
        self.index = None; // closed before another one is opened: closing it would remove the other's files
        // While the folder is away, nothing is shared, and the rows about its files are still true.
        let away: Vec<_> = self.away.iter().flat_map(HashMap::values).cloned().collect();
        away.into_iter().for_each(|file| self.index_write(IndexWrite::Put(file)));
        let mut last = None;
        loop {
            let page = self.share.page(last.as_ref(), PAGE);
            let Some(end) = page.last() else { break };
            last = Some(end.name.clone());
            page.into_iter().for_each(|shared| self.index_write(IndexWrite::Put(shared)));
        }
        self.write_index(); // this creates the index even if there is nothing to write
    }

    fn check_writable_now(&mut self, now: Timestamp) {
        let is_write_check = now >= self.next_write_check;
        if is_write_check {
            self.next_write_check = now.after(WRITE_CHECK_EVERY);
        }
        match self.folder.check_writable(is_write_check) {
            Ok(()) if is_write_check => {
                self.problems.clear_keeper_problem(&KeeperProblem::ReadOnly(String::new()))
            }
            Ok(()) => {}
            Err(error) => self.problems.report_keeper_problem(KeeperProblem::ReadOnly(error.to_string())),
        }
    }

    fn folder_disappeared(&mut self, problem: KeeperProblem) {
        if matches!(problem, KeeperProblem::PrivateLost(_)) {
            self.index = None; // the path has the folder of another session
        }
        self.problems.report_keeper_problem(problem);
        // The index is not updated: it was moved with the folder, and its rows are still true.
        let mut away = HashMap::new();
        for name in self.share.names_between("", None) {
            if let Some(shared) = self.share.remove(&name) {
                self.change_queue.removed(name.clone());
                away.insert(name, shared);
            }
        }
        self.away = Some(away);
        self.forget_index_writes();
        let waiting: Vec<_> =
            self.settle.names().chain(self.work.keys()).chain(self.failed_reads.keys()).cloned().collect();
        for name in waiting {
            self.removed(&name);
        }
        self.problems.walked("", &std::collections::BTreeMap::new());
        for name in self.problems.of_files("") {
            self.problems.solved(&name);
        }
        self.departed.clear();
        self.problems.set_ignored(IgnoredCounts::default());
        if let Some(initial) = &mut self.initial {
            initial.clear();
        }
    }

    fn folder_returned(&mut self) {
        self.problems.clear_keeper_problem(&KeeperProblem::Gone(self.folder.path().to_owned()));
        let known = self.away.take().unwrap_or_default();
        self.first_scan(known);
    }
}
