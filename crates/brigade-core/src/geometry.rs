//! How a content is cut into pieces: aligned ranges of a power-of-two length that follows from the size alone.
//!
//! The length grows with the size, so that lists stay short; `docs/decisions/` has the measurement behind the steps.
//! Nothing here can overflow: a size beyond [`Geometry::MAX_SIZE`] is an error.

use crate::limits;

/// The number of a piece within its content, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(pub u32);

/// How a content of a given size is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    size: u64,
    piece_bytes: u32,
    count: u32,
}

/// The error for a size that is too large.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a content of {size} bytes is larger than Brigade carries ({} bytes)", Geometry::MAX_SIZE)]
pub struct TooLarge {
    size: u64,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The largest size with pieces of 256 KiB.
const SMALL: u64 = 256 * MIB;
/// The largest size with pieces of 1 MiB.
const MEDIUM: u64 = 8 * GIB;
/// The largest size with pieces of 4 MiB.
const LARGE: u64 = 64 * GIB;

impl Geometry {
    /// The largest content, in bytes: as many of the longest pieces as a content may have (16 TiB).
    pub const MAX_SIZE: u64 = limits::PIECES as u64 * 16 * MIB;

    /// The geometry of a content of `size` bytes. An empty content has no piece.
    pub fn new(size: u64) -> Result<Self, TooLarge> {
        if size > Self::MAX_SIZE {
            return Err(TooLarge { size });
        }
        let steps = [(SMALL, 256 * KIB), (MEDIUM, MIB), (LARGE, 4 * MIB)];
        let step = steps.iter().find(|(largest, _)| size <= *largest);
        let piece_bytes = step.map_or(16 * MIB, |(_, piece_bytes)| *piece_bytes);
        let count = size.div_ceil(piece_bytes);
        // Neither can fail: the steps bound the length, MAX_SIZE the count.
        let (Ok(piece_bytes), Ok(count)) = (u32::try_from(piece_bytes), u32::try_from(count)) else {
            return Err(TooLarge { size });
        };
        Ok(Self { size, piece_bytes, count })
    }

    /// The content's length in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The length of every piece but the last, in bytes.
    pub const fn piece_bytes(&self) -> u32 {
        self.piece_bytes
    }

    /// How many pieces there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether `piece` is one of this content's.
    pub const fn contains(&self, piece: PieceIndex) -> bool {
        piece.0 < self.count
    }

    /// Where `piece` begins in the content, in bytes.
    pub const fn offset(&self, piece: PieceIndex) -> u64 {
        piece.0 as u64 * self.piece_bytes as u64
    }

    /// How long `piece` is, in bytes: the last one may be shorter; 0 for one that does not exist.
    pub fn length(&self, piece: PieceIndex) -> u32 {
        let left = self.size.saturating_sub(self.offset(piece));
        u32::try_from(left).unwrap_or(u32::MAX).min(self.piece_bytes)
    }

    /// The last piece; `None` for an empty content.
    pub fn last(&self) -> Option<PieceIndex> {
        self.count.checked_sub(1).map(PieceIndex)
    }

    /// All pieces in order.
    pub fn pieces(&self) -> impl Iterator<Item = PieceIndex> + use<> {
        (0..self.count).map(PieceIndex)
    }
}

#[cfg(test)]
mod tests {
    use super::{GIB, Geometry, MIB, PieceIndex};

    #[track_caller]
    fn check(size: u64, piece_bytes: u64, count: u32, last_bytes: u32) {
        let geometry = Geometry::new(size).unwrap();
        assert_eq!(u64::from(geometry.piece_bytes()), piece_bytes);
        assert_eq!(geometry.count(), count);
        assert_eq!(geometry.last().map_or(0, |last| geometry.length(last)), last_bytes);
        assert_eq!(geometry.length(PieceIndex(count)), 0);
    }

    #[test]
    fn the_length_follows_from_the_size() {
        check(0, 256 << 10, 0, 0);
        check(1, 256 << 10, 1, 1);
        check(256 << 10, 256 << 10, 1, 256 << 10);
        check((256 << 10) + 1, 256 << 10, 2, 1);
        check(256 * MIB, 256 << 10, 1024, 256 << 10);
        check(256 * MIB + 1, MIB, 257, 1);
        check(8 * GIB, MIB, 8192, 1 << 20);
        check(8 * GIB + 1, 4 * MIB, 2049, 1);
        check(64 * GIB + 1, 16 * MIB, 4097, 1);
        check(Geometry::MAX_SIZE, 16 * MIB, 1 << 20, 16 << 20);
        assert!(Geometry::new(Geometry::MAX_SIZE + 1).is_err());
        assert!(Geometry::new(u64::MAX).is_err());
    }

    #[test]
    fn pieces_cover_the_content_without_gap_or_overlap() {
        for size in [1, 5, 256 << 10, (256 << 10) + 7, 300 * MIB + 12345] {
            let geometry = Geometry::new(size).unwrap();
            let mut at = 0;
            for piece in geometry.pieces() {
                assert_eq!(geometry.offset(piece), at);
                at += u64::from(geometry.length(piece));
            }
            assert_eq!(at, size);
        }
    }
}
