//! The pending requests of one connection, and the buffers in which their pieces arrive.
//!
//! Data is copied into the buffer of its piece and hashed there while it is in the processor's cache. Data without a
//! request, or at the wrong offset of its piece, is a protocol error; data of a cancelled request is dropped.
//! A new megabyte for every piece would be zeroed and freed by the system a thousand times for each gigabyte, so
//! buffers are used again. Those in use are limited by the pieces in flight; the free ones are limited here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use brigade_core::{
    download::{DownloadId, Event, HolderId},
    geometry::PieceIndex,
    id::Content,
    limits,
    piece_list::Expected,
    wire::{
        FrameError,
        frame::{PIECE_KIND, PieceHeader},
        peer::{
            AskList, Cancel, Close, Decline, FromHolder, ListPage, Offer, Open, Request, RequestWhole,
            ToHolder, Want,
        },
    },
};

use super::partial_contents::{Part, ReceivedBytes};
use crate::store::{landing::Landing, piece_verification::PieceHasher};

/// Pieces are hashed in multiples of this while they arrive: with less, BLAKE3 spends more on the inner nodes of its
/// tree; with more, they would not stay in the cache of the processor core.
const HASH_STEP_BYTES: usize = 64 << 10;

/// Bytes of free buffers that are kept.
const KEPT_BYTES: usize = 16 << 20;

/// A command to the connection to a holder.
#[derive(Debug)]
pub(crate) enum ConnectionCommand {
    Open { download: DownloadId, content: Content },
    Close { download: DownloadId },
    AskList { download: DownloadId, first: u32 },
    Request(WantedPiece),
    Cancel { download: DownloadId, piece: PieceIndex },
    Want { download: DownloadId },
    Decline { offer: u32 },
}

/// A piece to request from a holder, and where it goes when it is complete.
#[derive(Debug)]
pub(crate) struct WantedPiece {
    pub(crate) download: DownloadId,
    pub(crate) content: Content,
    pub(crate) piece: PieceIndex,
    /// The offer that the request accepts, if any.
    pub(crate) offer: Option<u32>,
    /// Its length in bytes, at least 1.
    pub(crate) bytes: u32,
    pub(crate) expected: Expected,
    pub(crate) target: PieceTarget,
    /// Whether the content comes from one holder only, over two connections.
    pub(crate) alone: bool,
    /// Counts its bytes as they arrive.
    pub(crate) received: ReceivedBytes,
}

/// Where a verified piece is written.
#[derive(Debug, Clone)]
pub(crate) enum PieceTarget {
    /// Into the part file of a content of several pieces.
    Part(Arc<Part>),
    /// It is a whole file, with this name.
    Small(Arc<Landing>),
}

/// The requests of one connection that are not answered in full.
pub(crate) struct Requests {
    buffers: Buffers,
    pending: BTreeMap<u32, PendingPiece>,
    /// The request number of each requested piece.
    numbers: BTreeMap<(DownloadId, PieceIndex), u32>,
    last: u32,
}

/// The state of a piece after some of its data was read.
pub(crate) enum PieceProgress {
    /// The request was cancelled.
    Nothing,
    /// A part of it has arrived.
    Part { download: DownloadId, piece: PieceIndex, bytes: u32 },
    /// All of it has arrived.
    Whole { wanted: WantedPiece, buffer: Buffer, is_right: bool },
}

/// A complete and verified piece.
#[derive(Debug)]
pub(crate) struct ReceivedPiece {
    pub(crate) holder: HolderId,
    pub(crate) wanted: WantedPiece,
    pub(crate) buffer: Buffer,
}

/// The free buffers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<FreeBuffers>>);

#[derive(Debug, Default)]
struct FreeBuffers {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

/// A buffer of a fixed length, which goes back to the free ones when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// At least as long as the buffer: the bytes beyond its length are not zeroed again for the next use.
    bytes: Vec<u8>,
    length: usize,
    pool: Buffers,
}

/// A requested piece.
struct PendingPiece {
    wanted: WantedPiece,
    /// The buffer for its bytes and their hash, from the first byte on. The hasher has 2 KB, and the table of requests
    /// moves its values whenever one is added or removed.
    incoming: Option<(Buffer, Box<PieceHasher>)>,
    filled: u32,
}

