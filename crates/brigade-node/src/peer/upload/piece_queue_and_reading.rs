//! The pieces that are to be sent to one downloader: their queue, their files, and reading them into a buffer.
//!
//! The task that reads requests queues them, and the task that sends takes them. Bytes are read to the place where they
//! are encrypted and from which they are written: there is no copy. One buffer holds many small contents, or a part of
//! a long piece. A file that is no longer the hashed one is refused, never sent: a check before the read may save the
//! read, a check after it decides, right after it or before the bytes are sent.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IoSliceMut},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use brigade_core::{
    bitfield::Bitfield,
    id::Content,
    limits,
    piece_list::PieceList,
    upload::OfferId,
    wire::{
        Reason,
        frame::{PIECE_DATA_BYTES, PieceHeader},
        greeting::Goodbye,
        peer::{FromHolder, ListPage},
    },
};
use tokio::sync::watch;

use super::upload_owner::AcceptedOffer;
use crate::{
    peer::swarm::partial_contents::{Part, PartTable},
    store::{
        file_stamp::stamp_of,
        folder::FolderError,
        share::{Share, ShareError, SharedFile},
        system::{read_all_at, read_cached_at},
    },
    transport::tls::record_buffer::RecordBuffer,
};

/// Pages of piece lists that a downloader may request and not have read: one for each content that it may have open.
const LISTS_IN_FLIGHT: usize = limits::OPEN_CHANNELS;

/// A task of the reading side for the sending side.
pub(crate) enum SendTask {
    /// Send a message.
    Message(FromHolder),
    /// Send a page of a piece list.
    List(ListPage),
    /// Send a piece.
    Piece(QueuedPiece),
    /// Drop a request.
    Cancel(u32),
    /// Drop all requests of a channel.
    CloseChannel(u32),
    /// Close the connection with this goodbye.
    Close(Goodbye),
}

/// The number of open requests of one downloader: the reading side adds, the sending side subtracts.
#[derive(Debug, Default)]
pub(crate) struct OpenRequests {
    pieces: AtomicUsize,
    lists: AtomicUsize,
}

impl OpenRequests {
    /// The number of open requests for pieces.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces.load(Ordering::Relaxed)
    }

    /// Adds a request for a piece.
    pub(crate) fn add_piece(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds a request for a page of a list; false if there are too many.
    pub(crate) fn add_list(&self) -> bool {
        self.lists.fetch_add(1, Ordering::Relaxed) < LISTS_IN_FLIGHT
    }

    /// A page of a list was sent.
    pub(crate) fn list_sent(&self) {
        self.lists.fetch_sub(1, Ordering::Relaxed);
    }

    /// This many requests for pieces were answered.
    pub(crate) fn pieces_answered(&self, pieces: usize) {
        self.pieces.fetch_sub(pieces, Ordering::Relaxed);
    }
}

/// A piece to send, and how much of it was sent.
pub(crate) struct QueuedPiece {
    pub(crate) request: u32,
    pub(crate) channel: Option<u32>,
    /// The offer that the request answers.
    pub(crate) offer: Option<AcceptedOffer>,
    pub(crate) source: PieceSource,
    pub(crate) file_offset: u64,
    pub(crate) bytes: u32,
    pub(crate) done: u32,
}

/// The pieces that wait to be sent, in order.
#[derive(Default)]
pub(crate) struct PieceQueue {
    pub(crate) queue: VecDeque<QueuedPiece>,
}

impl PieceQueue {
    /// The request and the offer of the next piece.
    pub(crate) fn front(&self) -> Option<(u32, Option<OfferId>)> {
        let offer = |piece: &QueuedPiece| piece.offer.as_ref().map(AcceptedOffer::offer);
        self.queue.front().map(|piece| (piece.request, offer(piece)))
    }

    /// The next piece has its slot.
    pub(crate) fn set_front_has_slot(&mut self) {
        if let Some(accepted) = self.queue.front_mut().and_then(|piece| piece.offer.as_mut()) {
            accepted.set_has_slot();
        }
    }

    /// Drops pieces. Returns how many, and whether a part of one of them was sent.
    pub(crate) fn drop_some(&mut self, is_dropped: impl Fn(&QueuedPiece) -> bool) -> (usize, bool) {
        let before = self.queue.len();
        let mut begun = false;
        self.queue.retain(|piece| {
            let dropped = is_dropped(piece);
            begun |= dropped && piece.done > 0;
            !dropped
        });
        (before - self.queue.len(), begun)
    }
}

