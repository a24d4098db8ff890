//! Messages about peers that cannot reach this one, when that changes after the manager came back. The command prints
//! the state at the start.
//!
//! `brigade-node`'s `listen_addresses` decides where a peer listens.

use brigade_node::peer::{Peer, ReachabilityWatch, UnreachableFrom};

/// Follows from where a peer cannot be reached.
pub(crate) struct ReachNotices {
    reach: ReachabilityWatch,
    reported: Option<UnreachableFrom>,
}

impl ReachNotices {
    /// The notices for `peer`, whose current state was printed already.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self { reach: peer.reach(), reported: peer.unreached() }
    }

    /// Waits for the next message. Cancel safe: no message is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> String {
        self.reported = self.reach.other_than(self.reported).await;
        match self.reported {
            Some(unreached) => unreached.to_string(),
            None => "other peers can reach this one again".to_owned(),
        }
    }
}
