//! Rules that hold in every simulation, checked at every step and independently of the core.
//!
//! The checks count what is in flight, open offers and sent bytes from actions and events alone. They record a broken
//! rule; then the test that runs the simulation fails, and its seed reproduces the failure.

use std::collections::{BTreeMap, BTreeSet};

use brigade_core::{
    download::{Config, DownloadId, HolderId},
    geometry::PieceIndex,
    time::Timestamp,
    upload::{DownloaderId, OfferId},
};

use crate::{identifiers::PeerNumber, network::link::largest_burst_bytes};

/// How many broken rules are recorded.
const FAULTS_KEPT: usize = 20;

/// Requests that one holder, and all holders of a peer together, may always have, for pieces of any length.
const ALWAYS: (usize, usize) = (2, 4);

/// The burst under a limit, as a time at its rate, and the factor by which the rate may be exceeded: together less than
/// 2 % over any ten seconds. The segment that fills the bucket comes on top.
const BURST_SECONDS: f64 = 0.1;
const OVER: f64 = 1.001;

type Piece = (DownloadId, PieceIndex);

/// The pieces in flight of every downloader, and the broken rules.
#[derive(Debug)]
pub struct Checks {
    holder_window_bytes: u64,
    in_flight_bytes: u64,
    requests_in_flight: usize,
    segment_bytes: u32,
    /// By number of the peer, as all that follow.
    in_flight: Vec<InFlight>,
    /// Offers that were made and not answered.
    offers: Vec<BTreeSet<(DownloaderId, OfferId)>>,
    buckets: Vec<LeakyBucket>,
    lists: Vec<BTreeSet<DownloadId>>,
    banned: BTreeSet<(PeerNumber, HolderId, DownloadId)>,
    faults: Vec<String>,
}

/// The pieces that one downloader requested and has not stored.
#[derive(Debug, Default)]
struct InFlight {
    /// The length of each piece, and whether it has arrived.
    by_holder: BTreeMap<HolderId, BTreeMap<Piece, (u32, bool)>>,
    bytes: u64,
    requests: usize,
    /// Whether it requested something since the last check.
    asked: bool,
    /// Offers that it received and must answer at once.
    open_offers: Vec<(HolderId, u32)>,
}

/// An upload limit as a bucket that leaks at the limit's rate.
#[derive(Debug)]
struct LeakyBucket {
    limit: Option<u64>,
    level: f64,
    at: Timestamp,
    /// Whether the next segment began under another limit.
    limit_changed: bool,
}

impl Checks {
    /// Checks against the bounds of `config`, of peers with these limits on sending.
    pub fn new(config: &Config, limits: impl Iterator<Item = Option<u64>>, segment_bytes: u32) -> Self {
        let bucket =
            |limit| LeakyBucket { limit, level: 0.0, at: Timestamp::default(), limit_changed: false };
        let buckets: Vec<LeakyBucket> = limits.map(bucket).collect();
        Self {
            holder_window_bytes: config.holder_window_bytes,
            in_flight_bytes: config.in_flight_bytes,
            requests_in_flight: config.requests_in_flight,
            segment_bytes,
            in_flight: buckets.iter().map(|_| InFlight::default()).collect(),
            offers: vec![BTreeSet::new(); buckets.len()],
            lists: vec![BTreeSet::new(); buckets.len()],
            buckets,
            banned: BTreeSet::new(),
            faults: Vec::new(),
        }
    }

    /// The rules that were broken.
    pub fn faults(self) -> Vec<String> {
        self.faults
    }

    /// Records a broken rule.
    pub(crate) fn check(&mut self, kept: bool, what: impl FnOnce() -> String) {
        if !kept && self.faults.len() < FAULTS_KEPT {
            self.faults.push(what());
        }
    }

    pub(crate) fn list_known(&mut self, peer: PeerNumber, download: DownloadId) {
        self.lists[peer.at()].insert(download);
    }

    pub(crate) fn banned(&mut self, peer: PeerNumber, holder: HolderId, download: DownloadId) {
        let new = self.banned.insert((peer, holder, download));
        self.check(new, || format!("{peer:?} bans {holder:?} twice for {download:?}"));
    }

    /// A holder makes an offer.
    pub(crate) fn offered(&mut self, holder: PeerNumber, downloader: DownloaderId, offer: OfferId) {
        let new = self.offers[holder.at()].insert((downloader, offer));
        self.check(new, || format!("{holder:?} makes {offer:?} twice"));
    }

    /// The answer to an offer arrived.
    pub(crate) fn answered(&mut self, holder: PeerNumber, downloader: DownloaderId, offer: OfferId) {
        let open = self.offers[holder.at()].remove(&(downloader, offer));
        self.check(open, || format!("{downloader:?} answers {offer:?} of {holder:?}, which is not open"));
    }

    /// A downloader's connection to a holder is gone.
    pub(crate) fn disconnected(&mut self, holder: PeerNumber, downloader: DownloaderId) {
        self.offers[holder.at()].retain(|(of, _)| *of != downloader);
    }

    /// A downloader received an offer and must answer it before anything else.
    pub(crate) fn must_answer(&mut self, peer: PeerNumber, holder: HolderId, offer: u32) {
        self.in_flight[peer.at()].open_offers.push((holder, offer));
    }

