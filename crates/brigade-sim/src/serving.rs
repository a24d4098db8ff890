//! A peer that serves: answers what it hears, and gives turns as its core says.
//!
//! Holders that lie, refuse, or have less than they say are played here too, as their `Manners` in `workload` want.
//! How the bytes leave is in `sending`.

use std::time::Duration;

use brigade_core::{
    bitfield::Bitfield,
    download::{Event, HolderId},
    geometry::PieceIndex,
    limits,
    upload::{Grant, Held, NewcomerId, OfferId, Want, check},
    wire::Reason,
};

use crate::{
    network::{ConnectionNumber, Note, Request, Sending, Waiting},
    queue::Happening,
    workload::Manners,
    world::{ContentNumber, PeerNumber, World, download},
};

/// How often those who wait for a turn hear that the holder lives.
const SIGN_TIME: Duration = Duration::from_secs(1);

/// How long new pieces are gathered before others are told of them: some times as long as a real holder gathers them,
/// which costs the newcomers here a little time, and the simulator much less.
const HAVE_PAUSE: Duration = Duration::from_millis(60);

impl World {
    /// A message comes from a newcomer.
    pub(crate) fn holder_hears(&mut self, on: ConnectionNumber, note: Note) {
        let connection = &self.connections[on.at()];
        if !connection.alive {
            return;
        }
        let (holder, newcomer) = (connection.holder, NewcomerId(connection.newcomer.0));
        match note {
            Note::Open(content) => self.open(on, content),
            Note::Close(content) => {
                self.connections[on.at()].channels.retain(|open| *open != content);
                self.peers[holder.at()].listeners[content.at()].retain(|(_, other)| *other != on);
                self.drop_requests(on, |request| request.content == content);
                self.unwanted(on, content);
                self.grant(holder);
            }
            Note::AskList(content, first) => self.send_list(on, content, first),
            Note::Request(request, offer) => self.requested(on, request, offer.map(OfferId)),
            Note::Cancel(request) => {
                self.drop_requests(on, |other| *other == request);
                self.grant(holder);
            }
            Note::Want(content, uplink) => self.wanted(on, content, uplink),
            Note::Decline(content, offer) => {
                self.checks.answered(holder, newcomer, OfferId(offer));
                self.outcome.declined += 1;
                self.unwanted(on, content);
                self.grant(holder);
            }
            Note::HaveAll(_)
            | Note::Bits(..)
            | Note::Have(..)
            | Note::ListPage(..)
            | Note::RefusedPiece(..)
            | Note::RefusedAll(..)
            | Note::Turns(_)
            | Note::Offer(..) => {}
        }
    }

    fn open(&mut self, on: ConnectionNumber, content: ContentNumber) {
        let peer = &self.peers[self.connections[on.at()].holder.at()];
        let Some(has) = peer.has(content).filter(|_| peer.manners != Manners::Refuses) else {
            return self.answer(on, Note::RefusedAll(content, Reason::NotFound));
        };
        let note = if has.is_full() {
            Note::HaveAll(content)
        } else {
            Note::Bits(content, has.page(0, limits::BITFIELD_PAGE_PIECES).to_vec())
        };
        let connection = &mut self.connections[on.at()];
        let (holder, newcomer) = (connection.holder, connection.newcomer);
        connection.channels.push(content);
        let count = connection.channels.len();
        self.peers[holder.at()].listeners[content.at()].push((newcomer, on));
        self.checks.must(count <= limits::OPEN_CHANNELS, || format!("{count} channels on one connection"));
        self.answer(on, note);
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
        if self.peers[self.connections[on.at()].holder.at()].manners == Manners::WrongList
            && let Some(value) = values.last_mut()
        {
            value[9] ^= 1;
        }
        self.answer(on, Note::ListPage(content, first, values));
    }

    fn wanted(&mut self, on: ConnectionNumber, content: ContentNumber, uplink: Option<u64>) {
        let connection = &mut self.connections[on.at()];
        if !connection.channels.contains(&content) {
            return; // refused already
        }
        connection.wanted.insert(content);
        let (holder, newcomer) = (connection.holder, NewcomerId(connection.newcomer.0));
        let peer = &mut self.peers[holder.at()];
        let complete = peer.has(content).filter(|has| has.is_full()).map(Bitfield::len);
        let content = self.contents[content.at()].content;
        peer.upload.want(self.now, newcomer, Want { content, complete, uplink });
        self.grant(holder);
    }

    fn unwanted(&mut self, on: ConnectionNumber, content: ContentNumber) {
        let connection = &mut self.connections[on.at()];
        if connection.wanted.remove(&content) {
            let newcomer = NewcomerId(connection.newcomer.0);
            let content = self.contents[content.at()].content;
            self.peers[connection.holder.at()].upload.unwant(newcomer, &content);
        }
    }