impl Requests {
    pub(crate) fn new(buffers: Buffers) -> Self {
        Self { buffers, pending: BTreeMap::new(), numbers: BTreeMap::new(), last: 0 }
    }

    /// The message that carries out a command, if the holder has to know of it. `uplink` gives the limit on sending, in
    /// bytes a second.
    pub(crate) fn message(
        &mut self,
        command: ConnectionCommand,
        uplink: impl FnOnce() -> Option<u64>,
    ) -> Option<ToHolder> {
        Some(match command {
            ConnectionCommand::Open { download, content } => {
                Open { channel: download.0, id: content.id, size: content.size }.into()
            }
            ConnectionCommand::Close { download } => {
                self.remove_all(download);
                Close { channel: download.0 }.into()
            }
            ConnectionCommand::AskList { download, first } => AskList { channel: download.0, first }.into(),
            ConnectionCommand::Request(wanted) => self.request(wanted),
            ConnectionCommand::Want { download } => Want { channel: download.0, uplink: uplink() }.into(),
            ConnectionCommand::Decline { offer } => Decline { offer }.into(),
            ConnectionCommand::Cancel { download, piece } => {
                Cancel { request: self.remove(download, piece)? }.into()
            }
        })
    }

    fn request(&mut self, wanted: WantedPiece) -> ToHolder {
        let (channel, piece, size) = (wanted.download.0, wanted.piece.0, wanted.content.size);
        let (expected, offer) = (wanted.expected, wanted.offer);
        let request = self.add(wanted);
        match expected {
            Expected::Whole(id) => RequestWhole { request, id, size }.into(),
            Expected::Subtree { .. } => Request { request, channel, piece, offer }.into(),
        }
    }

    /// The core's event for a message of `holder`; `None` for a message that changes nothing.
    pub(crate) fn event(
        &mut self,
        holder: HolderId,
        message: FromHolder,
    ) -> Result<Option<Event>, FrameError> {
        Ok(Some(match message {
            FromHolder::Goodbye(_) => return Ok(None), // it ends the connection
            FromHolder::HaveAll(all) => Event::HaveAll { holder, download: DownloadId(all.channel) },
            FromHolder::Bits(bits) => {
                Event::Bits { holder, download: DownloadId(bits.channel), first: bits.first, bits: bits.bits }
            }
            FromHolder::Have(have) => {
                Event::Have { holder, download: DownloadId(have.channel), pieces: have.pieces }
            }
            FromHolder::ListPage(page) => list_page(holder, &page)?,
            FromHolder::Turns(turns) => Event::Turns { holder, limited: turns.limited },
            FromHolder::Offer(Offer { offer, channel, pieces }) => {
                Event::Offered { holder, download: DownloadId(channel), offer, pieces }
            }
            FromHolder::Refuse(refuse) => {
                let (download, piece) = match (refuse.request, refuse.channel) {
                    (Some(request), _) => match self.refused(request) {
                        Some((download, piece)) => (download, Some(piece)),
                        None => return Ok(None), // it was cancelled before
                    },
                    (None, Some(channel)) => (DownloadId(channel), None),
                    (None, None) => return Ok(None),
                };
                Event::Refused { holder, download, piece, reason: refuse.reason }
            }
        }))
    }

