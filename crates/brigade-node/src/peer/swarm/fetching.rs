//! One content that is being fetched: how it is received, who has it, and what of it counts as being here.
//!
//! It decides nothing: what is done about it stands in [`crate::peer::fetch::jobs`], [`crate::peer::fetch::disk_space`] and [`crate::peer::fetch::revalidate`].

use std::{sync::Arc, time::Duration};

use brigade_core::{
    download::HolderId, geometry::Geometry, id::Content, limits, name::FileName, time::Timestamp,
};

use super::partial::PartOwner;
use crate::{
    peer::fetch::job::JobId,
    store::{landing::Landing, part_file::PartFile},
};

/// One content that is being fetched.
pub(crate) struct Fetching {
    pub(crate) content: Content,
    pub(crate) geometry: Geometry,
    pub(crate) job: JobId,
    pub(crate) kind: Kind,
    pub(crate) starved: bool,
    /// Whether it waits for room on the disk: nothing is asked for.
    pub(crate) paused: bool,
    pub(crate) known: KnownHolders,
    /// What the manager was asked about its name, while nobody has it.
    pub(crate) asked: Option<Asked>,
    /// Whether every piece was stored and it is getting its name: nothing that comes now matters.
    pub(crate) finishing: bool,
    /// Whether the manager was told that a part of it is here.
    pub(crate) held: bool,
    /// How often the manager was asked for other holders.
    pub(crate) asked_again: u32,
    /// Bytes and pieces of it that count as being here in its fetch.
    done: (u64, u64),
}

/// How a content is received.
pub(crate) enum Kind {
    /// A content of one piece, written whole.
    Small(Arc<Vec<Landing>>),
    /// A content of several pieces; the part is there once the list is known.
    Large { file: PartFile, part: Option<PartOwner>, landing: Landing },
}

/// The holders that the manager named.
#[derive(Debug, Default)]
pub(crate) struct KnownHolders {
    /// Those of now; `None` before it has said anything.
    now: Option<(Vec<HolderId>, Vec<HolderId>)>,
    /// Those who had all of it, when it last named any.
    had_all: Vec<HolderId>,
}

/// Questions about a name, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// When the last one was put.
    pub(crate) at: Timestamp,
    /// How long the next one waits.
    pub(crate) pause: Duration,
    /// Whether the last answer was that a holder has another content under the name.
    pub(crate) changed: bool,
}

impl Fetching {
    /// A content of which so many bytes and pieces are here.
    pub(crate) fn new(
        content: Content,
        geometry: Geometry,
        job: JobId,
        kind: Kind,
        done: (u64, u64),
    ) -> Self {
        Self {
            content,
            geometry,
            job,
            kind,
            starved: false,
            paused: false,
            known: KnownHolders::default(),
            asked: None,
            finishing: false,
            held: false,
            asked_again: 0,
            done,
        }
    }

    /// More of it counts as being here.
    pub(crate) fn counts(&mut self, bytes: u64, pieces: u64) {
        self.done = (self.done.0 + bytes, self.done.1 + pieces);
    }

    /// Bytes and pieces of it that count as being here.
    pub(crate) fn done(&self) -> (u64, u64) {
        self.done
    }

    /// One of the names that the content is to get, to tell by where its bytes go.
    pub(crate) fn any_name(&self) -> Option<&FileName> {
        match &self.kind {
            Kind::Small(landings) => landings.first().map(|landing| &landing.name),
            Kind::Large { landing, .. } => Some(&landing.name),
        }
    }

    /// The first of the names that the content is to get.
    pub(crate) fn first_name(&self) -> Option<FileName> {
        self.names().into_iter().next()
    }

    /// The names that the content is to get.
    pub(crate) fn names(&self) -> Vec<FileName> {
        self.landings().into_iter().map(|landing| landing.name).collect()
    }

    /// How it is to land.
    pub(crate) fn landings(&self) -> Vec<Landing> {
        match &self.kind {
            Kind::Small(landings) => landings.to_vec(),
            Kind::Large { landing, .. } => vec![landing.clone()],
        }
    }
}

impl KnownHolders {
    /// The manager names these now.
    pub(crate) fn named(&mut self, complete: &[HolderId], partial: &[HolderId]) {
        // It names no more; what it says beyond that is not remembered.
        let complete = &complete[..complete.len().min(limits::HOLDERS_NAMED)];
        let partial = &partial[..partial.len().min(limits::HOLDERS_NAMED)];
        if !complete.is_empty() {
            self.had_all = complete.to_vec();
        }
        self.now = Some((complete.to_vec(), partial.to_vec()));
    }

    /// Everyone who is remembered here.
    pub(crate) fn all(&self) -> impl Iterator<Item = HolderId> {
        let now = self.now.iter().flat_map(|(complete, partial)| complete.iter().chain(partial));
        now.chain(&self.had_all).copied()
    }

    /// How many there are now, as far as the manager said.
    pub(crate) fn now(&self) -> usize {
        self.now.as_ref().map_or(0, |(complete, partial)| complete.len() + partial.len())
    }

    /// Their numbers.
    pub(crate) fn ids(&self) -> impl Iterator<Item = HolderId> + '_ {
        self.now.iter().flat_map(|(complete, partial)| complete.iter().chain(partial)).copied()
    }

    /// Whether the manager said that nobody has all of it. Others who fetch it too may have parts.
    pub(crate) fn are_gone(&self) -> bool {
        self.now.as_ref().is_some_and(|(complete, _)| complete.is_empty())
    }

    /// Those who had all of it, when the manager last named any.
    pub(crate) fn had_all(&self) -> &[HolderId] {
        &self.had_all
    }

    /// Those of now: complete and partial; `None` before the manager has said anything.
    pub(crate) fn of_now(&self) -> Option<(Vec<HolderId>, Vec<HolderId>)> {
        self.now.clone()
    }
}
