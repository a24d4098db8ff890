//! The rules that hold in every world, checked at every step and independently of the core's own bookkeeping.
//!
//! What is in flight, which offers are open and what left a line is counted here from actions and events alone. A rule
//! that is broken is written down; the test that runs the world fails, and the seed says where.

use std::collections::{BTreeMap, BTreeSet};

use brigade_core::{
    download::{Config, DownloadId, HolderId},
    geometry::PieceIndex,
    time::Timestamp,
    upload::{NewcomerId, OfferId},
};

use crate::{sending::most_at_once, world::PeerNumber};

/// How many broken rules are written down.
const FAULTS_KEPT: usize = 20;

/// Requests that one holder may have, however long the pieces are; and all of a peer's holders together.
const ALWAYS: (usize, usize) = (2, 4);

/// How long what may leave at once would take at a limit's rate, and how far that rate may be passed: both together are
/// less than 2 % over any ten seconds. What is being sent when the bucket is full is one segment more.
const BURST_SECONDS: f64 = 0.1;
const OVER: f64 = 1.001;

type Piece = (DownloadId, PieceIndex);

/// What every newcomer has in flight, and the rules that it broke.
#[derive(Debug)]
pub struct Checks {
    holder_window_bytes: u64,
    in_flight_bytes: u64,
    requests_in_flight: usize,
    segment_bytes: u32,
    /// By number of the peer, as all that follow.
    flights: Vec<Flights>,
    /// Offers that were made and not answered.
    offers: Vec<BTreeSet<(NewcomerId, OfferId)>>,
    lines: Vec<Line>,
    lists: Vec<BTreeSet<DownloadId>>,
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
    /// Offers that it heard of and has to answer at once.
    heard: Vec<(HolderId, u32)>,
}

/// A line with a limit, as a bucket that leaks at the limit's rate.
#[derive(Debug)]
struct Line {
    limit: Option<u64>,
    level: f64,
    at: Timestamp,
    /// Whether the next segment was begun under another limit.
    pardoned: bool,
}

