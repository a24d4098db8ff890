//! Answers to questions: what a name means, a page of the catalogue, a page of the table of peers.
//!
//! Every answer fits into one frame, for names of any length and any number of holders: the size is computed before an
//! item is added. Nothing here changes state. The versions of a name always have the same order: most holders first,
//! then by content.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use super::{
    catalogue::{Catalogue, SharedFile, shared_file_of},
    refusal::Refusal,
    session::{Session, SessionId},
    similar_names::nearest,
};
use crate::{
    id::Content,
    limits,
    name::{FileName, Username},
    time::UnixTime,
    wire::{
        Reason,
        manager::{Browse, CatalogueEntry, ListPeers, Listing, Lookup, LookupResult, PeerList, Version},
    },
};

/// Names that are compared with one that is not there.
const NAMES_COMPARED: usize = 20_000;

/// Bytes of a version or of a listed content without its texts: a map, an id, five numbers and their heads.
const VERSION_BYTES: usize = 90;
/// Bytes of a row of the table without its username: a map, an address and five numbers.
const ROW_BYTES: usize = 120;
/// Bytes of a text's head.
const TEXT_HEAD_BYTES: usize = 3;
/// Bytes of an answer around its list.
const ANSWER_BYTES: usize = 48;

/// What a name means.
pub(super) fn lookup(
    catalogue: &Catalogue,
    sessions: &BTreeMap<SessionId, Session>,
    question: &Lookup,
    incomplete_ms: Option<u64>,
) -> Result<LookupResult, Refusal> {
    check_text(&question.name)?;
    // With a slash at its end it can only be a folder.
    let folder = question.name.trim_end_matches('/');
    let exact = if folder.len() == question.name.len() { catalogue.shared_files(folder) } else { &[] };
    let versions = versions_with_holders(exact, sessions);
    let below = if folder.is_empty() { 0 } else { catalogue.count_below(folder, limits::COUNTED_NAMES) };
    let closest = if versions.is_empty() && below == 0 {
        nearest(folder, catalogue.names_around(folder, NAMES_COMPARED), limits::CLOSEST_NAMES)
    } else {
        vec![]
    };
    Ok(LookupResult { question: question.question, versions, below, closest, incomplete_ms })
}

/// A page of the catalogue.
pub(super) fn browse(
    catalogue: &Catalogue,
    present: &BTreeMap<Username, SessionId>,
    question: &Browse,
    incomplete_ms: Option<u64>,
) -> Result<Listing, Refusal> {
    check_text(&question.prefix)?;
    let after = question.after.as_deref();
    let (entries, more) = match &question.holder {
        None => page(catalogue.names_from(&question.prefix, after), |_| true),
        Some(username) => {
            let holder = present.get(username).copied().ok_or_else(|| Refusal {
                reason: Reason::NotFound,
                text: format!("no peer with the username {username} is there"),
            })?;
            page(catalogue.names_of(holder, &question.prefix, after), |(content, sharings)| {
                shared_file_of(sharings, holder).is_some_and(|own| own.content == content)
            })
        }
    };
    Ok(Listing { question: question.question, entries, more, incomplete_ms })
}

/// A page of the table of peers, as the asker reaches them.
pub(super) fn list_peers(
    catalogue: &Catalogue,
    sessions: &BTreeMap<SessionId, Session>,
    present: &BTreeMap<Username, SessionId>,
    asker: &Session,
    question: &ListPeers,
    incomplete_ms: Option<u64>,
) -> PeerList {
    let from = question.after.as_deref().map_or(Unbounded, Excluded);
    let mut list = PeerList { question: question.question, rows: vec![], more: false, incomplete_ms };
    let mut bytes = ANSWER_BYTES;
    for (username, session) in present.range::<str, _>((from, Unbounded)) {
        let shared = catalogue.shared_by(*session);
        let Some(row) = sessions.get(session).and_then(|peer| peer.row_for(asker, shared)) else { continue };
        bytes += ROW_BYTES + username.len();
        if bytes > limits::PAGE_BYTES {
            list.more = true;
            break;
        }
        list.rows.push(row);
    }
    list
}

