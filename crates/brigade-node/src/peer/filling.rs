//! Reading pieces into a buffer, laid out as frames, so that one large write puts them on the wire.
//!
//! This runs on a thread that may wait for the disk. Many small contents, or a part of a long piece, go into one
//! buffer alike. A file that is no longer what was hashed is refused, never sent.

use std::{
    fs::File,
    sync::{Arc, OnceLock},
};

use brigade_core::{
    content::PieceList,
    wire::{
        Reason,
        frame::{PIECE_DATA_BYTES, PIECE_HEADER_BYTES, PieceHeader},
    },
};

use super::parts::Part;
use crate::store::{
    read_exact_at,
    share::{Share, Shared},
    stamp::stamp_of,
};

/// Where a piece's bytes are.
#[derive(Clone)]
pub(super) enum Source {
    /// In a file of the share.
    Shared {
        share: Share,
        shared: Arc<Shared>,
        /// The file, from the first read on.
        open: Arc<OnceLock<File>>,
    },
    /// In a content that is itself being received.
    Part(Arc<Part>),
}

/// Bytes of one request that go into the buffer.
pub(super) struct Chunk {
    pub(super) request: u32,
    pub(super) source: Source,
    /// Where they lie in the content.
    pub(super) file_offset: u64,
    /// Where they lie in the piece.
    pub(super) piece_offset: u32,
    pub(super) bytes: u32,
}

/// A request that cannot be answered, and why.
pub(super) type Failed = (u32, Reason);

/// Lays `chunks` out in `buffer`, in order; those of failed requests are left out.
pub(super) fn fill(buffer: &mut Vec<u8>, chunks: &[Chunk]) -> Vec<Failed> {
    buffer.clear();
    let mut failed = vec![];
    for chunk in chunks {
        let start = buffer.len();
        if let Err(reason) = fill_one(buffer, chunk) {
            buffer.truncate(start);
            failed.push((chunk.request, reason));
        }
    }
    failed
}

fn fill_one(buffer: &mut Vec<u8>, chunk: &Chunk) -> Result<(), Reason> {
    chunk.source.check()?;
    let mut done = 0;
    while done < chunk.bytes {
        let bytes = (chunk.bytes - done).min(u32::try_from(PIECE_DATA_BYTES).unwrap_or(u32::MAX));
        let header = PieceHeader { request: chunk.request, offset: chunk.piece_offset + done };
        buffer.extend_from_slice(&header.encode(bytes as usize));
        let start = buffer.len();
        buffer.resize(start + bytes as usize, 0);
        chunk.source.read(&mut buffer[start..], chunk.file_offset + u64::from(done))?;
        done += bytes;
    }
    Ok(())
}

/// The bytes that a chunk of `data` bytes takes in the buffer.
pub(super) const fn laid_out(data: usize) -> usize {
    data + data.div_ceil(PIECE_DATA_BYTES) * PIECE_HEADER_BYTES
}

impl Source {
    /// The content's piece list; `None` for a content of one piece.
    pub(super) fn list(&self) -> Option<&PieceList> {
        match self {
            Self::Shared { shared, .. } => shared.list.as_deref(),
            Self::Part(part) => Some(&part.list),
        }
    }

    /// Opens the file where that is to be done, and sees that it is still what was hashed.
    fn check(&self) -> Result<(), Reason> {
        let Self::Shared { share, shared, open } = self else { return Ok(()) };
        if let Some(file) = open.get() {
            let stamp = stamp_of(file).map_err(|_| Reason::Unreadable)?;
            return if stamp.same_bytes(&shared.stamp) { Ok(()) } else { Err(Reason::NotFound) };
        }
        let file = share.open(shared).map_err(|error| {
            tracing::debug!(name = shared.name.as_str(), %error, "a shared file cannot be served");
            Reason::NotFound
        })?;
        open.get_or_init(|| file);
        Ok(())
    }

    fn read(&self, out: &mut [u8], offset: u64) -> Result<(), Reason> {
        let read = match self {
            Self::Shared { open, .. } => match open.get() {
                Some(file) => read_exact_at(file, out, offset),
                None => return Err(Reason::Unreadable),
            },
            Self::Part(part) => {
                return part.file.read_at(offset, out).map_err(|error| {
                    tracing::warn!(%error, "reading a part failed");
                    Reason::Unreadable
                });
            }
        };
        read.map_err(|error| {
            tracing::warn!(%error, "reading a shared file failed");
            Reason::Unreadable
        })
    }
}
