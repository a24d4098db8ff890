//! Virtual time: what happens next, to whom, and what became of it in the end.
//!
//! The world keeps the queue of happenings and the peers. What a peer does as a newcomer is in `newcomer` and `orders`,
//! as a holder in `serving` and `sending`, with the manager in `tracker`, and what befalls it in `deeds`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use brigade_core::{
    bitfield::Bitfield,
    content::PieceList,
    download::{Config, DownloadId, Downloads},
    geometry::Geometry,
    id::{Content, ContentId},
    random::Random,
    rate::Limiter,
    time::Timestamp,
    upload::Upload,
};

use crate::{
    PeerPlan,
    checks::Checks,
    copies::Copies,
    network::{Connection, ConnectionNumber, Link},
    queue::{Happening, Queue, Scheduled},
    tracker::Tracker,
    workload::{Deed, Manners, Plan, invent},
};

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
    /// When each fetch began.
    pub started: BTreeMap<(PeerNumber, ContentNumber), Timestamp>,
    /// When each fetch was complete.
    pub finished: BTreeMap<(PeerNumber, ContentNumber), Timestamp>,
    /// The fetches that were not complete when the world ended, and whether that was said (`Starved`).
    pub unfinished: BTreeMap<(PeerNumber, ContentNumber), bool>,
    /// Bytes of pieces that the first one stored, from the second one.
    pub stored: BTreeMap<(PeerNumber, PeerNumber), u64>,
    /// Bytes of pieces that left each peer, by number.
    pub sent: Vec<u64>,
    /// Bytes of pieces that came over the lines and were neither new nor wrong: another holder's, or broken off.
    pub fetched_twice: u64,
    /// Holders that one peer was connected to at once, at most.
    pub most_holders: usize,
    /// Turns that were offered, and those of them that were declined.
    pub offers: u64,
    /// See [`Self::offers`].
    pub declined: u64,
    /// Holders that were shunned: by whom, whom, for what.
    pub shunned: BTreeSet<(PeerNumber, PeerNumber, ContentNumber)>,
    /// The rules that were broken.
    pub faults: Vec<String>,
    /// How many events the cores handled.
    pub events: u64,
    /// A number that two runs of the same world have in common, and others do not.
    pub digest: u64,
}

/// One peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: Link,
    pub(crate) manners: Manners,
    pub(crate) present: bool,
    pub(crate) stalled: bool,
    /// What came while it was stalled.
    pub(crate) unread: VecDeque<Happening>,
    /// By content.
    pub(crate) has: Vec<Option<Bitfield>>,
    pub(crate) fetching: BTreeSet<ContentNumber>,
    /// How often other holders were asked for, by content.
    pub(crate) again: BTreeMap<ContentNumber, u32>,
    pub(crate) downloads: Downloads,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) down_free_at: Timestamp,
    pub(crate) upload: Upload,
    pub(crate) offer_deadline: Option<Timestamp>,
    pub(crate) signing: bool,
    pub(crate) limiter: Limiter,
    pub(crate) sending: bool,
    pub(crate) sent_bytes: u64,
    /// Bytes of pieces that came; and those of them that were new, and that were wrong.
    pub(crate) came_bytes: u64,
    pub(crate) new_bytes: u64,
    pub(crate) wrong_bytes: u64,
    /// Connections that have something to send, whose turn is next first.
    pub(crate) turns: VecDeque<ConnectionNumber>,
    /// Who opened a content here, by content.
    pub(crate) listeners: Vec<Vec<(PeerNumber, ConnectionNumber)>>,
    /// By content: the new pieces that nobody was told of.
    pub(crate) gathered: Vec<Gathered>,
    /// Bytes of pieces that it stored, from each holder.
    pub(crate) stored: BTreeMap<PeerNumber, u64>,
    /// The living connections that others made, and those to others.
    pub(crate) incoming: BTreeMap<PeerNumber, ConnectionNumber>,
    pub(crate) outgoing: BTreeMap<PeerNumber, ConnectionNumber>,
    pub(crate) session: Option<brigade_core::manager::SessionId>,
}

