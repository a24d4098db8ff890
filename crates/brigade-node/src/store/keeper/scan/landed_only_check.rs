//! The check of landed files: a session that shares only the files that it fetched checks these instead of scanning the
//! folder.
//!
//! A file that has changed since it landed is not the file that was fetched: it is not shared. `landed_files` shares
//! files when they land.

use std::{collections::HashMap, sync::Arc};

use brigade_core::name::FileName;

use crate::{
    clock::now,
    store::{folder::FolderError, index::IndexWrite, keeper::event_loop::KeeperOwner, share::SharedFile},
};

/// Landed files that are checked at once.
const LANDED_PAGE: usize = 1024;

impl KeeperOwner {
    /// Shares the files that landed in an earlier session and have not changed.
    pub(super) fn first_check_of_landed(&mut self, known: HashMap<FileName, Arc<SharedFile>>) {
        let began = now();
        for (name, shared) in known {
            if self.is_unchanged_since_landing(&shared) {
                self.share_indexed(shared);
            } else {
                self.index.add(IndexWrite::Delete(name), &mut self.problems);
            }
        }
        self.scans.checked(began, now());
    }

    /// Withdraws landed files that have changed: they are not the files that were fetched.
    pub(super) fn check_landed(&mut self) {
        let began = now();
        let mut last = None;
        loop {
            let page = self.share.page(last.as_ref(), LANDED_PAGE);
            let Some(end) = page.last() else { break };
            last = Some(end.name.clone());
            for shared in page {
                if !self.is_unchanged_since_landing(&shared) {
                    self.withdraw(&shared.name);
                }
            }
        }
        self.scans.checked(began, now());
    }

    /// Whether a file is unchanged since it landed. If it cannot be checked now, the answer is yes: it would not be
    /// checked again, and serving it opens it anyway.
    pub(super) fn is_unchanged_since_landing(&self, shared: &SharedFile) -> bool {
        match self.folder.stamp(&shared.name) {
            Ok(stamp) => stamp.same_bytes(&shared.stamp),
            Err(error) => matches!(error, FolderError::Io { .. }),
        }
    }
}
