//! A serving peer: it answers messages, and gives turns as its core decides.
//!
//! It also plays holders that send wrong data, refuse, or lack pieces that they claimed, as the plan says. `segment_sending`
//! sends the bytes.

use std::time::Duration;

use brigade_core::{
    bitfield::Bitfield,
    download::{Event, HolderId},
    geometry::PieceIndex,
    limits,
    upload::{DownloaderId, Grant, OfferId, ServedPieces, WantedContent, check},
    wire::Reason,
};

use crate::{
    identifiers::{ConnectionNumber, ContentNumber, PeerNumber, download},
    network::connection::{PeerMessage, Request, SendingPiece, WaitingRequest},
    plan::HolderBehaviour,
    scheduled_event::ScheduledEvent,
    simulation::Simulation,
};

/// How often waiting downloaders receive a sign of life.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// How long new pieces are gathered before others are told of them: some times as long as a real holder gathers them,
/// which costs the downloaders here a little time, and the simulator much less.
const HAVE_PAUSE: Duration = Duration::from_millis(60);

impl Simulation {
    /// A message from a downloader arrives.
    pub(crate) fn holder_receives(&mut self, on: ConnectionNumber, message: PeerMessage) {
        let connection = &self.connections[on.at()];
        if !connection.alive {
            return;
        }
        let (holder, downloader) = (connection.holder, DownloaderId(connection.downloader.0));
        match message {
            PeerMessage::Open(content) => self.open(on, content),
            PeerMessage::Close(content) => {
                self.connections[on.at()].channels.retain(|open| *open != content);
                self.peers[holder.at()].listeners[content.at()].retain(|(_, other)| *other != on);
                self.drop_requests(on, |request| request.content == content);
                self.unwanted(on, content);
                self.grant(holder);
            }
            PeerMessage::AskList(content, first) => self.send_list(on, content, first),
            PeerMessage::Request(request, offer) => self.requested(on, request, offer.map(OfferId)),
            PeerMessage::Cancel(request) => {
                self.drop_requests(on, |other| *other == request);
                self.grant(holder);
            }
            PeerMessage::Want(content, uplink) => self.wanted(on, content, uplink),
            PeerMessage::Decline(content, offer) => {
                self.checks.answered(holder, downloader, OfferId(offer));
                self.outcome.declined += 1;
                self.unwanted(on, content);
                self.grant(holder);
            }
            PeerMessage::HaveAll(_)
            | PeerMessage::Bits(..)
            | PeerMessage::Have(..)
            | PeerMessage::ListPage(..)
            | PeerMessage::RefusedPiece(..)
            | PeerMessage::RefusedAll(..)
            | PeerMessage::Turns(_)
            | PeerMessage::Offer(..) => {}
        }
    }

    fn open(&mut self, on: ConnectionNumber, content: ContentNumber) {
        let peer = &self.peers[self.connections[on.at()].holder.at()];
        let Some(has) = peer.has(content).filter(|_| peer.behaviour != HolderBehaviour::Refuses) else {
            return self.answer(on, PeerMessage::RefusedAll(content, Reason::NotFound));
        };
        let message = if has.is_full() {
            PeerMessage::HaveAll(content)
        } else {
            PeerMessage::Bits(content, has.page(0, limits::BITFIELD_PAGE_PIECES).to_vec())
        };
        let connection = &mut self.connections[on.at()];
        let (holder, downloader) = (connection.holder, connection.downloader);
        connection.channels.push(content);
        let count = connection.channels.len();
        self.peers[holder.at()].listeners[content.at()].push((downloader, on));
        self.checks.check(count <= limits::OPEN_CHANNELS, || format!("{count} channels on one connection"));
        self.answer(on, message);
    }

