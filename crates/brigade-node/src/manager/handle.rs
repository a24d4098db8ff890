//! A handle to a running manager, for those that show it or act on it: a screen, an interface for programs.
//!
//! Any number of handles may exist. They do not keep the manager running: after its end, each question is answered by
//! an error. Rows are read page by page, so that no question holds up the sessions of peers. Large values, such as a
//! backup, are made outside the owner's task (`owner_task.rs`).

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use brigade_core::{
    id::{Content, PeerKey},
    limits,
    manager::{ContentRow, ContentRows, HolderRows, Row},
    name::{FileName, Username},
    time::UnixTime,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot, watch};

use super::{
    member_database::{MemberDatabaseError, StoredMember},
    owner_questions::{FirstPeer, OwnerQuestion, PAGE_ROWS, PeerPage},
    peer_order::PeerOrder,
    published_state::{LifeEvent, ManagerView},
    state_copy::{BackupError, StateCopySummary, back_up},
};
use crate::file_listing::{Pattern, is_pattern};

/// Questions that may wait for the owner.
pub(super) const QUESTIONS: usize = 64;

/// Questions that may wait for the thread of the members.
const DATABASE_QUESTIONS: usize = 16;

/// Parts of the catalogue that are searched for one page of the names that a pattern fits. A page may have fewer rows
/// than asked for, and still another page after it.
const SEARCHED_PARTS: usize = 100;

/// A handle to a running manager. Copies of it lead to the same manager.
#[derive(Debug, Clone)]
pub struct ManagerHandle {
    view: watch::Receiver<ManagerView>,
    /// Only to make other receivers of.
    events: Arc<broadcast::Receiver<LifeEvent>>,
    questions: mpsc::Sender<OwnerQuestion>,
    /// For questions that the disk answers.
    permits: Arc<Semaphore>,
}

/// Why a manager did not answer a question.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The manager has stopped.
    #[error("the manager has stopped")]
    Stopped,
    /// The members cannot be read.
    #[error("reading the members")]
    Members(#[from] MemberDatabaseError),
    /// The text is longer than a name may be, or it can only be a pattern and is not a valid one.
    #[error("the pattern {pattern:?} is not valid: {reason}")]
    BadPattern {
        /// The beginning of the text.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A member of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberRow {
    /// Its username.
    pub username: Username,
    /// The key to which the username is bound.
    pub key: PeerKey,
    /// When the username was bound.
    pub since: UnixTime,
    /// When it was last seen: if it is connected, its last message; otherwise the end of its last session. `None` if it
    /// was never seen to leave.
    pub last_seen: Option<UnixTime>,
    /// Its row in the table of peers, if it is connected.
    pub connected: Option<Row>,
}

/// A page of the members, by username.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberPage {
    /// The rows.
    pub rows: Vec<MemberRow>,
    /// The username after which the next page begins; `None` if there is no other.
    pub next: Option<Username>,
}

impl ManagerHandle {
    /// Rows of one page, at most; a larger limit counts as this one.
    pub const PAGE_ROWS: usize = PAGE_ROWS;

