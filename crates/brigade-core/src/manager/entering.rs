//! How a connection becomes a session, where there may be too many that have not joined.
//!
//! Who gives way then is decided in `observers.rs`. A session that has a join in progress does not.

use std::net::SocketAddr;

use super::{Departure, Event, Manager, Output, SessionId, session::Session};
use crate::{
    id::PeerKey,
    time::Timestamp,
    wire::{Reason, hello::Goodbye},
};

impl Manager {
    /// A greeted connection with a number that was never used, whose other end proved to have `key`.
    ///
    /// There may be as many that have not joined as the configuration says, and one for each place left for a peer. Beyond
    /// that one of them gives way, so that neither members nor other machines are kept out; where none does, this one is
    /// closed at once.
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
        let places = self.config.max_peers.saturating_sub(self.sessions.len() - self.observers);
        if self.observers >= self.config.max_observers.saturating_add(places) {
            let Some(displaced) = self.observing.displaced_by(this.remote, is_member) else {
                let text = "the manager has as many visitors as it keeps".to_owned();
                let event = Event::Refused { username: None, reason: Reason::Full, text: text.clone() };
                self.outputs.push_back(Output::Event(event));
                return self.close_full(session, text);
            };
            self.forget(now, displaced, Departure::Silent);
            let text = "the manager has as many visitors as it keeps, and this one gave way to another";
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
