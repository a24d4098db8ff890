//! The holders of one content.
//!
//! `catalogue.rs` keeps them in agreement with what each session shares.

use std::collections::BTreeMap;

use crate::{id::Content, manager::session::SessionId};

/// Who holds a content, in order of their sessions.
#[derive(Debug, Default)]
pub(crate) struct HolderSet {
    /// Those that have all of it, and under how many names.
    pub(super) complete: Vec<(SessionId, u32)>,
    /// Those that have a part of it, and none of the above.
    pub(super) partial: Vec<SessionId>,
}

impl HolderSet {
    /// Those that have all of it.
    pub(crate) fn complete(&self) -> impl ExactSizeIterator<Item = SessionId> + '_ {
        self.complete.iter().map(|(session, _)| *session)
    }

    /// Those that have a part of it.
    pub(crate) fn partial(&self) -> impl ExactSizeIterator<Item = SessionId> + '_ {
        self.partial.iter().copied()
    }

    pub(super) fn has_all(&self, session: SessionId) -> bool {
        self.complete.binary_search_by_key(&session, |(holder, _)| *holder).is_ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.complete.is_empty() && self.partial.is_empty()
    }
}

/// The holders of a content, which is new if it has none.
pub(super) fn holder_set<'a>(
    contents: &'a mut BTreeMap<Content, HolderSet>,
    bytes: &mut u128,
    content: Content,
) -> &'a mut HolderSet {
    contents.entry(content).or_insert_with(|| {
        *bytes += u128::from(content.size);
        HolderSet::default()
    })
}
