//! Questions of people to the manager's owner, and its answers.
//!
//! The owner answers a question between two messages of sessions, so no answer takes long: each is a page of at most
//! [`PAGE_ROWS`] rows. Questions that the disk answers are passed on to the thread of the members. `handle.rs` asks.

use brigade_core::{
    id::Content,
    manager::{ContentRows, HolderRows, Row},
    name::{FileName, Username},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    member_database::{DatabaseRequest, MembersAnswer},
    owner_task::ManagerOwner,
    published_state::LifeEvent,
};
use crate::identity::key::SecretKey;

/// Rows of one page, at most: half a millisecond's work of the owner.
pub(super) const PAGE_ROWS: usize = 500;

/// A question, with the channel for its answer. An answer that nobody waits for any more is dropped.
#[derive(Debug)]
pub(super) enum OwnerQuestion {
    /// A page of the table of peers.
    Peers { from: FirstPeer, limit: usize, answer: oneshot::Sender<PeerPage> },
    /// The rows of the peers with these usernames, as far as they are in the table.
    PeersNamed { usernames: Vec<Username>, answer: oneshot::Sender<Vec<Option<Row>>> },
    /// A part of the catalogue.
    Contents { prefix: String, after: Option<FileName>, limit: usize, answer: oneshot::Sender<ContentRows> },
    /// Holders of a content.
    Holders { content: Content, first: usize, limit: usize, answer: oneshot::Sender<HolderRows> },
    /// The kept events with a larger number.
    Events { after: u64, answer: oneshot::Sender<Vec<LifeEvent>> },
    /// A page of the members.
    Members { after: Option<Username>, limit: usize, answer: MembersAnswer, permit: OwnedSemaphorePermit },
    /// The key and all members.
    State { key: oneshot::Sender<SecretKey>, members: MembersAnswer, permit: OwnedSemaphorePermit },
}

/// Where a page of the table begins.
#[derive(Debug)]
pub(super) enum FirstPeer {
    /// After this username; without one, at the beginning.
    After(Option<Username>),
    /// At the row with this number, or earlier, so that the page is full.
    Number(usize),
}

/// A page of the table of peers, by username.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerPage {
    /// The rows.
    pub rows: Vec<Row>,
    /// The number of the first row in the whole table, from 0 on; `None` if the page was asked for by username.
    pub first: Option<usize>,
    /// Peers in the whole table.
    pub total: usize,
    /// Whether there are rows after this page.
    pub more: bool,
}

impl PeerPage {
    /// A page of a table of `total` rows, which begins with the row number `first`.
    pub const fn new(rows: Vec<Row>, first: usize, total: usize) -> Self {
        let more = first + rows.len() < total;
        Self { rows, first: Some(first), total, more }
    }
}

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
