//! Files that were fetched: they are shared when they land, without hashing.
//!
//! A session that shares only those files later checks them in `scan/landed_only_check`.

use super::{
    event_loop::KeeperOwner, keeper_messages::LandedFile, open_folder_cache::OpenFolderCache,
    scan::walk::is_kept_aside,
};
use crate::store::share::SharedFile;

impl KeeperOwner {
    /// Shares files that have just landed.
    pub(super) fn landed(&mut self, files: Vec<LandedFile>) {
        let folder = self.folder.clone();
        let mut lookup = OpenFolderCache::new(&folder);
        for LandedFile { name, content, list, stamp } in files {
            let hidden = name.is_hidden() && !self.hidden;
            if self.is_withheld(&name)
                || self.presence.is_away()
                || hidden
                || is_kept_aside(&name)
                || self.rules.ignores(&name, false)
            {
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
}