    fn requested(&mut self, on: ConnectionNumber, request: Request, offer: Option<OfferId>) {
        let connection = &self.connections[on.at()];
        let (holder, newcomer) = (connection.holder, NewcomerId(connection.newcomer.0));
        let outstanding = connection.waiting.len() + connection.sending.len();
        let peer = &self.peers[holder.at()];
        let geometry = &self.contents[request.content.at()].geometry;
        let open = geometry.count() == 1 || connection.channels.contains(&request.content);
        let has: Option<&Bitfield> = peer.has(request.content).filter(|_| open);
        let answer = check(outstanding, has.map(|has| (geometry, Held::Some(has))), request.piece);
        let answer = match peer.manners {
            Manners::Refuses => Err(Reason::NotFound),
            Manners::Forgets(n) if request.piece.0.is_multiple_of(n) => Err(Reason::NoPiece),
            _ => answer,
        };
        self.checks.must(answer != Err(Reason::TooMuch), || format!("{holder:?} is asked for too much"));
        self.checks.must(answer != Err(Reason::Protocol), || format!("{holder:?} is asked for {request:?}"));
        if let Some(offer) = offer {
            self.checks.answered(holder, newcomer, offer);
        }
        let upload = &mut self.peers[holder.at()].upload;
        if let Err(reason) = answer {
            if let Some(offer) = offer {
                upload.give_back(newcomer, offer);
            }
            self.answer(on, Note::RefusedPiece(request, reason));
            return self.grant(holder);
        }
        let accepted = offer.filter(|offer| upload.accept(self.now, newcomer, *offer, request.piece));
        if accepted.is_none() {
            upload.request(self.now, newcomer);
        }
        let waiting = Waiting { request, offer: accepted, ready: false };
        self.connections[on.at()].waiting.push_back(waiting);
        self.say_ready(on);
        self.grant(holder);
    }

    /// An offer that was taken up waits for the line once nothing of its connection stands before it.
    pub(crate) fn say_ready(&mut self, on: ConnectionNumber) {
        let connection = &mut self.connections[on.at()];
        if !connection.sending.is_empty() {
            return;
        }
        if let Some(first) = connection.waiting.front_mut().filter(|first| !first.ready)
            && let Some(offer) = first.offer
        {
            first.ready = true;
            let newcomer = NewcomerId(connection.newcomer.0);
            let upload = &mut self.peers[connection.holder.at()].upload;
            if !upload.ready(newcomer, offer) {
                first.offer = None; // its turn is over: it waits like any other
                upload.request(self.now, newcomer);
            }
        }
    }

    /// Requests are taken back: those that wait at once, those being sent before their next segment.
    fn drop_requests(&mut self, on: ConnectionNumber, fits: impl Fn(&Request) -> bool) {
        let connection = &mut self.connections[on.at()];
        let newcomer = NewcomerId(connection.newcomer.0);
        let upload = &mut self.peers[connection.holder.at()].upload;
        connection.waiting.retain(|waiting| {
            let dropped = fits(&waiting.request);
            match waiting.offer.filter(|_| dropped) {
                Some(offer) => upload.give_back(newcomer, offer),
                None if dropped => upload.cancel(newcomer),
                None => {}
            }
            !dropped
        });
        for sending in connection.sending.iter_mut().filter(|sending| fits(&sending.request)) {
            sending.cancelled = true;
        }
        self.say_ready(on);
    }

    /// Lets as many requests be served, and makes as many offers, as the core grants.
    pub(crate) fn grant(&mut self, holder: PeerNumber) {
        if self.peers[holder.at()].stalled {
            return;
        }
        while let Some(grant) = self.peers[holder.at()].upload.next_grant() {
            match grant {
                Grant::Serve { newcomer, offer } => self.serve(holder, newcomer, offer),
                Grant::Offer { newcomer, offer, content, pieces } => {
                    let Some(on) = self.peers[holder.at()].incoming.get(&PeerNumber(newcomer.0)).copied()
                    else {
                        self.checks.must(false, || format!("{holder:?} offers to {newcomer:?}, who is gone"));
                        continue;
                    };
                    self.outcome.offers += 1;
                    self.checks.offered(holder, newcomer, offer);
                    let content = self.numbers[&content.id];
                    let pieces = pieces.into_iter().map(|piece| piece.0).collect();
                    self.answer(on, Note::Offer(content, offer.0, pieces));
                }
            }
        }
        let due = self.peers[holder.at()].upload.deadline();
        if let Some(due) = due
            && self.peers[holder.at()].offer_deadline.is_none_or(|at| due < at)
        {
            self.peers[holder.at()].offer_deadline = Some(due);
            self.schedule(due.max(self.now), Happening::OfferDeadline { of: holder });
        }
        self.pump(holder);
    }

