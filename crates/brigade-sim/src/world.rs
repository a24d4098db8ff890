//! Virtual time: what happens next, to whom, and what became of it in the end.
//!
//! The world keeps the heap of happenings and the peers. What a peer does as a newcomer is in `newcomer.rs`, as a
//! holder in `serving.rs`.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    time::Duration,
};

use brigade_core::{
    bitfield::Bitfield,
    content::PieceList,
    download::{Config, Downloads},
    geometry::{Geometry, PieceIndex},
    id::Content,
    random::Random,
    rate::Limiter,
    time::Timestamp,
    upload::{LIMITED_SLOTS, Upload},
};

use crate::{
    checks::Checks,
    network::{Connection, ConnectionNumber, Link, Note, Segment},
    workload::{Deed, Manners, Plan, invent},
};

/// How long the directory takes to tell newcomers of a change.
const NEWS_TIME: Duration = Duration::from_millis(50);

/// A peer's number in its world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerNumber(pub u32);

/// A content's number in its world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentNumber(pub u32);

impl PeerNumber {
    pub(crate) const fn at(self) -> usize {
        self.0 as usize
    }
}

impl ContentNumber {
    pub(crate) const fn at(self) -> usize {
        self.0 as usize
    }
}

/// What became of a world.
#[derive(Debug, Default)]
pub struct Outcome {
    /// When each fetch was complete.
    pub finished: BTreeMap<(PeerNumber, ContentNumber), Timestamp>,
    /// The fetches that were not complete when the world ended, and whether that was said (`Starved`).
    pub unfinished: BTreeMap<(PeerNumber, ContentNumber), bool>,
    /// Bytes of pieces that the first one stored, from the second one.
    pub stored: BTreeMap<(PeerNumber, PeerNumber), u64>,
    /// Bytes that came twice, by what the cores themselves counted.
    pub fetched_twice: u64,
    /// Holders that were shunned: by whom, whom, for what.
    pub shunned: BTreeSet<(PeerNumber, PeerNumber, ContentNumber)>,
    /// The rules that were broken.
    pub faults: Vec<String>,
    /// How many events the cores handled.
    pub events: u64,
    /// A number that two runs of the same world have in common, and others do not.
    pub digest: u64,
}

/// Something that is going to happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// The plan has something in store.
    Deed(Deed),
    /// A message comes to the holder's end of a connection, or to the newcomer's.
    Note { on: ConnectionNumber, to_holder: bool, note: Note },
    /// A peer has sent a segment.
    Sent { by: PeerNumber, on: ConnectionNumber, segment: Segment },
    /// A segment comes to the newcomer's line.
    AtLine { on: ConnectionNumber, segment: Segment },
    /// It is through.
    Received { on: ConnectionNumber, segment: Segment },
    /// The holder's end hears that a segment came.
    Acknowledged { by: PeerNumber, on: ConnectionNumber, bytes: u32 },
    /// A piece is hashed and, where it is right, written.
    Hashed { by: PeerNumber, from: PeerNumber, content: ContentNumber, piece: PieceIndex },
    /// An attempt to connect has come to something.
    Dialled { by: PeerNumber, to: PeerNumber },
    /// The newcomer sees that its connection is gone.
    Broken { on: ConnectionNumber },
    /// The directory tells a newcomer who holds a content.
    Named { to: PeerNumber, content: ContentNumber },
    /// A peer's deadline.
    Deadline { of: PeerNumber },
}

#[derive(Debug)]
pub(crate) struct Scheduled {
    at: Timestamp,
    number: u64,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// One peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: Link,
    pub(crate) manners: Manners,
    pub(crate) present: bool,
    pub(crate) stalled: bool,
    /// What came while it was stalled.
    pub(crate) unread: VecDeque<(ConnectionNumber, Note)>,
    pub(crate) has: BTreeMap<ContentNumber, Bitfield>,
    pub(crate) fetching: BTreeSet<ContentNumber>,
    pub(crate) downloads: Downloads,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) down_free_at: Timestamp,
    pub(crate) upload: Upload,
    pub(crate) limiter: Limiter,
    pub(crate) sending: bool,
    /// Connections that have something to send, whose turn is next first.
    pub(crate) turns: VecDeque<ConnectionNumber>,
}

