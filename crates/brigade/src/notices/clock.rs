//! What people are told of this machine's clock: that it is too far from the manager's, and that this is over. Each is
//! said once.
//!
//! Where it is said is the caller's business; what a peer does about it is `brigade-node`'s.

use brigade_node::peer::{ClockDifference, Peer};
use tokio::sync::watch;

/// Hears how the clock stands.
pub(crate) struct ClockNews {
    clock: watch::Receiver<Option<ClockDifference>>,
    said: bool,
}

impl ClockNews {
    /// Of the machine on which `peer` runs.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self { clock: peer.clock(), said: false }
    }

    /// Waits until there is something to say. Nothing is missed where this is dropped and called again.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            let off = *self.clock.borrow_and_update();
            if off.is_some() != self.said {
                self.said = off.is_some();
                return off
                    .map_or_else(|| "this machine's clock is right again".to_owned(), |off| text(&off));
            }
            if self.clock.changed().await.is_err() {
                std::future::pending::<()>().await; // the peer stops: nothing more will come
            }
        }
    }
}

/// What is the matter, and what can be done.
pub(crate) fn text(off: &ClockDifference) -> String {
    format!("{off}\nhint: set the clock (NTP), here or on the manager's machine, whichever is wrong")
}
