//! How the keeper handles one name.
//!
//! After any event the keeper looks at the file system and compares it with the share: events may be late, repeated
//! or out of order, the file system is not. `hash_results` handles what the hash
//! threads report, `damaged_files` files whose bytes changed unnoticed.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use brigade_core::{limits, name::FileName, time::Timestamp};

use super::{
    event_loop::KeeperOwner,
    files_being_written::ChangeKind,
    scan::walk::{NotShared, is_kept_aside},
    sharing_problems::ProblemSource,
};
use crate::{
    clock::{self, now},
    store::{
        file_stamp::Stamp,
        folder::FolderError,
        index::IndexWrite,
        name_ranges::at_or_below,
        share::SharedFile,
        system::{self, EntryStatus, FileKind},
    },
};

mod damaged_files;
mod hash_results;

/// The search for open files takes at most one part in this many of the time.
const WRITERS_SHARE: u32 = 10;

impl KeeperOwner {
    /// Handles the entry that was found under a name after an event. `scanned` has the folders that were scanned for
    /// the same batch of events.
    pub(super) fn inspect(
        &mut self,
        name: &FileName,
        found: Result<EntryStatus, FolderError>,
        change: ChangeKind,
        scanned: &mut BTreeSet<FileName>,
    ) {
        if self.is_withheld(name) {
            return;
        }
        self.check_spelling(name, &found, change);
        let linked_file = found.as_ref().ok().and_then(EntryStatus::linked_file);
        match found {
            Ok(EntryStatus { kind, .. }) if self.rules.ignores(name, kind == FileKind::Folder) => {
                self.removed(name)
            }
            Ok(EntryStatus { kind: FileKind::File, .. }) if is_kept_aside(name) => {
                self.removed(name);
                self.problems.add(ProblemSource::Walk, name, NotShared::KeptAside.to_string());
            }
            Ok(EntryStatus { kind: FileKind::File, stamp, .. }) => {
                self.removed_below(name);
                self.file(name, stamp, change);
            }
            Ok(EntryStatus { kind: FileKind::Folder, .. }) => {
                self.file_removed(name);
                let seen = scanned.iter().any(|folder| name == folder || name.is_below(folder));
                if !seen {
                    self.scan(Some(name));
                    scanned.insert(name.clone());
                }
            }
            Ok(EntryStatus { kind, .. }) => {
                self.removed(name);
                self.problems.add(ProblemSource::Walk, name, NotShared::Kind(kind).to_string());
            }
            Err(error) if error.is_missing() => self.removed(name),
            Err(error) => {
                self.removed(name);
                self.problems.add(ProblemSource::Walk, name, error.to_string());
                self.scans.retry_soon(now()); // by then it may be readable
            }
        }
        if let Some(file) = linked_file {
            self.inspect_other_names(&file, change); // also if this name is not shared
        }
    }

    /// Whether a name in the peer's own folder belongs to a share in place. It is listed as not shared then.
    pub(super) fn is_withheld(&mut self, name: &FileName) -> bool {
        let Some(share) = self.folder.withheld_by(name) else { return false };
        self.removed(name);
        let top = name.components().next().unwrap_or_default().to_owned();
        if self.folder.sub("").is_ok_and(|root| root.status(top.as_ref()).is_ok()) {
            self.problems.add(ProblemSource::Walk, &top, NotShared::Withheld(share).to_string());
        } else {
            self.problems.removed(&top);
        }
        true
    }

    /// Handles a change of a file through one of its names for its other names: there is no event for those.
    pub(super) fn inspect_other_names(&mut self, file: &Stamp, change: ChangeKind) {
        for other in self.share.names_of(file) {
            if let Ok(stamp) = self.folder.stamp(&other) {
                self.file(&other, stamp, change);
            }
        }
    }

    pub(super) fn inspect_again(&mut self, name: &FileName) {
        let found = self.folder.status(name);
        self.inspect(name, found, ChangeKind::Written, &mut BTreeSet::new());
    }

    /// Handles a regular file after an event.
    fn file(&mut self, name: &FileName, stamp: Stamp, change: ChangeKind) {
        if self.is_settled(name, stamp) {
            if self.failed_reads.contains_key(name) {
                return; // it waits for the next attempt
            }
            if !stamp.has_coarse_times() {
                self.settle.forget(name);
            } else if change.is_write() {
                self.written_with_its_old_time(name, stamp, change);
            }
        } else if change.is_write() || !self.is_moved(name, stamp) {
            self.settle.changed(name, stamp, change, now());
            self.remove_initial(name);
        }
    }

    /// A write that the stamp does not show: the file is served on and hashed again. Until then its row in the index
    /// is not certain.
    fn written_with_its_old_time(&mut self, name: &FileName, stamp: Stamp, change: ChangeKind) {
        self.hashing.cancel(name);
        self.index.add(IndexWrite::Delete(name.clone()), &mut self.problems);
        self.settle.changed(name, stamp, change, now());
    }

