//! The requests of one connection, and the pieces that come in for them.
//!
//! Data goes straight into its piece's buffer and is hashed there while it is in the processor's cache. Data that
//! nobody asked for, or that is not where its piece goes on, is against the protocol; data of a request that was
//! taken back is passed over.

use std::collections::BTreeMap;

use brigade_core::{
    download::{DownloadId, Event, HolderId},
    geometry::PieceIndex,
    limits,
    wire::{
        FrameError,
        frame::{PIECE_KIND, PieceHeader},
        peer::ListPage,
    },
};

use super::{
    buffers::{Buffer, Buffers},
    connection::Wanted,
};
use crate::store::hash::PieceHasher;

/// Pieces are hashed in multiples of so many bytes while they come in: in less, BLAKE3 spends more on the inner nodes of
/// its tree; in more, they would leave the core's own cache.
const HASH_STEP_BYTES: usize = 64 << 10;

/// What is asked over one connection and not answered in full.
pub(crate) struct Requests {
    buffers: Buffers,
    pending: BTreeMap<u32, Pending>,
    /// The request for each piece that was asked for.
    numbers: BTreeMap<(DownloadId, PieceIndex), u32>,
    last: u32,
}

/// What has become of a request.
pub(crate) enum Came {
    /// Nobody wants it any more.
    Nothing,
    /// So much of the piece is here.
    Some { download: DownloadId, piece: PieceIndex, bytes: u32 },
    /// All of it is here.
    Whole { wanted: Wanted, buffer: Buffer, is_right: bool },
}

/// One request.
struct Pending {
    wanted: Wanted,
    /// The space for its bytes and their hash, from the first byte on.
    incoming: Option<(Buffer, PieceHasher)>,
    filled: u32,
}

impl Requests {
    pub(crate) fn new(buffers: Buffers) -> Self {
        Self { buffers, pending: BTreeMap::new(), numbers: BTreeMap::new(), last: 0 }
    }

    /// Notes what is asked for; the number to ask under. Numbers count upwards.
    pub(crate) fn add(&mut self, wanted: Wanted) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.numbers.insert((wanted.download, wanted.piece), self.last);
        self.pending.insert(self.last, Pending { wanted, incoming: None, filled: 0 });
        self.last
    }

    /// Takes the request for a piece back; its number, where there is one.
    pub(crate) fn forget(&mut self, download: DownloadId, piece: PieceIndex) -> Option<u32> {
        let request = self.numbers.remove(&(download, piece))?;
        self.pending.remove(&request);
        Some(request)
    }

    /// Takes back everything that was asked of a content.
    pub(crate) fn forget_all(&mut self, download: DownloadId) {
        let of_it = self.numbers.range((download, PieceIndex(0))..=(download, PieceIndex(u32::MAX)));
        let pieces: Vec<PieceIndex> = of_it.map(|((_, piece), _)| *piece).collect();
        for piece in pieces {
            self.forget(download, piece);
        }
    }

    /// The holder refused a request; what it was for, unless it was taken back meanwhile.
    pub(crate) fn refused(&mut self, request: u32) -> Option<(DownloadId, PieceIndex)> {
        let Pending { wanted, .. } = self.pending.remove(&request)?;
        self.numbers.remove(&(wanted.download, wanted.piece));
        Some((wanted.download, wanted.piece))
    }

    /// Where data belongs; `None` for data of a request that was taken back.
    pub(crate) fn space(
        &mut self,
        header: PieceHeader,
        bytes: usize,
    ) -> Result<Option<&mut [u8]>, FrameError> {
        let Some(pending) = self.pending.get_mut(&header.request) else {
            let known = header.request <= self.last;
            return if known { Ok(None) } else { Err(out_of_place("data that nobody asked for")) };
        };
        let end = u32::try_from(bytes).ok().and_then(|bytes| header.offset.checked_add(bytes));
        let fits = |end: &u32| bytes > 0 && header.offset == pending.filled && *end <= pending.wanted.bytes;
        let Some(end) = end.filter(fits) else {
            return Err(out_of_place("data that is not where its piece goes on"));
        };
        let length = pending.wanted.bytes as usize;
        let begin = || (self.buffers.take(length), PieceHasher::new(pending.wanted.expected));
        let (buffer, _) = pending.incoming.get_or_insert_with(begin);
        Ok(Some(&mut buffer.as_mut()[header.offset as usize..end as usize]))
    }

    /// How much is here of what was asked under a number, if it is not all there.
    pub(crate) fn progress(&self, request: u32) -> Option<(DownloadId, PieceIndex, u32)> {
        let Pending { wanted, filled, .. } = self.pending.get(&request)?;
        (*filled > 0).then_some((wanted.download, wanted.piece, *filled))
    }

    /// Notes that the data for which there was [`space`](Self::space) was read.
    pub(crate) fn took(&mut self, header: PieceHeader, bytes: usize) -> Came {
        let Some(pending) = self.pending.get_mut(&header.request) else { return Came::Nothing };
        pending.filled += u32::try_from(bytes).unwrap_or(0); // at most a frame, as `space` saw
        pending.wanted.received.came(bytes as u64);
        pending.hash();
        if pending.filled < pending.wanted.bytes {
            let (download, piece) = (pending.wanted.download, pending.wanted.piece);
            return Came::Some { download, piece, bytes: pending.filled };
        }
        match self.pending.remove(&header.request) {
            Some(Pending { wanted, incoming: Some((buffer, hasher)), .. }) => {
                self.numbers.remove(&(wanted.download, wanted.piece));
                Came::Whole { wanted, buffer, is_right: hasher.matches() }
            }
            _ => Came::Nothing,
        }
    }
}

