//! Plans: the peers of a simulation and the events, made by hand or from a seed.
//!
//! A plan is data; `simulation` is made from it. Contents have no bytes, only pieces.

use std::time::Duration;

use brigade_core::{
    geometry::Geometry,
    id::{Content, ContentId},
    piece_list::{PieceList, fold},
    random::Random,
    time::Timestamp,
};

use crate::{
    identifiers::{ContentNumber, PeerNumber},
    network::link::LinkRates,
};

/// How a holder behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderBehaviour {
    /// It follows the protocol.
    Honest,
    /// It sends wrong bytes for one piece in this many.
    WrongPieces(u32),
    /// Sends a wrong piece list.
    WrongList,
    /// Refuses every content.
    Refuses,
    /// It claims to have everything, and refuses one piece in this many.
    Forgets(u32),
}

/// A peer.
#[derive(Debug, Clone)]
pub struct PeerPlan {
    /// Its link.
    pub link: LinkRates,
    /// Its upload limit in bytes a second.
    pub upload_limit: Option<u64>,
    /// Its behaviour as a holder.
    pub behaviour: HolderBehaviour,
    /// The contents that it has from the start.
    pub has: Vec<ContentNumber>,
}

/// An event of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlannedEvent {
    /// A peer begins to fetch a content.
    Fetch(PeerNumber, ContentNumber),
    /// A peer's process ends: its connections break, and the manager names it no longer.
    Leave(PeerNumber),
    /// The peer starts again with the pieces that it had.
    Return(PeerNumber),
    /// A peer's process is stopped: its connections stay, and it sends nothing.
    Stall(PeerNumber),
    /// The peer's process continues.
    Resume(PeerNumber),
    /// The connection that the first one made to the second one breaks.
    Break(PeerNumber, PeerNumber),
    /// A peer's upload limit changes.
    Limit(PeerNumber, Option<u64>),
}

/// The input of a simulation.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed of all random numbers.
    pub seed: u64,
    /// The sizes of the contents, in bytes.
    pub contents: Vec<u64>,
    /// The peers.
    pub peers: Vec<PeerPlan>,
    /// The events, in any order.
    pub events: Vec<(Timestamp, PlannedEvent)>,
    /// The latest end of the simulation.
    pub end: Timestamp,
    /// Bytes of piece data in one segment.
    pub segment_bytes: u32,
    /// Connections that a peer accepts.
    pub incoming: usize,
    /// Whether complete holders leave as soon as every piece has another copy.
    pub holders_leave: bool,
}

/// Bytes of piece data in one segment, as in a real frame.
const SEGMENT_BYTES: u32 = 64 << 10;

/// Connections that a peer accepts.
const INCOMING: usize = 64;

impl PeerPlan {
    /// An honest peer on a link of this many bytes a second each way, with a delay of 1 ms.
    pub const fn honest(bytes_per_second: u64, has: Vec<ContentNumber>) -> Self {
        let delay = Duration::from_millis(1);
        let link = LinkRates { up: bytes_per_second, down: bytes_per_second, delay };
        Self { link, upload_limit: None, behaviour: HolderBehaviour::Honest, has }
    }
}

impl Plan {
    /// One content of `size` bytes, `holders` that have it, and a downloader that fetches it at the start. The link of
    /// the downloader has the bandwidth of all holders together.
    pub fn fetch(seed: u64, size: u64, holders: u32, bytes_per_second: u64) -> Self {
        let content = ContentNumber(0);
        let mut peers: Vec<PeerPlan> =
            (0..holders).map(|_| PeerPlan::honest(bytes_per_second, vec![content])).collect();
        peers.push(PeerPlan::honest(bytes_per_second * u64::from(holders + 1), vec![]));
        let events = vec![(Timestamp::default(), PlannedEvent::Fetch(PeerNumber(holders), content))];
        Self::new(seed, vec![size], peers, events)
    }

    /// A simulation of so many contents and peers, for a day at most.
    pub(crate) fn new(
        seed: u64,
        contents: Vec<u64>,
        peers: Vec<PeerPlan>,
        events: Vec<(Timestamp, PlannedEvent)>,
    ) -> Self {
        Self {
            seed,
            contents,
            peers,
            events,
            end: at(Duration::from_secs(24 * 3600)),
            segment_bytes: SEGMENT_BYTES,
            incoming: INCOMING,
            holders_leave: false,
        }
    }