    /// Handles a file that a scan found and that is not shared with its current stamp.
    pub(super) fn file_found(&mut self, name: &FileName, stamp: Stamp) {
        if self.is_settled(name, stamp) || self.is_moved(name, stamp) {
            return;
        }
        let waiting = (self.settle.len() + self.hashing.len()).max(self.hashing.waiting_in_all());
        if self.share.totals().0 + waiting >= limits::ANNOUNCED_NAMES {
            let reason = format!("no more than {} files can be shared", limits::ANNOUNCED_NAMES);
            self.problems.add(ProblemSource::File, name, reason);
            return;
        }
        if let Some(initial) = &mut self.initial {
            initial.insert(name.clone(), ());
        }
        self.settle.found(name, stamp, stamp.quiet_for(SystemTime::now()), now());
    }

    /// Whether a file with this stamp needs no more work: it is shared, or being hashed, or could not be read and
    /// waits for the next attempt. A file that is shared with another stamp is withdrawn at once.
    fn is_settled(&mut self, name: &FileName, stamp: Stamp) -> bool {
        let is_refused = self.failed_reads.get(name).is_some_and(|failed| failed.stamp == stamp);
        if is_refused || self.hashing.has(name, &stamp) || self.is_damaged(name, &stamp) {
            return true;
        }
        self.hashing.cancel(name);
        self.failed_reads.remove(name);
        match self.share.by_name(name) {
            None => false,
            Some(shared) if shared.stamp == stamp => {
                self.departed.forget_written(&stamp);
                true
            }
            Some(shared) if shared.stamp.same_bytes(&stamp) => {
                self.check_again(&shared, stamp);
                true
            }
            Some(shared) if shared.stamp.file_id() == stamp.file_id() => {
                if !self.unchecked.contains(name) {
                    self.changing.insert(name.clone(), shared);
                }
                self.withdraw(name);
                false
            }
            Some(_) => {
                self.lost_name(name);
                false
            }
        }
    }

    /// Notes an event. A shared file that was written is not the same any more, whatever its stamp is; but after the
    /// name was `replaced`, an event is not about that file.
    pub(super) fn note_event(
        &mut self,
        name: &FileName,
        kind: ChangeKind,
        replaced: &mut BTreeSet<FileName>,
    ) {
        if matches!(kind, ChangeKind::Created | ChangeKind::Renamed) {
            replaced.insert(name.clone());
        } else if kind.is_write()
            && !replaced.contains(name)
            && let Some(shared) = self.share.by_name(name)
        {
            self.departed.written(&shared.stamp);
        }
    }

    /// The bytes should be the same, but an attribute of the file changed: it is served on and hashed again.
    fn check_again(&mut self, shared: &Arc<SharedFile>, stamp: Stamp) {
        if shared.stamp.executable != stamp.executable {
            // The ctime at the time of the hash: the file is still to be checked.
            let stamp = Stamp { ctime_ns: shared.stamp.ctime_ns, ..stamp };
            let (name, content, list) = (shared.name.clone(), shared.content, shared.list.clone());
            self.announce(SharedFile { name, content, list, stamp });
        }
        self.hashing.add(&shared.name, stamp, now());
    }

    /// Announces the file without hashing, if it had another name until now or at the end of the last session.
    /// Returns whether it did.
    fn is_moved(&mut self, name: &FileName, stamp: Stamp) -> bool {
        let Some(before) = self.departed.find(&stamp) else { return false };
        // The inode of a deleted file is soon used again, and times can be set. So it is the same file only if it
        // existed when it was hashed. A coarse time may be the time of both.
        let created_ns = self.folder.created_ns(name).ok().flatten();
        if stamp.has_coarse_times() || created_ns.is_none_or(|created_ns| created_ns > before.stamp.ctime_ns)
        {
            return false;
        }
        let (content, list) = (before.content, before.list.clone());
        let ctime_ns = before.stamp.ctime_ns; // at the time of the hash
        self.announce(SharedFile { name: name.clone(), content, list, stamp: Stamp { ctime_ns, ..stamp } });
        if ctime_ns != stamp.ctime_ns {
            self.unchecked.insert(name.clone());
            self.hashing.add(name, stamp, now());
        }
        true
    }

    /// Serves a file from now on. Announces it, unless nothing changed that other peers know.
    pub(super) fn announce(&mut self, file: SharedFile) {
        let file = Arc::new(file);
        let before = self.share.insert(file.clone());
        if before.is_none() && file.stamp.has_coarse_times() && self.share.same_folded(&file.name).is_some() {
            self.scans.soon(now()); // one of the two spellings is wrong
        }
        let is_visible = before.is_none_or(|before| {
            before.content != file.content
                || before.stamp.mtime_s() != file.stamp.mtime_s()
                || before.stamp.executable != file.stamp.executable
        });
        self.settle.forget(&file.name);
        self.failed_reads.remove(&file.name);
        self.problems.solved(&file.name);
        self.remove_initial(&file.name);
        self.changing.remove(&file.name);
        self.forget_damage(&file.name);
        let suspected = self.share.suspected_file(&file.name);
        if suspected
            .is_some_and(|known| known.found != file.content.id || !known.stamp.same_bytes(&file.stamp))
        {
            self.forget_suspicion(&file.name);
        }
        self.index.add(IndexWrite::Put(file.clone()), &mut self.problems);
        if is_visible {
            self.change_queue.shared(file);
        }
    }