/// The contents that a peer serves: the files that it shares, and the parts of files that it is fetching.
#[derive(Clone)]
pub(crate) struct ServedContents {
    share: Share,
    parts: PartTable,
}

impl ServedContents {
    pub(crate) const fn new(share: Share, parts: PartTable) -> Self {
        Self { share, parts }
    }

    /// The source of a content that is shared, or of which there is a part.
    pub(crate) fn find(&self, content: &Content) -> Option<PieceSource> {
        let part = || self.parts.find(content).map(|part| PieceSource::Part(part, self.share.clone()));
        self.find_shared(content).or_else(part)
    }

    /// The source of a content that is shared.
    pub(crate) fn find_shared(&self, content: &Content) -> Option<PieceSource> {
        let (shared, share) = (self.share.find(content)?, self.share.clone());
        Some(PieceSource::Shared { share, shared, open: Arc::default() })
    }

    /// Follows the parts: the value changes whenever any of them gets a piece.
    pub(crate) fn new_pieces(&self) -> watch::Receiver<u64> {
        self.parts.subscribe()
    }
}

/// The file from which the bytes of a piece are read.
#[derive(Clone)]
pub(crate) enum PieceSource {
    /// A file of the share.
    Shared {
        share: Share,
        shared: Arc<SharedFile>,
        /// The open file, from the first read on.
        open: Arc<OnceLock<File>>,
    },
    /// A content that was being received when its channel was opened. Once it has landed, the share decides whether it
    /// is served.
    Part(Arc<Part>, Share),
}

/// Bytes of one request, to be read into the buffer.
pub(crate) struct PieceRange {
    pub(crate) request: u32,
    pub(crate) source: PieceSource,
    /// Their offset in the content.
    pub(crate) file_offset: u64,
    /// Their offset in the piece.
    pub(crate) piece_offset: u32,
    pub(crate) bytes: u32,
}

/// A request that cannot be answered, and the reason.
pub(crate) type FailedRequest = (u32, Reason);

/// A buffer of piece data that was read.
pub(crate) struct FilledBuffer {
    pub(crate) frames: RecordBuffer,
    /// The ranges that were to be read into the buffer.
    pub(crate) ranges: Vec<PieceRange>,
    /// For each range, whether it is the last one of its piece.
    pub(crate) ends: Vec<bool>,
    pub(crate) failed: Vec<FailedRequest>,
}

impl FilledBuffer {
    /// The ranges in the buffer.
    pub(crate) fn data(&self) -> impl Iterator<Item = (&PieceRange, bool)> {
        let ranges = self.ranges.iter().zip(self.ends.iter().copied());
        ranges.filter(|(range, _)| self.failed.iter().all(|(failed, _)| *failed != range.request))
    }

    /// Bytes of data in the buffer.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.data().map(|(range, _)| u64::from(range.bytes)).sum()
    }

    /// If some ranges must not be sent any more, reads the buffer again: those ranges fail then.
    pub(crate) async fn without_withdrawn(mut self) -> io::Result<Self> {
        if self.data().all(|(range, _)| range.source.check().is_ok()) {
            return Ok(self);
        }
        let again = tokio::task::spawn_blocking(move || {
            self.failed = fill(&mut self.frames, &self.ranges, true);
            self
        });
        again.await.map_err(io::Error::other)
    }
}

/// Whether a read may wait for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// The read may wait.
    Wait,
    /// Only bytes in memory are read.
    Cached,
}

/// Why a range was not laid out.
enum FillError {
    /// The request cannot be answered.
    Refused(Reason),
    /// The file cannot be read, though it is still the hashed one.
    Unreadable(io::Error),
    /// The read would have to wait for a disk.
    WouldWait,
}

/// Reads `ranges` into `frames`, in order, without those of failed requests. It may block its thread. Unless it checks
/// the files `again` after the read, [`FilledBuffer::without_withdrawn`] does that.
pub(crate) fn fill(frames: &mut RecordBuffer, ranges: &[PieceRange], again: bool) -> Vec<FailedRequest> {
    frames.clear();
    let mut failed = vec![];
    for range in ranges {
        let start = frames.plain_bytes();
        let check = || if again { range.source.check().map_err(FillError::Refused) } else { Ok(()) };
        if let Err(error) = fill_one(frames, range, ReadMode::Wait).and_then(|()| check()) {
            frames.truncate(start);
            let reason = match error {
                FillError::Refused(reason) => reason,
                FillError::Unreadable(error) => {
                    tracing::warn!(%error, "reading a shared file failed");
                    Reason::Unreadable
                }
                FillError::WouldWait => Reason::Unreadable, // cannot happen: the read waits
            };
            failed.push((range.request, reason));
        }
    }
    failed
}

