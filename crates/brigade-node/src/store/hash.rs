//! BLAKE3 of files on disk and of received pieces, on all processors.
//!
//! One pass over a file computes its id and its piece list. Reads are positioned, with small buffers: a memory map
//! would end the process when a program shortens the file. The low-level interface of BLAKE3 panics on wrong input,
//! so the input is checked before. `brigade_core::piece_list` folds the chaining values.

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
    CHUNK_LEN, Hasher,
    hazmat::{ChainingValue, HasherExt, max_subtree_len},
};
use brigade_core::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex, TooLarge},
    id::{Content, ContentId},
    piece_list::{Expected, PieceList, fold},
};

use super::system::{ErrorText, read_at};

/// Bytes that a thread reads at once: large enough for BLAKE3 to use all lanes, small enough to stay in the cache.
pub(super) const BUFFER_BYTES: usize = 256 << 10;

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

/// Whether `bytes` are the expected piece.
pub(crate) fn verify(expected: &Expected, bytes: &[u8]) -> bool {
    let mut hasher = PieceHasher::new(*expected);
    hasher.update(bytes);
    hasher.matches()
}

/// The piece list of `content` as it is stored: its chaining values, one after the other.
pub(super) fn piece_list_from_bytes(content: Content, bytes: &[u8]) -> Option<PieceList> {
    let (values, rest) = bytes.as_chunks::<VALUE_BYTES>();
    if rest.is_empty() { PieceList::new(content, values.to_vec()).ok() } else { None }
}

/// The longest subtree at `offset`; `None` without a limit, and 0 if no subtree begins there.
fn max_subtree_len_at(offset: u64) -> Option<u64> {
    if offset.is_multiple_of(CHUNK_LEN as u64) { max_subtree_len(offset) } else { Some(0) }
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

/// The pieces of `which` that the file really has, compared with the list. A piece that cannot be read is not among
/// them.
///
/// After a restart the record of a part file is only a hint: this check confirms it.
pub(crate) fn hash_pieces(
    file: &File,
    content: Content,
    list: &PieceList,
    which: &Bitfield,
    threads: usize,
) -> Bitfield {
    let Ok(geometry) = Geometry::new(content.size) else { return Bitfield::none(0) };
    let wanted: Vec<PieceIndex> = which.iter().filter(|piece| geometry.contains(*piece)).collect();
    let next = AtomicU32::new(0);
    let work = || {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut right = Vec::new();
        while let Some(piece) = wanted.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let found = piece_value(file, &geometry, *piece, &mut buffer, &|| false);
            if found.is_ok_and(|value| list.values().get(piece.0 as usize) == Some(&value)) {
                right.push(*piece);
            }
        }
        right
    };
    let mut verified = Bitfield::none(geometry.count());
    for piece in on_threads(threads.min(wanted.len()), work).into_iter().flatten() {
        verified.set(piece);
    }
    verified
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
fn piece_value(
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
fn on_threads<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
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

/// Hashes a piece while it is received: its bytes are then still in the processor's cache.
#[derive(Debug)]
pub(crate) struct PieceHasher {
    expected: Expected,
    hasher: Hasher,
    bytes: u64,
}

impl PieceHasher {
    /// A hasher for the `expected` piece. A piece at a misaligned offset never matches.
    pub(crate) fn new(expected: Expected) -> Self {
        let mut hasher = Hasher::new();
        if let Expected::Subtree { offset, .. } = expected
            && offset.is_multiple_of(CHUNK_LEN as u64)
        {
            hasher.set_input_offset(offset);
        }
        Self { expected, hasher, bytes: 0 }
    }

    /// The number of bytes so far.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hashes the next bytes; fastest in multiples of 16 KiB. Bytes beyond the longest subtree at the offset are not
    /// hashed, and the piece does not match.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if self.fits() {
            self.hasher.update(bytes);
        }
    }

    /// Whether the bytes so far are the expected piece.
    pub(crate) fn matches(&self) -> bool {
        match self.expected {
            Expected::Whole(id) => self.hasher.finalize().as_bytes() == &id.0,
            Expected::Subtree { value, .. } => {
                // BLAKE3 panics on an empty subtree; a misaligned offset has no subtree.
                self.bytes > 0 && self.fits() && self.hasher.finalize_non_root() == value
            }
        }
    }

    fn fits(&self) -> bool {
        match self.expected {
            Expected::Subtree { offset, .. } => {
                max_subtree_len_at(offset).is_none_or(|longest| self.bytes <= longest)
            }
            Expected::Whole(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        io::Write,
    };

    use blake3::hazmat::HasherExt;
    use brigade_core::{
        bitfield::Bitfield,
        geometry::{Geometry, PieceIndex},
        id::{Content, ContentId},
        piece_list::Expected,
    };

    use super::{HashError, hash_file, hash_pieces, hash_small, verify};

    const PIECE: usize = 256 << 10;

    fn pattern(size: usize) -> Vec<u8> {
        (0..size).map(|i| u8::try_from((i * 31 + i / 251) % 256).unwrap()).collect()
    }

    fn file(bytes: &[u8]) -> File {
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

    #[test]
    fn only_correct_pieces_are_confirmed() {
        let bytes = pattern(4 * PIECE + 5);
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("f");
        fs::write(&path, &bytes).unwrap();
        let hashed = hash_file(&File::open(&path).unwrap(), bytes.len() as u64, 2, &|| false).unwrap();
        let list = hashed.list.unwrap();
        let mut spoiled = bytes.clone();
        spoiled[PIECE + 3] ^= 1;
        spoiled.truncate(4 * PIECE + 4); // the last piece is cut short
        fs::write(&path, &spoiled).unwrap();
        let mut claimed = Bitfield::all(5);
        claimed.clear(PieceIndex(2));
        let right = hash_pieces(&File::open(&path).unwrap(), hashed.content, &list, &claimed, 2);
        assert_eq!(right.iter().collect::<Vec<_>>(), [PieceIndex(0), PieceIndex(3)]);
    }

    #[test]
    fn a_piece_is_verified_and_nothing_panics() {
        let bytes = pattern(2 * PIECE);
        let geometry = Geometry::new(bytes.len() as u64).unwrap();
        let hashed = hash_file(&file(&bytes), bytes.len() as u64, 1, &|| false).unwrap();
        let list = hashed.list.unwrap();
        let second = list.expected(&geometry, PieceIndex(1)).unwrap();
        assert!(verify(&second, &bytes[PIECE..]));
        assert!(!verify(&second, &bytes[..PIECE]));
        assert!(!verify(&second, &[]));
        let Expected::Subtree { value, .. } = second else { panic!() };
        assert!(!verify(&Expected::Subtree { offset: 1, value }, &bytes[PIECE..]));
        // This is longer than any subtree.
        assert!(!verify(&Expected::Subtree { offset: 1024, value }, &bytes));
        assert!(verify(&Expected::Whole(hashed.content.id), &bytes));
        assert!(verify(&Expected::Whole(ContentId::EMPTY), &[]));
        // A subtree is not a root: the plain hash of a piece is not its chaining value.
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes[..PIECE]);
        assert!(verify(&Expected::Subtree { offset: 0, value: hasher.finalize_non_root() }, &bytes[..PIECE]));
    }
}
