//! Who wants to hear of which contents' holders, and when they are told next.
//!
//! A change marks a content for every session that watches it. The first change after a pause is told at once,
//! later ones are gathered for [`limits::NEWS_INTERVAL`]; and nothing is told while the last news is still on its
//! way to a slow reader, so that what waits for it is a set of contents and not a queue of messages. What is told,
//! `holders.rs` decides; a session that would be told the same again hears nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{SessionId, leases::Deadlines};
use crate::{id::Content, limits, time::Timestamp};

/// All watches of all sessions.
#[derive(Debug, Default)]
pub(super) struct Watches {
    /// In order of the sessions.
    watchers: BTreeMap<Content, Vec<SessionId>>,
    sessions: BTreeMap<SessionId, News>,
    due: Deadlines,
    total: usize,
}

/// What one session watches, and what it has not been told yet.
#[derive(Debug, Default)]
struct News {
    watched: BTreeMap<Content, Watched>,
    changed: BTreeSet<Content>,
    not_before: Timestamp,
    on_its_way: bool,
}

/// One content that one session watches.
#[derive(Debug, Default)]
struct Watched {
    /// The fingerprint of what it was told last.
    told: u64,
    /// Which choice of holders it asked for.
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
        let news = self.sessions.entry(session).or_default();
        let new = contents.clone().filter(|content| !news.watched.contains_key(content)).count();
        if news.watched.len() + new > limits::WATCHED_CONTENTS || self.total + new > limits::WATCHES {
            return Err(TooManyWatches);
        }
        for content in contents {
            if news.watched.insert(content, Watched { told: 0, again }).is_none() {
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
        let Some(news) = self.sessions.get_mut(&session) else { return };
        for content in contents {
            if news.watched.remove(&content).is_some() {
                news.changed.remove(&content);
                self.total -= 1;
                remove_watcher(&mut self.watchers, session, content);
            }
        }
    }

    /// Takes out everything of the session.
    pub(super) fn forget(&mut self, session: SessionId) {
        self.due.clear(session);
        let Some(news) = self.sessions.remove(&session) else { return };
        self.total -= news.watched.len();
        for content in news.watched.into_keys() {
            remove_watcher(&mut self.watchers, session, content);
        }
    }

    /// The holders of `content` changed.
    pub(super) fn touch(&mut self, now: Timestamp, content: Content) {
        for session in self.watchers.get(&content).into_iter().flatten() {
            let Some(news) = self.sessions.get_mut(session) else { continue };
            let first = news.changed.is_empty();
            news.changed.insert(content);
            if first && !news.on_its_way {
                self.due.set(*session, now.max(news.not_before));
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
        let news = self.sessions.get_mut(&session)?;
        let contents: Vec<_> = news.changed.iter().copied().take(limits::WATCH_CONTENTS).collect();
        for content in &contents {
            news.changed.remove(content);
        }
        Some((session, contents))
    }

    /// Which choice of holders of a content a session asked for last.
    pub(super) fn again(&self, session: SessionId, content: &Content) -> u32 {
        let watched = self.sessions.get(&session).and_then(|news| news.watched.get(content));
        watched.map_or(0, |watched| watched.again)
    }

    /// Whether a choice with this fingerprint is news to the session; from now on it is not.
    pub(super) fn is_news(&mut self, session: SessionId, content: Content, fingerprint: u64) -> bool {
        let watched = self.sessions.get_mut(&session).and_then(|news| news.watched.get_mut(&content));
        watched.is_some_and(|watched| std::mem::replace(&mut watched.told, fingerprint) != fingerprint)
    }

    /// What came of [`Self::pop_due`]: whether there was anything to tell.
    pub(super) fn told(&mut self, now: Timestamp, session: SessionId, something: bool) {
        let Some(news) = self.sessions.get_mut(&session) else { return };
        if something {
            news.on_its_way = true;
            news.not_before = now.after(limits::NEWS_INTERVAL);
        } else if !news.changed.is_empty() {
            self.due.set(session, now);
        }
    }

    /// The last news left for the session: it may be told more.
    pub(super) fn arrived(&mut self, now: Timestamp, session: SessionId) {
        let Some(news) = self.sessions.get_mut(&session) else { return };
        news.on_its_way = false;
        if !news.changed.is_empty() {
            self.due.set(session, now.max(news.not_before));
        }
    }

    #[cfg(test)]
    pub(super) fn sessions(&self) -> BTreeSet<SessionId> {
        let watched: usize = self.sessions.values().map(|news| news.watched.len()).sum();
        assert_eq!(self.total, watched);
        assert_eq!(self.total, self.watchers.values().map(Vec::len).sum::<usize>());
        assert!(self.watchers.values().all(|watchers| !watchers.is_empty() && watchers.is_sorted()));
        for news in self.sessions.values() {
            assert!(news.changed.iter().all(|content| news.watched.contains_key(content)));
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
