//! Which sessions watch which contents, and when they get the next update.
//!
//! A change marks the content for every session that watches it. The first change after a pause is sent at once; later
//! ones are collected for [`limits::UPDATE_INTERVAL`]. Nothing is sent while the last update is still being written to
//! a slow reader, so a set of contents waits, not a queue of messages. `holder_selection.rs` selects the holders; a
//! session that would get the same selection again gets nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{session::SessionId, session_deadlines::SessionDeadlines};
use crate::{id::Content, limits, time::Timestamp};

/// All watches of all sessions.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// In order of the sessions.
    watchers: BTreeMap<Content, Vec<SessionId>>,
    sessions: BTreeMap<SessionId, SessionWatches>,
    due: SessionDeadlines,
    total: usize,
}

/// What one session watches, and what it has not been told yet.
#[derive(Debug, Default)]
struct SessionWatches {
    watched: BTreeMap<Content, WatchedContent>,
    changed: BTreeSet<Content>,
    not_before: Timestamp,
    is_sending: bool,
}

/// One content that one session watches.
#[derive(Debug, Default)]
struct WatchedContent {
    /// The fingerprint of what it was told last.
    last_sent: u64,
    /// Which selection of holders it asked for.
    again: u32,
}

/// More is watched than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {} contents watched by one session, or {} by all",
    limits::WATCHED_CONTENTS,
    limits::WATCHES
)]
pub(super) struct TooManyWatches;

impl Watches {
    /// Adds to what the session watches, all or none of it.
    pub(super) fn watch(
        &mut self,
        session: SessionId,
        contents: impl Iterator<Item = Content> + Clone,
        again: u32,
    ) -> Result<(), TooManyWatches> {
        let watches = self.sessions.entry(session).or_default();
        let new = contents.clone().filter(|content| !watches.watched.contains_key(content)).count();
        if watches.watched.len() + new > limits::WATCHED_CONTENTS || self.total + new > limits::WATCHES {
            return Err(TooManyWatches);
        }
        for content in contents {
            if watches.watched.insert(content, WatchedContent { last_sent: 0, again }).is_none() {
                self.total += 1;
                let watchers = self.watchers.entry(content).or_insert_with(|| Vec::with_capacity(1));
                if let Err(at) = watchers.binary_search(&session) {
                    watchers.insert(at, session);
                }
            }
        }
        Ok(())
    }

    /// Takes contents out of what the session watches.
    pub(super) fn unwatch(&mut self, session: SessionId, contents: impl Iterator<Item = Content>) {
        let Some(watches) = self.sessions.get_mut(&session) else { return };
        for content in contents {
            if watches.watched.remove(&content).is_some() {
                watches.changed.remove(&content);
                self.total -= 1;
                remove_watcher(&mut self.watchers, session, content);
            }
        }
    }

    /// Takes out everything of the session.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.due.clear(session);
        let Some(watches) = self.sessions.remove(&session) else { return };
        self.total -= watches.watched.len();
        for content in watches.watched.into_keys() {
            remove_watcher(&mut self.watchers, session, content);
        }
    }

    /// The holders of `content` changed.
    pub(super) fn content_changed(&mut self, now: Timestamp, content: Content) {
        for session in self.watchers.get(&content).into_iter().flatten() {
            let Some(watches) = self.sessions.get_mut(session) else { continue };
            let first = watches.changed.is_empty();
            watches.changed.insert(content);
            if first && !watches.is_sending {
                self.due.set(*session, now.max(watches.not_before));
            }
        }
    }

    /// When somebody is to be told something.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.due.next()
    }

    /// A session that is to be told now, and of which contents: as many as one message may be about.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<(SessionId, Vec<Content>)> {
        let session = self.due.pop_due(now)?;
        let watches = self.sessions.get_mut(&session)?;
        let contents: Vec<_> = watches.changed.iter().copied().take(limits::WATCH_CONTENTS).collect();
        for content in &contents {
            watches.changed.remove(content);
        }
        Some((session, contents))
    }

    /// Which selection of the holders of a content a session asked for last.
    pub(super) fn again(&self, session: SessionId, content: &Content) -> u32 {
        let watched = self.sessions.get(&session).and_then(|watches| watches.watched.get(content));
        watched.map_or(0, |watched| watched.again)
    }

    /// Whether a selection with this fingerprint is news to the session; from now on it is not.
    pub(super) fn is_changed(&mut self, session: SessionId, content: Content, fingerprint: u64) -> bool {
        let watched = self.sessions.get_mut(&session).and_then(|watches| watches.watched.get_mut(&content));
        watched.is_some_and(|watched| std::mem::replace(&mut watched.last_sent, fingerprint) != fingerprint)
    }

    /// What came of [`Self::pop_due`]: whether there was anything to tell.
    pub(super) fn sent(&mut self, now: Timestamp, session: SessionId, something: bool) {
        let Some(watches) = self.sessions.get_mut(&session) else { return };
        if something {
            watches.is_sending = true;
            watches.not_before = now.after(limits::UPDATE_INTERVAL);
        } else if !watches.changed.is_empty() {
            self.due.set(session, now);
        }
    }

    /// The last news left for the session: it may be told more.
    pub(super) fn arrived(&mut self, now: Timestamp, session: SessionId) {
        let Some(watches) = self.sessions.get_mut(&session) else { return };
        watches.is_sending = false;
        if !watches.changed.is_empty() {
            self.due.set(session, now.max(watches.not_before));
        }
    }

    #[cfg(test)]
    pub(super) fn sessions(&self) -> BTreeSet<SessionId> {
        let watched: usize = self.sessions.values().map(|watches| watches.watched.len()).sum();
        assert_eq!(self.total, watched);
        assert_eq!(self.total, self.watchers.values().map(Vec::len).sum::<usize>());
        assert!(self.watchers.values().all(|watchers| !watchers.is_empty() && watchers.is_sorted()));
        for watches in self.sessions.values() {
            assert!(watches.changed.iter().all(|content| watches.watched.contains_key(content)));
        }
        let watchers = self.watchers.values().flatten().copied();
        self.sessions.keys().copied().chain(watchers).chain(self.due.sessions()).collect()
    }
}

fn remove_watcher(watchers: &mut BTreeMap<Content, Vec<SessionId>>, session: SessionId, content: Content) {
    if let Some(sessions) = watchers.get_mut(&content) {
        sessions.retain(|watcher| *watcher != session);
        if sessions.is_empty() {
            watchers.remove(&content);
        }
    }
}