impl Peer {
    fn new(plan: &PeerPlan, contents: &[Shared], config: &Config, random: &mut Random) -> Self {
        let mut has = vec![None; contents.len()];
        for content in &plan.has {
            has[content.at()] = Some(Bitfield::all(contents[content.at()].geometry.count()));
        }
        Self {
            link: plan.link,
            manners: plan.manners,
            present: true,
            stalled: false,
            unread: VecDeque::new(),
            has,
            fetching: BTreeSet::new(),
            again: BTreeMap::new(),
            downloads: Downloads::new(config.clone(), random.next()),
            deadline: None,
            down_free_at: Timestamp::default(),
            upload: Upload::new(plan.upload_limit, random.next()),
            offer_deadline: None,
            signing: false,
            limiter: Limiter::new(plan.upload_limit),
            sending: false,
            sent_bytes: 0,
            came_bytes: 0,
            new_bytes: 0,
            wrong_bytes: 0,
            turns: VecDeque::new(),
            listeners: vec![Vec::new(); contents.len()],
            gathered: vec![Gathered::default(); contents.len()],
            stored: BTreeMap::new(),
            incoming: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            session: None,
        }
    }

    pub(crate) fn has(&self, content: ContentNumber) -> Option<&Bitfield> {
        self.has[content.at()].as_ref()
    }
}

/// New pieces of one content that are told together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gathered {
    pub(crate) pieces: Vec<u32>,
    /// When they may be told: a pause after the last ones were.
    pub(crate) not_before: Timestamp,
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
    queue: Queue,
    /// Fetches that are planned, and those that go on.
    fetches_left: usize,
    pub(crate) peers: Vec<Peer>,
    pub(crate) contents: Vec<Shared>,
    pub(crate) numbers: BTreeMap<ContentId, ContentNumber>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) tracker: Tracker,
    pub(crate) segment_bytes: u32,
    /// Connections that a peer accepts.
    pub(crate) incoming: usize,
    /// How many have each piece, where complete holders leave.
    pub(crate) copies: Option<Copies>,
    pub(crate) checks: Checks,
    pub(crate) random: Random,
    pub(crate) outcome: Outcome,
}