    /// Adds a request and returns its number. Numbers count upwards.
    fn add(&mut self, wanted: WantedPiece) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.numbers.insert((wanted.download, wanted.piece), self.last);
        self.pending.insert(self.last, PendingPiece { wanted, incoming: None, filled: 0 });
        self.last
    }

    /// Removes the request for a piece and returns its number, if there is one.
    fn remove(&mut self, download: DownloadId, piece: PieceIndex) -> Option<u32> {
        let request = self.numbers.remove(&(download, piece))?;
        self.pending.remove(&request);
        Some(request)
    }

    /// Removes all requests for pieces of a content.
    fn remove_all(&mut self, download: DownloadId) {
        let of_it = self.numbers.range((download, PieceIndex(0))..=(download, PieceIndex(u32::MAX)));
        let pieces: Vec<PieceIndex> = of_it.map(|((_, piece), _)| *piece).collect();
        for piece in pieces {
            self.remove(download, piece);
        }
    }

    /// Removes a refused request and returns its piece, unless it was cancelled before.
    fn refused(&mut self, request: u32) -> Option<(DownloadId, PieceIndex)> {
        let PendingPiece { wanted, .. } = self.pending.remove(&request)?;
        self.numbers.remove(&(wanted.download, wanted.piece));
        Some((wanted.download, wanted.piece))
    }

    /// The space for data in the buffer of its piece; `None` for data of a cancelled request.
    pub(crate) fn space(
        &mut self,
        header: PieceHeader,
        bytes: usize,
    ) -> Result<Option<&mut [u8]>, FrameError> {
        let Some(pending) = self.pending.get_mut(&header.request) else {
            let known = header.request <= self.last;
            return if known { Ok(None) } else { Err(out_of_place("data without a request")) };
        };
        let end = u32::try_from(bytes).ok().and_then(|bytes| header.offset.checked_add(bytes));
        let fits = |end: &u32| bytes > 0 && header.offset == pending.filled && *end <= pending.wanted.bytes;
        let Some(end) = end.filter(fits) else {
            return Err(out_of_place("data at the wrong offset of its piece"));
        };
        let length = pending.wanted.bytes as usize;
        let begin = || (self.buffers.take(length), Box::new(PieceHasher::new(pending.wanted.expected)));
        let (buffer, _) = pending.incoming.get_or_insert_with(begin);
        Ok(Some(&mut buffer.as_mut()[header.offset as usize..end as usize]))
    }

    /// The bytes of a requested piece that have arrived, if there are some and not all.
    pub(crate) fn progress(&self, request: u32) -> Option<(DownloadId, PieceIndex, u32)> {
        let PendingPiece { wanted, filled, .. } = self.pending.get(&request)?;
        (*filled > 0).then_some((wanted.download, wanted.piece, *filled))
    }

    /// Counts and hashes data that was read into its [`space`](Self::space).
    pub(crate) fn add_data(&mut self, header: PieceHeader, bytes: usize) -> PieceProgress {
        let Some(pending) = self.pending.get_mut(&header.request) else { return PieceProgress::Nothing };
        pending.filled += u32::try_from(bytes).unwrap_or(0); // at most a frame, as `space` checked
        pending.wanted.received.add(bytes as u64);
        pending.hash();
        if pending.filled < pending.wanted.bytes {
            let (download, piece) = (pending.wanted.download, pending.wanted.piece);
            return PieceProgress::Part { download, piece, bytes: pending.filled };
        }
        match self.pending.remove(&header.request) {
            Some(PendingPiece { wanted, incoming: Some((buffer, hasher)), .. }) => {
                self.numbers.remove(&(wanted.download, wanted.piece));
                PieceProgress::Whole { wanted, buffer, is_right: hasher.matches() }
            }
            _ => PieceProgress::Nothing,
        }
    }
}

impl PendingPiece {
    /// Hashes the new bytes, in steps that the hash is fast with.
    fn hash(&mut self) {
        let Some((buffer, hasher)) = &mut self.incoming else { return };
        let (from, all) = (usize::try_from(hasher.bytes()).unwrap_or(usize::MAX), self.filled as usize);
        let to = if self.filled == self.wanted.bytes { all } else { all - all % HASH_STEP_BYTES };
        if from < to {
            hasher.update(&buffer.as_ref()[from..to]);
        }
    }
}

/// The error for a frame that is well formed but not allowed here.
fn out_of_place(error: &str) -> FrameError {
    FrameError::Body { kind: PIECE_KIND, error: error.to_owned() }
}

/// The core's event for a page of a piece list.
fn list_page(holder: HolderId, page: &ListPage) -> Result<Event, FrameError> {
    let (values, rest) = page.values.as_chunks::<32>();
    if !rest.is_empty() || values.len() > limits::LIST_PAGE_VALUES as usize {
        return Err(out_of_place("a page of a piece list that is not a sequence of chaining values"));
    }
    let download = DownloadId(page.channel);
    Ok(Event::ListPage { holder, download, first: page.first, values: values.to_vec() })
}

