//! How many present peers have each piece, for simulations in which complete holders leave: a peer with the last copy
//! of a piece stays.
//!
//! No peer in a real network knows this. It keeps the simulation fair: no rule could bring a lost piece back.

use brigade_core::geometry::PieceIndex;

use crate::{
    identifiers::{ContentNumber, PeerNumber},
    peer::{ContentInfo, Peer},
};

/// The number of copies of every piece.
#[derive(Debug)]
pub(crate) struct CopyCounts {
    of: Vec<Vec<u32>>,
    /// The present peers that have every piece of every content.
    complete: Vec<PeerNumber>,
}

impl CopyCounts {
    pub(crate) fn new(contents: &[ContentInfo], peers: &[Peer]) -> Self {
        let count = |(content, shared): (ContentNumber, &ContentInfo)| {
            let has =
                |piece: PieceIndex| move |peer: &&Peer| peer.has(content).is_some_and(|has| has.has(piece));
            let copies = |piece: PieceIndex| peers.iter().filter(has(piece)).count();
            shared.geometry.pieces().map(|piece| u32::try_from(copies(piece)).unwrap_or(u32::MAX)).collect()
        };
        let of = (0..).map(ContentNumber).zip(contents).map(count).collect();
        let complete = (0..).map(PeerNumber).zip(peers).filter(|(_, peer)| peer.is_complete());
        Self { of, complete: complete.map(|(number, _)| number).collect() }
    }

    fn nothing_is_rare(&self) -> bool {
        self.of.iter().flatten().all(|copies| *copies > 1)
    }

    /// A peer has one piece more; it is `complete` if it has everything now. Returns the complete holders that leave.
    pub(crate) fn add(
        &mut self,
        by: PeerNumber,
        content: ContentNumber,
        piece: PieceIndex,
        complete: bool,
    ) -> Vec<PeerNumber> {
        let count = &mut self.of[content.at()][piece.0 as usize];
        *count += 1;
        let was_rare = *count == 2;
        if complete {
            self.complete.push(by);
        }
        let mut leaving = vec![];
        while (was_rare || complete) && !self.complete.is_empty() && self.nothing_is_rare() {
            self.of.iter_mut().flatten().for_each(|count| *count -= 1);
            leaving.push(self.complete.remove(0));
        }
        leaving
    }
}
