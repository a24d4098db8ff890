//! Whether the shared folder is at its path, with its `.brigade/`, and writable: regular checks.
//!
//! A handle stays valid when its folder is moved, removed or unmounted, and its files could still be served. But the
//! user took the folder away: until the same folder is back, the keeper shares and hashes nothing, and nothing is
//! received (`missing_folder`). Another folder at the same path is not used: it has another key and may hold private
//! files.

use std::{collections::HashMap, mem, path::PathBuf, sync::Arc, time::Duration};

use brigade_core::{name::FileName, time::Timestamp};

use super::sharing_problems::{KeeperProblem, Problems};
use crate::store::{
    folder::{Folder, FolderError, PrivateState},
    share::SharedFile,
};

mod missing_folder;

/// The interval of the check: moving a folder above the shared one causes no event.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The interval of writing to the disk as a check; a short one would keep a disk awake.
const WRITE_CHECK_EVERY: Duration = Duration::from_secs(20);

/// The presence of the folder at the last check.
#[derive(Debug)]
pub(super) struct FolderPresence {
    folder: Folder,
    /// The files that were shared when the folder disappeared; `None` while the folder is at its path.
    away: Option<HashMap<FileName, Arc<SharedFile>>>,
    /// The state of `.brigade/`.
    private: PrivateState,
    next_check: Timestamp,
    next_write_check: Timestamp,
}

/// The result of a check.
#[derive(Debug, Default)]
pub(super) struct PresenceChange {
    /// Whether the index was removed, alone or with `.brigade/`.
    pub(super) has_lost_index: bool,
    /// Whether another session has `.brigade/`, and with it the path of the index.
    pub(super) is_taken: bool,
    /// The folder is gone: the reason.
    pub(super) disappeared: Option<KeeperProblem>,
    /// The folder is back.
    pub(super) has_returned: bool,
}

impl FolderPresence {
    /// The folder is at its path; a first check is due `now`.
    pub(super) fn new(folder: Folder, now: Timestamp) -> Self {
        let private = folder.private_state();
        Self { folder, away: None, private, next_check: now, next_write_check: now }
    }

    /// The time of the next check.
    pub(super) const fn next_check(&self) -> Timestamp {
        self.next_check
    }

    /// Schedules the next check at `now`.
    pub(super) const fn check_soon(&mut self, now: Timestamp) {
        self.next_check = now;
    }

    /// Whether the folder is not at its path.
    pub(super) const fn is_away(&self) -> bool {
        self.away.is_some()
    }

    /// The files that were shared when the folder disappeared.
    pub(super) fn away_files(&self) -> impl Iterator<Item = &Arc<SharedFile>> {
        self.away.iter().flat_map(HashMap::values)
    }

    /// Remembers the files of a folder that has disappeared.
    pub(super) fn set_away(&mut self, files: HashMap<FileName, Arc<SharedFile>>) {
        self.away = Some(files);
    }

    /// Takes the files of a folder that has returned.
    pub(super) fn take_away(&mut self) -> HashMap<FileName, Arc<SharedFile>> {
        self.away.take().unwrap_or_default()
    }

    /// Checks the folder, and reports problems with `.brigade/` and with writing.
    pub(super) fn check(&mut self, problems: &mut Problems, now: Timestamp) -> PresenceChange {
        self.next_check = now.after(CHECK_EVERY);
        let mut change = PresenceChange::default();
        let is_in_place = self.folder.share_in_place().is_some();
        let problem = match self.folder.is_at_path() {
            true if is_in_place => None, // nothing is written there
            true => self.check_private_dir(problems, &mut change),
            false => Some(KeeperProblem::Gone(self.folder.path().to_owned())),
        };
        change.is_taken = matches!(problem, Some(KeeperProblem::PrivateLost(_)));
        match problem {
            Some(problem) if !self.is_away() => change.disappeared = Some(problem),
            Some(problem) => report_absence(problems, problem),
            None if self.is_away() => change.has_returned = true,
            None if is_in_place => {}
            None => self.check_writable(problems, now),
        }
        change
    }

    /// Checks `.brigade/`. Returns a problem if another session has it.
    fn check_private_dir(
        &mut self,
        problems: &mut Problems,
        change: &mut PresenceChange,
    ) -> Option<KeeperProblem> {
        match self.folder.keep_private() {
            Ok(state) => {
                problems.clear_keeper_problem(&KeeperProblem::PrivateLost(String::new()));
                let before = mem::replace(&mut self.private, state);
                change.has_lost_index = before.recreated != state.recreated || before.index != state.index;
                report_restored(problems, before, state);
                None
            }
            Err(FolderError::Gone { path }) => Some(KeeperProblem::Gone(path)),
            Err(taken @ FolderError::Taken { .. }) => Some(KeeperProblem::PrivateLost(taken.to_string())),
            Err(error) => {
                let reason = format!(
                    "`.brigade` was removed while this peer runs, and cannot be created again: {error}"
                );
                problems.report_keeper_problem(KeeperProblem::PrivateLost(reason));
                None
            }
        }
    }

    fn check_writable(&mut self, problems: &mut Problems, now: Timestamp) {
        let is_write_check = now >= self.next_write_check;
        if is_write_check {
            self.next_write_check = now.after(WRITE_CHECK_EVERY);
        }
        match self.folder.check_writable(is_write_check) {
            Ok(()) if is_write_check => {
                problems.clear_keeper_problem(&KeeperProblem::ReadOnly(String::new()))
            }
            Ok(()) => {}
            Err(error) => problems.report_keeper_problem(KeeperProblem::ReadOnly(error.to_string())),
        }
    }
}

/// Reports why the folder is still away; the reason may have changed. A folder that is at its path again with the
/// `.brigade/` of another session is not gone any more. A folder that is gone may still have that `.brigade/`.
fn report_absence(problems: &mut Problems, problem: KeeperProblem) {
    if matches!(problem, KeeperProblem::PrivateLost(_)) {
        problems.clear_keeper_problem(&KeeperProblem::Gone(PathBuf::new()));
    }
    problems.report_keeper_problem(problem);
}

/// Reports that `.brigade/`, or a part of it, was removed and is restored.
fn report_restored(problems: &mut Problems, before: PrivateState, now: PrivateState) {
    let mut report = |before: u32, now: u32, problem: fn(u32) -> KeeperProblem| {
        if before != now {
            problems.report_keeper_problem(problem(now));
        }
    };
    report(before.recreated, now.recreated, KeeperProblem::PrivateRemoved);
    report(before.lock, now.lock, KeeperProblem::LockRemoved);
    report(before.protected, now.protected, KeeperProblem::KeyRemoved);
    report(before.index, now.index, KeeperProblem::IndexRemoved);
    report(before.parts, now.parts, KeeperProblem::PartsRemoved);
}
