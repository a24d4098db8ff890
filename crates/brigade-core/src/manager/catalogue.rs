//! The catalogue: names → contents → holders, and what each session shares.
//!
//! The catalogue knows sessions only by number, and keeps what each of them announced until it ends. A name is stored
//! once, even if many sessions share it. No operation walks the whole catalogue: pages are ranges of an ordered map,
//! and a session's names have a set of their own. `answers.rs` builds the answers.

mod holder_set;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

pub(super) use self::holder_set::HolderSet;
use self::holder_set::holder_set;
use super::session::SessionId;
use crate::{
    geometry::Geometry,
    id::Content,
    limits,
    name::FileName,
    time::UnixTime,
    wire::manager::{FileEntry, WireContent},
};

/// Everything that is shared, and by whom.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    names: BTreeMap<FileName, Vec<SharedFile>>,
    contents: BTreeMap<Content, HolderSet>,
    shared: BTreeMap<SessionId, SessionShare>,
    /// Names over all sessions, a name that two share counted twice: what memory grows with.
    announced: usize,
    /// The sizes of all contents.
    content_bytes: u128,
}

/// One session's file under one name; a name's are in order of their sessions.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedFile {
    pub(super) session: SessionId,
    pub(super) content: Content,
    pub(super) mtime_s: i64,
    pub(super) executable: bool,
    /// When a peer that is present first announced this content under the name. If other peers had it all the time
    /// since an earlier announcement, that one counts.
    pub(super) first: UnixTime,
}

/// What one session shares.
#[derive(Debug, Default)]
struct SessionShare {
    names: BTreeSet<FileName>,
    /// The sizes of all names' contents; wider than the wire's, so that it cannot overflow.
    bytes: u128,
    partial: BTreeSet<Content>,
}

/// The limit that an announcement would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnnounceError {
    #[error("more than {} entries in one message", limits::ANNOUNCE_ENTRIES)]
    Entries,
    #[error("more than {} contents in one message", limits::WATCH_CONTENTS)]
    Contents,
    #[error("a file of more than {} bytes", Geometry::MAX_SIZE)]
    Size,
    #[error("more than {} names shared by one peer", limits::ANNOUNCED_NAMES)]
    Names,
    #[error("the catalogue is full: {} names are announced", limits::CATALOGUE_NAMES)]
    Catalogue,
    #[error("parts of more than {} contents held by one peer", limits::HELD_PARTS)]
    Parts,
}

/// The contents whose holders a change touched are told to this.
pub(super) type OnContentChange<'a> = &'a mut dyn FnMut(Content);

impl Catalogue {
    /// Adds the entries to what the session shares, all or none of them.
    pub(super) fn announce(
        &mut self,
        session: SessionId,
        entries: Vec<FileEntry>,
        at: UnixTime,
        on_change: OnContentChange<'_>,
    ) -> Result<(), AnnounceError> {
        if entries.len() > limits::ANNOUNCE_ENTRIES {
            return Err(AnnounceError::Entries);
        }
        if entries.iter().any(|entry| entry.size > Geometry::MAX_SIZE) {
            return Err(AnnounceError::Size);
        }
        let own = self.shared.entry(session).or_default();
        let new = entries.iter().filter(|entry| !own.names.contains(&entry.name)).count();
        if own.names.len() + new > limits::ANNOUNCED_NAMES {
            return Err(AnnounceError::Names);
        }
        if self.announced + new > limits::CATALOGUE_NAMES {
            return Err(AnnounceError::Catalogue);
        }
        for entry in entries {
            self.share(session, entry, at, on_change);
        }
        Ok(())
    }

    /// Takes names out of what the session shares; those that it does not share are ignored.
    pub(super) fn withdraw(
        &mut self,
        session: SessionId,
        names: &[FileName],
        on_change: OnContentChange<'_>,
    ) -> Result<(), AnnounceError> {
        if names.len() > limits::ANNOUNCE_ENTRIES {
            return Err(AnnounceError::Entries);
        }
        for name in names {
            if self.shared.get_mut(&session).is_some_and(|own| own.names.remove(name)) {
                self.unshare(session, name, on_change);
            }
        }
        Ok(())
    }

