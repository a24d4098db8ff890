//! The end of a peer: it leaves the network, ends every task, and gives its folder free.
//!
//! Where nothing came of a session, what its start has made can be taken back, so that it leaves nothing on the disk.

use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::handle::Peer;
use crate::store::{parts::kept_parts, share::Share};

/// How long stopping may take before what is left is cut off.
const GRACE: Duration = Duration::from_millis(1500);

/// How long what still writes to the folder is waited for after that: a thread that waits for a disk cannot be cut off.
const LAST_WRITES: Duration = Duration::from_millis(400);

const _: () = assert!(GRACE.as_millis() + LAST_WRITES.as_millis() < 2_000, "a peer ends within two seconds");

impl Peer {
    /// Leaves the network: says so, syncs what is unfinished, and ends every task within two seconds. The folder's lock
    /// is free then, unless a thread waits for the disk for longer: it is free when that is done.
    ///
    /// A peer that is dropped ends too, at once and without a word, and its lock is free a little later.
    pub async fn stop(self) {
        self.end(false).await;
    }

    /// As [`stop`](Self::stop), for a session of which nothing came: what its start has made in the folder is removed,
    /// and so is the folder where that start made it, unless a username may be bound to its key, something is shared, or
    /// parts of files are there. What was there before stays.
    pub async fn take_back(self) {
        self.end(true).await;
    }

    async fn end(self, take_back: bool) {
        let Self { stop, mut tasks, lock, share, made, .. } = self;
        drop(stop); // cancels
        let all = async { while tasks.join_next().await.is_some() {} };
        if timeout(GRACE, all).await.is_err() {
            tracing::debug!("tasks were cut off at the end of the grace period");
            tasks.shutdown().await;
        }
        let take_back = take_back && is_unused(&share);
        drop(share); // it has a handle of the folder
        if timeout(LAST_WRITES, lock.alone()).await.is_err() {
            tracing::warn!("the folder stays locked until what still writes to it is done");
        } else if take_back {
            made.take_back();
        }
    }
}

/// Whether nothing is shared or kept in the folder, on whichever file system, and it is still this session's: another one
/// may have it by now, or another folder its path.
fn is_unused(share: &Share) -> bool {
    let folder = share.folder();
    let has_no_parts = || kept_parts(folder, SystemTime::now()).is_ok_and(|parts| parts.is_empty());
    share.totals().0 == 0 && folder.is_own() && has_no_parts()
}
