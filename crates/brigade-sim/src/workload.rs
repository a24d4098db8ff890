//! Who is in a world and what happens in it: plans made by hand, and plans made from a seed.
//!
//! A plan is data and takes no part in the world that `world` makes of it. Contents have no bytes, only pieces.

use std::time::Duration;

use brigade_core::{
    content::{PieceList, fold},
    geometry::Geometry,
    id::{Content, ContentId},
    random::Random,
    time::Timestamp,
};

use crate::{
    network::Link,
    world::{ContentNumber, PeerNumber},
};

/// How a peer behaves as a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// As the protocol says.
    Honest,
    /// Sends wrong bytes, one piece in so many.
    WrongPieces(u32),
    /// Sends a wrong piece list.
    WrongList,
    /// Refuses every content.
    Refuses,
    /// Says that it has everything, and refuses one piece in so many.
    Forgets(u32),
}

/// A peer.
#[derive(Debug, Clone)]
pub struct PeerPlan {
    /// Its line.
    pub link: Link,
    /// Its own limit on sending, in bytes a second.
    pub upload_limit: Option<u64>,
    /// How it serves.
    pub manners: Manners,
    /// The contents that it has from the start.
    pub has: Vec<ContentNumber>,
}

/// Something that happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A peer begins to fetch a content.
    Fetch(PeerNumber, ContentNumber),
    /// A peer's process ends: its connections break, and the directory names it no more.
    Leave(PeerNumber),
    /// It is back, with what it had.
    Return(PeerNumber),
    /// A peer's process is stopped: its connections stay, and nothing comes.
    Stall(PeerNumber),
    /// It goes on.
    Resume(PeerNumber),
    /// The connection that the first one made to the second one breaks.
    Break(PeerNumber, PeerNumber),
    /// A peer's limit on sending is another one, or none.
    Limit(PeerNumber, Option<u64>),
}

/// All that goes into a world.
#[derive(Debug, Clone)]
pub struct Plan {
    /// For whatever is left to chance.
    pub seed: u64,
    /// The sizes of the contents, in bytes.
    pub contents: Vec<u64>,
    /// The peers.
    pub peers: Vec<PeerPlan>,
    /// What happens, in any order.
    pub deeds: Vec<(Timestamp, Deed)>,
    /// When the world ends at the latest.
    pub end: Timestamp,
    /// Bytes of piece data that are sent in one go.
    pub segment_bytes: u32,
    /// Connections that a peer accepts.
    pub incoming: usize,
    /// Whether complete holders leave as soon as nothing is lost thereby.
    pub holders_leave: bool,
}

/// Bytes of piece data that are sent in one go, as on the real wire.
const SEGMENT_BYTES: u32 = 64 << 10;

/// Connections that a peer accepts.
const INCOMING: usize = 64;

impl PeerPlan {
    /// An honest peer on a line of so many bytes a second each way, with 1 ms to the others.
    pub const fn honest(bytes_per_second: u64, has: Vec<ContentNumber>) -> Self {
        let delay = Duration::from_millis(1);
        let link = Link { up: bytes_per_second, down: bytes_per_second, delay };
        Self { link, upload_limit: None, manners: Manners::Honest, has }
    }
}

impl Plan {
    /// One content of `size` bytes, `holders` who have it and one more peer who fetches it at the start, on lines of
    /// so many bytes a second; the fetching one's is wide enough for all.
    pub fn fetch(seed: u64, size: u64, holders: u32, bytes_per_second: u64) -> Self {
        let content = ContentNumber(0);
        let mut peers: Vec<PeerPlan> =
            (0..holders).map(|_| PeerPlan::honest(bytes_per_second, vec![content])).collect();
        peers.push(PeerPlan::honest(bytes_per_second * u64::from(holders + 1), vec![]));
        let deeds = vec![(Timestamp::default(), Deed::Fetch(PeerNumber(holders), content))];
        Self::new(seed, vec![size], peers, deeds)
    }

    /// A world of so many contents and peers, for a day at most.
    pub(crate) fn new(
        seed: u64,
        contents: Vec<u64>,
        peers: Vec<PeerPlan>,
        deeds: Vec<(Timestamp, Deed)>,
    ) -> Self {
        Self {
            seed,
            contents,
            peers,
            deeds,
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
            Link { up: rate(), down: rate(), delay: Duration::from_micros(u64::from(100u32 << below(10))) }
        };
        let mut steady = PeerPlan::honest(1, all.clone());
        steady.link = line(&mut below);
        let (mut peers, mut deeds) = (vec![steady], Vec::new());
        for holder in (1..1 + below(5)).map(PeerNumber) {
            let manners = match below(10) {
                0 => Manners::WrongPieces(1 + below(4)),
                1 => Manners::WrongList,
                2 => Manners::Refuses,
                3 => Manners::Forgets(1 + below(5)),
                _ => Manners::Honest,
            };
            let upload_limit = (below(4) == 0).then(|| u64::from(100_000u32 << below(5)));
            let has = all.iter().filter(|_| below(4) > 0).copied().collect();
            peers.push(PeerPlan { link: line(&mut below), upload_limit, manners, has });
            let mut when = Duration::from_millis(u64::from(below(4000)));
            for _ in 0..below(3) {
                let (bad, good) = match below(3) {
                    0 => (Deed::Leave(holder), Deed::Return(holder)),
                    _ => (Deed::Stall(holder), Deed::Resume(holder)),
                };
                deeds.push((at(when), bad));
                when += Duration::from_millis(u64::from(1 + below(15_000)));
                deeds.push((at(when), good));
                when += Duration::from_millis(u64::from(1 + below(3000)));
            }
        }
        let holders = u32::try_from(peers.len()).unwrap_or(u32::MAX);
        for newcomer in (holders..holders + 1 + below(3)).map(PeerNumber) {
            let mut plan = PeerPlan::honest(1, vec![]);
            plan.link = line(&mut below);
            plan.upload_limit = (below(3) == 0).then(|| u64::from(100_000u32 << below(5)));
            peers.push(plan);
            let start = at(Duration::from_millis(u64::from(below(2000))));
            deeds.extend(all.iter().map(|content| (start, Deed::Fetch(newcomer, *content))));
            for _ in 0..below(3) {
                let when = at(Duration::from_millis(u64::from(below(8000))));
                deeds.push((when, Deed::Break(newcomer, PeerNumber(below(holders as usize)))));
            }
        }
        for _ in 0..below(2) * below(6) {
            let when = at(Duration::from_millis(u64::from(below(6000))));
            let limit = (below(2) == 0).then(|| u64::from(50_000u32 << below(7)));
            deeds.push((when, Deed::Limit(PeerNumber(below(peers.len())), limit)));
        }
        Self::new(seed, contents, peers, deeds)
    }
}

/// The point `since_start` after the start.
pub(crate) fn at(since_start: Duration) -> Timestamp {
    Timestamp::default().after(since_start)
}

/// The content number `number` of a world, of `size` bytes, with its piece list where it has one. There are no bytes:
/// the list is made up, and the id is what it folds to.
pub(crate) fn invent(number: ContentNumber, size: u64) -> (Content, Option<PieceList>) {
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
