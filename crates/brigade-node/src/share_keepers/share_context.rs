//! The values that the owner of the shares in place and the tasks of all shares need, and where the hashes of a share
//! are stored.

use std::{path::PathBuf, time::SystemTime};

use brigade_core::id::PeerKey;
use tokio_util::sync::CancellationToken;

use super::share_indexes::{folder_of_indexes, index_name, remove_unused};
use crate::{
    shares_in_place::CheckedShare,
    store::{
        folder::Folder,
        keeper::{IndexLocation, KeeperHandle},
        share::Share,
    },
};

/// The values that the owner and its tasks need.
#[derive(Debug, Clone)]
pub(crate) struct ShareContext {
    pub(crate) folder: Folder,
    pub(crate) share: Share,
    /// The keeper of the peer's own folder.
    pub(crate) keeper: KeeperHandle,
    pub(crate) key: PeerKey,
    pub(crate) home: Option<PathBuf>,
    /// Whether the peer shares only the files that it fetched; then there are no shares in place.
    pub(crate) only_fetched: bool,
    pub(crate) stop: CancellationToken,
}

impl ShareContext {
    /// Where the hashes of a share are stored.
    pub(super) fn index_of(&self, share: &CheckedShare) -> IndexLocation {
        let Some(home) = &self.home else {
            return IndexLocation::Nowhere(
                "no folder for Brigade's own files of this user is known (BRIGADE_HOME)".to_owned(),
            );
        };
        IndexLocation::Folder(folder_of_indexes(home).join(index_name(&self.key, share)))
    }

    /// Removes old hashes of shares that this peer does not have any more. For a thread that may wait for the disk.
    pub(super) fn remove_unused_indexes(&self, in_use: &[CheckedShare]) {
        // A session that shares only what it fetched does not know the shares of the peer.
        if let Some(home) = self.home.as_deref().filter(|_| !self.only_fetched) {
            remove_unused(&folder_of_indexes(home), &self.key, in_use, SystemTime::now());
        }
    }
}
