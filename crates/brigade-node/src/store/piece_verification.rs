//! Comparing pieces with what is expected of them: received pieces, and pieces of a part that are on the disk already.
//!
//! A piece is right if it has its chaining value, or, as the only piece of a content, the content's id. The low-level
//! interface of BLAKE3 panics on wrong input, so the input is checked before. `hash` hashes whole files.

use std::{
    fs::File,
    sync::atomic::{AtomicU32, Ordering},
};

use blake3::{
    CHUNK_LEN, Hasher,
    hazmat::{HasherExt, max_subtree_len},
};
use brigade_core::{
    bitfield::Bitfield,
    geometry::{Geometry, PieceIndex},
    id::Content,
    piece_list::{Expected, PieceList},
};

use super::hash::{BUFFER_BYTES, on_threads, piece_value};

/// Whether `bytes` are the expected piece.
pub(crate) fn verify(expected: &Expected, bytes: &[u8]) -> bool {
    let mut hasher = PieceHasher::new(*expected);
    hasher.update(bytes);
    hasher.matches()
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

/// The longest subtree at `offset`; `None` without a limit, and 0 if no subtree begins there.
fn max_subtree_len_at(offset: u64) -> Option<u64> {
    if offset.is_multiple_of(CHUNK_LEN as u64) { max_subtree_len(offset) } else { Some(0) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use blake3::hazmat::HasherExt;
    use brigade_core::{
        bitfield::Bitfield,
        geometry::{Geometry, PieceIndex},
        id::ContentId,
        piece_list::Expected,
    };

    use super::{hash_pieces, verify};
    use crate::store::hash::{
        hash_file,
        tests::{file, pattern},
    };

    const PIECE: usize = 256 << 10;

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
