//! The loop of a simulation: it takes the next event, and the peer or the manager handles it.
//!
//! A stalled peer keeps its events until it resumes. Events of the network need no process and are handled at once.

use crate::{
    event_queue::QueueEntry,
    identifiers::{ConnectionNumber, PeerNumber, download},
    outcome::Outcome,
    scheduled_event::ScheduledEvent,
    simulation::Simulation,
};

impl Simulation {
    /// Runs until all fetches are complete, or until the end of the plan.
    pub fn run(mut self) -> Outcome {
        self.start();
        while let Some(QueueEntry { at, number, what }) = self.queue.next() {
            // Redials go on for ever; without a fetch nothing else matters.
            if at > self.end || self.fetches_left == 0 {
                break;
            }
            self.now = at;
            let digest = self.outcome.digest.wrapping_mul(0x0100_0000_01b3);
            let process = self.process_of(&what).map_or(0, |peer| u64::from(peer.0) + 1);
            self.outcome.digest =
                digest.wrapping_add(at.as_micros() ^ number.rotate_left(32) ^ process << 48);
            self.run_event(what);
        }
        self.finish()
    }

    /// All peers join, and the planned events are scheduled.
    fn start(&mut self) {
        for peer in (0..).map(PeerNumber).take(self.peers.len()) {
            self.connected_to_manager(peer);
            self.begin_keepalives(peer);
        }
        for (at, event) in std::mem::take(&mut self.planned) {
            self.schedule(at, ScheduledEvent::Planned(event));
        }
    }

    fn finish(mut self) -> Outcome {
        for (number, peer) in (0u32..).map(PeerNumber).zip(&self.peers) {
            for content in &peer.fetching {
                let reported = peer.downloads.status(download(*content)).is_some_and(|status| status.starved);
                self.outcome.unfinished.insert((number, *content), reported);
            }
            self.outcome.fetched_twice += peer.received_bytes - peer.new_bytes - peer.wrong_bytes;
            self.outcome.sent.push(peer.sent_bytes);
            let stored = peer.stored.iter().map(|(holder, bytes)| ((number, *holder), *bytes));
            self.outcome.stored.extend(stored);
        }
        self.outcome.faults = self.checks.faults();
        self.outcome
    }

    pub(crate) fn run_event(&mut self, what: ScheduledEvent) {
        if let Some(at) = self.process_of(&what)
            && self.peers[at.at()].stalled
        {
            return self.peers[at.at()].unread.push_back(what);
        }
        match what {
            ScheduledEvent::Planned(event) => self.apply_planned(event),
            ScheduledEvent::Message { on, to_holder: true, message } => self.holder_receives(on, message),
            ScheduledEvent::Message { on, to_holder: false, message } => {
                self.downloader_receives(on, message)
            }
            ScheduledEvent::SendHave { by, content } => self.send_have(by, content),
            ScheduledEvent::HaveReceived { by, content, pieces } => self.have_received(by, content, &pieces),
            ScheduledEvent::Sent { by, on, segment } => self.sent(by, on, segment),
            ScheduledEvent::AtLink { on, segment } => self.at_link(on, segment),
            ScheduledEvent::Received { on, segment } => self.received(on, segment),
            ScheduledEvent::Acknowledged { by, on } => self.acknowledged(by, on),
            ScheduledEvent::Hashed { by, from, content, piece } => self.hashed(by, from, content, piece),
            ScheduledEvent::Dialled { by, to } => self.dialled(by, to),
            ScheduledEvent::Broken { on } => self.broken(on),
            ScheduledEvent::Deadline { of } => self.deadline(of),
            ScheduledEvent::OfferDeadline { of } => self.offer_deadline(of),
            ScheduledEvent::KeepAlive { of } => self.send_keepalives(of),
            ScheduledEvent::Entered { peer } => self.connected_to_manager(peer),
            ScheduledEvent::ToManager { session, message } => self.say_to_manager(session, *message),
            ScheduledEvent::FromManager { to, session, message } => self.peer_receives(to, session, *message),
            ScheduledEvent::SessionBroken { session } => self.session_broken(session),
            ScheduledEvent::SessionEnded { of, session } => self.session_ended(of, session),
            ScheduledEvent::Renew { of, session } => self.renew(of, session),
            ScheduledEvent::ManagerDeadline => self.manager_deadline(),
        }
    }

    /// The peer whose process handles an event; `None` for events of the network and the manager.
    fn process_of(&self, what: &ScheduledEvent) -> Option<PeerNumber> {
        let connection = |on: ConnectionNumber| &self.connections[on.at()];
        match what {
            ScheduledEvent::Message { on, to_holder: true, .. } => Some(connection(*on).holder),
            ScheduledEvent::Message { on, to_holder: false, .. } => Some(connection(*on).downloader),
            ScheduledEvent::Received { on, .. } | ScheduledEvent::Broken { on } => {
                Some(connection(*on).downloader)
            }
            ScheduledEvent::Hashed { by: at, .. }
            | ScheduledEvent::Dialled { by: at, .. }
            | ScheduledEvent::Deadline { of: at }
            | ScheduledEvent::OfferDeadline { of: at }
            | ScheduledEvent::KeepAlive { of: at }
            | ScheduledEvent::Entered { peer: at }
            | ScheduledEvent::FromManager { to: at, .. }
            | ScheduledEvent::SessionEnded { of: at, .. }
            | ScheduledEvent::Renew { of: at, .. } => Some(*at),
            ScheduledEvent::Planned(_)
            | ScheduledEvent::SendHave { .. }
            | ScheduledEvent::HaveReceived { .. }
            | ScheduledEvent::Sent { .. }
            | ScheduledEvent::AtLink { .. }
            | ScheduledEvent::Acknowledged { .. }
            | ScheduledEvent::ToManager { .. }
            | ScheduledEvent::SessionBroken { .. }
            | ScheduledEvent::ManagerDeadline => None,
        }
    }
}
