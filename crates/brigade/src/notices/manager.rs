//! What people are told of the manager while something goes on without it: that it is away, that it is back, that
//! it refuses this peer for good. Each is said once.
//!
//! Where it is said is the caller's business; what the peer does about it is `brigade-node`'s session.

use brigade_node::peer::{ManagerState, Peer};
use tokio::sync::watch;

use crate::terminal::escape::escape;

/// Hears how the manager stands.
pub(crate) struct ManagerNews {
    state: watch::Receiver<ManagerState>,
    said: Said,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Here,
    Away,
    Refused,
}

impl ManagerNews {
    /// Of the manager of `peer`, which was there when the peer joined.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self { state: peer.state(), said: Said::Here }
    }

    /// Waits until there is something to say. Nothing is missed where this is dropped and called again.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            if let Some(news) = self.unsaid() {
                return news;
            }
            if self.state.changed().await.is_err() {
                std::future::pending::<()>().await; // the peer stops: nothing more will come
            }
        }
    }

    fn unsaid(&mut self) -> Option<String> {
        let (now, text) = match &*self.state.borrow_and_update() {
            ManagerState::Here { .. } => (Said::Here, "the manager is back".to_owned()),
            ManagerState::Away { cause } => {
                let text =
                    "the manager is away; serving and fetching go on, and it is tried again all the while";
                (Said::Away, format!("{text} ({})", escape(cause)))
            }
            ManagerState::Refused { cause } => {
                (Said::Refused, format!("the manager refuses this peer from now on: {}", escape(cause)))
            }
            _ => return None,
        };
        let is_new = now != self.said;
        self.said = now;
        is_new.then_some(text)
    }
}
