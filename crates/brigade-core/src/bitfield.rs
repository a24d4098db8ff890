//! Which pieces a holder has: one bit a piece, the first piece in the highest bit of the first byte.
//!
//! The number of set bits is kept beside them, because every event needs to know whether the set is complete. Bytes
//! from the wire are checked: bits beyond the last piece must be zero.

use crate::{geometry::PieceIndex, plural::count};

/// A set of pieces of one content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitfield {
    bytes: Vec<u8>,
    length: u32,
    count: u32,
}

/// The error for bytes that are not a bitfield, or not a page of one.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a bitfield page of {} at piece {first} does not fit a content of {}", count(*.bytes, "byte"), count(*.pieces, "piece"))]
pub struct BitfieldError {
    first: u32,
    bytes: usize,
    pieces: u32,
}

impl Bitfield {
    /// No piece of `pieces`.
    pub fn none(pieces: u32) -> Self {
        Self { bytes: vec![0; pieces.div_ceil(8) as usize], length: pieces, count: 0 }
    }

    /// Every piece of `pieces`.
    pub fn all(pieces: u32) -> Self {
        let mut bytes = vec![0xff; pieces.div_ceil(8) as usize];
        if let (Some(last), 1..) = (bytes.last_mut(), pieces % 8) {
            *last = 0xff << (8 - pieces % 8);
        }
        Self { bytes, length: pieces, count: pieces }
    }

    /// How many pieces the content has.
    pub const fn len(&self) -> u32 {
        self.length
    }

    /// Whether no piece is in the set.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many pieces are in the set.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether every piece is in the set.
    pub const fn is_full(&self) -> bool {
        self.count == self.length
    }

    /// Whether `piece` is in the set; no for one that the content does not have.
    pub fn has(&self, piece: PieceIndex) -> bool {
        piece.0 < self.length && self.bytes[piece.0 as usize / 8] & mask(piece) != 0
    }

    /// Puts `piece` in; false where it was in already, or does not exist.
    pub fn set(&mut self, piece: PieceIndex) -> bool {
        let new = piece.0 < self.length && !self.has(piece);
        if new {
            self.bytes[piece.0 as usize / 8] |= mask(piece);
            self.count += 1;
        }
        new
    }

    /// Takes `piece` out; false where it was not in.
    pub fn clear(&mut self, piece: PieceIndex) -> bool {
        let was = self.has(piece);
        if was {
            self.bytes[piece.0 as usize / 8] &= !mask(piece);
            self.count -= 1;
        }
        was
    }

    /// The pieces in the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.bytes.iter().zip(0u32..).filter(|(byte, _)| **byte != 0).flat_map(|(byte, at)| {
            (0..8).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| PieceIndex(at * 8 + bit))
        })
    }

    /// The bytes of at most `pieces` pieces from `first`, which is a multiple of 8, for one page on the wire.
    pub fn page(&self, first: u32, pieces: u32) -> &[u8] {
        let from = (first as usize / 8).min(self.bytes.len());
        let to = (from + pieces.div_ceil(8) as usize).min(self.bytes.len());
        &self.bytes[from..to]
    }

    /// Adds the pieces of a page that begins at piece `first`.
    pub fn add_page(&mut self, first: u32, bits: &[u8]) -> Result<(), BitfieldError> {
        let wrong = || BitfieldError { first, bytes: bits.len(), pieces: self.length };
        let at = first as usize / 8;
        if !first.is_multiple_of(8) || at.checked_add(bits.len()).is_none_or(|end| end > self.bytes.len()) {
            return Err(wrong());
        }
        let spare = (8 - self.length % 8) % 8;
        let reaches_end = at + bits.len() == self.bytes.len();
        if reaches_end && bits.last().is_some_and(|last| last & !(0xff << spare) != 0) {
            return Err(wrong());
        }
        for (mine, theirs) in self.bytes[at..].iter_mut().zip(bits) {
            self.count += (theirs & !*mine).count_ones();
            *mine |= theirs;
        }
        Ok(())
    }
}

const fn mask(piece: PieceIndex) -> u8 {
    0x80 >> (piece.0 % 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::{Bitfield, PieceIndex};

    proptest! {
        #[test]
        fn a_bitfield_is_a_set(pieces in 1u32..200, changes in prop::collection::vec((any::<bool>(), 0u32..220), 0..100)) {
            let mut bits = Bitfield::none(pieces);
            let mut set = std::collections::BTreeSet::new();
            for (add, piece) in changes {
                if add {
                    prop_assert_eq!(bits.set(PieceIndex(piece)), piece < pieces && set.insert(piece));
                } else {
                    prop_assert_eq!(bits.clear(PieceIndex(piece)), set.remove(&piece));
                }
            }
            prop_assert_eq!(bits.count() as usize, set.len());
            prop_assert_eq!(bits.iter().map(|p| p.0).collect::<Vec<_>>(), set.into_iter().collect::<Vec<_>>());
            let mut copy = Bitfield::none(pieces);
            for first in (0..pieces).step_by(16) {
                copy.add_page(first, bits.page(first, 16)).unwrap();
            }
            prop_assert_eq!(copy, bits);
        }

        #[test]
        fn no_page_panics(pieces in 0u32..100, first in any::<u32>(), bits in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut field = Bitfield::none(pieces);
            if field.add_page(first, &bits).is_ok() {
                prop_assert_eq!(field.iter().count(), field.count() as usize);
                assert!(field.iter().all(|piece| piece.0 < pieces));
            }
        }
    }

    #[test]
    fn all_sets_no_bit_beyond_the_last_piece() {
        for pieces in 0..40 {
            let all = Bitfield::all(pieces);
            assert!(all.is_full());
            assert_eq!(all.iter().count(), pieces as usize);
            Bitfield::none(pieces).add_page(0, all.page(0, pieces)).unwrap();
        }
    }
}
