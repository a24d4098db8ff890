//! Piece lists: the BLAKE3 chaining value of every piece, which folded together give the content id.
//!
//! Because the fold is checked, a list may come from anyone; after that each piece is checked alone, and a wrong
//! one has exactly one culprit. A content of one piece needs no list: its id is the hash of the piece. The tree is
//! BLAKE3's own (section 2.1 of its paper): every left subtree is a full power of two of pieces.

use blake3::hazmat::{ChainingValue, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::{
    geometry::{Geometry, PieceIndex},
    id::{Content, ContentId},
    plural::count,
};

/// The chaining values of all pieces of one content, in order; they are known to fold to its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceList {
    values: Vec<ChainingValue>,
}

/// Why values are not the piece list of a content.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PieceListError {
    /// The number of values is not the number of pieces.
    #[error("a piece list of {} was given for a content of {}", count(*.values, "value"), count(*.pieces, "piece"))]
    Length {
        /// How many values there were.
        values: usize,
        /// How many pieces the content has.
        pieces: u32,
    },
    /// The values fold to something else.
    #[error("a piece list does not match the content id {0}")]
    Fold(ContentId),
    /// A content of one piece, or none, has no list.
    #[error("a content of a single piece has no piece list")]
    Single,
}

/// What the bytes of one piece must hash to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The piece is the whole content: its BLAKE3 is the content id.
    Whole(ContentId),
    /// The piece is a subtree at this offset in bytes: its chaining value.
    Subtree {
        /// Where the piece begins in the content.
        offset: u64,
        /// Its BLAKE3 chaining value.
        value: ChainingValue,
    },
}

impl PieceList {
    /// The list of `content` from its values, once they are seen to fold to its id.
    pub fn new(content: Content, values: Vec<ChainingValue>) -> Result<Self, PieceListError> {
        let pieces = Geometry::new(content.size).map_or(0, |geometry| geometry.count());
        if pieces < 2 {
            return Err(PieceListError::Single);
        }
        if values.len() != pieces as usize {
            return Err(PieceListError::Length { values: values.len(), pieces });
        }
        match fold(&values) {
            Some(id) if id == content.id => Ok(Self { values }),
            _ => Err(PieceListError::Fold(content.id)),
        }
    }

    /// The chaining values in order of the pieces.
    pub fn values(&self) -> &[ChainingValue] {
        &self.values
    }

    /// What `piece` must hash to; `None` where the content has no such piece.
    pub fn expected(&self, geometry: &Geometry, piece: PieceIndex) -> Option<Expected> {
        let value = *self.values.get(piece.0 as usize)?;
        Some(Expected::Subtree { offset: geometry.offset(piece), value })
    }
}

/// The content id that the chaining values of two or more pieces fold to; `None` for fewer.
pub fn fold(values: &[ChainingValue]) -> Option<ContentId> {
    if values.len() < 2 {
        return None;
    }
    let (left, right) = values.split_at(left_pieces(values.len()));
    Some(ContentId(*merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).as_bytes()))
}

/// How many of `pieces` pieces, two or more, the left subtree has: the largest power of two below.
const fn left_pieces(pieces: usize) -> usize {
    1 << (pieces - 1).ilog2()
}

fn subtree(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [one] => *one,
        // Recursion is at most 20 deep: the number of pieces is bounded by 2^20.
        _ => {
            let (left, right) = values.split_at(left_pieces(values.len()));
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use blake3::hazmat::HasherExt;
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::{Content, ContentId, Geometry, PieceList, PieceListError, fold};

    fn values_of(bytes: &[u8], piece_bytes: usize) -> Vec<[u8; 32]> {
        let piece = |(index, piece): (usize, &[u8])| {
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset((index * piece_bytes) as u64).update(piece);
            hasher.finalize_non_root()
        };
        bytes.chunks(piece_bytes).enumerate().map(piece).collect()
    }

    fn pattern(size: usize) -> Vec<u8> {
        (0..size).map(|i| u8::try_from((i * 31 + i / 251) % 256).unwrap()).collect()
    }

    #[test]
    fn the_fold_is_the_plain_hash() {
        // In pieces of 256 KiB: two, one byte into the second, odd counts, a short last piece, many.
        const PIECE: usize = 256 << 10;
        for size in
            [PIECE + 1, 2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 3 * PIECE, 5 * PIECE + 77, 17 * PIECE - 3]
        {
            let bytes = pattern(size);
            let id = ContentId(*blake3::hash(&bytes).as_bytes());
            let list = PieceList::new(Content { id, size: size as u64 }, values_of(&bytes, PIECE));
            assert!(list.is_ok(), "{size}: {list:?}");
            assert_eq!(bao_root(&bytes), id, "{size}");
        }
    }

    /// The same root by an independent implementation of the tree.
    fn bao_root(bytes: &[u8]) -> ContentId {
        use bao_tree::{BlockSize, io::outboard::PreOrderMemOutboard};
        ContentId(*PreOrderMemOutboard::create(bytes, BlockSize::from_chunk_log(4)).root.as_bytes())
    }

    proptest! {
        #[test]
        fn any_size_folds_to_the_plain_hash(size in 2049usize..200_000, log in 10u32..16) {
            // The tree does not depend on the length that the product chose: any power of two of chunks works.
            let (bytes, piece_bytes) = (pattern(size), 1usize << log);
            let values = values_of(&bytes, piece_bytes);
            if values.len() > 1 {
                let id = ContentId(*blake3::hash(&bytes).as_bytes());
                prop_assert_eq!(fold(&values), Some(id));
                prop_assert_eq!(bao_root(&bytes), id);
            }
        }
    }

    #[test]
    fn small_contents_agree_with_the_oracle() {
        for size in [0, 1, (256 << 10) - 1, 256 << 10] {
            let bytes = pattern(size);
            assert_eq!(bao_root(&bytes), ContentId(*blake3::hash(&bytes).as_bytes()), "{size}");
        }
    }

    #[test]
    fn a_list_that_does_not_fit_is_refused() {
        let bytes = pattern(600 << 10);
        let id = ContentId(*blake3::hash(&bytes).as_bytes());
        let content = Content { id, size: bytes.len() as u64 };
        let values = values_of(&bytes, 256 << 10);
        let geometry = Geometry::new(content.size).unwrap();
        assert_eq!(geometry.count(), 3);
        let short = PieceList::new(content, values[..2].to_vec());
        assert_eq!(short, Err(PieceListError::Length { values: 2, pieces: 3 }));
        let mut wrong = values.clone();
        wrong[1][0] ^= 1;
        assert_eq!(PieceList::new(content, wrong), Err(PieceListError::Fold(id)));
        assert_eq!(PieceList::new(Content { id, size: 10 }, vec![]), Err(PieceListError::Single));
        assert!(PieceList::new(content, values).is_ok());
    }
}
