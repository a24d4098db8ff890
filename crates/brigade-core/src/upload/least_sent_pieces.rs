//! What a complete holder has sent of one content in this round: the first copy of every piece is sent before the
//! second copy of any.
//!
//! A round ends when no piece is left in it, and the next one begins with all of them. What is on offer to one
//! downloader is not offered to another at the same time, as long as there is something else.

use crate::{geometry::PieceIndex, limits, random::Random};

/// A piece that is not in the round any more.
const NOT_IN_ROUND: u32 = u32::MAX;

/// One content's pieces, as far as they were not sent in this round.
#[derive(Debug)]
pub(super) struct LeastSentPieces {
    /// In no order.
    left: Vec<u32>,
    /// Where in `left` a piece stands, or [`NOT_IN_ROUND`].
    positions: Vec<u32>,
    /// Whether the last piece, which proves the size, was on offer.
    last_offered: bool,
}

impl LeastSentPieces {
    /// A first round of so many pieces.
    pub(super) fn new(pieces: u32) -> Self {
        let mut pieces =
            Self { left: Vec::new(), positions: vec![NOT_IN_ROUND; pieces as usize], last_offered: false };
        pieces.begin();
        pieces
    }

    /// How many pieces the content has.
    pub(super) fn pieces(&self) -> usize {
        self.positions.len()
    }

    /// Some of the pieces that were sent least, at most [`limits::OFFERED_PIECES`], none that is `on_offer`.
    pub(super) fn least_sent(
        &mut self,
        random: &mut Random,
        on_offer: impl Fn(PieceIndex) -> bool,
    ) -> Vec<PieceIndex> {
        let mut chosen = Vec::with_capacity(limits::OFFERED_PIECES);
        let last = u32::try_from(self.positions.len()).unwrap_or(0).wrapping_sub(1);
        if !std::mem::replace(&mut self.last_offered, true)
            && self.positions.last().is_some_and(|at| *at != NOT_IN_ROUND)
        {
            chosen.push(PieceIndex(last));
        }
        let start = random.below(self.left.len());
        let around = self.left[start..].iter().chain(&self.left[..start]);
        for piece in around.take(limits::OFFERED_PIECES * 16).copied().map(PieceIndex) {
            if chosen.len() == limits::OFFERED_PIECES {
                break;
            }
            if !on_offer(piece) && !chosen.contains(&piece) {
                chosen.push(piece);
            }
        }
        chosen
    }

    /// `piece` is being sent.
    pub(super) fn sent(&mut self, piece: PieceIndex) {
        let Some(position) = self.positions.get_mut(piece.0 as usize) else { return };
        let at = std::mem::replace(position, NOT_IN_ROUND);
        if at == NOT_IN_ROUND {
            return;
        }
        self.left.swap_remove(at as usize);
        if let Some(moved) = self.left.get(at as usize) {
            self.positions[*moved as usize] = at;
        }
        if self.left.is_empty() {
            self.begin();
        }
    }

    /// `piece` was not sent after all.
    pub(super) fn unsent(&mut self, piece: PieceIndex) {
        if self.positions.get(piece.0 as usize) == Some(&NOT_IN_ROUND) {
            self.insert(piece.0);
        }
    }

    fn begin(&mut self) {
        for piece in 0..u32::try_from(self.positions.len()).unwrap_or(0) {
            self.insert(piece);
        }
    }

    fn insert(&mut self, piece: u32) {
        // There are no more than a u32 counts.
        self.positions[piece as usize] = u32::try_from(self.left.len()).unwrap_or(NOT_IN_ROUND);
        self.left.push(piece);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{LeastSentPieces, PieceIndex, Random, limits};

    #[test]
    fn every_piece_leaves_once_before_any_leaves_twice() {
        let mut random = Random::new(3);
        let mut pieces = LeastSentPieces::new(50);
        for _ in 0..3 {
            let mut sent = BTreeSet::new();
            for _ in 0..50 {
                let piece = pieces.least_sent(&mut random, |_| false)[0];
                assert!(sent.insert(piece), "{piece:?} left twice");
                pieces.sent(piece);
            }
        }
    }

    #[test]
    fn offered_pieces_are_not_offered_twice_and_unsent_ones_are() {
        let mut random = Random::new(3);
        let mut pieces = LeastSentPieces::new(10);
        let first = pieces.least_sent(&mut random, |_| false);
        assert_eq!(
            (first.len(), first[0]),
            (limits::OFFERED_PIECES, PieceIndex(9)),
            "the last one proves the size"
        );
        let second = pieces.least_sent(&mut random, |piece| first.contains(&piece));
        assert!(second.iter().all(|piece| !first.contains(piece)));
        (0..9).for_each(|piece| pieces.sent(PieceIndex(piece)));
        pieces.unsent(PieceIndex(4));
        let left: BTreeSet<_> = pieces.least_sent(&mut random, |_| false).into_iter().collect();
        assert_eq!(left, BTreeSet::from([PieceIndex(4), PieceIndex(9)]));
        pieces.sent(PieceIndex(77));
        assert_eq!(pieces.pieces(), 10);
    }
}