    /// It answers.
    pub(crate) fn answers(&mut self, peer: PeerNumber, holder: HolderId, offer: u32) {
        let open_offers = &mut self.in_flight[peer.at()].open_offers;
        let at = open_offers.iter().position(|open_offers| *open_offers == (holder, offer));
        at.map(|at| open_offers.remove(at));
        self.check(at.is_some(), || {
            format!("{peer:?} answers offer {offer} of {holder:?}, which it has not")
        });
    }

    /// A peer's limit on sending is another.
    pub(crate) fn limited(&mut self, peer: PeerNumber, now: Timestamp, limit: Option<u64>) {
        self.buckets[peer.at()] = LeakyBucket { limit, level: 0.0, at: now, limit_changed: true };
    }

    /// A segment left a peer's link.
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    pub(crate) fn left(&mut self, peer: PeerNumber, now: Timestamp, bytes: u32) {
        let bucket = &mut self.buckets[peer.at()];
        let Some(limit) = bucket.limit else { return };
        if std::mem::take(&mut bucket.limit_changed) {
            return;
        }
        let leaked = now.since(bucket.at).as_secs_f64() * limit as f64 * OVER;
        bucket.level = (bucket.level - leaked).max(0.0) + f64::from(bytes);
        bucket.at = now;
        let segment = self.segment_bytes.min(largest_burst_bytes(limit));
        let most = limit as f64 * BURST_SECONDS + f64::from(segment);
        let level = bucket.level;
        self.check(level <= most, || format!("{peer:?} sends {level} bytes above {limit} a second"));
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
        let banned = self.banned.contains(&(peer, holder, download));
        self.check(!banned, || format!("{peer:?} asks {holder:?}, which it has banned"));
        let listed = whole || self.lists[peer.at()].contains(&download);
        self.check(listed, || format!("{peer:?} asks for {piece:?} before it has the list"));
        let in_flight = &mut self.in_flight[peer.at()];
        let of_piece = |pieces: &&BTreeMap<Piece, (u32, bool)>| pieces.contains_key(&piece);
        let others = in_flight.by_holder.values().filter(of_piece).count();
        let new = in_flight.by_holder.entry(holder).or_default().insert(piece, (bytes, false)).is_none();
        in_flight.asked = true;
        if new {
            in_flight.bytes += u64::from(bytes);
            in_flight.requests += 1;
        }
        self.check(new, || format!("{peer:?} asks {holder:?} twice for {piece:?}"));
        // A third holder may be asked if the first one is disconnected while its piece is being hashed.
        self.check(others < 3, || format!("{peer:?} asks {others} others for {piece:?}"));
    }

    pub(crate) fn arrived(
        &mut self,
        peer: PeerNumber,
        holder: HolderId,
        download: DownloadId,
        piece: PieceIndex,
    ) {
        let of_holder = self.in_flight[peer.at()].by_holder.get_mut(&holder);
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
        let holders: Vec<HolderId> = self.in_flight[peer.at()].by_holder.keys().copied().collect();
        for holder in holders {
            self.release(peer, holder, |(one, _), _| one == download);
        }
    }

    fn release(&mut self, peer: PeerNumber, holder: HolderId, is_released: impl Fn(Piece, bool) -> bool) {
        let in_flight = &mut self.in_flight[peer.at()];
        let Some(pieces) = in_flight.by_holder.get_mut(&holder) else { return };
        pieces.retain(|piece, (bytes, arrived)| {
            let released = is_released(*piece, *arrived);
            if released {
                in_flight.bytes -= u64::from(*bytes);
                in_flight.requests -= 1;
            }
            !released
        });
        if pieces.is_empty() {
            in_flight.by_holder.remove(&holder);
        }
    }

    /// All actions of an event are carried out: offers are answered, and the windows hold now.
    pub(crate) fn settled(&mut self, peer: PeerNumber) {
        let in_flight = &mut self.in_flight[peer.at()];
        if let Some((holder, offer)) = in_flight.open_offers.pop() {
            self.check(false, || format!("{peer:?} does not answer offer {offer} of {holder:?}"));
        }
        let in_flight = &mut self.in_flight[peer.at()];
        if !std::mem::take(&mut in_flight.asked) {
            return;
        }
        let (bytes, requests) = (in_flight.bytes, in_flight.requests);
        // Requests at a stalled holder do not count against the smallest number of requests.
        let fits = bytes <= self.in_flight_bytes || requests <= ALWAYS.1 + in_flight.by_holder.len();
        let window = |pieces: &BTreeMap<Piece, (u32, bool)>| {
            let bytes: u64 = pieces.values().map(|(bytes, _)| u64::from(*bytes)).sum();
            pieces.len() <= self.requests_in_flight
                && (bytes <= self.holder_window_bytes || pieces.len() <= ALWAYS.0)
        };
        let over = in_flight.by_holder.iter().find(|(_, pieces)| !window(pieces)).map(|(holder, _)| *holder);
        self.check(fits, || format!("{peer:?} has {bytes} bytes in flight"));
        self.check(over.is_none(), || format!("{peer:?} passes the window of {over:?}"));
    }
}
