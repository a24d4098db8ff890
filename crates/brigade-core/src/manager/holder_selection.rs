//! Which holders of a content are named to which session.
//!
//! At most [`limits::HOLDERS_NAMED`] for one content, complete and partial holders alike: if many fetch from one
//! holder, it is named to a few of them, who pass the content on. If there are more holders than that, each session
//! gets its own selection, by a score of session and holder. So one holder that comes or goes changes few selections,
//! and a session meets the same holders for all contents; when it asks again, it gets others. Answers are split into
//! messages that fit a frame.

use std::collections::BTreeMap;

use super::{
    catalogue,
    session::{Session, SessionId},
};
use crate::{
    id::Content,
    limits,
    wire::manager::{ContentHolders, Holders, PeerAddress},
};

/// The holders of one content that one asker is told.
#[derive(Debug)]
pub(super) struct HolderSelection {
    content: Content,
    complete: Vec<SessionId>,
    partial: Vec<SessionId>,
}

impl HolderSelection {
    /// Those that `asker` is told of `holders`, in an order of its own; never the asker itself.
    pub(super) fn new(
        seed: u64,
        again: u32,
        asker: SessionId,
        content: Content,
        holders: Option<&catalogue::HolderSet>,
    ) -> Self {
        let Some(holders) = holders else { return Self { content, complete: vec![], partial: vec![] } };
        let seed = seed.wrapping_add(mix(u64::from(again)));
        let all = holders.complete().map(|holder| (holder, true));
        let all = all.chain(holders.partial().map(|holder| (holder, false)));
        let named = best(seed, asker, all, limits::HOLDERS_NAMED);
        let of =
            |whole| named.iter().filter(move |(_, all)| *all == whole).map(|(holder, _)| *holder).collect();
        Self { content, complete: of(true), partial: of(false) }
    }

    /// A number that is the same for the same choice (and, by a chance of 2⁻⁶⁴, for another).
    pub(super) fn fingerprint(&self) -> u64 {
        let start = mix(self.complete.len() as u64); // where the one list ends and the other begins
        let all = self.complete.iter().chain(&self.partial);
        all.fold(start, |hash, holder| mix(hash.rotate_left(23).wrapping_add(holder.0)))
    }
}

fn best(
    seed: u64,
    asker: SessionId,
    holders: impl Iterator<Item = (SessionId, bool)>,
    most: usize,
) -> Vec<(SessionId, bool)> {
    let asker_seed = mix(seed ^ asker.0);
    let mut scored: Vec<(u64, (SessionId, bool))> = holders
        .filter(|(holder, _)| *holder != asker)
        .map(|(holder, all)| (mix(asker_seed ^ mix(holder.0)), (holder, all)))
        .collect();
    if scored.len() > most && most > 0 {
        scored.select_nth_unstable(most - 1);
    }
    scored.truncate(most);
    scored.sort_unstable();
    scored.into_iter().map(|(_, holder)| holder).collect()
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Puts choices into as few messages as they fit.
#[derive(Debug)]
pub(super) struct HolderPages<'a> {
    sessions: &'a BTreeMap<SessionId, Session>,
    asker: Option<&'a Session>,
    full: Vec<Holders>,
    page: Holders,
    page_bytes: usize,
    /// Where in the page a holder stands.
    positions: BTreeMap<SessionId, u32>,
}

/// Bytes of the map, its keys and the heads of its arrays.
const PAGE_OVERHEAD_BYTES: usize = 16;
/// Bytes of a content's map, id, size and heads, and of one position.
const CONTENT_BYTES: usize = 64;
const POSITION_BYTES: usize = 5;

impl<'a> HolderPages<'a> {
    /// No page yet, for `asker`.
    pub(super) fn new(sessions: &'a BTreeMap<SessionId, Session>, asker: SessionId) -> Self {
        Self {
            sessions,
            asker: sessions.get(&asker),
            full: vec![],
            page: Holders { peers: vec![], contents: vec![] },
            page_bytes: PAGE_OVERHEAD_BYTES,
            positions: BTreeMap::new(),
        }
    }

    /// Adds what is known of one content.
    pub(super) fn add(&mut self, choice: &HolderSelection) {
        if self.page_bytes + self.cost(choice) > limits::PAGE_BYTES {
            self.start_page();
        }
        self.page_bytes += self.cost(choice);
        let complete = self.positions_of(&choice.complete);
        let partial = self.positions_of(&choice.partial);
        let Content { id, size } = choice.content;
        self.page.contents.push(ContentHolders { id, size, complete, partial });
    }

    /// The messages, none where nothing was added.
    pub(super) fn finish(mut self) -> Vec<Holders> {
        self.start_page();
        self.full
    }

    fn start_page(&mut self) {
        if !self.page.contents.is_empty() {
            let empty = Holders { peers: vec![], contents: vec![] };
            self.full.push(std::mem::replace(&mut self.page, empty));
            self.page_bytes = PAGE_OVERHEAD_BYTES;
            self.positions.clear();
        }
    }

