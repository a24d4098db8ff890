//! BLAKE3 of files on disk, on all processors.
//!
//! One pass over a file computes its id and its piece list. Reads are positioned, with small buffers: a memory map
//! would end the process when a program shortens the file. The low-level interface of BLAKE3 panics on wrong input,
//! so the input is checked before. `brigade_core::piece_list` folds the chaining values. `piece_verification` compares
//! pieces with a list.

use std::{
    fs::File,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt},
};
use brigade_core::{
    geometry::{Geometry, PieceIndex, TooLarge},
    id::{Content, ContentId},
    piece_list::{PieceList, fold},
};

use super::system::{ErrorText, read_at};

/// Bytes that a thread reads at once: large enough for BLAKE3 to use all lanes, small enough to stay in the cache.
pub(crate) const BUFFER_BYTES: usize = 256 << 10;

/// Bytes of a chaining value.
const VALUE_BYTES: usize = 32;

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hashed {
    /// Its id and size.
    pub content: Content,
    /// Its piece list, if it has more than one piece.
    pub list: Option<Arc<PieceList>>,
}

/// The error when a file could not be hashed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// The file became shorter or longer while it was read.
    #[error("the file changed while it was hashed")]
    Changed,
    /// The caller cancelled it.
    #[error("hashing was cancelled")]
    Cancelled,
    /// The file is larger than any content.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The system could not read the file.
    #[error("could not read the file: {}", ErrorText(.0))]
    Read(#[from] io::Error),
}

/// The piece list of `content` as it is stored: its chaining values, one after the other.
pub(super) fn piece_list_from_bytes(content: Content, bytes: &[u8]) -> Option<PieceList> {
    let (values, rest) = bytes.as_chunks::<VALUE_BYTES>();
    if rest.is_empty() { PieceList::new(content, values.to_vec()).ok() } else { None }
}

