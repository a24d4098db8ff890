//! The named holders of many contents, in as few messages as they fit.
//!
//! A holder of several contents is written once in each message; the contents name it by its position.
//! `holder_selection` chooses the holders.

use std::collections::BTreeMap;

use super::{
    holder_selection::HolderSelection,
    session::{Session, SessionId},
};
use crate::{
    id::Content,
    limits,
    wire::manager::{ContentHolders, Holders, PeerAddress},
};

/// Puts selections of holders into as few messages as they fit.
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
    pub(super) fn add(&mut self, selection: &HolderSelection) {
        if self.page_bytes + self.cost(selection) > limits::PAGE_BYTES {
            self.start_page();
        }
        self.page_bytes += self.cost(selection);
        let complete = self.positions_of(&selection.complete);
        let partial = self.positions_of(&selection.partial);
        let Content { id, size } = selection.content;
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

    fn cost(&self, selection: &HolderSelection) -> usize {
        let holders = selection.complete.iter().chain(&selection.partial);
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
    use std::collections::BTreeMap;

    use super::{Content, HolderPages, HolderSelection, Session, SessionId};
    use crate::{
        id::{ContentId, PeerKey},
        limits,
        manager::session::{Peer, SessionState},
        time::UnixTime,
        wire::{frame, manager::FromManager},
    };

    #[test]
    fn every_message_fits_a_frame_however_many_holders_and_long_names() {
        let address = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let sessions: BTreeMap<_, _> = (0..5000)
            .map(|i| {
                let mut session = Session::new(PeerKey([255; 32]), address, address);
                let username = format!("{i:064}").parse().unwrap();
                session.state = SessionState::Peer(Peer::new(username, false, 65535, UnixTime(0)));
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