    fn cost(&self, choice: &HolderSelection) -> usize {
        let holders = choice.complete.iter().chain(&choice.partial);
        let peers = holders.map(|holder| match self.positions.get(holder) {
            Some(_) => POSITION_BYTES,
            None => POSITION_BYTES + self.peer_address(*holder).map_or(0, |peer| peer_address_bytes(&peer)),
        });
        CONTENT_BYTES + peers.sum::<usize>()
    }

    fn positions_of(&mut self, holders: &[SessionId]) -> Vec<u32> {
        holders.iter().filter_map(|holder| self.position(*holder)).collect()
    }

    fn position(&mut self, holder: SessionId) -> Option<u32> {
        if let Some(position) = self.positions.get(&holder) {
            return Some(*position);
        }
        let peer = self.peer_address(holder)?;
        let position = u32::try_from(self.page.peers.len()).ok()?;
        self.page.peers.push(peer);
        self.positions.insert(holder, position);
        Some(position)
    }

    fn peer_address(&self, holder: SessionId) -> Option<PeerAddress> {
        self.sessions.get(&holder)?.address_seen_by(self.asker?)
    }
}

/// At least what it takes on the wire: a map of three keys, two texts and a key of 32 bytes.
fn peer_address_bytes(peer: &PeerAddress) -> usize {
    4 + 3 + peer.username.as_str().len() + 3 + peer.address.len() + 34
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Content, HolderPages, HolderSelection, Session, SessionId, best};
    use crate::{
        id::{ContentId, PeerKey},
        limits,
        manager::session::{Peer, SessionState},
        time::UnixTime,
        wire::{frame, manager::FromManager},
    };

    #[test]
    fn a_holder_that_leaves_changes_one_place_of_a_choice() {
        let all: Vec<_> = (1..1000).map(|number| (SessionId(number), number == 1)).collect();
        let asker = SessionId(0);
        let before = best(7, asker, all.iter().copied(), 64);
        assert_eq!(before.len(), 64);
        let removed = before[10];
        let after = best(7, asker, all.iter().copied().filter(|holder| *holder != removed), 64);
        let before: BTreeSet<_> = before.into_iter().collect();
        assert_eq!(after.iter().filter(|holder| before.contains(holder)).count(), 63);
        assert_ne!(best(8, asker, all.iter().copied(), 64), best(7, asker, all.iter().copied(), 64));
        assert_eq!(best(7, SessionId(5), [(SessionId(5), true)].into_iter(), 64), []);
        assert_eq!(best(7, SessionId(5), [(SessionId(6), true)].into_iter(), 0), []);
    }

    #[test]
    fn choices_that_differ_have_different_fingerprints() {
        let content = Content { id: ContentId([1; 32]), size: 1 };
        let some = |numbers: &[u64]| numbers.iter().copied().map(SessionId).collect();
        let lists: [&[u64]; 5] = [&[], &[0], &[1], &[0, 1], &[1, 0]];
        let pairs = lists.iter().flat_map(|complete| lists.iter().map(move |partial| (complete, partial)));
        let fingerprints: BTreeSet<_> = pairs
            .map(|(complete, partial)| {
                HolderSelection { content, complete: some(complete), partial: some(partial) }.fingerprint()
            })
            .collect();
        assert_eq!(fingerprints.len(), lists.len() * lists.len());
    }

    #[test]
    fn every_message_fits_a_frame_however_many_holders_and_long_names() {
        let address = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let sessions: BTreeMap<_, _> = (0..5000)
            .map(|i| {
                let mut session = Session::new(PeerKey([255; 32]), address, address);
                session.state = SessionState::Peer(Peer {
                    username: format!("{i:064}").parse().unwrap(),
                    unbound: false,
                    port: 65535,
                    since: UnixTime(0),
                    sending: 0,
                    receiving: 0,
                    is_renewing: false,
                });
                (SessionId(i), session)
            })
            .collect();
        let mut pages = HolderPages::new(&sessions, SessionId(0));
        for i in 0..512u64 {
            pages.add(&HolderSelection {
                content: Content { id: ContentId([255; 32]), size: u64::MAX },
                complete: (i * 8..i * 8 + 64).map(SessionId).collect(),
                partial: vec![],
            });
        }
        let mut contents = 0;
        for page in pages.finish() {
            contents += page.contents.len();
            for content in &page.contents {
                assert_eq!(content.complete.len(), 64);
                assert!(content.complete.iter().all(|at| (*at as usize) < page.peers.len()));
            }
            let mut bytes = vec![];
            frame::encode(&FromManager::from(page), &mut bytes);
            assert!(bytes.len() <= limits::PAGE_BYTES + 64, "{}", bytes.len());
        }
        assert_eq!(contents, 512);
    }
}
