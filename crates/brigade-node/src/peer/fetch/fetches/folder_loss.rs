//! What becomes of fetches when the folder, or the received files in it, are gone.
//!
//! The owner notices it. Everything else about fetches is in the parent module.

use brigade_core::id::Content;

use super::Fetches;
use crate::fetch_error::FileErrorKind;

impl Fetches {
    /// Nothing can be written. Files that wait for space do not wait any more: they are prepared, and fail there.
    pub(crate) fn give_up_all(&mut self, error: &str) {
        self.jobs.forget_full_disks();
        self.give_up_each(self.jobs.contents(), error);
    }

    /// Part files cannot be written.
    pub(crate) fn give_up_large(&mut self, error: &str) {
        self.give_up_each(self.swarm.unfinished_large(), error);
    }

    /// The part files in the peer's own folder were removed: their contents are fetched from the beginning.
    pub(crate) fn begin_large_again(&mut self) {
        let own = self.share.folder().file_system();
        for content in self.swarm.unfinished_large() {
            let Some((id, file)) = self.jobs.file_of(&content) else { continue };
            let file_system = self.jobs.get(id).map(|job| job.needs().file_system_of(&file.name));
            if file_system != Some(own) {
                continue; // its part is in another folder
            }
            let Some(ended) = self.swarm.forget(&content) else { continue };
            if let Some(active) = self.ended(&content, &ended, false) {
                self.jobs.try_again(id, active.file, ended.present);
            }
            self.jobs.release(&content);
        }
        self.prepare_more();
    }

    fn give_up_each(&mut self, contents: Vec<Content>, error: &str) {
        contents.iter().for_each(|content| self.give_up(content, FileErrorKind::Disk, error));
        self.prepare_more();
    }
}