    fn serve(&mut self, holder: PeerNumber, newcomer: NewcomerId, offer: Option<OfferId>) {
        let on = self.peers[holder.at()].incoming.get(&PeerNumber(newcomer.0)).copied();
        let request = on.and_then(|on| {
            let waiting = &mut self.connections[on.at()].waiting;
            let at = waiting.iter().position(|waiting| waiting.offer == offer)?;
            waiting.remove(at)
        });
        let (Some(on), Some(Waiting { request, .. })) = (on, request) else {
            return self
                .checks
                .must(false, || format!("{holder:?} grants {newcomer:?} what it did not ask for"));
        };
        let bytes = self.contents[request.content.at()].geometry.length(request.piece);
        let sending = Sending { request, offer, bytes, sent: 0, cancelled: false };
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

    /// A peer that sends by turns shows those who wait that it lives.
    pub(crate) fn signs(&mut self, of: PeerNumber) {
        let peer = &mut self.peers[of.at()];
        peer.signing = peer.present && peer.limiter.bytes_per_second().is_some();
        if !peer.signing {
            return;
        }
        let waits = |on: &ConnectionNumber| !self.connections[on.at()].wanted.is_empty();
        let waiting: Vec<ConnectionNumber> = peer.incoming.values().copied().filter(waits).collect();
        for on in waiting {
            self.answer(on, Note::Turns(true));
        }
        self.schedule_in(SIGN_TIME, Happening::Signs { of });
    }

    /// Another limit on what a peer sends.
    pub(crate) fn set_limit(&mut self, of: PeerNumber, limit: Option<u64>) {
        let peer = &mut self.peers[of.at()];
        let before = peer.limiter.bytes_per_second();
        peer.limiter.set(self.now, limit);
        peer.upload.set_limit(limit);
        self.checks.limited(of, self.now, limit);
        if before.is_some() != limit.is_some() {
            let all: Vec<ConnectionNumber> = peer.incoming.values().copied().collect();
            for on in all {
                // The newcomer says anew what it wants.
                while let Some(content) = self.connections[on.at()].wanted.first().copied() {
                    self.unwanted(on, content);
                }
                self.answer(on, Note::Turns(limit.is_some()));
            }
        }
        self.begin_signs(of);
        self.grant(of);
    }

    pub(crate) fn begin_signs(&mut self, of: PeerNumber) {
        let peer = &mut self.peers[of.at()];
        if peer.limiter.bytes_per_second().is_some() && !std::mem::replace(&mut peer.signing, true) {
            self.schedule_in(SIGN_TIME, Happening::Signs { of });
        }
    }

    /// A peer has a piece since now: it says so to those who fetch the content from it, the first one after a pause at
    /// once, and those that follow together.
    pub(crate) fn pass_on(&mut self, by: PeerNumber, content: ContentNumber, piece: PieceIndex) {
        if self.peers[by.at()].incoming.is_empty() {
            return; // who comes later is told what there is
        }
        let gathered = &mut self.peers[by.at()].gathered[content.at()];
        gathered.pieces.push(piece.0);
        if gathered.pieces.len() == 1 {
            let at = gathered.not_before.max(self.now);
            self.schedule(at, Happening::Tell { by, content });
        }
    }

    pub(crate) fn tell_of_pieces(&mut self, by: PeerNumber, content: ContentNumber) {
        let peer = &mut self.peers[by.at()];
        let delay = peer.link.delay;
        let gathered = &mut peer.gathered[content.at()];
        let pieces = std::mem::take(&mut gathered.pieces).into_boxed_slice();
        gathered.not_before = self.now.after(HAVE_PAUSE);
        self.schedule_in(delay, Happening::Passed { by, content, pieces });
    }

    /// Those who fetch a content from a peer hear of its new pieces.
    pub(crate) fn passed(&mut self, by: PeerNumber, content: ContentNumber, pieces: &[u32]) {
        // The list is put back as it was then: what a newcomer does on hearing this takes time, but that it may leave.
        let listeners = std::mem::take(&mut self.peers[by.at()].listeners[content.at()]);
        let (holder, download) = (HolderId(by.0), download(content));
        for (to, on) in &listeners {
            let newcomer = &mut self.peers[to.at()];
            if newcomer.stalled {
                for piece in pieces.iter().copied().map(PieceIndex) {
                    let note = Note::Have(content, piece);
                    newcomer.unread.push_back(Happening::Note { on: *on, to_holder: false, note });
                }
                continue;
            }
            self.outcome.events += 1;
            newcomer.downloads.handle(self.now, Event::Have { holder, download, pieces: pieces.to_vec() });
            if let Some(action) = newcomer.downloads.next_action() {
                self.carry_out_one(*to, action);
                self.carry_out(*to);
            }
        }
        let mut listeners = listeners;
        listeners.retain(|(_, on)| self.connections[on.at()].alive);
        self.peers[by.at()].listeners[content.at()] = listeners;
    }

    /// Sends a message to the newcomer of a connection.
    pub(crate) fn answer(&mut self, on: ConnectionNumber, note: Note) {
        let delay = self.peers[self.connections[on.at()].holder.at()].link.delay;
        self.schedule_in(delay, Happening::Note { on, to_holder: false, note });
    }
}
