//! New connections, when there may be too many sessions that have not joined.
//!
//! `observers.rs` decides which session is closed then. A session that is joining is never closed for that.

use std::net::SocketAddr;

use super::{Event, LeaveReason, Manager, Output, SessionId, session::Session};
use crate::{
    id::PeerKey,
    time::Timestamp,
    wire::{Reason, greeting::Goodbye},
};

impl Manager {
    /// A greeted connection with a number that was never used, whose other end proved to have `key`.
    ///
    /// There may be as many observers as the configuration says, and one more for each free peer slot. Beyond that one
    /// observer is closed, so that members and other machines can still connect; if none may be closed, this connection
    /// is refused.
    ///
    /// # Panics
    /// Where the number is in use.
    pub fn connected(
        &mut self,
        now: Timestamp,
        session: SessionId,
        key: PeerKey,
        remote: SocketAddr,
        local: SocketAddr,
    ) {
        let this = Session::new(key, remote, local);
        let is_member = self.members.is_member(key);
        let endpoints = self.config.max_peers.saturating_sub(self.sessions.len() - self.observers);
        if self.observers >= self.config.max_observers.saturating_add(endpoints) {
            let Some(displaced) = self.observing.session_to_close(this.remote, is_member) else {
                let text = "the manager has too many sessions that have not joined".to_owned();
                let event = Event::Refused { username: None, reason: Reason::Full, text: text.clone() };
                self.outputs.push_back(Output::Event(event));
                return self.close_full(session, text);
            };
            self.forget(now, displaced, LeaveReason::Silent);
            let text =
                "the manager has too many sessions that have not joined, and closed this one for another";
            self.close_full(displaced, text.to_owned());
        }
        self.observing.add(now, session, this.remote, is_member);
        let before = self.sessions.insert(session, this);
        assert!(before.is_none(), "the session {session:?} was connected twice");
        self.observers += 1;
        self.renew_lease(now, session);
    }

    pub(super) fn close_full(&mut self, session: SessionId, text: String) {
        let goodbye = Some(Goodbye { reason: Reason::Full, text });
        self.outputs.push_back(Output::Close { session, goodbye });
    }
}