    fn send_list(&mut self, on: ConnectionNumber, content: ContentNumber, first: u32) {
        if !self.connections[on.at()].channels.contains(&content) {
            return; // refused already
        }
        let Some(list) = &self.contents[content.at()].list else { return };
        let list = list.values();
        let from = (first as usize).min(list.len());
        let to = (from + limits::LIST_PAGE_VALUES as usize).min(list.len());
        let mut values = list[from..to].to_vec();
        if self.peers[self.connections[on.at()].holder.at()].behaviour == HolderBehaviour::WrongList
            && let Some(value) = values.last_mut()
        {
            value[9] ^= 1;
        }
        self.answer(on, PeerMessage::ListPage(content, first, values));
    }

    fn wanted(&mut self, on: ConnectionNumber, content: ContentNumber, uplink: Option<u64>) {
        let connection = &mut self.connections[on.at()];
        if !connection.channels.contains(&content) {
            return; // refused already
        }
        connection.wanted.insert(content);
        let (holder, downloader) = (connection.holder, DownloaderId(connection.downloader.0));
        let peer = &mut self.peers[holder.at()];
        let complete = peer.has(content).filter(|has| has.is_full()).map(Bitfield::len);
        let content = self.contents[content.at()].content;
        peer.upload.want(self.now, downloader, WantedContent { content, complete, uplink });
        self.grant(holder);
    }

    fn unwanted(&mut self, on: ConnectionNumber, content: ContentNumber) {
        let connection = &mut self.connections[on.at()];
        if connection.wanted.remove(&content) {
            let downloader = DownloaderId(connection.downloader.0);
            let content = self.contents[content.at()].content;
            self.peers[connection.holder.at()].upload.unwant(downloader, &content);
        }
    }

    fn requested(&mut self, on: ConnectionNumber, request: Request, offer: Option<OfferId>) {
        let connection = &self.connections[on.at()];
        let (holder, downloader) = (connection.holder, DownloaderId(connection.downloader.0));
        let outstanding = connection.waiting.len() + connection.sending.len();
        let peer = &self.peers[holder.at()];
        let geometry = &self.contents[request.content.at()].geometry;
        let open = geometry.count() == 1 || connection.channels.contains(&request.content);
        let has: Option<&Bitfield> = peer.has(request.content).filter(|_| open);
        let answer = check(outstanding, has.map(|has| (geometry, ServedPieces::Some(has))), request.piece);
        let answer = match peer.behaviour {
            HolderBehaviour::Refuses => Err(Reason::NotFound),
            HolderBehaviour::Forgets(n) if request.piece.0.is_multiple_of(n) => Err(Reason::NoPiece),
            _ => answer,
        };
        self.checks.check(answer != Err(Reason::TooMuch), || format!("{holder:?} is asked for too much"));
        self.checks.check(answer != Err(Reason::Protocol), || format!("{holder:?} is asked for {request:?}"));
        if let Some(offer) = offer {
            self.checks.answered(holder, downloader, offer);
        }
        let upload = &mut self.peers[holder.at()].upload;
        if let Err(reason) = answer {
            if let Some(offer) = offer {
                upload.give_back(downloader, offer);
            }
            self.answer(on, PeerMessage::RefusedPiece(request, reason));
            return self.grant(holder);
        }
        let accepted = offer.filter(|offer| upload.accept(self.now, downloader, *offer, request.piece));
        if accepted.is_none() {
            upload.request(self.now, downloader);
        }
        let waiting = WaitingRequest { request, offer: accepted, ready: false };
        self.connections[on.at()].waiting.push_back(waiting);
        self.mark_ready(on);
        self.grant(holder);
    }

    /// An accepted offer waits for the link once no earlier piece of its connection is being sent.
    pub(crate) fn mark_ready(&mut self, on: ConnectionNumber) {
        let connection = &mut self.connections[on.at()];
        if !connection.sending.is_empty() {
            return;
        }
        if let Some(first) = connection.waiting.front_mut().filter(|first| !first.ready)
            && let Some(offer) = first.offer
        {
            first.ready = true;
            let downloader = DownloaderId(connection.downloader.0);
            let upload = &mut self.peers[connection.holder.at()].upload;
            if !upload.ready(downloader, offer) {
                first.offer = None; // its turn is over: it waits like any other
                upload.request(self.now, downloader);
            }
        }
    }

