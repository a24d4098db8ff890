//! The scan of the whole folder, or of one folder below it: it finds changes without events.
//!
//! The walk and the share are both in the order of the names. The scan merges them, so it needs no list of all files.
//! A session that shares only landed files has a check of these instead, in `landed_only_check`.
//! `failed_serving_check` checks single files that could not be served.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::ControlFlow,
    sync::Arc,
};

use brigade_core::name::FileName;

use self::walk::{NotShared, WalkEntry};
use super::{
    event_loop::{KeeperOwner, OTHER_DELAY},
    files_being_written::ChangeKind,
    sharing_problems::KeeperProblem,
    watch::WatchError,
};
use crate::{
    clock::now,
    store::{
        file_stamp::Stamp,
        folder::FolderError,
        ignore_patterns,
        index::IndexWrite,
        name_ranges::{at_or_below, bounds_below},
        share::{Share, SharedFile},
        system::{EntryStatus, FileKind},
    },
};

mod failed_serving_check;
mod landed_only_check;
pub(super) mod scan_schedule;
pub(super) mod walk;

/// Problems of one walk that are kept; the others are only counted.
const PROBLEMS: usize = 1000;

/// The result of a walk.
#[derive(Default)]
struct ScanResult {
    /// Files that are not shared with their current stamp.
    fresh: Vec<(FileName, Stamp)>,
    /// Shared files that the walk did not find.
    removed: Vec<FileName>,
    problems: BTreeMap<String, String>,
    more_problems: usize,
    /// Whether an entry could not be read, which may be temporary.
    unreadable: bool,
    /// Whether the first folder could not be listed, so that nothing was found.
    is_unlisted: bool,
    /// The error of a folder that could not be watched.
    unwatched: Option<WatchError>,
}

impl KeeperOwner {
    /// The first scan: announces the unchanged files of the index without hashing them.
    pub(super) fn first_scan(&mut self, mut known: HashMap<FileName, Arc<SharedFile>>) {
        if self.only_landed {
            return self.first_check_of_landed(known);
        }
        let result = self.walk(None);
        if self.stop.is_cancelled() {
            return;
        }
        if result.is_unlisted && !self.folder.is_at_path() {
            // It is gone again: when it returns, its files are still known.
            self.problems.report_keeper_problem(KeeperProblem::Gone(self.folder.path().to_owned()));
            return self.presence.set_away(known);
        }
        let mut fresh = Vec::new();
        for (name, stamp) in result.fresh {
            match known.remove(&name).map(|shared| on_device(shared, &stamp)) {
                Some(shared) if shared.stamp.same_bytes(&stamp) => {
                    self.share_indexed(shared);
                    if self.share.by_name(&name).is_none_or(|shared| shared.stamp != stamp) {
                        fresh.push((name, stamp));
                    }
                }
                _ => fresh.push((name, stamp)),
            }
        }
        // The other files of the index are gone, or have another name now; or they could not be found, and their rows
        // may still be true.
        // An empty folder may be the one on which the medium of a share in place is mounted.
        let is_unmounted =
            self.folder.share_in_place().is_some() && fresh.is_empty() && self.share_is_empty();
        let is_complete = !result.unreadable && !result.is_unlisted && !is_unmounted;
        for (name, shared) in known {
            if is_complete {
                self.index.add(IndexWrite::Delete(name), &mut self.problems);
            }
            self.departed.remember(shared, now());
        }
        self.apply(None, ScanResult { fresh, ..result });
        let (files, took) = (self.share.totals().0, self.scans.cost()); // files of all folders
        tracing::info!(files, ?took, "the folder was scanned; new files are being hashed");
    }

    /// Whether no file of the folder is shared.
    fn share_is_empty(&self) -> bool {
        self.folder.share_in_place().is_some_and(|name| self.share.names().totals_in_place(name).0 == 0)
    }

    /// Scans the folder `below`, or the whole folder for `None`.
    pub(super) fn scan(&mut self, below: Option<&FileName>) {
        if self.only_landed {
            return self.check_landed();
        }
        if below.is_none() {
            self.start_watch(); // an earlier attempt may have failed
        }
        let result = self.walk(below);
        self.apply(below, result);
    }

    /// Schedules a scan if an event may be about a file with another spelling: file systems with coarse times ignore
    /// case, and report the spelling of the program that made the change. The folder has the true one.
    pub(super) fn check_spelling(
        &mut self,
        name: &FileName,
        found: &Result<EntryStatus, FolderError>,
        change: ChangeKind,
    ) {
        let is_doubtful = match found {
            Ok(found) if !found.stamp.has_coarse_times() => false,
            Ok(found) if found.kind == FileKind::Folder => change == ChangeKind::Renamed,
            Ok(_) => self.share.same_folded(name).is_some(),
            Err(error) => error.is_missing() && self.share.same_folded(name).is_some(),
        };
        if is_doubtful {
            self.scans.soon(now().after(OTHER_DELAY));
        }
    }

