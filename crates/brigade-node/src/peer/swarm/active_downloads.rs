//! The active downloads: how each content is received and gets its name, its holders, and how much of it is present.
//!
//! This is the side of the disk: part files, the writer and what is served meanwhile. Which piece is requested from
//! which holder is decided in the core; [`super::driver`] connects the two.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
};

use brigade_core::{
    bitfield::Bitfield,
    content::{Expected, PieceList},
    download::{DownloadId, HolderId},
    geometry::{Geometry, PieceIndex},
    id::Content,
    limits,
};

use super::{
    message::{
        EndedDownload, LandResult, LandedContent, PieceTarget, ReceiveCounter, ReceivedBytes, WantedPiece,
    },
    partial::{Part, PartOwner, Parts},
    writer::PieceWriter,
};
use crate::store::{folder::Folder, landing::Landing, part_file::PartFile};

/// All active downloads, by number and by content.
pub(crate) struct ActiveDownloads {
    active: BTreeMap<DownloadId, ActiveDownload>,
    by_content: BTreeMap<Content, DownloadId>,
    last: u32,
    /// Those of one piece.
    small: usize,
    /// Downloads that were removed while they were getting their name: the result is still to come.
    landing: BTreeSet<DownloadId>,
    writer: PieceWriter,
    parts: Parts,
    folder: Folder,
}

/// One content that is being fetched.
struct ActiveDownload {
    content: Content,
    geometry: Geometry,
    mode: ReceiveMode,
    state: DownloadState,
    /// Counts the bytes that arrive for its fetch.
    counter: Arc<ReceiveCounter>,
    /// Complete and partial holders of now; `None` before the manager named any.
    holders: Option<(Vec<HolderId>, Vec<HolderId>)>,
    /// The complete holders, when the manager last named some.
    last_complete: Vec<HolderId>,
    /// How often the manager was asked for other holders.
    asked_for_others: u32,
    /// Bytes and pieces of it that count as present.
    present: (u64, u64),
}

/// How a content is received.
enum ReceiveMode {
    /// A content of one piece, written as a whole file.
    Small(Arc<Vec<Landing>>),
    /// A content of several pieces; the part is there, and served, once the list is known.
    Large { file: PartFile, part: Option<PartOwner>, landing: Landing },
}

/// The state of an active download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DownloadState {
    Receiving,
    /// It waits for space on the disk: nothing is requested.
    Paused,
    /// All pieces are stored and it is getting its name: later events do not matter.
    Finishing,
}

/// Bytes and pieces of what is in a bitfield.
fn amount(have: &Bitfield, geometry: &Geometry) -> (u64, u64) {
    let bytes = have.iter().map(|piece| u64::from(geometry.length(piece))).sum();
    (bytes, u64::from(have.count()))
}

impl ActiveDownloads {
    pub(crate) fn new(writer: PieceWriter, parts: Parts, folder: Folder) -> Self {
        let (active, by_content, landing) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { active, by_content, last: 0, small: 0, landing, writer, parts, folder }
    }

    /// Adds a content of one piece; `None` if it is too large for any content.
    pub(crate) fn add_small(
        &mut self,
        content: Content,
        landing: Landing,
        counter: Arc<ReceiveCounter>,
    ) -> Option<DownloadId> {
        let mode = ReceiveMode::Small(Arc::new(vec![landing]));
        let active = ActiveDownload::new(content, mode, &Bitfield::none(1), counter)?;
        self.small += 1;
        self.writer.awaited().fetch_add(1, Ordering::Relaxed);
        Some(self.add(active))
    }

    /// Adds a content of several pieces of which `have` is present. Its number, and the bytes and pieces present.
    pub(crate) fn add_large(
        &mut self,
        content: Content,
        file: PartFile,
        landing: Landing,
        have: &Bitfield,
        counter: Arc<ReceiveCounter>,
    ) -> Option<(DownloadId, (u64, u64))> {
        let mode = ReceiveMode::Large { file, part: None, landing };
        let active = ActiveDownload::new(content, mode, have, counter)?;
        let present = active.present;
        Some((self.add(active), present))
    }

    fn add(&mut self, active: ActiveDownload) -> DownloadId {
        self.last += 1;
        let download = DownloadId(self.last);
        self.by_content.insert(active.content, download);
        self.active.insert(download, active);
        download
    }

    /// Removes a download, and closes its part. If it is getting its name at this moment, it still gets it.
    pub(crate) fn remove(&mut self, download: DownloadId) -> Option<EndedDownload> {
        let ended = self.take(download)?.ended();
        if ended.is_landing {
            self.landing.insert(download);
        }
        Some(ended)
    }

    fn take(&mut self, download: DownloadId) -> Option<ActiveDownload> {
        let active = self.active.remove(&download)?;
        self.by_content.remove(&active.content);
        if active.is_small() {
            self.small -= 1;
            if self.small == 0 {
                self.writer.awaited().store(0, Ordering::Relaxed); // no batch waits for more
            }
        }
        Some(active)
    }

