//! Messages that the program prints by itself while it runs: changes of the manager, the folder, the clock and the
//! reachability.
//!
//! Each file watches one of them and turns a change into a message; [`Notices`] waits for the next message of any of
//! them. `fetch_progress` shows a fetch that runs, with the messages between.

pub(crate) mod clock;
pub(crate) mod fetch_progress;
pub(crate) mod folder;
pub(crate) mod holder_shares;
pub(crate) mod incomplete_catalogue;
pub(crate) mod manager;
mod progress_reports;
pub(crate) mod progress_texts;
pub(crate) mod reachability;
pub(crate) mod unshared_files;

use brigade_node::peer::Peer;

use self::{clock::ClockNotices, folder::FolderNotices, manager::ManagerNotices, reachability::ReachNotices};

/// Follows the folder, the manager, the clock and the reachability of a peer.
pub(crate) struct Notices {
    folder: FolderNotices,
    manager: ManagerNotices,
    clock: ClockNotices,
    reach: ReachNotices,
}

impl Notices {
    /// The notices for `peer`, which has just joined.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self {
            folder: FolderNotices::of(peer),
            manager: ManagerNotices::of(peer),
            clock: ClockNotices::of(peer),
            reach: ReachNotices::of(peer),
        }
    }

    /// Waits for the next message. Cancel safe: no message is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> String {
        tokio::select! {
            notices = self.folder.next() => notices,
            notices = self.manager.next() => notices,
            notices = self.clock.next() => notices,
            notices = self.reach.next() => notices,
        }
    }
}