    /// Requests are taken back: those that wait at once, those being sent before their next segment.
    fn drop_requests(&mut self, on: ConnectionNumber, fits: impl Fn(&Request) -> bool) {
        let connection = &mut self.connections[on.at()];
        let downloader = DownloaderId(connection.downloader.0);
        let upload = &mut self.peers[connection.holder.at()].upload;
        connection.waiting.retain(|waiting| {
            let dropped = fits(&waiting.request);
            match waiting.offer.filter(|_| dropped) {
                Some(offer) => upload.give_back(downloader, offer),
                None if dropped => upload.cancel(downloader),
                None => {}
            }
            !dropped
        });
        for sending in connection.sending.iter_mut().filter(|sending| fits(&sending.request)) {
            sending.cancelled = true;
        }
        self.mark_ready(on);
    }

    /// Lets as many requests be served, and makes as many offers, as the core grants.
    pub(crate) fn grant(&mut self, holder: PeerNumber) {
        if self.peers[holder.at()].stalled {
            return;
        }
        while let Some(grant) = self.peers[holder.at()].upload.next_grant() {
            match grant {
                Grant::Serve { downloader, offer } => self.serve(holder, downloader, offer),
                Grant::Offer { downloader, offer, content, pieces } => {
                    let Some(on) = self.peers[holder.at()].incoming.get(&PeerNumber(downloader.0)).copied()
                    else {
                        self.checks
                            .check(false, || format!("{holder:?} offers to {downloader:?}, who is gone"));
                        continue;
                    };
                    self.outcome.offers += 1;
                    self.checks.offered(holder, downloader, offer);
                    let content = self.numbers[&content.id];
                    let pieces = pieces.into_iter().map(|piece| piece.0).collect();
                    self.answer(on, PeerMessage::Offer(content, offer.0, pieces));
                }
            }
        }
        let due = self.peers[holder.at()].upload.deadline();
        if let Some(due) = due
            && self.peers[holder.at()].offer_deadline.is_none_or(|at| due < at)
        {
            self.peers[holder.at()].offer_deadline = Some(due);
            self.schedule(due.max(self.now), ScheduledEvent::OfferDeadline { of: holder });
        }
        self.send_next(holder);
    }

    fn serve(&mut self, holder: PeerNumber, downloader: DownloaderId, offer: Option<OfferId>) {
        let on = self.peers[holder.at()].incoming.get(&PeerNumber(downloader.0)).copied();
        let request = on.and_then(|on| {
            let waiting = &mut self.connections[on.at()].waiting;
            let at = waiting.iter().position(|waiting| waiting.offer == offer)?;
            waiting.remove(at)
        });
        let (Some(on), Some(WaitingRequest { request, .. })) = (on, request) else {
            return self
                .checks
                .check(false, || format!("{holder:?} grants {downloader:?} what it did not ask for"));
        };
        let bytes = self.contents[request.content.at()].geometry.length(request.piece);
        let sending = SendingPiece { request, offer, bytes, sent: 0, cancelled: false };
        self.connections[on.at()].sending.push_back(sending);
        self.queue_turn(holder, on);
    }

    /// An offer was not answered for too long.
    pub(crate) fn offer_deadline(&mut self, of: PeerNumber) {
        let peer = &mut self.peers[of.at()];
        if peer.offer_deadline.take_if(|at| *at <= self.now).is_some() {
            peer.upload.handle_timeout(self.now);
            self.grant(of);
        }
    }

    /// A peer that sends by turns sends a sign of life to waiting downloaders.
    pub(crate) fn send_keepalives(&mut self, of: PeerNumber) {
        let peer = &mut self.peers[of.at()];
        peer.sends_keepalives = peer.present && peer.limiter.bytes_per_second().is_some();
        if !peer.sends_keepalives {
            return;
        }
        let waits = |on: &ConnectionNumber| !self.connections[on.at()].wanted.is_empty();
        let waiting: Vec<ConnectionNumber> = peer.incoming.values().copied().filter(waits).collect();
        for on in waiting {
            self.answer(on, PeerMessage::Turns(true));
        }
        self.schedule_in(KEEPALIVE_INTERVAL, ScheduledEvent::KeepAlive { of });
    }

