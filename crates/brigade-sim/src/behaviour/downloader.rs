//! A downloading peer: it passes events to its core.
//!
//! It decides nothing itself, so a wrong result is the core's. `downloader_actions` carries out the core's decisions;
//! the holders are in `holder`.

use brigade_core::{
    bitfield::Bitfield,
    download::{Event, HolderId, Priority},
    geometry::PieceIndex,
};

use crate::{
    identifiers::{ConnectionNumber, ContentNumber, PeerNumber, download},
    network::connection::{Connection, PeerMessage, Segment},
    network::link::{pass, transfer_time},
    plan::HolderBehaviour,
    scheduled_event::ScheduledEvent,
    simulation::Simulation,
};

/// Bytes a second that a peer hashes and writes.
const HASHED_PER_SECOND: u64 = 1_000_000_000;

impl Simulation {
    /// A peer begins to fetch a content.
    pub(crate) fn fetch(&mut self, peer: PeerNumber, content: ContentNumber) {
        let shared = &self.contents[content.at()];
        let none = Bitfield::none(shared.geometry.count());
        let one = shared.content;
        let me = &mut self.peers[peer.at()];
        let have = me.has[content.at()].get_or_insert(none).clone();
        me.fetching.insert(content);
        self.outcome.started.insert((peer, content), self.now);
        self.notify_core(
            peer,
            Event::Start {
                download: download(content),
                content: one,
                list: None,
                have,
                priority: Priority::Normal,
            },
        );
        self.watch(peer, &[content], 0);
    }

    /// A message from a holder arrives.
    pub(crate) fn downloader_receives(&mut self, on: ConnectionNumber, message: PeerMessage) {
        let connection = &mut self.connections[on.at()];
        if !connection.alive {
            return;
        }
        let (to, holder) = (connection.downloader, HolderId(connection.holder.0));
        let event = match message {
            PeerMessage::HaveAll(content) => Event::HaveAll { holder, download: download(content) },
            PeerMessage::Bits(content, bits) => {
                Event::Bits { holder, download: download(content), first: 0, bits }
            }
            PeerMessage::Have(content, piece) => {
                Event::Have { holder, download: download(content), pieces: vec![piece.0] }
            }
            PeerMessage::ListPage(content, first, values) => {
                Event::ListPage { holder, download: download(content), first, values }
            }
            PeerMessage::RefusedPiece(request, reason) => {
                if connection.drop_request(|other| *other == request).is_none() {
                    return; // taken back meanwhile
                }
                let download = download(request.content);
                self.checks.released(to, holder, download, Some(request.piece));
                Event::Refused { holder, download, piece: Some(request.piece), reason }
            }
            PeerMessage::RefusedAll(content, reason) => {
                connection.pending.retain(|(request, _)| request.content != content);
                self.checks.released(to, holder, download(content), None);
                Event::Refused { holder, download: download(content), piece: None, reason }
            }
            PeerMessage::Turns(limited) => {
                connection.by_turns = limited;
                Event::Turns { holder, limited }
            }
            PeerMessage::Offer(content, offer, pieces) => {
                self.checks.must_answer(to, holder, offer);
                Event::Offered { holder, download: download(content), offer, pieces }
            }
            PeerMessage::Open(_)
            | PeerMessage::Close(_)
            | PeerMessage::AskList(..)
            | PeerMessage::Request(..)
            | PeerMessage::Cancel(_)
            | PeerMessage::Want(..)
            | PeerMessage::Decline(..) => return,
        };
        self.notify_core(to, event);
    }

    /// A segment waits for the downloader's link.
    pub(crate) fn at_link(&mut self, on: ConnectionNumber, segment: Segment) {
        let downloader = &mut self.peers[self.connections[on.at()].downloader.at()];
        let time = transfer_time(segment.bytes, downloader.link.down);
        let at = pass(&mut downloader.down_free_at, self.now, time);
        self.schedule(at, ScheduledEvent::Received { on, segment });
    }