    /// The request for a piece; `None` while its list is not known.
    pub(crate) fn wanted_piece(
        &self,
        (download, piece): (DownloadId, PieceIndex),
        offer: Option<u32>,
        expected: Expected,
    ) -> Option<WantedPiece> {
        let active = self.active.get(&download)?;
        let target = match &active.mode {
            ReceiveMode::Small(landings) => PieceTarget::Small(landings.clone()),
            ReceiveMode::Large { part: Some(part), .. } => PieceTarget::Part(part.part().clone()),
            ReceiveMode::Large { part: None, .. } => return None,
        };
        let (content, bytes) = (active.content, active.geometry.length(piece));
        let (alone, received) = (false, ReceivedBytes::new(active.counter.clone()));
        Some(WantedPiece { download, content, piece, offer, bytes, expected, target, alone, received })
    }

    /// Keeps a received piece list, on a thread that may wait.
    pub(crate) fn save_list(&self, download: DownloadId, list: Arc<PieceList>) {
        let file = self.active.get(&download).and_then(ActiveDownload::part_file);
        let Some(file) = file.cloned() else { return };
        tokio::task::spawn_blocking(move || {
            if let Err(error) = file.save_list(&list) {
                tracing::warn!(%error, "a piece list was not kept: it will be fetched again after a restart");
            }
        });
    }

    /// Serves the part of a content from now on; the content. An empty part is served too: so those that fetch the
    /// content find each other before there is anything to pass on.
    pub(crate) fn serve(
        &mut self,
        download: DownloadId,
        list: Arc<PieceList>,
        have: Option<Bitfield>,
    ) -> Option<Content> {
        let active = self.active.get_mut(&download)?;
        let ReceiveMode::Large { file, part, .. } = &mut active.mode else { return None };
        let have = have.unwrap_or_else(|| Bitfield::none(active.geometry.count()));
        *part = Some(self.parts.begin(Part::new(active.content, list, file.clone(), have)));
        Some(active.content)
    }

    /// Counts a stored piece; its content and its bytes.
    pub(crate) fn count(&mut self, download: DownloadId, piece: PieceIndex) -> Option<(Content, u64)> {
        let active = self.active.get_mut(&download)?;
        let bytes = u64::from(active.geometry.length(piece));
        active.add_present((bytes, 1));
        Some((active.content, bytes))
    }

    /// All pieces of a content are written. Small contents get their names in batches; a large one gets it now, on a
    /// thread that may wait.
    pub(crate) fn finish(&mut self, download: DownloadId) {
        let Some(active) = self.active.get_mut(&download) else { return };
        active.state = DownloadState::Finishing;
        let ReceiveMode::Large { file, part, landing } = &active.mode else { return };
        let (file, landing, content) = (file.clone(), landing.clone(), active.content);
        let part = part.as_ref().map(|owner| owner.part().clone());
        let (folder, writer) = (self.folder.clone(), self.writer.clone());
        tokio::task::spawn_blocking(move || {
            // Once the file has its name, its user may write to it: the part is served only until the first write.
            let placed =
                file.finish_as(&folder, &landing, |stamp| part.iter().for_each(|part| part.named(stamp)));
            let list = part.map(|part| part.list.clone());
            writer.landed(vec![(LandResult { download, content, name: landing.name, placed }, list)]);
        });
    }

    /// A content got its name, or did not. It is not active any more; `None` if it was not.
    pub(crate) fn landed(&mut self, result: LandResult) -> Option<LandedContent> {
        let LandResult { download, content, name, placed } = result;
        if self.landing.remove(&download) {
            return Some(LandedContent { content, name, placed, ended: None });
        }
        let active = self.take(download)?;
        if let (ReceiveMode::Large { part: Some(part), .. }, Ok(placed)) = (&active.mode, &placed) {
            part.landed(placed.stamp);
        }
        let ended = EndedDownload { is_landing: false, ..active.ended() };
        Some(LandedContent { content, name, placed, ended: Some(ended) })
    }

    /// The content, unless all its pieces are stored: a piece that arrived twice may find its file closed.
    pub(crate) fn unfinished(&self, download: DownloadId) -> Option<Content> {
        let active = self.active.get(&download)?;
        (active.state != DownloadState::Finishing).then_some(active.content)
    }

    /// Pauses a content that is being received; its number, and whether it has several pieces.
    pub(crate) fn pause(&mut self, content: &Content) -> Option<(DownloadId, bool)> {
        let download = *self.by_content.get(content)?;
        let active = self.active.get_mut(&download)?;
        if active.state != DownloadState::Receiving {
            return None;
        }
        active.state = DownloadState::Paused;
        Some((download, !active.is_small()))
    }

    /// Gives a paused content a new number: late events of the old one are about requests that were cancelled.
    pub(crate) fn resume(&mut self, content: &Content) -> Option<ResumedDownload> {
        let old = *self.by_content.get(content)?;
        self.active.get(&old).filter(|active| active.state == DownloadState::Paused)?;
        let mut active = self.active.remove(&old)?;
        active.state = DownloadState::Receiving;
        let (list, have) = match &active.mode {
            ReceiveMode::Large { part: Some(part), .. } => (Some(part.list.clone()), part.have().clone()),
            _ => (None, Bitfield::none(active.geometry.count())),
        };
        let (bytes, pieces) = amount(&have, &active.geometry);
        let uncounted = (bytes.saturating_sub(active.present.0), pieces.saturating_sub(active.present.1));
        active.add_present(uncounted);
        let holders = active.holders.clone();
        Some(ResumedDownload { download: self.add(active), list, have, holders, uncounted })
    }