/// One content under a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct VersionSummary {
    pub(super) content: Content,
    pub(super) mtime_s: i64,
    pub(super) executable: bool,
    pub(super) first: UnixTime,
    holders: u32,
}

/// The contents of a name, in the order in which they are shown, as many as are shown.
pub(super) fn summaries(sharings: &[SharedFile]) -> Vec<VersionSummary> {
    let mut by_content = BTreeMap::<Content, VersionSummary>::new();
    for SharedFile { content, mtime_s, executable, first, .. } in sharings.iter().copied() {
        let summary = VersionSummary { content, mtime_s, executable, first, holders: 0 };
        let summary = by_content.entry(content).or_insert(summary);
        summary.mtime_s = summary.mtime_s.max(mtime_s);
        summary.executable |= executable;
        summary.first = summary.first.min(first);
        summary.holders += 1;
    }
    let mut summaries: Vec<_> = by_content.into_values().collect();
    summaries.sort_by_key(|summary| (std::cmp::Reverse(summary.holders), summary.content));
    summaries.truncate(limits::VERSIONS_LISTED);
    summaries
}

/// A name's versions with the usernames of their holders, so many that all fit.
fn versions_with_holders(sharings: &[SharedFile], sessions: &BTreeMap<SessionId, Session>) -> Vec<Version> {
    let summaries = summaries(sharings);
    let free_bytes = limits::PAGE_BYTES - ANSWER_BYTES - summaries.len() * VERSION_BYTES;
    let bytes_each = free_bytes / summaries.len().max(1);
    let named = |summary: VersionSummary| {
        let sharers = sharings.iter().filter(move |sharing| sharing.content == summary.content);
        let peers = sharers.filter_map(|sharing| sessions.get(&sharing.session)?.peer());
        let mut free_bytes = bytes_each;
        peers
            .map(|peer| peer.username.clone())
            .take(limits::HOLDERS_NAMED)
            .take_while(|username| {
                free_bytes
                    .checked_sub(TEXT_HEAD_BYTES + username.len())
                    .inspect(|left| free_bytes = *left)
                    .is_some()
            })
            .collect()
    };
    summaries
        .into_iter()
        .map(|summary| Version {
            id: summary.content.id,
            size: summary.content.size,
            mtime_s: summary.mtime_s,
            executable: summary.executable,
            holders: named(summary),
            first_s: summary.first.0,
        })
        .collect()
}

/// Entries until a page is full, of those contents that `wanted` says, and whether there is more.
fn page<'a>(
    names: impl Iterator<Item = (&'a FileName, &'a [SharedFile])>,
    wanted: impl Fn((Content, &[SharedFile])) -> bool,
) -> (Vec<CatalogueEntry>, bool) {
    let mut entries = vec![];
    let mut free_bytes = limits::PAGE_BYTES - ANSWER_BYTES;
    for (name, sharings) in names {
        let bytes = VERSION_BYTES + TEXT_HEAD_BYTES + name.len();
        let mut versions = summaries(sharings);
        versions.retain(|version| wanted((version.content, sharings)));
        if !entries.is_empty() && versions.len() * bytes > free_bytes {
            return (entries, true);
        }
        for VersionSummary { content, mtime_s, executable, holders, .. } in
            versions.into_iter().take(free_bytes / bytes)
        {
            free_bytes -= bytes;
            let Content { id, size } = content;
            entries.push(CatalogueEntry { name: name.clone(), id, size, mtime_s, executable, holders });
        }
    }
    (entries, false)
}

fn check_text(text: &str) -> Result<(), Refusal> {
    if text.len() <= limits::NAME_BYTES {
        return Ok(());
    }
    let text = format!("a name is at most {} bytes long", limits::NAME_BYTES);
    Err(Refusal { reason: Reason::TooMuch, text })
}
