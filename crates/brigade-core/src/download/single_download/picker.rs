//! Which piece of one content to request next: the last one first, because it proves the size; then the rarest.
//!
//! Each piece has exactly one [`PieceState`]. Missing pieces lie in buckets by how many *partial* holders have them;
//! holders that have everything add the same to each and are left out of the count. So a pick from a complete
//! holder looks at one piece, and one from a partial holder at a bounded number before it falls back to a scan of
//! bits. Who holds what is in [`content_holder`](super::content_holder); this knows of a holder only that a piece is requested from it.

use super::content_holder::HolderPieces;
use crate::{
    bitfield::Bitfield,
    download::events_and_actions::HolderId,
    geometry::{Geometry, PieceIndex},
    random::Random,
};

/// How many pieces of the buckets a pick looks at before it scans bits instead.
const PROBES: usize = 64;

/// Of how many candidates a scan of bits takes the rarest.
const CANDIDATES: usize = 32;

/// What is going on with a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PieceState {
    /// Not here, and asked of nobody.
    Missing,
    /// Asked of these.
    InFlight(RequestedFrom),
    /// Verified and written.
    Stored,
}

/// The holders of whom a piece is asked: one, or two when the first is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestedFrom {
    first: HolderId,
    second: Option<HolderId>,
}

/// The pieces of one content.
#[derive(Debug)]
pub(crate) struct Picker {
    geometry: Geometry,
    states: Vec<PieceState>,
    missing: Bitfield,
    /// For each missing piece, how many partial holders have it. Of the others it is not kept: in a crowd most of what
    /// is heard is of them.
    holders: Vec<u16>,
    /// The missing pieces by that number.
    buckets: Vec<Vec<u32>>,
    /// Where a missing piece lies in its bucket.
    positions: Vec<u32>,
    stored: u32,
    left_bytes: u64,
}

impl RequestedFrom {
    pub(crate) fn iter(self) -> impl Iterator<Item = HolderId> {
        [Some(self.first), self.second].into_iter().flatten()
    }

    /// Whether a second holder may be asked.
    pub(crate) const fn is_one(self) -> bool {
        self.second.is_none()
    }
}

impl Picker {
    /// All pieces but those of `have` are missing.
    pub(crate) fn new(geometry: Geometry, have: &Bitfield) -> Self {
        let count = geometry.count() as usize;
        let mut picker = Self {
            geometry,
            states: vec![PieceState::Stored; count],
            missing: Bitfield::none(geometry.count()),
            holders: vec![0; count],
            buckets: Vec::new(),
            positions: vec![0; count],
            stored: geometry.count(),
            left_bytes: 0,
        };
        for piece in geometry.pieces().filter(|piece| !have.has(*piece)) {
            picker.states[piece.0 as usize] = PieceState::Missing;
            picker.stored -= 1;
            picker.left_bytes += u64::from(geometry.length(piece));
            picker.insert(piece);
        }
        picker
    }

    pub(crate) const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// How many pieces are stored.
    pub(crate) const fn stored(&self) -> u32 {
        self.stored
    }

    /// The pieces that are not here and asked of nobody.
    pub(crate) const fn missing(&self) -> &Bitfield {
        &self.missing
    }

    /// How many partial holders have the missing `piece`.
    #[cfg(test)]
    pub(crate) fn rarity(&self, piece: PieceIndex) -> u16 {
        self.holders[piece.0 as usize]
    }

    /// Bytes that are not stored, in flight or missing.
    pub(crate) const fn left_bytes(&self) -> u64 {
        self.left_bytes
    }

    /// The state of `piece`; `None` where the content has no such piece.
    pub(crate) fn state(&self, piece: PieceIndex) -> Option<PieceState> {
        self.states.get(piece.0 as usize).copied()
    }

    /// The missing piece that a holder that has `has` is asked for next.
    pub(crate) fn pick(&self, has: &HolderPieces, random: &mut Random) -> Option<PieceIndex> {
        if self.missing.is_empty() {
            return None;
        }
        let last = self.geometry.last()?;
        if self.missing.has(last) && has.has(last) {
            return Some(last);
        }
        self.pick_rarest(has, random)
    }

    fn pick_rarest(&self, has: &HolderPieces, random: &mut Random) -> Option<PieceIndex> {
        let mut probes = PROBES;
        for bucket in self.buckets.iter().filter(|bucket| !bucket.is_empty()) {
            let start = random.below(bucket.len());
            for piece in bucket[start..].iter().chain(&bucket[..start]).map(|piece| PieceIndex(*piece)) {
                if has.has(piece) {
                    return Some(piece);
                }
                probes -= 1;
                if probes == 0 {
                    return self.scan(has, random);
                }
            }
        }
        None
    }

    /// The missing piece that a holder that has `has` is asked for next where it offers to send one, and says that it
    /// has sent `offered` least. Of two that are as rare here, the one that it has sent less is better, and the last
    /// one comes first only where nobody else could send anything newer.
    pub(crate) fn pick_offered(
        &self,
        has: &HolderPieces,
        offered: &[PieceIndex],
        random: &mut Random,
    ) -> Option<PieceIndex> {
        let new = |piece: &&PieceIndex| self.missing.has(**piece) && has.has(**piece);
        let least_sent = offered.iter().filter(new).min_by_key(|piece| self.holders[piece.0 as usize]);
        let Some(least_sent) = least_sent else { return self.pick(has, random) };
        let rarest = self.pick_rarest(has, random)?;
        let rarity = |piece: &PieceIndex| self.holders[piece.0 as usize];
        Some(if rarity(least_sent) <= rarity(&rarest) { *least_sent } else { rarest })
    }