    /// Changes a peer's upload limit.
    pub(crate) fn set_limit(&mut self, of: PeerNumber, limit: Option<u64>) {
        let peer = &mut self.peers[of.at()];
        let before = peer.limiter.bytes_per_second();
        peer.limiter.set(self.now, limit);
        peer.upload.set_limit(limit);
        self.checks.limited(of, self.now, limit);
        if before.is_some() != limit.is_some() {
            let all: Vec<ConnectionNumber> = peer.incoming.values().copied().collect();
            for on in all {
                // The downloader sends its wants again.
                while let Some(content) = self.connections[on.at()].wanted.first().copied() {
                    self.unwanted(on, content);
                }
                self.answer(on, PeerMessage::Turns(limit.is_some()));
            }
        }
        self.begin_keepalives(of);
        self.grant(of);
    }

    pub(crate) fn begin_keepalives(&mut self, of: PeerNumber) {
        let peer = &mut self.peers[of.at()];
        if peer.limiter.bytes_per_second().is_some() && !std::mem::replace(&mut peer.sends_keepalives, true) {
            self.schedule_in(KEEPALIVE_INTERVAL, ScheduledEvent::KeepAlive { of });
        }
    }

    /// A peer has a new piece: it tells the downloaders of the content, at once after a pause, and later pieces
    /// together.
    pub(crate) fn queue_have(&mut self, by: PeerNumber, content: ContentNumber, piece: PieceIndex) {
        if self.peers[by.at()].incoming.is_empty() {
            return; // a later downloader gets the whole bitfield
        }
        let pending_haves = &mut self.peers[by.at()].pending_haves[content.at()];
        pending_haves.pieces.push(piece.0);
        if pending_haves.pieces.len() == 1 {
            let at = pending_haves.not_before.max(self.now);
            self.schedule(at, ScheduledEvent::SendHave { by, content });
        }
    }

    pub(crate) fn send_have(&mut self, by: PeerNumber, content: ContentNumber) {
        let peer = &mut self.peers[by.at()];
        let delay = peer.link.delay;
        let pending_haves = &mut peer.pending_haves[content.at()];
        let pieces = std::mem::take(&mut pending_haves.pieces).into_boxed_slice();
        pending_haves.not_before = self.now.after(HAVE_PAUSE);
        self.schedule_in(delay, ScheduledEvent::HaveReceived { by, content, pieces });
    }

    /// The downloaders of a content receive the numbers of new pieces.
    pub(crate) fn have_received(&mut self, by: PeerNumber, content: ContentNumber, pieces: &[u32]) {
        // A downloader may leave meanwhile, but its other reactions take time: so the list is put back afterwards.
        let listeners = std::mem::take(&mut self.peers[by.at()].listeners[content.at()]);
        let (holder, download) = (HolderId(by.0), download(content));
        for (to, on) in &listeners {
            let downloader = &mut self.peers[to.at()];
            if downloader.stalled {
                for piece in pieces.iter().copied().map(PieceIndex) {
                    let message = PeerMessage::Have(content, piece);
                    downloader.unread.push_back(ScheduledEvent::Message {
                        on: *on,
                        to_holder: false,
                        message,
                    });
                }
                continue;
            }
            self.outcome.events += 1;
            downloader.downloads.handle(self.now, Event::Have { holder, download, pieces: pieces.to_vec() });
            if let Some(action) = downloader.downloads.next_action() {
                self.carry_out_one(*to, action);
                self.carry_out(*to);
            }
        }
        let mut listeners = listeners;
        listeners.retain(|(_, on)| self.connections[on.at()].alive);
        self.peers[by.at()].listeners[content.at()] = listeners;
    }

    /// Sends a message to the downloader of a connection.
    pub(crate) fn answer(&mut self, on: ConnectionNumber, message: PeerMessage) {
        let delay = self.peers[self.connections[on.at()].holder.at()].link.delay;
        self.schedule_in(delay, ScheduledEvent::Message { on, to_holder: false, message });
    }
}