impl World {
    /// The world of a plan, before anything happens. All peers have joined.
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
        let peers: Vec<Peer> =
            plan.peers.iter().map(|peer| Peer::new(peer, &contents, &config, &mut random)).collect();
        let numbers = (0..).map(ContentNumber).zip(&contents);
        let fetches = plan.deeds.iter().filter(|(_, deed)| matches!(deed, Deed::Fetch(..)));
        let limits = plan.peers.iter().map(|peer| peer.upload_limit);
        let mut world = Self {
            now: Timestamp::default(),
            end: plan.end,
            queue: Queue::default(),
            fetches_left: fetches.count(),
            checks: Checks::new(&config, limits, plan.segment_bytes),
            copies: plan.holders_leave.then(|| Copies::new(&contents, &peers)),
            peers,
            numbers: numbers.map(|(number, shared)| (shared.content.id, number)).collect(),
            contents,
            connections: Vec::new(),
            tracker: Tracker::new(random.next()),
            segment_bytes: plan.segment_bytes,
            incoming: plan.incoming,
            random,
            outcome: Outcome::default(),
        };
        for peer in (0..).map(PeerNumber).take(world.peers.len()) {
            world.entered(peer);
            world.begin_signs(peer);
        }
        for (at, deed) in &plan.deeds {
            world.schedule(*at, Happening::Deed(*deed));
        }
        world
    }

    /// Lets everything happen until no fetch is left, or the plan's end.
    pub fn run(mut self) -> Outcome {
        while let Some(Scheduled { at, number, what }) = self.queue.next() {
            // Redials go on for ever; without a fetch nothing else matters.
            if at > self.end || self.fetches_left == 0 {
                break;
            }
            self.now = at;
            let digest = self.outcome.digest.wrapping_mul(0x0100_0000_01b3);
            let who = self.whom(&what).map_or(0, |peer| u64::from(peer.0) + 1);
            self.outcome.digest = digest.wrapping_add(at.as_micros() ^ number.rotate_left(32) ^ who << 48);
            self.happen(what);
        }
        self.finish()
    }

    fn finish(mut self) -> Outcome {
        for (number, peer) in (0u32..).map(PeerNumber).zip(&self.peers) {
            for content in &peer.fetching {
                let said = peer.downloads.status(download(*content)).is_some_and(|status| status.starved);
                self.outcome.unfinished.insert((number, *content), said);
            }
            self.outcome.fetched_twice += peer.came_bytes - peer.new_bytes - peer.wrong_bytes;
            self.outcome.sent.push(peer.sent_bytes);
            let stored = peer.stored.iter().map(|(holder, bytes)| ((number, *holder), *bytes));
            self.outcome.stored.extend(stored);
        }
        self.outcome.faults = self.checks.faults();
        self.outcome
    }

    pub(crate) fn schedule(&mut self, at: Timestamp, what: Happening) {
        self.queue.add(at, what);
    }

    pub(crate) fn schedule_in(&mut self, wait: Duration, what: Happening) {
        self.schedule(self.now.after(wait), what);
    }

    pub(crate) fn happen(&mut self, what: Happening) {
        if let Some(at) = self.whom(&what)
            && self.peers[at.at()].stalled
        {
            return self.peers[at.at()].unread.push_back(what);
        }
        match what {
            Happening::Deed(deed) => self.do_deed(deed),
            Happening::Note { on, to_holder: true, note } => self.holder_hears(on, note),
            Happening::Note { on, to_holder: false, note } => self.newcomer_hears(on, note),
            Happening::Tell { by, content } => self.tell_of_pieces(by, content),
            Happening::Passed { by, content, pieces } => self.passed(by, content, &pieces),
            Happening::Sent { by, on, segment } => self.sent(by, on, segment),
            Happening::AtLine { on, segment } => self.at_line(on, segment),
            Happening::Received { on, segment } => self.received(on, segment),
            Happening::Acknowledged { by, on } => self.acknowledged(by, on),
            Happening::Hashed { by, from, content, piece } => self.hashed(by, from, content, piece),
            Happening::Dialled { by, to } => self.dialled(by, to),
            Happening::Broken { on } => self.broken(on),
            Happening::Deadline { of } => self.deadline(of),
            Happening::OfferDeadline { of } => self.offer_deadline(of),
            Happening::Signs { of } => self.signs(of),
            Happening::Entered { peer } => self.entered(peer),
            Happening::ToManager { session, message } => self.say_to_manager(session, *message),
            Happening::FromManager { to, session, message } => self.peer_hears(to, session, *message),
            Happening::SessionBroken { session } => self.session_broken(session),
            Happening::SessionEnded { of, session } => self.session_ended(of, session),
            Happening::Renew { of, session } => self.renew(of, session),
            Happening::ManagerDeadline => self.manager_deadline(),
        }
    }

    /// The process that has to run for something to happen; what the machine does by itself needs none.
    fn whom(&self, what: &Happening) -> Option<PeerNumber> {
        let connection = |on: ConnectionNumber| &self.connections[on.at()];
        match what {
            Happening::Note { on, to_holder: true, .. } => Some(connection(*on).holder),
            Happening::Note { on, to_holder: false, .. } => Some(connection(*on).newcomer),
            Happening::Received { on, .. } | Happening::Broken { on } => Some(connection(*on).newcomer),
            Happening::Hashed { by: at, .. }
            | Happening::Dialled { by: at, .. }
            | Happening::Deadline { of: at }
            | Happening::OfferDeadline { of: at }
            | Happening::Signs { of: at }
            | Happening::Entered { peer: at }
            | Happening::FromManager { to: at, .. }
            | Happening::SessionEnded { of: at, .. }
            | Happening::Renew { of: at, .. } => Some(*at),
            Happening::Deed(_)
            | Happening::Tell { .. }
            | Happening::Passed { .. }
            | Happening::Sent { .. }
            | Happening::AtLine { .. }
            | Happening::Acknowledged { .. }
            | Happening::ToManager { .. }
            | Happening::SessionBroken { .. }
            | Happening::ManagerDeadline => None,
        }
    }

    /// A fetch is complete.
    pub(crate) const fn fetched(&mut self) {
        self.fetches_left -= 1;
    }
}

/// The cores' number for a content.
pub(crate) const fn download(content: ContentNumber) -> DownloadId {
    DownloadId(content.0)
}
