//! Files that could not be served: they are checked at once, since there may have been no event.
//!
//! Examples are a file that was written through a hard link outside the folder, and a file system below the folder that
//! was unmounted. Without this check, only the next scan would find them.

use std::collections::BTreeSet;

use brigade_core::name::FileName;

use crate::{
    clock::now,
    store::{
        folder::FolderError,
        keeper::{event_loop::KeeperOwner, files_being_written::ChangeKind},
    },
};

impl KeeperOwner {
    /// Checks files that could not be served.
    pub(in crate::store::keeper) fn check_unservable(&mut self, names: &BTreeSet<FileName>) {
        self.check_presence(now());
        if self.presence.is_away() {
            return;
        }
        let mut scanned = BTreeSet::new();
        for name in names {
            let Some(shared) = self.share.by_name(name) else { continue };
            if self.only_landed {
                if !self.is_unchanged_since_landing(&shared) {
                    self.withdraw(name);
                }
                continue;
            }
            let found = self.folder.status(name);
            // After such an error, too many files may be open: the next scan checks the file.
            if !matches!(found, Err(FolderError::Io { .. })) {
                self.inspect(name, found, ChangeKind::Written, &mut scanned);
            }
        }
    }
}
