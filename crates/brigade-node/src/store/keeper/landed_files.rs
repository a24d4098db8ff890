//! Files that were fetched: they are shared when they land, without hashing. A session that shares only those files
//! checks them instead of scanning the folder.

use std::{collections::HashMap, sync::Arc};

use brigade_core::name::FileName;

use super::{
    event_loop::KeeperOwner, keeper_messages::LandedFile, open_folder_cache::OpenFolderCache,
    scan::walk::is_kept_aside,
};
use crate::{
    clock::now,
    store::{folder::FolderError, index::IndexWrite, share::SharedFile},
};

/// Landed files that are checked at once.
const LANDED_PAGE: usize = 1024;

impl KeeperOwner {
    /// Shares files that have just landed.
    pub(super) fn landed(&mut self, files: Vec<LandedFile>) {
        let folder = self.folder.clone();
        let mut lookup = OpenFolderCache::new(&folder);
        for LandedFile { name, content, list, stamp } in files {
            let hidden = name.is_hidden() && !self.hidden;
            if self.presence.is_away() || hidden || is_kept_aside(&name) || self.rules.ignores(&name, false) {
                continue;
            }
            match lookup.stamp(&name) {
                Ok(found) if found.same_bytes(&stamp) => {
                    self.hashing.cancel(&name);
                    self.failed_reads.remove(&name);
                    // The rename has changed the file's ctime and nothing else.
                    self.announce(SharedFile { name, content, list, stamp: found });
                }
                _ if self.only_landed => {}
                _ => self.inspect_again(&name),
            }
        }
    }

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
    fn is_unchanged_since_landing(&self, shared: &SharedFile) -> bool {
        match self.folder.stamp(&shared.name) {
            Ok(stamp) => stamp.same_bytes(&shared.stamp),
            Err(error) => matches!(error, FolderError::Io { .. }),
        }
    }
}
