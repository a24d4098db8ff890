//! Messages about this machine's clock: when it differs too much from the manager's, and when it is right again. Each
//! is printed once.
//!
//! The caller prints them; `brigade-node` decides what a peer does with a wrong clock.

use brigade_node::peer::{ClockDifference, Peer};
use tokio::sync::watch;

/// Follows the state of the clock.
pub(crate) struct ClockNotices {
    clock: watch::Receiver<Option<ClockDifference>>,
    reported: bool,
}

impl ClockNotices {
    /// The notices for the machine on which `peer` runs.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self { clock: peer.clock(), reported: false }
    }

    /// Waits for the next message. Cancel safe: no message is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            let off = *self.clock.borrow_and_update();
            if off.is_some() != self.reported {
                self.reported = off.is_some();
                return off
                    .map_or_else(|| "this machine's clock is right again".to_owned(), |off| message(&off));
            }
            if self.clock.changed().await.is_err() {
                std::future::pending::<()>().await; // the peer stops: there are no more messages
            }
        }
    }
}

/// What the user can do.
pub(crate) const HINT: &str = "set the clock that is wrong (NTP): on this machine, or on the manager's";

/// The problem, and what the user can do.
pub(crate) fn message(off: &ClockDifference) -> String {
    format!("{off}\nhint: {HINT}")
}
