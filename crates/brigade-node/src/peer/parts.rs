//! Contents of which this peer has a part: what the fetches write and the newcomers are served from.
//!
//! The fetches are the only writer; whoever serves reads. A part stays usable by those who hold it after it has
//! become a whole file under its name, as long as that is shared and stays as it was: the open file is the same.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use brigade_core::{bitfield::Bitfield, content::PieceList, geometry::PieceIndex, id::Content};
use tokio::sync::watch;

use crate::store::{part_file::PartFile, stamp::Stamp};

/// One content that is being received, and served meanwhile.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) content: Content,
    pub(super) list: Arc<PieceList>,
    pub(super) file: PartFile,
    have: watch::Sender<Bitfield>,
    /// What the file was when it got its name: from then on it is served only as the share is.
    landed: OnceLock<Stamp>,
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    table: Arc<watch::Sender<BTreeMap<Content, Arc<Part>>>>,
    /// Changes whenever any part gets a piece.
    news: Arc<watch::Sender<u64>>,
}

impl Part {
    pub(super) fn new(content: Content, list: Arc<PieceList>, file: PartFile, have: Bitfield) -> Self {
        Self { content, list, file, have: watch::Sender::new(have), landed: OnceLock::new() }
    }

    /// The file has its name, and is somebody's from now on.
    pub(super) fn has_landed(&self, stamp: Stamp) {
        let _ = self.landed.set(stamp); // a content lands once
    }

    /// What the file was when it got its name; `None` before it has.
    pub(super) fn landed(&self) -> Option<&Stamp> {
        self.landed.get()
    }

    /// Which pieces are verified and written, at this moment.
    pub(super) fn have(&self) -> watch::Ref<'_, Bitfield> {
        // A reference into the sender needs no receiver.
        self.have.borrow()
    }
}

impl Parts {
    pub(super) fn new() -> Self {
        Self { table: Arc::new(watch::Sender::default()), news: Arc::new(watch::Sender::default()) }
    }

    /// The part of `content`, where there is one.
    pub(super) fn find(&self, content: &Content) -> Option<Arc<Part>> {
        self.table.borrow().get(content).cloned()
    }

    /// Serves `part` from now on.
    pub(super) fn add(&self, part: Arc<Part>) {
        self.table.send_modify(|table| drop(table.insert(part.content, part)));
    }

    /// Serves it to nobody new.
    pub(super) fn remove(&self, content: &Content) {
        self.table.send_modify(|table| drop(table.remove(content)));
    }

    /// Notes that `piece` of `part` is verified and written.
    pub(super) fn stored(&self, part: &Part, piece: PieceIndex) {
        part.have.send_if_modified(|have| have.set(piece));
        self.news.send_modify(|news| *news = news.wrapping_add(1));
    }

    /// Wakes up when any part got a piece.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }
}
