//! The state of one peer, and of one content, in a simulation.
//!
//! The cores of a peer decide; `behaviour` carries out their decisions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use brigade_core::{
    bitfield::Bitfield,
    download::{Config, Downloads},
    geometry::Geometry,
    id::Content,
    manager::SessionId,
    piece_list::PieceList,
    random::Random,
    rate::Limiter,
    time::Timestamp,
    upload::Upload,
};

use crate::{
    identifiers::{ConnectionNumber, ContentNumber, PeerNumber},
    network::link::LinkRates,
    plan::{HolderBehaviour, PeerPlan},
    scheduled_event::ScheduledEvent,
};

/// One peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: LinkRates,
    pub(crate) behaviour: HolderBehaviour,
    pub(crate) present: bool,
    pub(crate) stalled: bool,
    /// Events that arrived while it was stalled.
    pub(crate) unread: VecDeque<ScheduledEvent>,
    /// By content.
    pub(crate) has: Vec<Option<Bitfield>>,
    pub(crate) fetching: BTreeSet<ContentNumber>,
    /// How often it asked the manager for other holders, by content.
    pub(crate) again: BTreeMap<ContentNumber, u32>,
    pub(crate) downloads: Downloads,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) down_free_at: Timestamp,
    pub(crate) upload: Upload,
    pub(crate) offer_deadline: Option<Timestamp>,
    pub(crate) sends_keepalives: bool,
    pub(crate) limiter: Limiter,
    pub(crate) sending: bool,
    pub(crate) sent_bytes: u64,
    /// Bytes of received pieces; and of these, bytes of new ones and of wrong ones.
    pub(crate) received_bytes: u64,
    pub(crate) new_bytes: u64,
    pub(crate) wrong_bytes: u64,
    /// Connections with something to send, in the order of their turns.
    pub(crate) turns: VecDeque<ConnectionNumber>,
    /// The connections with an open channel, by content.
    pub(crate) listeners: Vec<Vec<(PeerNumber, ConnectionNumber)>>,
    /// By content: the new pieces that were not sent to others yet.
    pub(crate) pending_haves: Vec<PendingHaves>,
    /// Bytes of stored pieces, by holder.
    pub(crate) stored: BTreeMap<PeerNumber, u64>,
    /// The open connections from other peers, and those to other peers.
    pub(crate) incoming: BTreeMap<PeerNumber, ConnectionNumber>,
    pub(crate) outgoing: BTreeMap<PeerNumber, ConnectionNumber>,
    pub(crate) session: Option<SessionId>,
}

impl Peer {
    pub(crate) fn new(
        plan: &PeerPlan,
        contents: &[ContentInfo],
        config: &Config,
        random: &mut Random,
    ) -> Self {
        let mut has = vec![None; contents.len()];
        for content in &plan.has {
            has[content.at()] = Some(Bitfield::all(contents[content.at()].geometry.count()));
        }
        Self {
            link: plan.link,
            behaviour: plan.behaviour,
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
            sends_keepalives: false,
            limiter: Limiter::new(plan.upload_limit),
            sending: false,
            sent_bytes: 0,
            received_bytes: 0,
            new_bytes: 0,
            wrong_bytes: 0,
            turns: VecDeque::new(),
            listeners: vec![Vec::new(); contents.len()],
            pending_haves: vec![PendingHaves::default(); contents.len()],
            stored: BTreeMap::new(),
            incoming: BTreeMap::new(),
            outgoing: BTreeMap::new(),
            session: None,
        }
    }

    /// Whether it has every piece of every content.
    pub(crate) fn is_complete(&self) -> bool {
        self.has.iter().all(|has| has.as_ref().is_some_and(Bitfield::is_full))
    }

    /// Its pieces of a content, if it has begun to fetch it.
    pub(crate) fn has(&self, content: ContentNumber) -> Option<&Bitfield> {
        self.has[content.at()].as_ref()
    }
}

/// New pieces of one content that are sent in one message.
#[derive(Debug, Clone, Default)]
pub(crate) struct PendingHaves {
    pub(crate) pieces: Vec<u32>,
    /// The earliest time at which they may be sent: a pause after the last ones.
    pub(crate) not_before: Timestamp,
}

/// A content of the simulation.
#[derive(Debug)]
pub(crate) struct ContentInfo {
    pub(crate) content: Content,
    pub(crate) geometry: Geometry,
    pub(crate) list: Option<PieceList>,
}
