//! The values that the keepers of one peer have in common: the channel of changes, the list of problems, the progress of
//! hashing, and the count of first scans.
//!
//! The keeper of the peer's own folder makes them. Those of shares in place use them too, so that the other parts of a
//! peer do not see how many keepers there are.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::sync::mpsc;

use super::{
    hashing::hashing_progress::HashingCounter, keeper_messages::Change, sharing_problems::ProblemBoard,
};

/// What the keepers of one peer have in common; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct KeeperGroup {
    /// Weak: the channel closes when all keepers have ended.
    pub(super) changes: mpsc::WeakSender<Change>,
    /// The problems of all keepers.
    pub(crate) problems: ProblemBoard,
    pub(super) counter: Arc<HashingCounter>,
}

impl KeeperGroup {
    /// Announces that the first scans are complete, if `scan` was the last of them: for a folder that cannot be scanned
    /// now.
    pub(crate) async fn finish(&self, scan: &FirstScan) {
        if scan.finish()
            && let Some(changes) = self.changes.upgrade()
        {
            // An error means that the peer stops.
            let _ = changes.send(Change::Scanned).await;
        }
    }
}

/// The first scan of a folder, among those that a peer waits for at its start.
#[derive(Debug)]
pub(crate) struct FirstScan {
    left: Arc<AtomicUsize>,
    is_done: AtomicBool,
}

impl FirstScan {
    /// The first scans of so many folders.
    pub(crate) fn of_folders(folders: usize) -> impl Iterator<Item = Arc<Self>> {
        let left = Arc::new(AtomicUsize::new(folders));
        (0..folders).map(move |_| Arc::new(Self { left: left.clone(), is_done: AtomicBool::new(false) }))
    }

    /// The first scan of a folder that the start does not wait for.
    pub(crate) fn uncounted() -> Arc<Self> {
        Arc::new(Self { left: Arc::default(), is_done: AtomicBool::new(true) })
    }

    /// The scan is complete, or cannot be made. Returns whether it was the last one that was missing.
    pub(super) fn finish(&self) -> bool {
        !self.is_done.swap(true, Ordering::AcqRel) && self.left.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// Where a keeper stores the hashes for its next start.
#[derive(Debug, Clone)]
pub(crate) enum IndexLocation {
    /// In `.brigade/` of its folder.
    Private,
    /// In this folder, which is created if it does not exist. Only for a share in place.
    Folder(PathBuf),
    /// Nowhere, for this reason.
    Nowhere(String),
}

#[cfg(test)]
mod tests {
    use super::FirstScan;

    #[test]
    fn only_the_last_first_scan_is_announced() {
        let scans: Vec<_> = FirstScan::of_folders(3).collect();
        assert!(!scans[1].finish() && !scans[1].finish() && !scans[0].finish());
        assert!(scans[2].finish() && !scans[2].finish());
        assert!(!FirstScan::uncounted().finish());
    }
}