impl Buffers {
    /// A buffer of `length` bytes, of any content.
    pub(crate) fn take(&self, length: usize) -> Buffer {
        let mut bytes = {
            let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // One that is long enough and not much too long: a short piece must not occupy a long buffer.
            let fits = |buffer: &Vec<u8>| buffer.len() >= length && buffer.len() / 4 <= length;
            let found = free.buffers.iter().rposition(fits).map(|at| free.buffers.swap_remove(at));
            free.bytes -= found.as_ref().map_or(0, Vec::len);
            found.unwrap_or_default()
        };
        if bytes.len() < length {
            bytes = vec![0; length];
        }
        Buffer { bytes, length, pool: self.clone() }
    }
}

impl Buffer {
    /// All bytes of the buffer, to be written to.
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.bytes + bytes.len() <= KEPT_BYTES {
            free.bytes += bytes.len();
            free.buffers.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use brigade_core::id::ContentId;

    use super::{
        Buffers, Content, DownloadId, Expected, KEPT_BYTES, Landing, PendingPiece, PieceHeader, PieceIndex,
        PieceProgress, PieceTarget, Requests, WantedPiece,
    };

    fn requests(bytes: &[u8]) -> (Requests, u32) {
        let id = ContentId(*blake3::hash(bytes).as_bytes());
        let landing =
            Landing { name: "film".parse().unwrap(), mtime_s: 0, executable: false, replace: false };
        let wanted = WantedPiece {
            download: DownloadId(1),
            content: Content { id, size: bytes.len() as u64 },
            piece: PieceIndex(0),
            offer: None,
            bytes: u32::try_from(bytes.len()).unwrap(),
            expected: Expected::Whole(id),
            target: PieceTarget::Small(Arc::new(landing)),
            alone: false,
            received: Default::default(),
        };
        let mut requests = Requests::new(Buffers::default());
        let number = requests.add(wanted);
        (requests, number)
    }

    fn give(requests: &mut Requests, request: u32, offset: u32, bytes: &[u8]) -> PieceProgress {
        let header = PieceHeader { request, offset };
        requests.space(header, bytes.len()).unwrap().unwrap().copy_from_slice(bytes);
        requests.add_data(header, bytes.len())
    }

    #[test]
    fn a_piece_is_assembled_and_verified() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        for wrong in [false, true] {
            let (mut requests, number) = requests(&bytes);
            let mut sent = bytes.clone();
            sent[70_000] ^= u8::from(wrong);
            assert!(matches!(
                give(&mut requests, number, 0, &sent[..65_000]),
                PieceProgress::Part { bytes: 65_000, .. }
            ));
            let progress = give(&mut requests, number, 65_000, &sent[65_000..]);
            assert!(matches!(progress, PieceProgress::Whole { is_right, .. } if is_right != wrong));
        }
    }

    #[test]
    fn misplaced_data_is_an_error_and_data_of_a_cancelled_request_is_dropped() {
        let (mut requests, number) = requests(&[7; 1000]);
        for (request, offset, bytes) in
            [(number + 1, 0, 10), (number, 1, 10), (number, 0, 1001), (number, u32::MAX, 10)]
        {
            assert!(requests.space(PieceHeader { request, offset }, bytes).is_err());
        }
        assert_eq!(requests.remove(DownloadId(1), PieceIndex(0)), Some(number));
        assert!(requests.space(PieceHeader { request: number, offset: 0 }, 10).unwrap().is_none());
        assert!(matches!(
            requests.add_data(PieceHeader { request: number, offset: 0 }, 10),
            PieceProgress::Nothing
        ));
    }

    #[test]
    fn the_values_in_the_table_of_requests_are_small() {
        assert!(size_of::<PendingPiece>() <= 512, "{} bytes", size_of::<PendingPiece>());
    }

    #[test]
    fn a_buffer_has_the_requested_length_and_is_used_again() {
        let buffers = Buffers::default();
        let mut first = buffers.take(1000);
        first.as_mut()[999] = 7;
        let address = first.as_ref().as_ptr();
        drop(first);
        let again = buffers.take(900);
        assert_eq!((again.as_ref().len(), again.as_ref().as_ptr()), (900, address));
        assert_eq!(buffers.take(10).as_ref().len(), 10);
    }

    #[test]
    fn kept_buffers_are_bounded() {
        let buffers = Buffers::default();
        let many: Vec<_> = (0..40).map(|_| buffers.take(1 << 20)).collect();
        drop(many);
        assert!(buffers.0.lock().unwrap().bytes <= KEPT_BYTES);
    }
}