    /// Stops serving a file whose bytes changed or cannot be read.
    pub(super) fn withdraw(&mut self, name: &FileName) {
        if let Some(shared) = self.share.remove(name) {
            self.withdrawn(&shared);
        }
    }

    /// Stops serving a file that does not have this name any more. It may appear under another one.
    pub(super) fn lost_name(&mut self, name: &FileName) {
        if let Some(shared) = self.share.remove(name) {
            self.departed.remember(shared.clone(), now());
            self.withdrawn(&shared);
        }
    }

    fn withdrawn(&mut self, shared: &SharedFile) {
        self.unchecked.remove(&shared.name);
        if self.share.names_of(&shared.stamp).is_empty() {
            self.departed.forget_written(&shared.stamp);
        }
        self.change_queue.removed(shared.name.clone());
        self.index.add(IndexWrite::Delete(shared.name.clone()), &mut self.problems);
    }

    /// Forgets all files under this name and below it: nothing there can be shared any more.
    pub(super) fn removed(&mut self, path: &FileName) {
        let mut stamps = self.settle.forget_at_or_below(path);
        for name in self.share.names_at_or_below(path) {
            stamps.extend(self.share.by_name(&name).map(|shared| shared.stamp));
            self.lost_name(&name);
        }
        self.hashing.cancel_at_or_below(path);
        self.forget_damage_below(path);
        for name in at_or_below(&self.failed_reads, path) {
            self.failed_reads.remove(&name);
        }
        for name in at_or_below(&self.changing, path) {
            self.changing.remove(&name);
        }
        self.problems.removed(path);
        if let Some(initial) = &mut self.initial {
            for name in at_or_below(initial, path) {
                initial.remove(&name);
            }
        }
        for file in stamps {
            self.inspect_other_names(&file, ChangeKind::Touched);
        }
    }

    /// The name now belongs to a folder: forgets the file of that name.
    fn file_removed(&mut self, name: &FileName) {
        let waited = self.settle.forget(name);
        let shared = self.share.by_name(name).map(|shared| shared.stamp);
        self.lost_name(name);
        self.hashing.cancel(name);
        self.failed_reads.remove(name);
        self.remove_initial(name);
        for file in waited.into_iter().chain(shared) {
            self.problems.solved(name);
            self.inspect_other_names(&file, ChangeKind::Touched);
        }
    }

    /// The name now belongs to a file: forgets all names below it.
    fn removed_below(&mut self, name: &FileName) {
        let mut names: BTreeSet<FileName> = self.share.names_at_or_below(name).into_iter().collect();
        names.extend(self.settle.at_or_below(name));
        names.extend(self.hashing.at_or_below(name));
        names.extend(at_or_below(&self.failed_reads, name));
        names.remove(name);
        for name in names {
            self.removed(&name);
        }
        self.problems.removed_below(name);
    }

    /// Removes a file from the list of the first scan: it is handled.
    pub(super) fn remove_initial(&mut self, name: &FileName) {
        if let Some(initial) = &mut self.initial {
            initial.remove(name);
        }
    }

    /// Hashes the files that no program has written to for long enough, except those that are still open for writing.
    pub(super) fn hash_settled(&mut self, now: Timestamp) {
        let mut at_rest = Vec::new();
        for (name, stamp) in self.settle.take_due(now) {
            match self.folder.status(&name) {
                Ok(EntryStatus { kind: FileKind::File, stamp: found, .. })
                    if found.is_unchanged_since(&stamp) =>
                {
                    let wait = found.distinct_after(SystemTime::now());
                    if wait.is_zero() {
                        at_rest.push((name, found));
                    } else {
                        self.settle.wait(&name, found, now.after(wait));
                    }
                }
                _ => self.inspect_again(&name),
            }
        }
        if at_rest.is_empty() {
            return;
        }
        let files = at_rest.iter().map(|(_, stamp)| stamp.file_id()).collect();
        let asked = clock::now();
        let written = system::open_for_writing(&files);
        let answered = clock::now();
        self.writers_after = answered.after(answered.since(asked) * WRITERS_SHARE);
        for (name, stamp) in at_rest {
            if written.contains(&stamp.file_id()) {
                self.settle.busy(&name, stamp, now);
                self.remove_initial(&name);
            } else {
                self.hashing.add(&name, stamp, now);
            }
        }
    }
}