    /// Notes that the session has a part of these contents, all or none of them; those that it has all of are
    /// ignored.
    pub(super) fn hold(
        &mut self,
        session: SessionId,
        contents: &[WireContent],
        on_change: OnContentChange<'_>,
    ) -> Result<(), AnnounceError> {
        check_contents(contents)?;
        let own = self.shared.entry(session).or_default();
        let new = contents.iter().filter(|content| !own.partial.contains(&Content::from(**content))).count();
        if own.partial.len() + new > limits::HELD_PARTS {
            return Err(AnnounceError::Parts);
        }
        for content in contents.iter().copied().map(Content::from) {
            let holders = holder_set(&mut self.contents, &mut self.content_bytes, content);
            if holders.has_all(session) {
                continue;
            }
            if let Err(at) = holders.partial.binary_search(&session) {
                holders.partial.insert(at, session);
                own.partial.insert(content);
                on_change(content);
            }
        }
        Ok(())
    }

    /// Notes that the session has a part of these contents no more.
    pub(super) fn unhold(
        &mut self,
        session: SessionId,
        contents: &[WireContent],
        on_change: OnContentChange<'_>,
    ) -> Result<(), AnnounceError> {
        check_contents(contents)?;
        for content in contents.iter().copied().map(Content::from) {
            if self.shared.get_mut(&session).is_some_and(|own| own.partial.remove(&content)) {
                self.drop_part(session, content, on_change);
            }
        }
        Ok(())
    }

    /// Takes out everything of the session.
    pub(super) fn forget(&mut self, session: SessionId, on_change: OnContentChange<'_>) {
        let Some(own) = self.shared.remove(&session) else { return };
        for name in &own.names {
            self.unshare(session, name, on_change);
        }
        for content in own.partial {
            self.drop_part(session, content, on_change);
        }
    }

    /// How many files the session shares, and their bytes together.
    pub(super) fn shared_by(&self, session: SessionId) -> (u64, u64) {
        self.shared
            .get(&session)
            .map_or((0, 0), |own| (own.names.len() as u64, u64::try_from(own.bytes).unwrap_or(u64::MAX)))
    }

    /// How many names and contents there are, and the bytes of all contents together.
    pub(super) fn totals(&self) -> (usize, usize, u64) {
        (self.names.len(), self.contents.len(), u64::try_from(self.content_bytes).unwrap_or(u64::MAX))
    }

    /// Who holds the content.
    pub(super) fn holders(&self, content: Content) -> Option<&HolderSet> {
        self.contents.get(&content)
    }

    /// Who shares what under exactly this name.
    pub(super) fn shared_files(&self, name: &str) -> &[SharedFile] {
        self.names.get(name).map_or(&[], Vec::as_slice)
    }

    /// How many names lie below the folder (no slash at its end), counted up to `limit`.
    pub(super) fn count_below(&self, folder: &str, limit: usize) -> u64 {
        let prefix = format!("{folder}/");
        let below = self.names.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        below.take(limit).take_while(|(name, _)| name.starts_with(&prefix)).count() as u64
    }