    fn walk(&mut self, below: Option<&FileName>) -> ScanResult {
        let began = now();
        let mut result = ScanResult::default();
        let (mut last, end) = below.map_or_else(
            || self.folder.names().bounds(),
            |folder| {
                let (from, to) = bounds_below(folder);
                (from, Some(to))
            },
        );
        match below {
            Some(folder) => result.unwatched = self.watch.folder(folder).err(),
            None => self.watch.begin_walk(),
        }
        let (watch, share, stop) = (&mut self.watch, &self.share, &self.stop);
        let mut visit = |found| {
            match found {
                WalkEntry::Folder(name) => {
                    // If one folder cannot be watched, the others can hardly be.
                    if result.unwatched.is_none() {
                        result.unwatched = watch.folder(&name).err();
                    }
                }
                WalkEntry::File(name, stamp) => {
                    result.file(share, &last, &name, stamp);
                    last.clear();
                    last.push_str(&name);
                }
                WalkEntry::NotShared(path, reason) => {
                    result.unreadable |= matches!(reason, NotShared::Unreadable(_));
                    result.problem(path, reason.to_string());
                }
            }
            if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let walked = self.folder.walk(below, self.hidden, &mut self.rules, &mut visit);
        if self.stop.is_cancelled() {
            return ScanResult::default(); // interrupted: files that were not found may exist
        }
        match walked {
            Ok(()) => result.removed.extend(self.share.names_between(&last, end.as_deref())),
            Err(error) => {
                result.is_unlisted = true;
                // A folder that cannot be listed now still has its files; a folder that is gone has none.
                result.unreadable |= !error.is_missing();
                if error.is_missing() {
                    result.removed.extend(self.share.names_between(&last, end.as_deref()));
                }
                let folder = below.or(self.folder.share_in_place());
                result.problem(folder.map_or_else(|| ".".to_owned(), ToString::to_string), error.to_string());
            }
        }
        if below.is_none() {
            self.watch.end_walk();
            let is_watched = result.unwatched.is_none() && self.watch.is_on();
            if self.scans.scanned(began, now(), is_watched) {
                self.problems.clear_keeper_problem(&KeeperProblem::Unwatched(WatchError::Folders));
            }
        }
        self.scans.plan_retry(now(), below.is_none(), result.unreadable);
        result
    }

    fn apply(&mut self, below: Option<&FileName>, result: ScanResult) {
        for name in &result.removed {
            self.lost_name(name);
        }
        let path = below.map_or("", FileName::as_str);
        self.problems.walked(path, &result.problems);
        for (name, stamp) in &result.fresh {
            self.file_found(name, *stamp);
        }
        self.forget_problem_files(below);
        self.forget_missing_damaged();
        if self.rules.take_changed() {
            self.forget_ignored();
        }
        if self.rules.take_unsettled() {
            self.scans.soon(now().after(ignore_patterns::QUIET));
        }
        self.problems.set_ignored(self.rules.counts());
        if below.is_none() {
            self.problems.counted(result.problems.len() + result.more_problems + self.failed_reads.len());
        }
        if let Some(reason) = result.unwatched {
            self.watch_failed(reason);
        }
    }

    /// Forgets files that are ignored from now on and wait, are being hashed or are a problem. (The walk did not find
    /// the shared ones.)
    fn forget_ignored(&mut self) {
        let mut names: BTreeSet<FileName> = self.settle.names().cloned().collect();
        names.extend(self.hashing.names().chain(self.failed_reads.keys()).cloned());
        names.extend(self.problems.of_files("").iter().filter_map(|name| name.parse().ok()));
        for name in names {
            if self.rules.ignores(&name, false) {
                self.removed(&name);
            }
        }
    }

    /// Shares a file of the index.
    pub(super) fn share_indexed(&mut self, shared: Arc<SharedFile>) {
        self.share.insert(shared.clone());
        self.change_queue.shared(shared);
    }

    /// Clears the problems of files that do not exist any more.
    fn forget_problem_files(&mut self, below: Option<&FileName>) {
        let failed_reads = match below {
            Some(folder) => at_or_below(&self.failed_reads, folder),
            None => self.failed_reads.keys().cloned().collect(),
        };
        let listed = self.problems.of_files(below.map_or("", FileName::as_str));
        let names: BTreeSet<FileName> =
            failed_reads.into_iter().chain(listed.iter().filter_map(|name| name.parse().ok())).collect();
        for name in names {
            if self.folder.stamp(&name).is_err_and(|error| error.is_missing()) {
                self.failed_reads.remove(&name);
                self.problems.solved(&name);
            }
        }
    }
}

/// A file of the index with the number that its file system has now: the system may number file systems anew when they
/// are mounted. Everything else must be as before, since a time in nanoseconds is not equal by chance. A file with
/// coarse times is hashed again if its own number differs.
fn on_device(shared: Arc<SharedFile>, found: &Stamp) -> Arc<SharedFile> {
    let stamp = Stamp { device: found.device, ..shared.stamp };
    if stamp == shared.stamp || !(stamp == *found || stamp.has_coarse_times()) {
        return shared;
    }
    Arc::new(SharedFile { stamp, ..SharedFile::clone(&shared) })
}

impl ScanResult {
    fn file(&mut self, share: &Share, last: &str, name: &FileName, stamp: Stamp) {
        let (between, shared) = share.up_to(last, name);
        self.removed.extend(between);
        if shared.is_none_or(|shared| shared.stamp != stamp) {
            self.fresh.push((name.clone(), stamp));
        }
    }

    fn problem(&mut self, path: String, reason: String) {
        if self.problems.len() < PROBLEMS {
            self.problems.insert(path, reason);
        } else {
            self.more_problems += 1;
        }
    }
}
