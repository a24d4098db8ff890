//! The table of peers: what they report, its rows in the order of their usernames, and the totals.
//!
//! A row is made when it is asked for. So a table that nobody looks at costs nothing, however often its peers report
//! new rates.

use std::ops::Bound::{Excluded, Unbounded};

use super::rows::{Row, Totals};
use crate::{
    manager::{
        Manager, SessionId,
        session::{Peer, Session},
    },
    name::Username,
    wire::manager::Report,
};

impl Manager {
    /// The table of peers, by username.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.rows_after(None)
    }

    /// The rows of the table after a username, or from the beginning.
    pub fn rows_after(&self, after: Option<&Username>) -> impl Iterator<Item = Row> + '_ {
        let from = after.map_or(Unbounded, |after| Excluded(after.as_str()));
        let present = self.present.range::<str, _>((from, Unbounded));
        present.filter_map(|(_, session)| self.peer(*session)).map(|found| self.row(found))
    }

    /// The rows of the table from the one with this number on; the first has the number 0. The rows before it are
    /// counted, and not made.
    pub fn rows_from(&self, first: usize) -> impl Iterator<Item = Row> + '_ {
        let peers = self.present.values().filter_map(|session| self.peer(*session));
        peers.skip(first).map(|found| self.row(found))
    }

    /// The row of the peer with this username; `None` if it is not in the table.
    pub fn row_of(&self, username: &str) -> Option<Row> {
        self.peer(*self.present.get(username)?).map(|found| self.row(found))
    }

    /// The numbers of everything together; it takes the same time for any number of peers.
    pub fn totals(&self) -> Totals {
        let (names, contents, bytes) = self.catalogue.totals();
        let rate = |all| u64::try_from(all).unwrap_or(u64::MAX);
        Totals {
            peers: self.sessions.len() - self.observers,
            members: self.members.len(),
            sending: rate(self.rates.sending),
            receiving: rate(self.rates.receiving),
            names,
            contents,
            bytes,
            share_changes: self.share_changes,
        }
    }

    /// Notes the rates that a peer reports.
    pub(crate) fn report(&mut self, session: SessionId, report: &Report) {
        let Some(peer) = self.sessions.get_mut(&session).and_then(Session::peer_mut) else { return };
        let (old, new) = ((peer.sending, peer.receiving), (report.sending, report.receiving));
        if old != new {
            (peer.sending, peer.receiving) = new;
            self.rates.change(old, new);
            self.table_changed = true;
        }
    }

    fn peer(&self, session: SessionId) -> Option<(SessionId, &Session, &Peer)> {
        let this = self.sessions.get(&session)?;
        this.peer().map(|peer| (session, this, peer))
    }

    fn row(&self, (session, this, peer): (SessionId, &Session, &Peer)) -> Row {
        let (files, bytes) = self.catalogue.shared_by(session);
        Row {
            username: peer.username.clone(),
            key: this.key,
            is_bound: !peer.unbound,
            address: (this.remote, peer.port).into(),
            files,
            bytes,
            sending: peer.sending,
            receiving: peer.receiving,
            since: peer.since,
            last_message: peer.last_message,
        }
    }
}
