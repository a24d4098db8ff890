//! The active downloads: how each content is received and gets its name, and how much of it is present.
//!
//! It has what concerns the disk: part files, the writer and what is served meanwhile. Which piece is requested from
//! which holder is decided in the core; the driver in [`super`] connects the two.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering},
};

use brigade_core::{
    bitfield::Bitfield,
    download::DownloadId,
    geometry::{Geometry, PieceIndex},
    id::Content,
    name::FileName,
    piece_list::{Expected, PieceList},
};

use super::{
    partial_contents::{OpenPart, Part, PartOwner, PartTable, ReceiveCounter, ReceivedBytes},
    pending_requests::{PieceTarget, WantedPiece},
    writing_and_landing::{LandResult, PieceWriter},
};
use crate::store::{
    landing::{Landing, Placed},
    part_file::{PartError, PartFile},
};

/// All active downloads, by number and by content.
pub(crate) struct ActiveDownloads {
    active: BTreeMap<DownloadId, ActiveDownload>,
    /// The number of each content. Small files are looked up here several times each.
    by_content: HashMap<Content, DownloadId>,
    last: u32,
    /// Those of one piece.
    small: usize,
    /// Downloads that were removed while they were getting their name: the result is still to come.
    landing: BTreeSet<DownloadId>,
    writer: PieceWriter,
    parts: PartTable,
}

/// One content that is being fetched.
struct ActiveDownload {
    content: Content,
    geometry: Geometry,
    mode: ReceiveMode,
    state: DownloadState,
    /// Counts the bytes that arrive for its fetch.
    counter: Arc<ReceiveCounter>,
    /// Bytes and pieces of it that count as present.
    present: (u64, u64),
}

/// A content that got its name, or did not.
#[derive(Debug)]
pub(crate) struct LandedContent {
    pub(crate) content: Content,
    pub(crate) name: FileName,
    pub(crate) placed: Result<Placed, PartError>,
    /// What it was until now; `None` if it was forgotten before.
    pub(crate) ended: Option<EndedDownload>,
}

/// A download that is not active any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndedDownload {
    /// Bytes and pieces of it that counted as present.
    pub(crate) present: (u64, u64),
    /// Whether it has several pieces: then its part file stays on the disk, unless it has landed.
    pub(crate) is_large: bool,
    /// Whether other peers were served from it.
    pub(crate) is_served: bool,
    /// Whether it is getting its name at this moment; a [`LandedContent`] follows.
    pub(crate) is_landing: bool,
}

/// How a content is received.
enum ReceiveMode {
    /// A content of one piece, written as a whole file.
    Small(Arc<Landing>),
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

/// The number of bytes and of pieces in a bitfield.
fn amount(have: &Bitfield, geometry: &Geometry) -> (u64, u64) {
    let bytes = have.iter().map(|piece| u64::from(geometry.length(piece))).sum();
    (bytes, u64::from(have.count()))
}

impl ActiveDownloads {
    pub(crate) fn new(writer: PieceWriter, parts: PartTable) -> Self {
        let (active, by_content, landing) = (BTreeMap::new(), HashMap::new(), BTreeSet::new());
        Self { active, by_content, last: 0, small: 0, landing, writer, parts }
    }

    /// Adds a content of one piece, or one of several pieces of which a part is present; a part with a known list is
    /// served from now on. `None` if it is too large for any content.
    pub(crate) fn add(
        &mut self,
        content: Content,
        landing: Landing,
        part: Option<OpenPart>,
        counter: Arc<ReceiveCounter>,
    ) -> Option<StartedDownload> {
        let (mode, list, have) = match part {
            None => (ReceiveMode::Small(Arc::new(landing)), None, Bitfield::none(1)),
            Some(OpenPart { file, list, have }) => {
                (ReceiveMode::Large { file, part: None, landing }, list, have)
            }
        };
        let active = ActiveDownload::new(content, mode, &have, counter)?;
        if active.is_small() {
            self.small += 1;
            self.writer.awaited().fetch_add(1, Ordering::Relaxed);
        }
        let present = active.present;
        let download = self.insert(active);
        if let Some(list) = &list {
            self.serve(download, list.clone(), Some(have.clone()));
        }
        Some(StartedDownload { download, list, have, present })
    }

    fn insert(&mut self, active: ActiveDownload) -> DownloadId {
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
            ReceiveMode::Small(landing) => PieceTarget::Small(landing.clone()),
            ReceiveMode::Large { part: Some(part), .. } => PieceTarget::Part(part.part().clone()),
            ReceiveMode::Large { part: None, .. } => return None,
        };
        let (content, bytes) = (active.content, active.geometry.length(piece));
        let (alone, received) = (false, ReceivedBytes::new(active.counter.clone()));
        Some(WantedPiece { download, content, piece, offer, bytes, expected, target, alone, received })
    }

    /// Keeps a received piece list.
    pub(crate) fn save_list(&self, download: DownloadId, list: Arc<PieceList>) {
        if let Some(file) = self.active.get(&download).and_then(ActiveDownload::part_file) {
            self.writer.save_list(file.clone(), list);
        }
    }

    /// Serves the part of a content from now on. Returns the content. An empty part is served too: so the peers that
    /// fetch the content find each other before any of them has a piece.
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

    /// All pieces of a content are written. Small contents get their names in batches; a large one gets it now.
    pub(crate) fn finish(&mut self, download: DownloadId) {
        let Some(active) = self.active.get_mut(&download) else { return };
        active.state = DownloadState::Finishing;
        let ReceiveMode::Large { file, part, landing } = &active.mode else { return };
        let part = part.as_ref().map(|owner| owner.part().clone());
        let list = part.as_ref().map(|part| part.list.clone());
        // Once the file has its name, its user may write to it: the part is served only until the first write.
        let on_named = move |stamp| part.iter().for_each(|part| part.named(stamp));
        self.writer.land((download, active.content), file.clone(), landing.clone(), list, on_named);
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
    pub(crate) fn resume(&mut self, content: &Content) -> Option<StartedDownload> {
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
        Some(StartedDownload { download: self.insert(active), list, have, present: uncounted })
    }

    /// Whether a content is active and paused.
    pub(crate) fn is_paused(&self, content: &Content) -> bool {
        let active = self.by_content.get(content).and_then(|download| self.active.get(download));
        active.is_some_and(|active| active.state == DownloadState::Paused)
    }

    /// The number of paused contents.
    pub(crate) fn paused(&self) -> usize {
        self.active.values().filter(|active| active.state == DownloadState::Paused).count()
    }

    /// The stored pieces of a content of several pieces whose piece list is known.
    pub(crate) fn have(&self, content: &Content) -> Option<Bitfield> {
        let active = self.by_content.get(content).and_then(|download| self.active.get(download))?;
        match &active.mode {
            ReceiveMode::Large { part: Some(part), .. } => Some(part.part().have().clone()),
            _ => None,
        }
    }

    /// Whether a content is active and not getting its name.
    pub(crate) fn is_unfinished(&self, content: &Content) -> bool {
        let active = self.by_content.get(content).and_then(|download| self.active.get(download));
        active.is_some_and(|active| active.state != DownloadState::Finishing)
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
}

/// A download that was added or resumed, and what the core has to know of it.
pub(crate) struct StartedDownload {
    pub(crate) download: DownloadId,
    pub(crate) list: Option<Arc<PieceList>>,
    pub(crate) have: Bitfield,
    /// Bytes and pieces that are present; after a pause, those that were stored since and not counted.
    pub(crate) present: (u64, u64),
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

    /// Its description for the time when it is not active any more.
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
}