impl Checks {
    /// Checks against the bounds of `config`, of peers with these limits on sending.
    pub fn new(config: &Config, limits: impl Iterator<Item = Option<u64>>, segment_bytes: u32) -> Self {
        let line = |limit| Line { limit, level: 0.0, at: Timestamp::default(), pardoned: false };
        let lines: Vec<Line> = limits.map(line).collect();
        Self {
            holder_window_bytes: config.holder_window_bytes,
            in_flight_bytes: config.in_flight_bytes,
            requests_in_flight: config.requests_in_flight,
            segment_bytes,
            flights: lines.iter().map(|_| Flights::default()).collect(),
            offers: vec![BTreeSet::new(); lines.len()],
            lists: vec![BTreeSet::new(); lines.len()],
            lines,
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
        self.lists[peer.at()].insert(download);
    }

    pub(crate) fn shunned(&mut self, peer: PeerNumber, holder: HolderId, download: DownloadId) {
        let new = self.shunned.insert((peer, holder, download));
        self.must(new, || format!("{peer:?} shuns {holder:?} twice for {download:?}"));
    }

    /// A holder makes an offer.
    pub(crate) fn offered(&mut self, holder: PeerNumber, newcomer: NewcomerId, offer: OfferId) {
        let new = self.offers[holder.at()].insert((newcomer, offer));
        self.must(new, || format!("{holder:?} makes {offer:?} twice"));
    }

    /// An offer's answer is here.
    pub(crate) fn answered(&mut self, holder: PeerNumber, newcomer: NewcomerId, offer: OfferId) {
        let open = self.offers[holder.at()].remove(&(newcomer, offer));
        self.must(open, || format!("{newcomer:?} answers {offer:?} of {holder:?}, which is not open"));
    }

    /// A newcomer's connection to a holder is gone.
    pub(crate) fn gone(&mut self, holder: PeerNumber, newcomer: NewcomerId) {
        self.offers[holder.at()].retain(|(of, _)| *of != newcomer);
    }

    /// A newcomer hears of an offer, and has to answer it before anything else.
    pub(crate) fn must_answer(&mut self, peer: PeerNumber, holder: HolderId, offer: u32) {
        self.flights[peer.at()].heard.push((holder, offer));
    }

    /// It answers.
    pub(crate) fn answers(&mut self, peer: PeerNumber, holder: HolderId, offer: u32) {
        let heard = &mut self.flights[peer.at()].heard;
        let at = heard.iter().position(|heard| *heard == (holder, offer));
        at.map(|at| heard.remove(at));
        self.must(at.is_some(), || format!("{peer:?} answers offer {offer} of {holder:?}, which it has not"));
    }

    /// A peer's limit on sending is another.
    pub(crate) fn limited(&mut self, peer: PeerNumber, now: Timestamp, limit: Option<u64>) {
        self.lines[peer.at()] = Line { limit, level: 0.0, at: now, pardoned: true };
    }

    /// A segment left a peer's line.
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    pub(crate) fn left(&mut self, peer: PeerNumber, now: Timestamp, bytes: u32) {
        let line = &mut self.lines[peer.at()];
        let Some(limit) = line.limit else { return };
        if std::mem::take(&mut line.pardoned) {
            return;
        }
        let leaked = now.since(line.at).as_secs_f64() * limit as f64 * OVER;
        line.level = (line.level - leaked).max(0.0) + f64::from(bytes);
        line.at = now;
        let segment = self.segment_bytes.min(most_at_once(limit));
        let most = limit as f64 * BURST_SECONDS + f64::from(segment);
        let level = line.level;
        self.must(level <= most, || format!("{peer:?} sends {level} bytes above {limit} a second"));
    }

    pub(crate) fn requested(
        &mut self,
        peer: PeerNumber,
        holder: HolderId,
        piece: Piece,
        bytes: u32,
        whole: bool,
    ) {
        let download = piece.0;
        let shunned = self.shunned.contains(&(peer, holder, download));
        self.must(!shunned, || format!("{peer:?} asks {holder:?}, which it shuns"));
        let listed = whole || self.lists[peer.at()].contains(&download);
        self.must(listed, || format!("{peer:?} asks for {piece:?} before it has the list"));
        let flights = &mut self.flights[peer.at()];
        let of_piece = |pieces: &&BTreeMap<Piece, (u32, bool)>| pieces.contains_key(&piece);
        let askers = flights.by_holder.values().filter(of_piece).count();
        let new = flights.by_holder.entry(holder).or_default().insert(piece, (bytes, false)).is_none();
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
        let of_holder = self.flights[peer.at()].by_holder.get_mut(&holder);
        if let Some((_, arrived)) = of_holder.and_then(|of| of.get_mut(&(download, piece))) {
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
        self.release(peer, holder, |(one, at), arrived| {
            one == download && piece.map_or(!arrived, |piece| piece == at)
        });
    }

    /// The connection to a holder is gone.
    pub(crate) fn lost(&mut self, peer: PeerNumber, holder: HolderId) {
        self.release(peer, holder, |_, arrived| !arrived);
    }

    /// A download ended.
    pub(crate) fn ended(&mut self, peer: PeerNumber, download: DownloadId) {
        let holders: Vec<HolderId> = self.flights[peer.at()].by_holder.keys().copied().collect();
        for holder in holders {
            self.release(peer, holder, |(one, _), _| one == download);
        }
    }

    fn release(&mut self, peer: PeerNumber, holder: HolderId, gone: impl Fn(Piece, bool) -> bool) {
        let flights = &mut self.flights[peer.at()];
        let Some(pieces) = flights.by_holder.get_mut(&holder) else { return };
        pieces.retain(|piece, (bytes, arrived)| {
            let gone = gone(*piece, *arrived);
            if gone {
                flights.bytes -= u64::from(*bytes);
                flights.requests -= 1;
            }
            !gone
        });
        if pieces.is_empty() {
            flights.by_holder.remove(&holder);
        }
    }

    /// All actions of an event are carried out: offers are answered, and the windows hold now.
    pub(crate) fn settled(&mut self, peer: PeerNumber) {
        let flights = &mut self.flights[peer.at()];
        if let Some((holder, offer)) = flights.heard.pop() {
            self.must(false, || format!("{peer:?} does not answer offer {offer} of {holder:?}"));
        }
        let flights = &mut self.flights[peer.at()];
        if !std::mem::take(&mut flights.asked) {
            return;
        }
        let (bytes, requests) = (flights.bytes, flights.requests);
        // What is in flight at a stalled holder does not count against the smallest number of requests.
        let fits = bytes <= self.in_flight_bytes || requests <= ALWAYS.1 + flights.by_holder.len();
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
