//! The state of a simulation: virtual time, the event queue, the peers, the contents and the connections.
//!
//! `event_loop` takes the events one by one; the methods in `behaviour` handle them.

use std::{collections::BTreeMap, time::Duration};

use brigade_core::{download::Config, geometry::Geometry, id::ContentId, random::Random, time::Timestamp};

use crate::{
    event_queue::EventQueue,
    identifiers::ContentNumber,
    invariants::Checks,
    manager_state::SimulatedManager,
    network::connection::Connection,
    outcome::Outcome,
    peer::{ContentInfo, Peer},
    piece_copies::CopyCounts,
    plan::{Plan, PlannedEvent, make_content},
    scheduled_event::ScheduledEvent,
};

/// Many peers in virtual time, with their manager and their network.
#[derive(Debug)]
pub struct Simulation {
    pub(crate) now: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) queue: EventQueue,
    /// The events of the plan, until the simulation runs.
    pub(crate) planned: Vec<(Timestamp, PlannedEvent)>,
    /// Fetches that are planned or not complete.
    pub(crate) fetches_left: usize,
    pub(crate) peers: Vec<Peer>,
    pub(crate) contents: Vec<ContentInfo>,
    pub(crate) numbers: BTreeMap<ContentId, ContentNumber>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) manager: SimulatedManager,
    pub(crate) segment_bytes: u32,
    /// Connections that a peer accepts.
    pub(crate) incoming: usize,
    /// The number of copies of each piece, if complete holders leave.
    pub(crate) copies: Option<CopyCounts>,
    pub(crate) checks: Checks,
    pub(crate) random: Random,
    pub(crate) outcome: Outcome,
}

impl Simulation {
    /// The simulation of a plan before its first event.
    ///
    /// # Panics
    ///
    /// Where a content of the plan is larger than there can be.
    pub fn new(plan: &Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let contents: Vec<ContentInfo> = (0u32..)
            .zip(&plan.contents)
            .map(|(number, size)| {
                let (content, list) = make_content(ContentNumber(number), *size);
                let geometry =
                    Geometry::new(*size).expect("a plan's contents are of a size that there can be");
                ContentInfo { content, geometry, list }
            })
            .collect();
        let config = Config::default();
        let peers: Vec<Peer> =
            plan.peers.iter().map(|peer| Peer::new(peer, &contents, &config, &mut random)).collect();
        let numbers = (0..).map(ContentNumber).zip(&contents);
        let fetches = plan.events.iter().filter(|(_, event)| matches!(event, PlannedEvent::Fetch(..)));
        let limits = plan.peers.iter().map(|peer| peer.upload_limit);
        Self {
            now: Timestamp::default(),
            end: plan.end,
            queue: EventQueue::default(),
            fetches_left: fetches.count(),
            checks: Checks::new(&config, limits, plan.segment_bytes),
            copies: plan.holders_leave.then(|| CopyCounts::new(&contents, &peers)),
            peers,
            numbers: numbers.map(|(number, shared)| (shared.content.id, number)).collect(),
            contents,
            connections: Vec::new(),
            manager: SimulatedManager::new(random.next()),
            segment_bytes: plan.segment_bytes,
            incoming: plan.incoming,
            random,
            outcome: Outcome::default(),
            planned: plan.events.clone(),
        }
    }

    pub(crate) fn schedule(&mut self, at: Timestamp, what: ScheduledEvent) {
        self.queue.add(at, what);
    }

    pub(crate) fn schedule_in(&mut self, wait: Duration, what: ScheduledEvent) {
        self.schedule(self.now.after(wait), what);
    }

    /// A fetch is complete.
    pub(crate) const fn fetched(&mut self) {
        self.fetches_left -= 1;
    }
}