    /// The rarest of the first few missing pieces of `has` after a random place.
    fn scan(&self, has: &HolderPieces, random: &mut Random) -> Option<PieceIndex> {
        let HolderPieces::Some(has) = has else { return None }; // a complete holder needed no scan
        let bytes = |bits| Bitfield::page(bits, 0, self.geometry.count());
        let (missing, has) = (bytes(&self.missing), bytes(has));
        let start = random.below(missing.len());
        let at = (start..missing.len()).chain(0..start);
        at.flat_map(|byte| {
            let both = missing[byte] & has[byte];
            (0..8usize).filter(move |bit| both & (0x80 >> bit) != 0).map(move |bit| byte * 8 + bit)
        })
        .take(CANDIDATES)
        .min_by_key(|piece| self.holders[*piece])
        .and_then(|piece| u32::try_from(piece).ok())
        .map(PieceIndex)
    }

    /// `piece` is asked of `holder`, alone or as the second. False where it is stored, or asked of two already.
    pub(crate) fn ask(&mut self, piece: PieceIndex, holder: HolderId) -> bool {
        match self.states.get_mut(piece.0 as usize) {
            Some(state @ PieceState::Missing) => {
                *state = PieceState::InFlight(RequestedFrom { first: holder, second: None });
                self.remove(piece);
                true
            }
            Some(PieceState::InFlight(holders)) if holders.is_one() && holders.first != holder => {
                holders.second = Some(holder);
                true
            }
            _ => false,
        }
    }

    /// `piece` is not asked of `holder` any more; true where it is missing thereby: then [`Self::missing_again`] is
    /// next.
    pub(crate) fn give_back(&mut self, piece: PieceIndex, holder: HolderId) -> bool {
        let Some(state) = self.states.get_mut(piece.0 as usize) else { return false };
        let PieceState::InFlight(holders) = *state else { return false };
        match (holders.first == holder, holders.second) {
            (true, Some(first)) => *state = PieceState::InFlight(RequestedFrom { first, second: None }),
            (true, None) => {
                *state = PieceState::Missing;
                return true;
            }
            (false, Some(second)) if second == holder => {
                *state = PieceState::InFlight(RequestedFrom { first: holders.first, second: None });
            }
            (false, _) => {}
        }
        false
    }

    /// `piece` is stored. Returns the state that it was in; `None` where the content has no such piece.
    pub(crate) fn store(&mut self, piece: PieceIndex) -> Option<PieceState> {
        let state = self.states.get_mut(piece.0 as usize)?;
        let before = std::mem::replace(state, PieceState::Stored);
        if before != PieceState::Stored {
            self.stored += 1;
            self.left_bytes -= u64::from(self.geometry.length(piece));
        }
        if before == PieceState::Missing {
            self.remove(piece);
        }
        Some(before)
    }

    /// `piece` is missing again, and so many partial holders have it.
    pub(crate) fn missing_again(&mut self, piece: PieceIndex, holders: u16) {
        self.holders[piece.0 as usize] = holders;
        self.insert(piece);
    }

    /// One partial holder more has the missing `piece`.
    pub(crate) fn gain(&mut self, piece: PieceIndex) {
        self.rank(piece, |holders| holders.saturating_add(1));
    }

    /// One partial holder less has the missing `piece`.
    pub(crate) fn lose(&mut self, piece: PieceIndex) {
        self.rank(piece, |holders| holders.saturating_sub(1));
    }

    fn rank(&mut self, piece: PieceIndex, change: impl Fn(u16) -> u16) {
        self.remove(piece);
        let holders = &mut self.holders[piece.0 as usize];
        *holders = change(*holders);
        self.insert(piece);
    }

    /// Puts a piece into its bucket.
    fn insert(&mut self, piece: PieceIndex) {
        let rarity = usize::from(self.holders[piece.0 as usize]);
        if self.buckets.len() <= rarity {
            self.buckets.resize_with(rarity + 1, Vec::new);
        }
        let bucket = &mut self.buckets[rarity];
        // A bucket is as long as the content has pieces at most, which is a u32.
        self.positions[piece.0 as usize] = u32::try_from(bucket.len()).unwrap_or(u32::MAX);
        bucket.push(piece.0);
        self.missing.set(piece);
    }

    /// Takes a piece out of its bucket.
    fn remove(&mut self, piece: PieceIndex) {
        let bucket = &mut self.buckets[usize::from(self.holders[piece.0 as usize])];
        let position = self.positions[piece.0 as usize];
        debug_assert_eq!(bucket.get(position as usize), Some(&piece.0));
        bucket.swap_remove(position as usize);
        if let Some(moved) = bucket.get(position as usize) {
            self.positions[*moved as usize] = position;
        }
        self.missing.clear(piece);
    }
}
