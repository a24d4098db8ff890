//! Files whose bytes changed although their length and times did not.
//!
//! If the keeper finds one, it shares the file as it is: a program may have written it and set its old time again. But
//! it suspects the file. If a verification finds one, or verifies a suspected one, the file is damaged: it is withdrawn,
//! and stays so until it is another file. `touch` shares it as it is.

use std::{collections::HashMap, sync::Arc};

use brigade_core::{id::ContentId, name::FileName};

use crate::store::{
    file_stamp::Stamp,
    hash::Hashed,
    index::IndexWrite,
    keeper::{event_loop::KeeperOwner, sharing_problems::ProblemSource},
    share::{DamagedFile, SharedFile},
};

/// Damaged files whose marks are removed at once.
const PAGE: usize = 1024;

impl KeeperOwner {
    /// Whether the file with this stamp is known to be damaged. A mark for another stamp is removed.
    pub(in crate::store::keeper) fn is_damaged(&mut self, name: &FileName, stamp: &Stamp) -> bool {
        let Some(damaged) = self.share.damaged_file(name) else { return false };
        // A change of an attribute alone makes no other file of it, and file systems may be numbered anew.
        if (Stamp { device: stamp.device, ..damaged.stamp }).same_bytes(stamp) {
            return true;
        }
        self.forget_damage(name);
        false
    }

    /// The file that was shared, if a check found other bytes in it and its length and times are the same. It may have
    /// had other times for a moment: a program set the old ones again.
    pub(in crate::store::keeper) fn before_damage(
        &self,
        name: &FileName,
        hashed: &Hashed,
        stamp: &Stamp,
    ) -> Option<Arc<SharedFile>> {
        let before = match self.share.by_name(name) {
            Some(shared) => Some(shared).filter(|_| !self.unchecked.contains(name)),
            None => self.changing.get(name).cloned(),
        };
        before.filter(|before| {
            before.content != hashed.content && before.stamp.same_bytes(stamp) && !stamp.has_coarse_times()
        })
    }

    /// A file has other bytes than `before`, and its length and times are the same. It is shared as it is, because a
    /// program may have written it; but the content before is remembered, and a verification reports it.
    pub(in crate::store::keeper) fn suspect(&mut self, before: &SharedFile, found: ContentId, stamp: Stamp) {
        let first = self.share.suspected_file(&before.name);
        let expected = first.map_or(before.content, |first| first.expected);
        self.forget_suspicion(&before.name);
        if expected.id != found {
            let file = Arc::new(DamagedFile { name: before.name.clone(), expected, found, stamp });
            self.index.add(IndexWrite::Damaged(file.clone()), &mut self.problems);
            self.share.suspect(file);
        }
    }

    /// Forgets that a file may be damaged: it is another one now, or does not exist.
    pub(in crate::store::keeper) fn forget_suspicion(&mut self, name: &FileName) {
        if self.share.remove_suspicion(name) {
            self.index.add(IndexWrite::Undamaged(name.clone()), &mut self.problems);
        }
    }

    /// A verification found that a shared file has the bytes of the id `found`.
    pub(in crate::store::keeper) fn damage_found(
        &mut self,
        shared: &SharedFile,
        found: ContentId,
        stamp: Stamp,
    ) {
        let Some(now) = self.share.by_name(&shared.name) else { return };
        let is_suspected = self.share.suspected_file(&shared.name).is_some() && now.content.id == found;
        // Otherwise it is another file by now.
        if (now.content == shared.content || is_suspected) && now.stamp.same_bytes(&stamp) {
            self.damaged(shared, found, stamp);
        }
    }

    /// Withdraws a file whose bytes have the id `found`, and not the announced one.
    pub(in crate::store::keeper) fn damaged(&mut self, shared: &SharedFile, found: ContentId, stamp: Stamp) {
        self.share.remove_suspicion(&shared.name);
        self.withdraw(&shared.name);
        self.hashing.cancel(&shared.name);
        self.settle.forget(&shared.name);
        self.changing.remove(&shared.name);
        let (name, expected) = (shared.name.clone(), shared.content);
        tracing::warn!(name = ?name.as_str(), "the bytes of a shared file changed on the disk");
        let damaged = Arc::new(DamagedFile { name, expected, found, stamp });
        self.index.add(IndexWrite::Damaged(damaged.clone()), &mut self.problems);
        self.add_damaged(damaged);
    }

    /// Takes the damaged files of the index. Those that the index has as shared files too are only suspected.
    pub(in crate::store::keeper) fn take_damaged(
        &mut self,
        files: Vec<Arc<DamagedFile>>,
        known: &HashMap<FileName, Arc<SharedFile>>,
    ) {
        for file in files {
            if known.get(&file.name).is_some_and(|shared| shared.content.id == file.found) {
                self.share.suspect(file);
            } else {
                self.add_damaged(file);
            }
        }
    }

    /// The bytes of a damaged file are right again: it is hashed and shared.
    pub(in crate::store::keeper) fn undamaged(&mut self, name: &FileName) {
        if self.share.has_damaged_in_folder(name) {
            self.forget_damage(name);
            self.inspect_again(name);
        }
    }

    /// Forgets the damaged files at `path` and below it: they do not exist any more.
    pub(in crate::store::keeper) fn forget_damage_below(&mut self, path: &FileName) {
        for name in self.share.damaged_at_or_below(path) {
            self.forget_damage(&name);
            self.forget_suspicion(&name);
        }
    }

    /// Forgets the damaged files that do not exist any more: a scan found no other reason to look at them.
    pub(in crate::store::keeper) fn forget_missing_damaged(&mut self) {
        for name in self.damaged_names() {
            if self.folder.stamp(&name).is_err_and(|error| error.is_missing()) {
                self.forget_damage(&name);
            }
        }
    }

    /// Removes the marks of all files of this folder, and keeps their rows in the index: the folder is away.
    pub(in crate::store::keeper) fn hide_damaged(&mut self) {
        for name in self.damaged_names() {
            self.share.remove_damaged(&name);
        }
        for file in self.share.suspected_files("", None, usize::MAX) {
            if self.share.has_in_folder(&file.name) {
                self.share.remove_suspicion(&file.name);
            }
        }
    }

    fn damaged_names(&self) -> Vec<FileName> {
        let (mut names, mut last) = (vec![], None);
        loop {
            let page = self.share.names().damaged_files("", last.as_ref(), PAGE);
            let Some(end) = page.last() else { return names };
            last = Some(end.name.clone());
            let own = page.iter().filter(|file| self.share.has_in_folder(&file.name));
            names.extend(own.map(|file| file.name.clone()));
        }
    }

    fn add_damaged(&mut self, file: Arc<DamagedFile>) {
        let reason = "its bytes changed on the disk, although its length and times did not: fetch it again (verify \
                      --repair), or touch it to share it as it is";
        self.problems.add(ProblemSource::File, &file.name, reason.to_owned());
        self.share.add_damaged(file);
    }

    /// Forgets that a file is damaged: it is another one now, or does not exist.
    pub(in crate::store::keeper) fn forget_damage(&mut self, name: &FileName) {
        if self.share.remove_damaged(name) {
            self.index.add(IndexWrite::Undamaged(name.clone()), &mut self.problems);
            self.problems.solved(name);
        }
    }
}
