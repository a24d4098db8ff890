//! The answers of the manager's owner to questions of people.
//!
//! Each takes less than a millisecond. Questions that the disk answers are passed on to the thread of the members, which
//! first stores when members were last seen, so that the answer has this too.

use super::{
    member_database::DatabaseRequest,
    owner_questions::{FirstPeer, OwnerQuestion, PAGE_ROWS, PeerPage},
    owner_task::ManagerOwner,
};

impl ManagerOwner {
    /// Answers a question, or passes it on.
    pub(super) fn answer(&mut self, question: OwnerQuestion) {
        match question {
            OwnerQuestion::Peers { from, limit, answer } => drop(answer.send(self.peer_page(from, limit))),
            OwnerQuestion::PeersNamed { usernames, answer } => {
                let rows = usernames.iter().take(PAGE_ROWS).map(|username| self.manager.row_of(username));
                let _ = answer.send(rows.collect());
            }
            OwnerQuestion::Contents { prefix, after, limit, answer } => {
                let after = after.as_deref();
                let _ = answer.send(self.manager.content_rows(&prefix, after, limit.min(PAGE_ROWS)));
            }
            OwnerQuestion::Holders { content, first, limit, answer } => {
                let _ = answer.send(self.manager.holder_rows(content, first, limit.min(PAGE_ROWS)));
            }
            OwnerQuestion::Events { after, answer } => drop(answer.send(self.event_log.after(after))),
            OwnerQuestion::Members { after, limit, answer, permit } => {
                self.store_last_seen();
                let limit = limit.min(PAGE_ROWS);
                self.ask_database(DatabaseRequest::Page { after, limit, answer, permit });
            }
            OwnerQuestion::State { key, members, permit } => {
                self.store_last_seen();
                let _ = key.send(self.key.clone());
                self.ask_database(DatabaseRequest::All { answer: members, permit });
            }
        }
    }

    fn peer_page(&self, from: FirstPeer, limit: usize) -> PeerPage {
        let (total, limit) = (self.manager.totals().peers, limit.min(PAGE_ROWS));
        match from {
            FirstPeer::After(after) => {
                let mut rows = self.manager.rows_after(after.as_ref());
                let page = rows.by_ref().take(limit).collect();
                PeerPage { rows: page, first: None, total, more: rows.next().is_some() }
            }
            FirstPeer::Number(first) => {
                let first = first.min(total.saturating_sub(limit));
                PeerPage::new(self.manager.rows_from(first).take(limit).collect(), first, total)
            }
        }
    }

    /// Passes a request on. There is room for it: the permits of the requests are fewer than the places that joins
    /// leave free. Where it does not arrive, its answer never does, and the one who asked is told so.
    fn ask_database(&self, request: DatabaseRequest) {
        if self.database.try_send(request).is_err() {
            tracing::error!("the thread that stores members is too slow or has ended");
        }
    }
}