/// Reads `ranges` into `frames` if all their bytes are in memory and their files are open; else `None`. The files are
/// not checked after the read.
pub(crate) fn fill_cached(frames: &mut RecordBuffer, ranges: &[PieceRange]) -> Option<()> {
    frames.clear();
    let open = ranges.iter().all(|range| range.source.is_open());
    let filled = open && ranges.iter().all(|range| fill_one(frames, range, ReadMode::Cached).is_ok());
    filled.then_some(())
}

fn fill_one(frames: &mut RecordBuffer, range: &PieceRange, mode: ReadMode) -> Result<(), FillError> {
    lay_out(frames, range, |data, offset| range.source.read(data, offset, mode))
}

/// Lays one range out, with the bytes from `read`. A file may be changed, given up or withdrawn at any moment: the
/// bytes are valid only if a check after the read finds the hashed file. The check before the read opens the file.
fn lay_out(
    frames: &mut RecordBuffer,
    range: &PieceRange,
    mut read: impl FnMut(&mut [IoSliceMut<'_>], u64) -> Result<(), FillError>,
) -> Result<(), FillError> {
    let check = || range.source.check().map_err(FillError::Refused);
    if !range.source.is_open() {
        check()?;
    }
    let mut done = 0;
    while done < range.bytes {
        let bytes = (range.bytes - done).min(u32::try_from(PIECE_DATA_BYTES).unwrap_or(u32::MAX));
        let header = PieceHeader { request: range.request, offset: range.piece_offset + done };
        frames.put(&header.encode(bytes as usize));
        let mut data: Vec<IoSliceMut<'_>> = frames.space(bytes as usize).map(IoSliceMut::new).collect();
        if let Err(error) = read(&mut data, range.file_offset + u64::from(done)) {
            return check().and(Err(error));
        }
        done += bytes;
    }
    Ok(())
}

impl PieceSource {
    /// The content's piece list; `None` for a content of one piece.
    pub(crate) fn list(&self) -> Option<&PieceList> {
        match self {
            Self::Shared { shared, .. } => shared.list.as_deref(),
            Self::Part(part, _) => Some(&part.list),
        }
    }

    /// The pieces that a part has at this moment; `None` for a shared file, which has all.
    pub(crate) fn have(&self) -> Option<watch::Ref<'_, Bitfield>> {
        match self {
            Self::Shared { .. } => None,
            Self::Part(part, _) => Some(part.have()),
        }
    }

    /// Opens the file if necessary, and checks that its content is still shared, under any name, and that the file is
    /// still the hashed one.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        let (share, shared, open) = match self {
            Self::Shared { share, shared, open } => (share, shared, open),
            Self::Part(part, share) => return part.check(share),
        };
        if !share.has(&shared.content) {
            return Err(Reason::NotFound); // it was deleted, moved away or ignored since the channel was opened
        }
        if let Some(file) = open.get() {
            let stamp = stamp_of(file).map_err(|_| Reason::Unreadable)?;
            if !stamp.same_bytes(&shared.stamp) {
                share.report_unservable(shared);
                return Err(Reason::NotFound);
            }
            return Ok(());
        }
        let file = share.open(shared).map_err(|error| {
            tracing::debug!(name = shared.name.as_str(), %error, "a shared file cannot be served");
            match error {
                // This may pass: too many files are open, or the disk failed.
                ShareError::Folder(FolderError::Io { .. }) => Reason::Unreadable,
                _ => {
                    share.report_unservable(shared);
                    Reason::NotFound
                }
            }
        })?;
        open.get_or_init(|| file);
        Ok(())
    }

    /// Whether the file is open.
    fn is_open(&self) -> bool {
        match self {
            Self::Shared { open, .. } => open.get().is_some(),
            Self::Part(..) => true,
        }
    }

    fn read(&self, out: &mut [IoSliceMut<'_>], offset: u64, mode: ReadMode) -> Result<(), FillError> {
        let file = match self {
            Self::Shared { open, .. } => open.get().ok_or(FillError::Refused(Reason::Unreadable))?,
            Self::Part(part, _) => part.file.file(),
        };
        let read = match mode {
            ReadMode::Wait => read_all_at(file, out, offset).map(|()| true),
            ReadMode::Cached => read_cached_at(file, out, offset),
        };
        match read {
            Ok(true) => Ok(()),
            Ok(false) => Err(FillError::WouldWait),
            Err(error) => Err(FillError::Unreadable(error)),
        }
    }
}

#[cfg(test)]
mod tests;