impl Pending {
    /// Hashes what has come, in steps that the hash is fast with.
    fn hash(&mut self) {
        let Some((buffer, hasher)) = &mut self.incoming else { return };
        let (from, all) = (usize::try_from(hasher.bytes()).unwrap_or(usize::MAX), self.filled as usize);
        let to = if self.filled == self.wanted.bytes { all } else { all - all % HASH_STEP_BYTES };
        if from < to {
            hasher.update(&buffer.as_ref()[from..to]);
        }
    }
}

/// The error for a frame that is well formed and makes no sense here.
fn out_of_place(error: &str) -> FrameError {
    FrameError::Body { kind: PIECE_KIND, error: error.to_owned() }
}

/// A page of a piece list, if it is one.
pub(crate) fn list_page(holder: HolderId, page: &ListPage) -> Result<Event, FrameError> {
    let (values, rest) = page.values.as_chunks::<32>();
    if !rest.is_empty() || values.len() > limits::LIST_PAGE_VALUES as usize {
        return Err(out_of_place("a page of a piece list that is no list of chaining values"));
    }
    let download = DownloadId(page.channel);
    Ok(Event::ListPage { holder, download, first: page.first, values: values.to_vec() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use brigade_core::{
        content::Expected,
        id::{Content, ContentId},
    };

    use super::{Buffers, Came, DownloadId, PieceHeader, PieceIndex, Requests, Wanted};
    use crate::peer::swarm::writer::Sink;

    fn requests(bytes: &[u8]) -> (Requests, u32) {
        let id = ContentId(*blake3::hash(bytes).as_bytes());
        let wanted = Wanted {
            download: DownloadId(1),
            content: Content { id, size: bytes.len() as u64 },
            piece: PieceIndex(0),
            offer: None,
            bytes: u32::try_from(bytes.len()).unwrap(),
            expected: Expected::Whole(id),
            sink: Sink::Small(Arc::default()),
            alone: false,
            received: Default::default(),
        };
        let mut requests = Requests::new(Buffers::default());
        let number = requests.add(wanted);
        (requests, number)
    }

    fn give(requests: &mut Requests, request: u32, offset: u32, bytes: &[u8]) -> Came {
        let header = PieceHeader { request, offset };
        requests.space(header, bytes.len()).unwrap().unwrap().copy_from_slice(bytes);
        requests.took(header, bytes.len())
    }

    #[test]
    fn a_piece_is_put_together_and_judged() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        for wrong in [false, true] {
            let (mut requests, number) = requests(&bytes);
            let mut sent = bytes.clone();
            sent[70_000] ^= u8::from(wrong);
            assert!(matches!(
                give(&mut requests, number, 0, &sent[..65_000]),
                Came::Some { bytes: 65_000, .. }
            ));
            let came = give(&mut requests, number, 65_000, &sent[65_000..]);
            assert!(matches!(came, Came::Whole { is_right, .. } if is_right != wrong));
        }
    }

    #[test]
    fn data_out_of_place_is_refused_and_data_taken_back_is_passed_over() {
        let (mut requests, number) = requests(&[7; 1000]);
        for (request, offset, bytes) in
            [(number + 1, 0, 10), (number, 1, 10), (number, 0, 1001), (number, u32::MAX, 10)]
        {
            assert!(requests.space(PieceHeader { request, offset }, bytes).is_err());
        }
        assert_eq!(requests.forget(DownloadId(1), PieceIndex(0)), Some(number));
        assert!(requests.space(PieceHeader { request: number, offset: 0 }, 10).unwrap().is_none());
        assert!(matches!(requests.took(PieceHeader { request: number, offset: 0 }, 10), Came::Nothing));
    }
}
