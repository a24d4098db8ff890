//! Reading pieces into a buffer, laid out as frames, so that one large write puts them on the wire.
//!
//! What is read lands where it is encrypted and written from: it is copied nowhere. Many small contents, or a part of
//! a long piece, go into one buffer alike. A file that is no longer what was hashed is refused, never sent: that is
//! asked before a read, which saves it, and after it, which decides.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    sync::{Arc, OnceLock},
};

use brigade_core::{
    content::PieceList,
    wire::{
        Reason,
        frame::{PIECE_DATA_BYTES, PieceHeader},
    },
};

use crate::{
    peer::swarm::partial::Part,
    store::{
        folder::FolderError,
        read_cached_at, read_exact_at,
        share::{Share, ShareError, Shared},
        stamp::stamp_of,
    },
    transport::tls::records::Records,
};

#[cfg(test)]
mod tests;

/// Where a piece's bytes are.
#[derive(Clone)]
pub(crate) enum Source {
    /// In a file of the share.
    Shared {
        share: Share,
        shared: Arc<Shared>,
        /// The file, from the first read on.
        open: Arc<OnceLock<File>>,
    },
    /// In a content that is itself being received, or was when it was opened; the share decides from then on.
    Part(Arc<Part>, Share),
}

/// Bytes of one request that go into the buffer.
pub(crate) struct Chunk {
    pub(crate) request: u32,
    pub(crate) source: Source,
    /// Where they lie in the content.
    pub(crate) file_offset: u64,
    /// Where they lie in the piece.
    pub(crate) piece_offset: u32,
    pub(crate) bytes: u32,
}

/// A request that cannot be answered, and why.
pub(crate) type Failed = (u32, Reason);

/// Whether a read may wait for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The thread may wait.
    Wait,
    /// Only what is in memory is read.
    Cached,
}

/// What stopped a chunk from being laid out.
enum Stopped {
    /// The request cannot be answered.
    Refused(Reason),
    /// It would have to wait for a disk.
    WouldWait,
}

/// Lays `chunks` out, in order; those of failed requests are left out. On a thread that may wait.
pub(crate) fn fill(frames: &mut Records, chunks: &[Chunk]) -> Vec<Failed> {
    frames.clear();
    let mut failed = vec![];
    for chunk in chunks {
        let start = frames.plain_bytes();
        if let Err(stopped) = fill_one(frames, chunk, Patience::Wait) {
            frames.truncate(start);
            let reason = match stopped {
                Stopped::Refused(reason) => reason,
                Stopped::WouldWait => Reason::Unreadable, // it waits: this does not happen
            };
            failed.push((chunk.request, reason));
        }
    }
    failed
}

/// Lays `chunks` out if all of it is in memory, and read from files that are open; `None` where it is not so.
pub(crate) fn fill_cached(frames: &mut Records, chunks: &[Chunk]) -> Option<()> {
    frames.clear();
    let open = chunks.iter().all(|chunk| chunk.source.is_open());
    let filled = open && chunks.iter().all(|chunk| fill_one(frames, chunk, Patience::Cached).is_ok());
    filled.then_some(())
}

fn fill_one(frames: &mut Records, chunk: &Chunk, patience: Patience) -> Result<(), Stopped> {
    lay_out(frames, chunk, |data, offset| chunk.source.read(data, offset, patience))
}

/// Lays one chunk out, from where `read` reads. A file may be written to, given up or withdrawn at any moment: what
/// was read counts where the file is still what was hashed afterwards.
fn lay_out(
    frames: &mut Records,
    chunk: &Chunk,
    mut read: impl FnMut(&mut [IoSliceMut<'_>], u64) -> Result<(), Stopped>,
) -> Result<(), Stopped> {
    chunk.source.check().map_err(Stopped::Refused)?;
    let mut done = 0;
    while done < chunk.bytes {
        let bytes = (chunk.bytes - done).min(u32::try_from(PIECE_DATA_BYTES).unwrap_or(u32::MAX));
        let header = PieceHeader { request: chunk.request, offset: chunk.piece_offset + done };
        frames.put(&header.encode(bytes as usize));
        let mut data: Vec<IoSliceMut<'_>> = frames.space(bytes as usize).map(IoSliceMut::new).collect();
        read(&mut data, chunk.file_offset + u64::from(done))?;
        done += bytes;
    }
    chunk.source.check().map_err(Stopped::Refused)
}

impl Source {
    /// The content's piece list; `None` for a content of one piece.
    pub(crate) fn list(&self) -> Option<&PieceList> {
        match self {
            Self::Shared { shared, .. } => shared.list.as_deref(),
            Self::Part(part, _) => Some(&part.list),
        }
    }

    /// Opens the file where that is to be done, and sees that its content is still shared, be it under another name,
    /// and that the file is still what was hashed.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        let (share, shared, open) = match self {
            Self::Shared { share, shared, open } => (share, shared, open),
            Self::Part(part, share) => return part.check(share),
        };
        if !share.has(&shared.content) {
            return Err(Reason::NotFound); // it was deleted, moved away or ignored since it was opened
        }
        if let Some(file) = open.get() {
            let stamp = stamp_of(file).map_err(|_| Reason::Unreadable)?;
            return if stamp.same_bytes(&shared.stamp) { Ok(()) } else { Err(Reason::NotFound) };
        }
        let file = share.open(shared).map_err(|error| {
            tracing::debug!(name = shared.name.as_str(), %error, "a shared file cannot be served");
            match error {
                // It may be there again in a moment: too many files are open, or the disk failed.
                ShareError::Folder(FolderError::Io { .. }) => Reason::Unreadable,
                _ => Reason::NotFound,
            }
        })?;
        open.get_or_init(|| file);
        Ok(())
    }

    /// Whether nothing has to be opened before it is read.
    fn is_open(&self) -> bool {
        match self {
            Self::Shared { open, .. } => open.get().is_some(),
            Self::Part(..) => true,
        }
    }

    fn read(&self, out: &mut [IoSliceMut<'_>], offset: u64, patience: Patience) -> Result<(), Stopped> {
        let file = match self {
            Self::Shared { open, .. } => open.get().ok_or(Stopped::Refused(Reason::Unreadable))?,
            Self::Part(part, _) => part.file.file(),
        };
        let read = match patience {
            Patience::Wait => read_all(file, out, offset).map(|()| true),
            Patience::Cached => read_cached_at(file, out, offset),
        };
        match read {
            Ok(true) => Ok(()),
            Ok(false) => Err(Stopped::WouldWait),
            Err(error) => {
                tracing::warn!(%error, "reading a shared file failed");
                Err(Stopped::Refused(Reason::Unreadable))
            }
        }
    }
}

fn read_all(file: &File, out: &mut [IoSliceMut<'_>], mut offset: u64) -> io::Result<()> {
    for part in out {
        read_exact_at(file, part, offset)?;
        offset += part.len() as u64;
    }
    Ok(())
}