    /// Several contents and peers of all kinds. Contents are all held by one honest peer that stays (number 0), so
    /// that every fetch must end complete.
    pub fn any(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut below = |end: usize| u32::try_from(random.below(end)).unwrap_or(0);
        let mut contents: Vec<u64> = (0..1 + below(3)).map(|_| u64::from(below(6 << 20)) + 1).collect();
        contents.extend((0..below(2) * below(60)).map(|_| 1 + u64::from(below(100_000))));
        let count = u32::try_from(contents.len()).unwrap_or(u32::MAX);
        let all: Vec<ContentNumber> = (0..count).map(ContentNumber).collect();
        let line = |below: &mut dyn FnMut(usize) -> u32| {
            let mut rate = || u64::from(200_000u32 << below(7));
            LinkRates {
                up: rate(),
                down: rate(),
                delay: Duration::from_micros(u64::from(100u32 << below(10))),
            }
        };
        let mut steady = PeerPlan::honest(1, all.clone());
        steady.link = line(&mut below);
        let (mut peers, mut events) = (vec![steady], Vec::new());
        for holder in (1..1 + below(5)).map(PeerNumber) {
            let behaviour = match below(10) {
                0 => HolderBehaviour::WrongPieces(1 + below(4)),
                1 => HolderBehaviour::WrongList,
                2 => HolderBehaviour::Refuses,
                3 => HolderBehaviour::Forgets(1 + below(5)),
                _ => HolderBehaviour::Honest,
            };
            let upload_limit = (below(4) == 0).then(|| u64::from(100_000u32 << below(5)));
            let has = all.iter().filter(|_| below(4) > 0).copied().collect();
            peers.push(PeerPlan { link: line(&mut below), upload_limit, behaviour, has });
            let mut when = Duration::from_millis(u64::from(below(4000)));
            for _ in 0..below(3) {
                let (bad, good) = match below(3) {
                    0 => (PlannedEvent::Leave(holder), PlannedEvent::Return(holder)),
                    _ => (PlannedEvent::Stall(holder), PlannedEvent::Resume(holder)),
                };
                events.push((at(when), bad));
                when += Duration::from_millis(u64::from(1 + below(15_000)));
                events.push((at(when), good));
                when += Duration::from_millis(u64::from(1 + below(3000)));
            }
        }
        let holders = u32::try_from(peers.len()).unwrap_or(u32::MAX);
        for downloader in (holders..holders + 1 + below(3)).map(PeerNumber) {
            let mut plan = PeerPlan::honest(1, vec![]);
            plan.link = line(&mut below);
            plan.upload_limit = (below(3) == 0).then(|| u64::from(100_000u32 << below(5)));
            peers.push(plan);
            let start = at(Duration::from_millis(u64::from(below(2000))));
            events.extend(all.iter().map(|content| (start, PlannedEvent::Fetch(downloader, *content))));
            for _ in 0..below(3) {
                let when = at(Duration::from_millis(u64::from(below(8000))));
                events.push((when, PlannedEvent::Break(downloader, PeerNumber(below(holders as usize)))));
            }
        }
        for _ in 0..below(2) * below(6) {
            let when = at(Duration::from_millis(u64::from(below(6000))));
            let limit = (below(2) == 0).then(|| u64::from(50_000u32 << below(7)));
            events.push((when, PlannedEvent::Limit(PeerNumber(below(peers.len())), limit)));
        }
        Self::new(seed, contents, peers, events)
    }
}

/// The time `since_start` after the start.
pub(crate) fn at(since_start: Duration) -> Timestamp {
    Timestamp::default().after(since_start)
}

/// The content number `number` of a simulation, of `size` bytes, with its piece list where it has one. There are no
/// bytes: the values of the list are invented, and the id is their fold.
pub(crate) fn make_content(number: ContentNumber, size: u64) -> (Content, Option<PieceList>) {
    let pieces = Geometry::new(size).map_or(0, |geometry| geometry.count());
    let value = |piece: u32| {
        let mut value = [0x5a; 32];
        value[..4].copy_from_slice(&number.0.to_be_bytes());
        value[4..8].copy_from_slice(&piece.to_be_bytes());
        value
    };
    let values: Vec<[u8; 32]> = (0..pieces).map(value).collect();
    let id = match size {
        0 => ContentId::EMPTY,
        _ => fold(&values).unwrap_or(ContentId(value(0))),
    };
    let content = Content { id, size };
    (content, PieceList::new(content, values).ok())
}