    /// All names that begin with `prefix` and stand after `after`, in order.
    pub(super) fn names_from<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a FileName, &'a [SharedFile])> {
        let range = self.names.range::<str, _>((lower_bound(prefix, after), Bound::Unbounded));
        range
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, sharings)| (name, sharings.as_slice()))
    }

    /// The same, of those that the session shares.
    pub(super) fn names_of<'a>(
        &'a self,
        session: SessionId,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a FileName, &'a [SharedFile])> {
        let own =
            self.shared.get(&session).into_iter().flat_map(move |own| {
                own.names.range::<str, _>((lower_bound(prefix, after), Bound::Unbounded))
            });
        own.take_while(move |name| name.starts_with(prefix)).map(|name| (name, self.shared_files(name)))
    }

    /// At most `limit` names that stand nearest to where `name` would stand, as many before it as after.
    pub(super) fn names_around<'a>(
        &'a self,
        name: &'a str,
        limit: usize,
    ) -> impl Iterator<Item = &'a FileName> {
        let before = || self.names.range::<str, _>((Bound::Unbounded, Bound::Excluded(name))).rev();
        let after = || self.names.range::<str, _>((Bound::Included(name), Bound::Unbounded));
        // One side's spare room goes to the other.
        let (short_before, short_after) =
            (before().take(limit / 2).count(), after().take(limit - limit / 2).count());
        before().take(limit - short_after).chain(after().take(limit - short_before)).map(|(name, _)| name)
    }

    fn share(&mut self, session: SessionId, entry: FileEntry, at: UnixTime, on_change: OnContentChange<'_>) {
        let content = Content { id: entry.id, size: entry.size };
        let name = self.names.get_key_value(&entry.name).map_or(entry.name, |(name, _)| name.clone());
        let own = self.shared.entry(session).or_default();
        let sharings = self.names.entry(name.clone()).or_insert_with(|| Vec::with_capacity(1));
        let same = sharings.iter().filter(|sharing| sharing.content == content);
        let first = same.map(|sharing| sharing.first).min().unwrap_or(at);
        let FileEntry { mtime_s, executable, .. } = entry;
        let sharing = SharedFile { session, content, mtime_s, executable, first };
        own.bytes += u128::from(content.size);
        let old = match find(sharings, session) {
            Ok(at) => Some(std::mem::replace(&mut sharings[at], sharing).content),
            Err(at) => {
                sharings.insert(at, sharing);
                own.names.insert(name);
                self.announced += 1;
                None
            }
        };
        if let Some(old) = old {
            own.bytes -= u128::from(old.size);
        }
        if old == Some(content) {
            return;
        }
        self.add_complete(session, content, on_change);
        if let Some(old) = old {
            self.drop_complete(session, old, on_change);
        }
    }

    /// Takes the session's sharing out of a name that is no longer in its own set.
    fn unshare(&mut self, session: SessionId, name: &FileName, on_change: OnContentChange<'_>) {
        let Some(sharings) = self.names.get_mut(name) else { return };
        let Ok(at) = find(sharings, session) else { return };
        let content = sharings.remove(at).content;
        if sharings.is_empty() {
            self.names.remove(name);
        }
        self.announced -= 1;
        if let Some(own) = self.shared.get_mut(&session) {
            own.bytes -= u128::from(content.size);
        }
        self.drop_complete(session, content, on_change);
    }

    fn add_complete(&mut self, session: SessionId, content: Content, on_change: OnContentChange<'_>) {
        let holders = holder_set(&mut self.contents, &mut self.content_bytes, content);
        match holders.complete.binary_search_by_key(&session, |(holder, _)| *holder) {
            Ok(at) => holders.complete[at].1 += 1,
            Err(at) => {
                holders.complete.insert(at, (session, 1));
                if let Ok(at) = holders.partial.binary_search(&session) {
                    holders.partial.remove(at);
                    if let Some(own) = self.shared.get_mut(&session) {
                        own.partial.remove(&content);
                    }
                }
                on_change(content);
            }
        }
    }

    fn drop_complete(&mut self, session: SessionId, content: Content, on_change: OnContentChange<'_>) {
        let Some(holders) = self.contents.get_mut(&content) else { return };
        let Ok(at) = holders.complete.binary_search_by_key(&session, |(holder, _)| *holder) else { return };
        holders.complete[at].1 -= 1;
        if holders.complete[at].1 == 0 {
            holders.complete.remove(at);
            if holders.is_empty() {
                self.remove_content(content);
            }
            on_change(content);
        }
    }

    fn drop_part(&mut self, session: SessionId, content: Content, on_change: OnContentChange<'_>) {
        let Some(holders) = self.contents.get_mut(&content) else { return };
        let Ok(at) = holders.partial.binary_search(&session) else { return };
        holders.partial.remove(at);
        if holders.is_empty() {
            self.remove_content(content);
        }
        on_change(content);
    }

    fn remove_content(&mut self, content: Content) {
        if self.contents.remove(&content).is_some() {
            self.content_bytes -= u128::from(content.size);
        }
    }
}

/// Refuses more contents than a message may name, and sizes that no content has.
pub(super) fn check_contents(contents: &[WireContent]) -> Result<(), AnnounceError> {
    if contents.len() > limits::WATCH_CONTENTS {
        Err(AnnounceError::Contents)
    } else if contents.iter().any(|content| content.size > Geometry::MAX_SIZE) {
        Err(AnnounceError::Size)
    } else {
        Ok(())
    }
}

/// The session's own file among those of a name.
pub(super) fn shared_file_of(sharings: &[SharedFile], session: SessionId) -> Option<&SharedFile> {
    find(sharings, session).ok().map(|at| &sharings[at])
}

fn find(sharings: &[SharedFile], session: SessionId) -> Result<usize, usize> {
    sharings.binary_search_by_key(&session, |sharing| sharing.session)
}

fn lower_bound<'a>(prefix: &'a str, after: Option<&'a str>) -> Bound<&'a str> {
    match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    }
}

#[cfg(test)]
mod tests;