    /// The manager named these holders of a content.
    pub(crate) fn set_holders(&mut self, download: DownloadId, complete: &[HolderId], partial: &[HolderId]) {
        let Some(active) = self.active.get_mut(&download) else { return };
        // The manager names no more than this.
        let complete = &complete[..complete.len().min(limits::HOLDERS_NAMED)];
        let partial = &partial[..partial.len().min(limits::HOLDERS_NAMED)];
        if !complete.is_empty() {
            active.last_complete = complete.to_vec();
        }
        active.holders = Some((complete.to_vec(), partial.to_vec()));
    }

    /// The content, and how often the manager is asked for other holders of it, with this time.
    pub(crate) fn ask_for_others(&mut self, download: DownloadId) -> Option<(Content, u32)> {
        let active = self.active.get_mut(&download)?;
        active.asked_for_others += 1;
        Some((active.content, active.asked_for_others))
    }

    pub(crate) fn all_holders(&self) -> impl Iterator<Item = HolderId> {
        self.active.values().flat_map(|active| active.holders().chain(active.last_complete.iter().copied()))
    }

    /// The holders that the manager names of a content now.
    pub(crate) fn holders(&self, content: &Content) -> impl Iterator<Item = HolderId> {
        self.find(content).into_iter().flat_map(ActiveDownload::holders)
    }

    /// The holders that had all of a content, if the manager says that there is none now. Others that fetch it may have
    /// parts.
    pub(crate) fn lost_holders(&self, content: &Content) -> Option<&[HolderId]> {
        let active = self.find(content)?;
        let has_none = active.holders.as_ref().is_some_and(|(complete, _)| complete.is_empty());
        (has_none && active.state != DownloadState::Finishing).then_some(&active.last_complete)
    }

    pub(crate) fn number(&self, content: &Content) -> Option<DownloadId> {
        self.by_content.get(content).copied()
    }

    pub(crate) fn content(&self, download: DownloadId) -> Option<Content> {
        self.active.get(&download).map(|active| active.content)
    }

    pub(crate) fn len(&self) -> usize {
        self.active.len()
    }

    pub(crate) fn large(&self) -> usize {
        self.active.len() - self.small
    }

    /// The contents of several pieces that are not getting their names.
    pub(crate) fn unfinished_large(&self) -> Vec<Content> {
        let large = self.active.values().filter(|active| !active.is_small());
        let unfinished = large.filter(|active| active.state != DownloadState::Finishing);
        unfinished.map(|active| active.content).collect()
    }

    pub(crate) fn part_files(&self) -> Vec<PartFile> {
        self.active.values().filter_map(ActiveDownload::part_file).cloned().collect()
    }

    fn find(&self, content: &Content) -> Option<&ActiveDownload> {
        self.active.get(self.by_content.get(content)?)
    }
}

/// A content that was resumed, and what the core has to know of it.
pub(crate) struct ResumedDownload {
    pub(crate) download: DownloadId,
    pub(crate) list: Option<Arc<PieceList>>,
    pub(crate) have: Bitfield,
    /// Complete and partial holders; they are known whether the manager is there or not.
    pub(crate) holders: Option<(Vec<HolderId>, Vec<HolderId>)>,
    /// Bytes and pieces that were stored after the pause, and not counted.
    pub(crate) uncounted: (u64, u64),
}

impl ActiveDownload {
    fn new(
        content: Content,
        mode: ReceiveMode,
        have: &Bitfield,
        counter: Arc<ReceiveCounter>,
    ) -> Option<Self> {
        let geometry = Geometry::new(content.size).ok()?;
        Some(Self {
            content,
            geometry,
            mode,
            state: DownloadState::Receiving,
            counter,
            holders: None,
            last_complete: vec![],
            asked_for_others: 0,
            present: amount(have, &geometry),
        })
    }

    fn part_file(&self) -> Option<&PartFile> {
        match &self.mode {
            ReceiveMode::Large { file, .. } => Some(file),
            ReceiveMode::Small(_) => None,
        }
    }

    fn is_small(&self) -> bool {
        matches!(self.mode, ReceiveMode::Small(_))
    }

    /// What is left to know of it when it is not active any more.
    fn ended(&self) -> EndedDownload {
        EndedDownload {
            present: self.present,
            is_large: !self.is_small(),
            is_served: matches!(self.mode, ReceiveMode::Large { part: Some(_), .. }),
            is_landing: self.state == DownloadState::Finishing,
        }
    }

    fn add_present(&mut self, (bytes, pieces): (u64, u64)) {
        self.present = (self.present.0 + bytes, self.present.1 + pieces);
    }

    fn holders(&self) -> impl Iterator<Item = HolderId> {
        self.holders.iter().flat_map(|(complete, partial)| complete.iter().chain(partial)).copied()
    }
}
