//! The values that the owner of the shares in place and the tasks of all shares need, and where the hashes of a share
//! are stored.

use std::path::PathBuf;

use brigade_core::id::PeerKey;
use tokio_util::sync::CancellationToken;

use crate::{
    shares_in_place::CheckedShare,
    store::{
        folder::Folder,
        keeper::{IndexLocation, KeeperHandle},
        share::Share,
    },
};

/// Bytes of a hash that name the folder of an index.
const NAME_BYTES: usize = 16;

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
    /// Where the hashes of a share are stored. The name is bounded, whatever the length of the path.
    pub(super) fn index_of(&self, share: &CheckedShare) -> IndexLocation {
        let Some(home) = &self.home else {
            return IndexLocation::Nowhere(
                "no folder for Brigade's own files of this user is known (BRIGADE_HOME)".to_owned(),
            );
        };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.key.0).update(share.path.as_os_str().as_encoded_bytes());
        let hex = hasher.finalize().to_hex();
        IndexLocation::Folder(home.join("shares").join(&hex[..2 * NAME_BYTES]))
    }
}
