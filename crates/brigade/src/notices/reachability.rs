//! What people are told of who cannot reach a peer where it listens, when the manager came back and says another thing
//! than before. What holds at the start is said by the command.
//!
//! Where a peer listens is `brigade-node`'s `listening`.

use brigade_node::peer::{Peer, ReachabilityWatch, UnreachableFrom};

/// Follows who cannot reach a peer.
pub(crate) struct ReachNews {
    reach: ReachabilityWatch,
    said: Option<UnreachableFrom>,
}

impl ReachNews {
    /// Of `peer`, of which everything was said up to now.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self { reach: peer.reach(), said: peer.unreached() }
    }

    /// Waits until there is something to say. Nothing is missed where this is dropped and called again.
    pub(crate) async fn next(&mut self) -> String {
        self.said = self.reach.other_than(self.said).await;
        match self.said {
            Some(unreached) => unreached.to_string(),
            None => "other peers can reach this one again".to_owned(),
        }
    }
}
