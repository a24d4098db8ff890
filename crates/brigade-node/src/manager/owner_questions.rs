//! Questions of people to the manager's owner.
//!
//! The owner answers a question between two messages of sessions, so no answer takes long: each is a page of at most
//! [`PAGE_ROWS`] rows. `handle.rs` asks, `owner_answers.rs` answers.

use brigade_core::{
    id::Content,
    manager::{ContentRows, HolderRows, Row},
    name::{FileName, Username},
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{member_database::MembersAnswer, published_state::LifeEvent};
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