/// A content, for everyone.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) content: Content,
    pub(crate) geometry: Geometry,
    pub(crate) list: Option<PieceList>,
}

/// Many peers in virtual time.
#[derive(Debug)]
pub struct World {
    pub(crate) now: Timestamp,
    end: Timestamp,
    heap: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    pub(crate) peers: Vec<Peer>,
    pub(crate) contents: Vec<Shared>,
    pub(crate) connections: Vec<Connection>,
    /// The living connection from the first to the second.
    pub(crate) between: BTreeMap<(PeerNumber, PeerNumber), ConnectionNumber>,
    pub(crate) checks: Checks,
    pub(crate) random: Random,
    pub(crate) outcome: Outcome,
}

impl World {
    /// The world of a plan, before anything happens.
    ///
    /// # Panics
    ///
    /// Where a content of the plan is larger than there can be.
    pub fn new(plan: &Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let contents: Vec<Shared> = (0u32..)
            .zip(&plan.contents)
            .map(|(number, size)| {
                let (content, list) = invent(ContentNumber(number), *size);
                let geometry =
                    Geometry::new(*size).expect("a plan's contents are of a size that there can be");
                Shared { content, geometry, list }
            })
            .collect();
        let config = Config::default();
        let checks = Checks::new(&config);
        let mut peer = |plan: &crate::PeerPlan| Peer {
            link: plan.link,
            manners: plan.manners,
            present: true,
            stalled: false,
            unread: VecDeque::new(),
            has: plan.has.iter().map(|c| (*c, Bitfield::all(contents[c.at()].geometry.count()))).collect(),
            fetching: BTreeSet::new(),
            downloads: Downloads::new(config.clone(), random.next()),
            deadline: None,
            down_free_at: Timestamp::default(),
            upload: Upload::new(plan.upload_limit.map(|_| LIMITED_SLOTS)),
            limiter: Limiter::new(plan.upload_limit),
            sending: false,
            turns: VecDeque::new(),
        };
        let peers = plan.peers.iter().map(&mut peer).collect();
        let mut world = Self {
            now: Timestamp::default(),
            end: plan.end,
            heap: BinaryHeap::new(),
            scheduled: 0,
            peers,
            contents,
            connections: Vec::new(),
            between: BTreeMap::new(),
            checks,
            random,
            outcome: Outcome::default(),
        };
        for (at, deed) in &plan.deeds {
            world.schedule(*at, Happening::Deed(*deed));
        }
        world
    }

    /// Lets everything happen until nothing is left to do, or the plan's end.
    pub fn run(mut self) -> Outcome {
        while let Some(Reverse(next)) = self.heap.pop() {
            // Redials go on for ever; without a fetch that is under way nothing else matters.
            let fetching = self.peers.iter().any(|peer| !peer.fetching.is_empty());
            let planned = matches!(next.what, Happening::Deed(_));
            if next.at > self.end || !(fetching || planned || self.plans_left()) {
                break;
            }
            self.now = next.at;
            self.outcome.digest = self
                .outcome
                .digest
                .wrapping_mul(0x0100_0000_01b3)
                .wrapping_add(next.at.as_micros() ^ next.number.rotate_left(32));
            self.happen(next.what);
        }
        self.finish()
    }

    fn plans_left(&self) -> bool {
        self.heap.iter().any(|Reverse(next)| matches!(next.what, Happening::Deed(Deed::Fetch(..))))
    }

    fn finish(mut self) -> Outcome {
        for (number, peer) in (0u32..).map(PeerNumber).zip(&self.peers) {
            for content in &peer.fetching {
                let said = peer.downloads.status(download(*content)).is_some_and(|status| status.starved);
                self.outcome.unfinished.insert((number, *content), said);
            }
            self.outcome.fetched_twice += peer.downloads.fetched_twice_bytes();
        }
        self.outcome.faults = self.checks.faults();
        self.outcome
    }