/// Hashes a file of `size` bytes on at most `threads` threads. Calls `cancelled` before each read; with several
/// pieces a read has at most `BUFFER_BYTES`.
pub(crate) fn hash_file(
    file: &File,
    size: u64,
    threads: usize,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Hashed, HashError> {
    let geometry = Geometry::new(size)?;
    let hashed = if geometry.count() < 2 {
        whole(file, size, &mut Vec::new(), cancelled)?
    } else {
        pieces(file, &geometry, threads, cancelled)?
    };
    // If one more byte can be read, the file has grown.
    if read_at(file, &mut [0], size)? != 0 { Err(HashError::Changed) } else { Ok(hashed) }
}

/// Hashes a file of at most one piece. The buffer can be used again for the next file.
pub(super) fn hash_small(
    file: &File,
    size: u64,
    buffer: &mut Vec<u8>,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Hashed, HashError> {
    if Geometry::new(size)?.count() > 1 {
        return hash_file(file, size, 1, cancelled);
    }
    whole(file, size, buffer, cancelled)
}

/// One read for the whole file and one byte more, which must not exist: that saves two system calls for each small
/// file.
fn whole(
    file: &File,
    size: u64,
    buffer: &mut Vec<u8>,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Hashed, HashError> {
    if cancelled() {
        return Err(HashError::Cancelled);
    }
    let expected = usize::try_from(size).map_err(|_| HashError::Changed)?;
    buffer.resize(expected.max(buffer.len()).max(1) + 1, 0);
    let read = read_at(file, &mut buffer[..=expected], 0)?;
    if read != expected {
        return Err(HashError::Changed);
    }
    let id = ContentId(*blake3::hash(&buffer[..expected]).as_bytes());
    Ok(Hashed { content: Content { id, size }, list: None })
}

fn pieces(
    file: &File,
    geometry: &Geometry,
    threads: usize,
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Hashed, HashError> {
    let next = AtomicU32::new(0);
    let threads = threads.clamp(1, geometry.count() as usize);
    let work = || -> Result<Vec<(u32, ChainingValue)>, HashError> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut values = Vec::new();
        loop {
            let piece = PieceIndex(next.fetch_add(1, Ordering::Relaxed));
            if !geometry.contains(piece) {
                return Ok(values);
            }
            match piece_value(file, geometry, piece, &mut buffer, cancelled) {
                Ok(value) => values.push((piece.0, value)),
                Err(error) => {
                    // This stops the other threads.
                    next.store(geometry.count(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let mut values = vec![ChainingValue::default(); geometry.count() as usize];
    for found in on_threads(threads, work) {
        for (piece, value) in found? {
            values[piece as usize] = value;
        }
    }
    let id = fold(&values).ok_or(HashError::Changed)?;
    let content = Content { id, size: geometry.size() };
    let list = PieceList::new(content, values).map_err(|_| HashError::Changed)?;
    Ok(Hashed { content, list: Some(Arc::new(list)) })
}

/// The chaining value of one piece, read in portions.
pub(super) fn piece_value(
    file: &File,
    geometry: &Geometry,
    piece: PieceIndex,
    buffer: &mut [u8],
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<ChainingValue, HashError> {
    let (mut at, mut left) = (geometry.offset(piece), geometry.length(piece) as usize);
    if left == 0 {
        return Err(HashError::Changed);
    }
    let mut hasher = Hasher::new();
    // A piece begins at a multiple of its length, which is a power of two in chunks: so it is a subtree of the file.
    hasher.set_input_offset(at);
    while left > 0 {
        if cancelled() {
            return Err(HashError::Cancelled);
        }
        let portion = left.min(buffer.len());
        if read_at(file, &mut buffer[..portion], at)? != portion {
            return Err(HashError::Changed);
        }
        hasher.update(&buffer[..portion]);
        at += portion as u64;
        left -= portion;
    }
    Ok(hasher.finalize_non_root())
}

/// The results of `work` on `threads` threads, one of which is the caller's.
pub(super) fn on_threads<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    if threads < 2 {
        return vec![work()];
    }
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let mut results = vec![work()];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::{fs::File, io::Write};

    use brigade_core::id::{Content, ContentId};

    use super::{HashError, hash_file, hash_small};

    const PIECE: usize = 256 << 10;

    /// Bytes that repeat only after a long time.
    pub(in crate::store) fn pattern(size: usize) -> Vec<u8> {
        (0..size).map(|i| u8::try_from((i * 31 + i / 251) % 256).unwrap()).collect()
    }

    /// A file with no name.
    pub(in crate::store) fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_file_hashes_to_its_plain_blake3() {
        let mut buffer = Vec::new();
        for size in [0, 1, 1024, 1025, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 5 * PIECE + 77, 16 * PIECE - 3]
        {
            let bytes = pattern(size);
            let expected = Content { id: ContentId(*blake3::hash(&bytes).as_bytes()), size: size as u64 };
            for threads in [1, 3] {
                let hashed = hash_file(&file(&bytes), size as u64, threads, &|| false).unwrap();
                assert_eq!(hashed.content, expected, "{size}");
                assert_eq!(hashed.list.is_some(), size > PIECE, "{size}");
            }
            assert_eq!(
                hash_small(&file(&bytes), size as u64, &mut buffer, &|| false).unwrap().content,
                expected
            );
        }
    }

    #[test]
    fn a_file_of_another_length_has_changed() {
        for size in [0, 10, PIECE, 3 * PIECE] {
            let file = file(&pattern(size));
            let (longer, shorter) = (size as u64 + 1, (size as u64).saturating_sub(1));
            assert!(matches!(hash_file(&file, longer, 2, &|| false), Err(HashError::Changed)), "{size}");
            if size > 0 {
                assert!(matches!(hash_file(&file, shorter, 2, &|| false), Err(HashError::Changed)), "{size}");
                assert!(matches!(
                    hash_small(&file, shorter, &mut Vec::new(), &|| false),
                    Err(HashError::Changed)
                ));
            }
        }
    }

    #[test]
    fn hashing_can_be_cancelled() {
        let file = file(&pattern(3 * PIECE));
        assert!(matches!(hash_file(&file, 3 * PIECE as u64, 2, &|| true), Err(HashError::Cancelled)));
    }
}
