//! Messages about the manager: it is away, it is back, it refuses this peer for good. Each is printed once.
//!
//! The caller prints them; `brigade-node`'s session decides what the peer does.

use brigade_node::peer::{ManagerState, Peer};
use tokio::sync::watch;

use crate::text::escape::escape;

/// Follows the state of the manager.
pub(crate) struct ManagerNotices {
    state: watch::Receiver<ManagerState>,
    reported: ReportedState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReportedState {
    Here,
    Away,
    Refused,
}

impl ManagerNotices {
    /// The notices for the manager of `peer`, which was connected when the peer joined.
    pub(crate) fn of(peer: &Peer) -> Self {
        Self { state: peer.state(), reported: ReportedState::Here }
    }

    /// Waits for the next message. Cancel safe: no message is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> String {
        loop {
            if let Some(notices) = self.next_notice() {
                return notices;
            }
            if self.state.changed().await.is_err() {
                std::future::pending::<()>().await; // the peer stops: there are no more messages
            }
        }
    }

    fn next_notice(&mut self) -> Option<String> {
        let (now, text) = match &*self.state.borrow_and_update() {
            ManagerState::Here { .. } => (ReportedState::Here, "the manager is back".to_owned()),
            ManagerState::Away { cause } => {
                let text =
                    "the manager is away; serving and fetching continue, and Brigade tries to reconnect";
                (ReportedState::Away, format!("{text} ({})", escape(cause)))
            }
            ManagerState::Refused { cause } => (
                ReportedState::Refused,
                format!("the manager refuses this peer from now on: {}", escape(cause)),
            ),
            _ => return None,
        };
        let is_new = now != self.reported;
        self.reported = now;
        is_new.then_some(text)
    }
}
