//! The rules that hold in every world, checked at every step and independently of the core's own bookkeeping.
//!
//! What is in flight is counted here from actions and events alone. A rule that is broken is written down; the test
//! that runs the world fails, and the seed says where.

use std::collections::{BTreeMap, BTreeSet};

use brigade_core::{
    download::{Config, DownloadId, HolderId},
    geometry::PieceIndex,
};

use crate::world::PeerNumber;

/// How many broken rules are written down.
const FAULTS_KEPT: usize = 20;

/// Requests that one holder may have, however long the pieces are; and all of a peer's holders together.
const ALWAYS: (usize, usize) = (2, 4);

type Piece = (DownloadId, PieceIndex);

/// What every newcomer has in flight, and the rules that it broke.
#[derive(Debug)]
pub struct Checks {
    holder_window_bytes: u64,
    in_flight_bytes: u64,
    requests_in_flight: usize,
    peers: BTreeMap<PeerNumber, Flights>,
    lists: BTreeSet<(PeerNumber, DownloadId)>,
    shunned: BTreeSet<(PeerNumber, HolderId, DownloadId)>,
    faults: Vec<String>,
}

/// What one newcomer has asked for and not stored.
#[derive(Debug, Default)]
struct Flights {
    /// How long each piece is, and whether all of it is there.
    by_holder: BTreeMap<HolderId, BTreeMap<Piece, (u32, bool)>>,
    bytes: u64,
    requests: usize,
    /// Whether something was asked since the rules were last looked at.
    asked: bool,
}

impl Checks {
    /// Checks against the bounds of `config`.
    pub fn new(config: &Config) -> Self {
        Self {
            holder_window_bytes: config.holder_window_bytes,
            in_flight_bytes: config.in_flight_bytes,
            requests_in_flight: config.requests_in_flight,
            peers: BTreeMap::new(),
            lists: BTreeSet::new(),
            shunned: BTreeSet::new(),
            faults: Vec::new(),
        }
    }

    /// The rules that were broken.
    pub fn faults(self) -> Vec<String> {
        self.faults
    }

    /// Writes down a broken rule.
    pub(crate) fn must(&mut self, kept: bool, what: impl FnOnce() -> String) {
        if !kept && self.faults.len() < FAULTS_KEPT {
            self.faults.push(what());
        }
    }

    pub(crate) fn list_known(&mut self, peer: PeerNumber, download: DownloadId) {
        self.lists.insert((peer, download));
    }

    pub(crate) fn shunned(&mut self, peer: PeerNumber, holder: HolderId, download: DownloadId) {
        let new = self.shunned.insert((peer, holder, download));
        self.must(new, || format!("{peer:?} shuns {holder:?} twice for {download:?}"));
    }

    pub(crate) fn requested(
        &mut self,
        peer: PeerNumber,
        holder: HolderId,
        download: DownloadId,
        piece: PieceIndex,
        bytes: u32,
        whole: bool,
    ) {
        let shunned = self.shunned.contains(&(peer, holder, download));
        self.must(!shunned, || format!("{peer:?} asks {holder:?}, which it shuns"));
        let listed = whole || self.lists.contains(&(peer, download));
        self.must(listed, || format!("{peer:?} asks for {piece:?} before it has the list"));
        let flights = self.peers.entry(peer).or_default();
        let of_piece = |pieces: &&BTreeMap<Piece, (u32, bool)>| pieces.contains_key(&(download, piece));
        let askers = flights.by_holder.values().filter(of_piece).count();
        let new =
            flights.by_holder.entry(holder).or_default().insert((download, piece), (bytes, false)).is_none();
        flights.asked = true;
        if new {
            flights.bytes += u64::from(bytes);
            flights.requests += 1;
        }
        self.must(new, || format!("{peer:?} asks {holder:?} twice for {piece:?}"));
        // A third may be asked where what the first one sent is being hashed, and it is gone.
        self.must(askers < 3, || format!("{peer:?} asks {askers} others for {piece:?}"));
    }

    pub(crate) fn arrived(
        &mut self,
        peer: PeerNumber,
        holder: HolderId,
        download: DownloadId,
        piece: PieceIndex,
    ) {
        let flights = self.peers.entry(peer).or_default();
        let flight = flights.by_holder.get_mut(&holder).and_then(|of| of.get_mut(&(download, piece)));
        if let Some((_, arrived)) = flight {
            *arrived = true;
        }
    }

    /// A piece is in flight no more; or, for `None`, those of the content that have not arrived.
    pub(crate) fn released(
        &mut self,
        peer: PeerNumber,
        holder: HolderId,
        download: DownloadId,
        piece: Option<PieceIndex>,
    ) {
        self.release(peer, |of, (one, at), arrived| {
            of == holder && one == download && piece.map_or(!arrived, |piece| piece == at)
        });
    }

    /// The connection to a holder is gone.
    pub(crate) fn lost(&mut self, peer: PeerNumber, holder: HolderId) {
        self.release(peer, |of, _, arrived| of == holder && !arrived);
    }

    /// A download ended.
    pub(crate) fn ended(&mut self, peer: PeerNumber, download: DownloadId) {
        self.release(peer, |_, (one, _), _| one == download);
    }

    fn release(&mut self, peer: PeerNumber, gone: impl Fn(HolderId, Piece, bool) -> bool) {
        let flights = self.peers.entry(peer).or_default();
        for (holder, pieces) in &mut flights.by_holder {
            pieces.retain(|piece, (bytes, arrived)| {
                let gone = gone(*holder, *piece, *arrived);
                if gone {
                    flights.bytes -= u64::from(*bytes);
                    flights.requests -= 1;
                }
                !gone
            });
        }
    }

    /// All actions of an event are carried out: the windows hold now.
    pub(crate) fn settled(&mut self, peer: PeerNumber) {
        let flights = self.peers.entry(peer).or_default();
        if !std::mem::take(&mut flights.asked) {
            return;
        }
        let (bytes, requests) = (flights.bytes, flights.requests);
        // What is in flight at a stalled holder does not count against the smallest number of requests.
        let waiting = flights.by_holder.values().filter(|pieces| !pieces.is_empty()).count();
        let fits = bytes <= self.in_flight_bytes || requests <= ALWAYS.1 + waiting;
        let window = |pieces: &BTreeMap<Piece, (u32, bool)>| {
            let bytes: u64 = pieces.values().map(|(bytes, _)| u64::from(*bytes)).sum();
            pieces.len() <= self.requests_in_flight
                && (bytes <= self.holder_window_bytes || pieces.len() <= ALWAYS.0)
        };
        let over = flights.by_holder.iter().find(|(_, pieces)| !window(pieces)).map(|(holder, _)| *holder);
        self.must(fits, || format!("{peer:?} has {bytes} bytes in flight"));
        self.must(over.is_none(), || format!("{peer:?} passes the window of {over:?}"));
    }
}