    pub(super) fn new(
        view: watch::Receiver<ManagerView>,
        events: broadcast::Receiver<LifeEvent>,
        questions: mpsc::Sender<OwnerQuestion>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(DATABASE_QUESTIONS));
        Self { view, events: Arc::new(events), questions, permits }
    }

    /// The totals with the address, the key, the folder and the configuration; now, and whenever the totals change (some
    /// times a second at most). It is closed when the manager stops.
    pub fn view(&self) -> watch::Receiver<ManagerView> {
        self.view.clone()
    }

    /// The events from now on. A receiver that is more than 256 events behind misses the oldest ones.
    pub fn events(&self) -> broadcast::Receiver<LifeEvent> {
        self.events.resubscribe()
    }

    /// Of the last 1000 events, those with a larger number than `after`, the oldest one first; 0 for all of them.
    ///
    /// # Errors
    /// If the manager has stopped.
    pub async fn recent_events(&self, after: u64) -> Result<Vec<LifeEvent>, HandleError> {
        self.ask(|answer| OwnerQuestion::Events { after, answer }).await
    }

    /// The page of the table of peers after a username, or the first page; at most `limit` rows, and at most
    /// [`Self::PAGE_ROWS`].
    ///
    /// # Errors
    /// If the manager has stopped.
    pub async fn peers(&self, after: Option<Username>, limit: usize) -> Result<PeerPage, HandleError> {
        let from = FirstPeer::After(after);
        self.ask(|answer| OwnerQuestion::Peers { from, limit, answer }).await
    }

    /// The page of the table of peers that begins with the row number `first`, from 0 on; or an earlier row, if fewer
    /// than `limit` rows come after it.
    ///
    /// # Errors
    /// If the manager has stopped.
    pub async fn peers_from(&self, first: usize, limit: usize) -> Result<PeerPage, HandleError> {
        let from = FirstPeer::Number(first);
        self.ask(|answer| OwnerQuestion::Peers { from, limit, answer }).await
    }

    /// The whole table of peers, by username. It is read page by page: a peer that joins or leaves at the same time may
    /// be in it or not.
    ///
    /// # Errors
    /// If the manager has stopped.
    pub async fn all_peers(&self) -> Result<Vec<Row>, HandleError> {
        let mut rows: Vec<Row> = vec![];
        loop {
            let after = rows.last().map(|row| row.username.clone());
            let page = self.peers(after, PAGE_ROWS).await?;
            rows.extend(page.rows);
            if !page.more {
                return Ok(rows);
            }
        }
    }

    /// The page of the table of peers in another order, from the row number `first` on, or from an earlier one, so that
    /// it is full; at most [`Self::PAGE_ROWS`] rows. If `descending`, the largest values come first. Peers with the same
    /// value are ordered by username. All rows are read for it: with 5000 peers, about two milliseconds' work.
    ///
    /// # Errors
    /// If the manager has stopped.
    pub async fn peers_ordered(
        &self,
        order: PeerOrder,
        descending: bool,
        first: usize,
        limit: usize,
    ) -> Result<PeerPage, HandleError> {
        if order == PeerOrder::Username && !descending {
            return self.peers_from(first, limit).await;
        }
        Ok(order.page(self.all_peers().await?, descending, first, limit.min(PAGE_ROWS)))
    }

    /// The page of the members after a username, or the first page; at most `limit` rows, and at most
    /// [`Self::PAGE_ROWS`]. It has all members, connected or not.
    ///
    /// # Errors
    /// If the members cannot be read, or the manager has stopped.
    pub async fn members(&self, after: Option<Username>, limit: usize) -> Result<MemberPage, HandleError> {
        let limit = limit.clamp(1, PAGE_ROWS);
        let permit = self.permit().await?;
        let stored = self.ask(|answer| OwnerQuestion::Members { after, limit, answer, permit }).await??;
        let is_full = stored.len() == limit;
        let mut rows: Vec<MemberRow> = stored.into_iter().filter_map(member_row).collect();
        let next = rows.last().filter(|_| is_full).map(|row| row.username.clone());
        let usernames = rows.iter().map(|row| row.username.clone()).collect();
        let connected = self.ask(|answer| OwnerQuestion::PeersNamed { usernames, answer }).await?;
        for (row, connected) in rows.iter_mut().zip(connected) {
            // The username of another key can only be an unbound one, which is no member's.
            row.connected = connected.filter(|peer| peer.key == row.key);
            row.last_seen = row.connected.as_ref().map(|peer| peer.last_message).or(row.last_seen);
        }
        Ok(MemberPage { rows, next })
    }

    /// A page of the catalogue, by name: the names that begin with `text` or, if it has `*` or `?`, those that the
    /// pattern fits; after a name, or from the first one on.
    ///
    /// A page has at most [`Self::PAGE_ROWS`] rows, and at most `limit`; only a name with several contents may exceed
    /// this, as all of its rows are on one page. A page with fewer rows is the last one only if it has no `next`.
    ///
    /// # Errors
    /// If the pattern is not valid, or the manager has stopped.
    pub async fn contents(
        &self,
        text: &str,
        after: Option<FileName>,
        limit: usize,
    ) -> Result<ContentRows, HandleError> {
        let bad = |reason| HandleError::BadPattern { pattern: beginning(text), reason };
        if text.len() > limits::NAME_BYTES {
            return Err(bad(format!("it has more than {} bytes", limits::NAME_BYTES)));
        }
        let limit = limit.clamp(1, PAGE_ROWS);
        if !is_pattern(text) {
            return self.content_part(text, after, limit).await;
        }
        let pattern = Pattern::parse(text).map_err(bad)?;
        let mut page = ContentRows { rows: vec![], next: after };
        for _ in 0..SEARCHED_PARTS {
            let part = self.content_part(pattern.prefix(), page.next.take(), PAGE_ROWS).await?;
            page.next = add_rows(&mut page.rows, part, limit, |name| pattern.fits(name));
            if page.next.is_none() || page.rows.len() >= limit {
                break;
            }
        }
        Ok(page)
    }

    /// At most `limit` holders of a content, and at most [`Self::PAGE_ROWS`], from the one with this number on; those
    /// that have all of it are the first ones.
    ///
    /// # Errors
    /// If the manager has stopped.
    pub async fn holders(
        &self,
        content: Content,
        first: usize,
        limit: usize,
    ) -> Result<HolderRows, HandleError> {
        self.ask(|answer| OwnerQuestion::Holders { content, first, limit, answer }).await
    }

    /// Copies the key and the members to the new file `to` while the manager runs. The copy is that of one moment, is
    /// durable, and can be read by its owner only. **It has the secret key of the network**: it must not lie in a shared
    /// folder. [`restore`](super::restore) makes a state of it again.
    ///
    /// # Errors
    /// If something has the name already, the file cannot be written, the members cannot be read, or the manager has
    /// stopped.
    pub async fn backup(&self, to: &Path) -> Result<StateCopySummary, BackupError> {
        let stopped = |_| BackupError::Stopped;
        let permit = self.permit().await.map_err(|_| BackupError::Stopped)?;
        let (key, key_out) = oneshot::channel();
        let members = self.ask(|members| OwnerQuestion::State { key, members, permit }).await;
        let members = members.map_err(|_| BackupError::Stopped)??;
        let key = key_out.await.map_err(stopped)?;
        let to: PathBuf = to.to_owned();
        // The folder of the file may be slow: neither the owner nor the thread of the members waits for it.
        let written = tokio::task::spawn_blocking(move || back_up(key, members, &to)).await;
        written.unwrap_or(Err(BackupError::Stopped))
    }

    async fn content_part(
        &self,
        prefix: &str,
        after: Option<FileName>,
        limit: usize,
    ) -> Result<ContentRows, HandleError> {
        let prefix = prefix.to_owned();
        self.ask(|answer| OwnerQuestion::Contents { prefix, after, limit, answer }).await
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, HandleError> {
        self.permits.clone().acquire_owned().await.map_err(|_| HandleError::Stopped)
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> OwnerQuestion,
    ) -> Result<T, HandleError> {
        let (answer, answer_out) = oneshot::channel();
        self.questions.send(question(answer)).await.map_err(|_| HandleError::Stopped)?;
        answer_out.await.map_err(|_| HandleError::Stopped)
    }
}

/// The row of a stored member, as if it was not connected. A name that is not valid any more belongs to no peer.
fn member_row(stored: StoredMember) -> Option<MemberRow> {
    let StoredMember { username, key, since_s, last_seen_s } = stored;
    let time = |seconds: i64| UnixTime(seconds.try_into().unwrap_or_default());
    let username = username.parse().ok()?;
    Some(MemberRow { username, key, since: time(since_s), last_seen: last_seen_s.map(time), connected: None })
}

/// Adds the rows whose names fit, until there are `limit` and the rows of the last name are complete; returns the name
/// after which the rest begins.
fn add_rows(
    rows: &mut Vec<ContentRow>,
    part: ContentRows,
    limit: usize,
    fits: impl Fn(&str) -> bool,
) -> Option<FileName> {
    for row in part.rows {
        let last = rows.last().map(|last| &last.name);
        if rows.len() >= limit && last != Some(&row.name) {
            return last.cloned();
        }
        if fits(&row.name) {
            rows.push(row);
        }
    }
    part.next
}

/// The beginning of a text that is too long for a message.
fn beginning(text: &str) -> String {
    const BYTES: usize = 60;
    text[..text.floor_char_boundary(BYTES)].to_owned()
}
