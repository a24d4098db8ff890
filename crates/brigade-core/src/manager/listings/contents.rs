//! Parts of the catalogue for people: the contents under their names, and the holders of one content.
//!
//! A name that thousands of peers share takes as long as thousands of names. So a part ends after a number of
//! announcements too, and not only after a number of rows.

use super::rows::{ContentRow, ContentRows, HolderRow, HolderRows};
use crate::{
    id::Content,
    manager::{Manager, SessionId, answers::summaries},
    name::FileName,
};

/// Announcements that are looked at for one part of the catalogue: less than a millisecond's work.
const ANNOUNCEMENTS_OF_A_PART: usize = 4096;

impl Manager {
    /// A part of the catalogue: the contents of names that begin with `prefix` and stand after `after`, in order. A
    /// part ends after `limit` rows, or before that; the rows of its last name are all in it.
    pub fn content_rows(&self, prefix: &str, after: Option<&str>, limit: usize) -> ContentRows {
        let mut part = ContentRows::default();
        let mut announcements = 0;
        let mut last: Option<&FileName> = None;
        for (name, sharings) in self.catalogue.names_from(prefix, after) {
            if part.rows.len() >= limit || announcements >= ANNOUNCEMENTS_OF_A_PART {
                part.next = last.cloned();
                break;
            }
            announcements += sharings.len();
            for version in summaries(sharings) {
                let (complete, partial) = self.holder_counts(version.content);
                part.rows.push(ContentRow {
                    name: name.clone(),
                    content: version.content,
                    mtime_s: version.mtime_s,
                    executable: version.executable,
                    first: version.first,
                    complete,
                    partial,
                });
            }
            last = Some(name);
        }
        part
    }

    /// At most `limit` holders of a content, from the one with this number on; the first has the number 0.
    pub fn holder_rows(&self, content: Content, first: usize, limit: usize) -> HolderRows {
        let Some(holders) = self.catalogue.holders(content) else { return HolderRows::default() };
        let (complete, partial) = self.holder_counts(content);
        let row = |session: SessionId, is_complete| {
            let peer = self.sessions.get(&session)?.peer()?;
            Some(HolderRow { username: peer.username.clone(), is_complete, since: peer.since })
        };
        let all = holders.complete().map(|session| (session, true));
        let all = all.chain(holders.partial().map(|session| (session, false)));
        let rows = all.skip(first).take(limit).filter_map(|(session, all)| row(session, all)).collect();
        HolderRows { rows, complete, partial }
    }

    /// How many peers have all of a content, and how many have a part of it.
    fn holder_counts(&self, content: Content) -> (usize, usize) {
        self.catalogue
            .holders(content)
            .map_or((0, 0), |holders| (holders.complete().len(), holders.partial().len()))
    }
}