    /// A segment has passed the link.
    pub(crate) fn received(&mut self, on: ConnectionNumber, segment: Segment) {
        let connection = &mut self.connections[on.at()];
        if !connection.alive {
            return;
        }
        let (to, from, bytes) = (connection.downloader, connection.holder, segment.bytes);
        connection.in_flight_bytes -= u64::from(bytes);
        self.peers[to.at()].received_bytes += u64::from(bytes);
        let blocked = std::mem::take(&mut connection.blocked);
        let received = connection.count_received(segment);
        if received.is_some() && segment.last {
            connection.drop_request(|request| *request == segment.request);
        }
        if blocked {
            let back = self.peers[to.at()].link.delay;
            self.schedule_in(back, ScheduledEvent::Acknowledged { by: from, on });
        }
        let Some(bytes) = received else { return };
        let holder = HolderId(from.0);
        let (content, piece) = (segment.request.content, segment.request.piece);
        let download = download(content);
        if !segment.last {
            // Some shells say how far a piece is, some do not.
            if self.random.below(2) == 0 {
                self.notify_core(to, Event::Progress { holder, download, piece, bytes });
            }
            return;
        }
        self.checks.arrived(to, holder, download, piece);
        let time = transfer_time(self.contents[content.at()].geometry.length(piece), HASHED_PER_SECOND);
        self.schedule_in(time, ScheduledEvent::Hashed { by: to, from, content, piece });
        self.notify_core(to, Event::Arrived { holder, download, piece });
    }

    /// A piece is hashed, and written if it is right.
    pub(crate) fn hashed(
        &mut self,
        by: PeerNumber,
        from: PeerNumber,
        content: ContentNumber,
        piece: PieceIndex,
    ) {
        let (holder, download) = (HolderId(from.0), download(content));
        self.checks.released(by, holder, download, Some(piece));
        let wrong = matches!(self.peers[from.at()].behaviour, HolderBehaviour::WrongPieces(n) if piece.0.is_multiple_of(n));
        let bytes = u64::from(self.contents[content.at()].geometry.length(piece));
        if wrong {
            self.peers[by.at()].wrong_bytes += bytes;
            return self.notify_core(by, Event::Wrong { holder, download, piece });
        }
        let geometry = self.contents[content.at()].geometry;
        let me = &mut self.peers[by.at()];
        *me.stored.entry(from).or_default() += bytes;
        let Some(has) = &mut me.has[content.at()] else { return };
        let new = has.set(piece);
        me.new_bytes += if new { bytes } else { 0 };
        let is_first = new && has.count() == 1 && geometry.count() > 1;
        if new {
            let verified = me.downloads.expected(download, piece).is_some();
            self.checks.check(verified, || format!("{by:?} stores {piece:?}, of which it knows no hash"));
        }
        self.notify_core(by, Event::Stored { holder, download, piece });
        if new {
            self.queue_have(by, content, piece);
            self.copied(by, content, piece);
        }
        if is_first {
            self.hold(by, content); // a part can be fetched from here
        }
    }

    /// An attempt to connect ended.
    pub(crate) fn dialled(&mut self, by: PeerNumber, to: PeerNumber) {
        let other = &self.peers[to.at()];
        let holder = HolderId(to.0);
        let full = other.incoming.len() >= self.incoming;
        if !other.present || other.stalled || full || other.incoming.contains_key(&by) {
            return self.notify_core(by, Event::Unreachable { holder });
        }
        let on = ConnectionNumber(u32::try_from(self.connections.len()).unwrap_or(u32::MAX));
        let links = (&other.link, &self.peers[by.at()].link);
        self.connections.push(Connection::new(by, to, links));
        let limited = other.limiter.bytes_per_second().is_some();
        self.peers[to.at()].incoming.insert(by, on);
        self.peers[by.at()].outgoing.insert(to, on);
        self.outcome.most_holders = self.outcome.most_holders.max(self.peers[by.at()].outgoing.len());
        if limited {
            self.answer(on, PeerMessage::Turns(true));
        }
        self.notify_core(by, Event::Connected { holder });
    }

    /// The downloader sees that its connection is gone.
    pub(crate) fn broken(&mut self, on: ConnectionNumber) {
        let (by, to) = (self.connections[on.at()].downloader, self.connections[on.at()].holder);
        if self.peers[by.at()].outgoing.contains_key(&to) {
            return; // it had given it up itself, and there is another
        }
        self.checks.lost(by, HolderId(to.0));
        self.notify_core(by, Event::Lost { holder: HolderId(to.0) });
    }

    /// A peer's deadline is here.
    pub(crate) fn deadline(&mut self, of: PeerNumber) {
        let peer = &mut self.peers[of.at()];
        if peer.deadline.take_if(|at| *at <= self.now).is_some() {
            peer.downloads.handle_timeout(self.now);
            self.carry_out(of);
        }
    }

    /// Passes an event to a peer's core and carries out its actions.
    pub(crate) fn notify_core(&mut self, peer: PeerNumber, event: Event) {
        self.outcome.events += 1;
        self.peers[peer.at()].downloads.handle(self.now, event);
        self.carry_out(peer);
    }
}