    pub(crate) fn schedule(&mut self, at: Timestamp, what: Happening) {
        self.scheduled += 1;
        self.heap.push(Reverse(Scheduled { at, number: self.scheduled, what }));
    }

    pub(crate) fn schedule_in(&mut self, wait: Duration, what: Happening) {
        self.schedule(self.now.after(wait), what);
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Deed(deed) => self.do_deed(deed),
            Happening::Note { on, to_holder: true, note } => self.holder_hears(on, note),
            Happening::Note { on, to_holder: false, note } => self.newcomer_hears(on, note),
            Happening::Sent { by, on, segment } => self.sent(by, on, segment),
            Happening::AtLine { on, segment } => self.at_line(on, segment),
            Happening::Received { on, segment } => self.received(on, segment),
            Happening::Acknowledged { by, on, bytes } => self.acknowledged(by, on, bytes),
            Happening::Hashed { by, from, content, piece } => self.hashed(by, from, content, piece),
            Happening::Dialled { by, to } => self.dialled(by, to),
            Happening::Broken { on } => self.broken(on),
            Happening::Named { to, content } => self.named(to, content),
            Happening::Deadline { of } => self.deadline(of),
        }
    }

    fn do_deed(&mut self, deed: Deed) {
        match deed {
            Deed::Fetch(peer, content) => self.fetch(peer, content),
            Deed::Leave(peer) => self.leave(peer),
            Deed::Return(peer) => {
                self.peers[peer.at()].present = true;
                self.tell_of(peer);
            }
            Deed::Stall(peer) => self.peers[peer.at()].stalled = true,
            Deed::Resume(peer) => self.resume(peer),
            Deed::Break(newcomer, holder) => {
                if let Some(on) = self.between.get(&(newcomer, holder)) {
                    self.cut(*on, true);
                }
            }
        }
    }

    fn leave(&mut self, peer: PeerNumber) {
        self.peers[peer.at()].present = false;
        self.peers[peer.at()].stalled = false;
        self.peers[peer.at()].unread.clear();
        let of_peer = |((newcomer, holder), on): (&(PeerNumber, PeerNumber), &ConnectionNumber)| {
            (*newcomer == peer || *holder == peer).then_some(*on)
        };
        let gone: Vec<ConnectionNumber> = self.between.iter().filter_map(of_peer).collect();
        for on in gone {
            self.cut(on, true);
        }
        self.tell_of(peer);
    }

    /// Ends a connection; with `tell` the newcomer sees it after a while.
    pub(crate) fn cut(&mut self, on: ConnectionNumber, tell: bool) {
        let connection = &mut self.connections[on.0];
        if !std::mem::replace(&mut connection.alive, false) {
            return;
        }
        let (newcomer, holder) = (connection.newcomer, connection.holder);
        connection.waiting.clear();
        connection.coming.clear();
        self.between.remove(&(newcomer, holder));
        self.peers[holder.at()].upload.left(brigade_core::upload::NewcomerId(newcomer.0));
        self.connections[on.0].sending.clear();
        self.grant(holder);
        if tell {
            let delay = self.peers[holder.at()].link.delay;
            self.schedule_in(delay, Happening::Broken { on });
        }
    }

    /// Tells all newcomers about a peer that came, went, or has something new.
    fn tell_of(&mut self, peer: PeerNumber) {
        let contents: Vec<ContentNumber> = self.peers[peer.at()].has.keys().copied().collect();
        for content in contents {
            self.tell_about(content);
        }
    }

    /// Tells the newcomers of a content that its holders are others.
    pub(crate) fn tell_about(&mut self, content: ContentNumber) {
        let numbered = (0u32..).map(PeerNumber).zip(&self.peers);
        let newcomers: Vec<PeerNumber> = numbered
            .filter(|(_, peer)| peer.present && peer.fetching.contains(&content))
            .map(|(number, _)| number)
            .collect();
        for to in newcomers {
            self.schedule_in(NEWS_TIME, Happening::Named { to, content });
        }
    }
}

/// The cores' number for a content.
pub(crate) const fn download(content: ContentNumber) -> brigade_core::download::DownloadId {
    brigade_core::download::DownloadId(content.0)
}
