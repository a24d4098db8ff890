//! What becomes of fetches when the disk is full, or when the folder or the received files in it were removed.
//!
//! A fetch that finds the disk full waits for space. If the folder is gone, fetches fail. If only part files were
//! removed, their contents are fetched from the beginning. A part that another program has changed is hashed again.
//! Everything else about fetches is in the parent module.

use brigade_core::{id::Content, name::FileName, time::Timestamp};

use super::Fetches;
use crate::{
    clock,
    fetch_error::FileErrorKind,
    fetch_request::{FetchId, wanted_files::WantedFile},
    store::{
        folder::{FileSystemId, FreeSpace, PrivateState},
        part_file::PartError,
    },
};

impl Fetches {
    /// The disk of a file is full: its fetch requests nothing more until there is space. Contents of several pieces
    /// stay as they are; those of one piece wait to be prepared again.
    pub(super) fn pause(&mut self, id: FetchId, name: &FileName, inodes: bool) {
        let now = clock::now();
        self.jobs.wait_for_space(id, name, inodes, now);
        // Also one that started since it waits: from files that were being prepared.
        self.pause_contents(id);
        self.check_space(now);
    }

    /// Asks how much space is free, if a fetch waits for it and it is time to.
    pub(super) fn check_space(&mut self, now: Timestamp) {
        let folders = self.jobs.full_disks_to_check(now);
        if !folders.is_empty() {
            self.background.check_space(folders);
        }
    }

    /// So much space is free: each fetch that has enough space continues.
    pub(crate) fn space_checked(&mut self, free: Vec<(FileSystemId, FreeSpace)>) {
        for id in self.jobs.space_checked(free, clock::now()) {
            self.go_on(id);
        }
    }

    /// Nothing can be written. Files that wait for space do not wait any more: they are prepared, and fail there.
    pub(crate) fn give_up_all(&mut self, error: &str) {
        self.jobs.forget_full_disks();
        self.give_up_each(self.jobs.contents(), error);
    }

    /// Part files cannot be written.
    pub(crate) fn give_up_large(&mut self, error: &str) {
        self.give_up_each(self.swarm.unfinished_large(), error);
    }

    /// Whether part files that were opened when the private folder had this state may have been removed since.
    pub(super) fn are_parts_removed(&self, before: PrivateState) -> bool {
        let now = self.share.folder().private_state();
        (now.recreated, now.parts) != (before.recreated, before.parts)
    }

    /// Whether a content is to be fetched from the beginning because its part was removed, and not the whole private
    /// folder: the directory with it, or the part alone. A program that removes the part alone may do that each time:
    /// then the file fails the second time.
    pub(super) fn is_part_removed(&mut self, content: &Content, error: &PartError) -> bool {
        let now = self.share.folder().private_state();
        match self.opened.get(content) {
            Some(opened) if error.is_removal() => {
                let is_first_time =
                    |(id, file): (FetchId, &WantedFile)| self.changed.note_removal(id, &file.name);
                opened.recreated == now.recreated
                    && (opened.parts != now.parts || self.jobs.file_of(content).is_some_and(is_first_time))
            }
            _ => false,
        }
    }

    /// A piece of a content of several pieces could not be written.
    pub(super) fn not_written(&mut self, content: &Content, error: &PartError) {
        if self.is_part_removed(content, error) {
            self.begin_part_again(content);
            self.prepare_more();
        } else {
            self.give_up(content, FileErrorKind::Disk, &error.to_string());
        }
    }

    /// The part of a complete content was changed by another program: its pieces are hashed after a pause. Nothing else
    /// touches the part before.
    pub(super) fn hash_later(
        &mut self,
        id: FetchId,
        (file, present): (WantedFile, (u64, u64)),
        error: &PartError,
    ) {
        self.jobs.lock(id, file.content);
        if self.changed.pause(id, (file, present), clock::now()) {
            tracing::warn!(%error, "the part is hashed again before the file gets its name");
        }
    }

    /// The part of a file that was copied from an equal one was changed by another program before it got its name.
    pub(super) fn hash_copy_later(&mut self, id: FetchId, file: WantedFile, error: &PartError) {
        self.opened.remove(&file.content);
        self.hash_later(id, (file, (0, 0)), error);
    }

    /// Has the files prepared again whose parts another program has changed, after their pauses.
    pub(super) fn hash_changed(&mut self, now: Timestamp) {
        let due = self.changed.take_due(now, |id| self.jobs.get(id).is_some());
        if due.is_empty() {
            return;
        }
        for (id, (file, present)) in due {
            let content = file.content;
            if self.jobs.fetch_of(id, &file).is_some() {
                self.jobs.try_again(id, file, present);
            }
            self.jobs.unlock(&content);
        }
        self.prepare_more();
    }

    /// The part files in the peer's own folder were removed: their contents are fetched from the beginning. Those that
    /// are being prepared, or get their names at this moment, follow when their results arrive.
    pub(crate) fn begin_large_again(&mut self) {
        let own = self.share.folder().file_system();
        for content in self.swarm.unfinished_large() {
            let Some((id, file)) = self.jobs.file_of(&content) else { continue };
            let file_system = self.jobs.get(id).map(|job| job.needs().file_system_of(&file.name));
            if file_system != Some(own) {
                continue; // its part is in another folder
            }
            if self.opened.get(&content).is_some_and(|opened| !self.are_parts_removed(*opened)) {
                continue; // its part was opened after the removal
            }
            self.begin_part_again(&content);
        }
        self.prepare_more();
    }

    /// The part of a content was removed: its file is prepared again.
    fn begin_part_again(&mut self, content: &Content) {
        let Some(ended) = self.swarm.forget(content) else { return };
        if let Some(active) = self.ended(content, &ended, false) {
            self.jobs.begin_again(active.job, active.file, ended.present);
        }
        self.jobs.release(content);
    }

    fn give_up_each(&mut self, contents: Vec<Content>, error: &str) {
        contents.iter().for_each(|content| self.give_up(content, FileErrorKind::Disk, error));
        self.prepare_more();
    }
}
