//! How many of those who are there have each piece, for worlds in which complete holders leave: nobody does who would
//! take the last copy of anything along.
//!
//! Nobody in a real network knows this. It keeps the worlds honest: where a piece is gone with its last holder, no
//! rule of the core could bring it back.

use brigade_core::geometry::PieceIndex;

use crate::world::{ContentNumber, Peer, PeerNumber, Shared, World};

/// Copies of every piece.
#[derive(Debug)]
pub(crate) struct Copies {
    of: Vec<Vec<u32>>,
    /// Complete holders of everything that are there.
    complete: Vec<PeerNumber>,
}

impl Copies {
    pub(crate) fn new(contents: &[Shared], peers: &[Peer]) -> Self {
        let count = |(content, shared): (ContentNumber, &Shared)| {
            let has =
                |piece: PieceIndex| move |peer: &&Peer| peer.has(content).is_some_and(|has| has.has(piece));
            let copies = |piece: PieceIndex| peers.iter().filter(has(piece)).count();
            shared.geometry.pieces().map(|piece| u32::try_from(copies(piece)).unwrap_or(u32::MAX)).collect()
        };
        let of = (0..).map(ContentNumber).zip(contents).map(count).collect();
        let is_complete =
            |peer: &Peer| peer.has.iter().all(|has| has.as_ref().is_some_and(|has| has.is_full()));
        let complete = (0..).map(PeerNumber).zip(peers).filter(|(_, peer)| is_complete(peer));
        Self { of, complete: complete.map(|(number, _)| number).collect() }
    }

    fn nothing_is_rare(&self) -> bool {
        self.of.iter().flatten().all(|copies| *copies > 1)
    }
}

impl World {
    /// A peer has a piece more: complete holders leave where they can.
    pub(crate) fn copied(&mut self, by: PeerNumber, content: ContentNumber, piece: PieceIndex) {
        let Some(copies) = &mut self.copies else { return };
        let count = &mut copies.of[content.at()][piece.0 as usize];
        *count += 1;
        let was_rare = *count == 2;
        let complete =
            self.peers[by.at()].has.iter().all(|has| has.as_ref().is_some_and(|has| has.is_full()));
        if complete {
            copies.complete.push(by);
        }
        while (was_rare || complete)
            && let Some(copies) = &mut self.copies
            && !copies.complete.is_empty()
            && copies.nothing_is_rare()
        {
            copies.of.iter_mut().flatten().for_each(|count| *count -= 1);
            let leaver = copies.complete.remove(0);
            self.leave(leaver);
        }
    }
}
