//! A peer that serves: answers what it hears, and sends pieces over its line as its core says.
//!
//! Holders that lie, refuse, or have less than they say are played here too, as their `Manners` in `workload` want.

use brigade_core::{
    bitfield::Bitfield,
    geometry::PieceIndex,
    limits,
    upload::{Held, NewcomerId, check},
    wire::Reason,
};

use crate::{
    network::{ConnectionNumber, Note, Request, SEGMENT_BYTES, Segment, Sending, time_on_line},
    workload::Manners,
    world::{ContentNumber, Happening, PeerNumber, World},
};

impl World {
    /// A message comes from a newcomer.
    pub(crate) fn holder_hears(&mut self, on: ConnectionNumber, note: Note) {
        if !self.connections[on.0].alive {
            return;
        }
        let holder = self.connections[on.0].holder;
        if self.peers[holder.at()].stalled {
            return self.peers[holder.at()].unread.push_back((on, note));
        }
        match note {
            Note::Open(content) => self.open(on, content),
            Note::Close(content) => {
                self.connections[on.0].channels.retain(|open| *open != content);
                self.drop_requests(on, |request| request.content == content);
            }
            Note::AskList(content, first) => self.send_list(on, content, first),
            Note::Request(request) => self.requested(on, request),
            Note::Cancel(request) => self.drop_requests(on, |other| *other == request),
            Note::HaveAll(_)
            | Note::Bits(..)
            | Note::Have(..)
            | Note::ListPage(..)
            | Note::RefusedPiece(..)
            | Note::RefusedAll(..) => {}
        }
    }

    fn open(&mut self, on: ConnectionNumber, content: ContentNumber) {
        let peer = &self.peers[self.connections[on.0].holder.at()];
        let Some(has) = peer.has.get(&content).filter(|_| peer.manners != Manners::Refuses) else {
            return self.answer(on, Note::RefusedAll(content, Reason::NotFound));
        };
        let note = if has.is_full() {
            Note::HaveAll(content)
        } else {
            Note::Bits(content, has.page(0, limits::BITFIELD_PAGE_PIECES).to_vec())
        };
        let channels = &mut self.connections[on.0].channels;
        channels.push(content);
        let count = channels.len();
        self.checks.must(count <= limits::OPEN_CHANNELS, || format!("{count} channels on one connection"));
        self.answer(on, note);
    }

    fn send_list(&mut self, on: ConnectionNumber, content: ContentNumber, first: u32) {
        if !self.connections[on.0].channels.contains(&content) {
            return; // refused already
        }
        let Some(list) = self.list_of(content) else { return };
        let from = (first as usize).min(list.len());
        let to = (from + limits::LIST_PAGE_VALUES as usize).min(list.len());
        let mut values = list[from..to].to_vec();
        if self.peers[self.connections[on.0].holder.at()].manners == Manners::WrongList
            && let Some(value) = values.last_mut()
        {
            value[9] ^= 1;
        }
        self.answer(on, Note::ListPage(content, first, values));
    }

    fn requested(&mut self, on: ConnectionNumber, request: Request) {
        let connection = &self.connections[on.0];
        let (holder, newcomer) = (connection.holder, NewcomerId(connection.newcomer.0));
        let outstanding = connection.waiting.len() + connection.sending.len();
        let peer = &self.peers[holder.at()];
        let geometry = &self.contents[request.content.at()].geometry;
        let open = geometry.count() == 1 || connection.channels.contains(&request.content);
        let has: Option<&Bitfield> = peer.has.get(&request.content).filter(|_| open);
        let answer = check(outstanding, has.map(|has| (geometry, Held::Some(has))), request.piece);
        let answer = match peer.manners {
            Manners::Refuses => Err(Reason::NotFound),
            Manners::Forgets(n) if request.piece.0.is_multiple_of(n) => Err(Reason::NoPiece),
            _ => answer,
        };
        self.checks.must(answer != Err(Reason::TooMuch), || format!("{holder:?} is asked for too much"));
        self.checks.must(answer != Err(Reason::Protocol), || format!("{holder:?} is asked for {request:?}"));
        if let Err(reason) = answer {
            return self.answer(on, Note::RefusedPiece(request, reason));
        }
        self.connections[on.0].waiting.push_back(request);
        self.peers[holder.at()].upload.want(self.now, newcomer);
        self.grant(holder);
    }

    /// Requests are taken back: those that wait at once, those being sent before their next segment.
    fn drop_requests(&mut self, on: ConnectionNumber, fits: impl Fn(&Request) -> bool) {
        let connection = &mut self.connections[on.0];
        let (holder, newcomer) = (connection.holder, NewcomerId(connection.newcomer.0));
        let waiting = connection.waiting.len();
        connection.waiting.retain(|request| !fits(request));
        let dropped = waiting - connection.waiting.len();
        for sending in connection.sending.iter_mut().filter(|sending| fits(&sending.request)) {
            sending.cancelled = true;
        }
        for _ in 0..dropped {
            self.peers[holder.at()].upload.cancel(newcomer);
        }
    }

    /// Lets as many requests be served as the core grants.
    pub(crate) fn grant(&mut self, holder: PeerNumber) {
        while let Some(newcomer) = self.peers[holder.at()].upload.next_grant() {
            let on = self.between.get(&(PeerNumber(newcomer.0), holder)).copied();
            let request = on.and_then(|on| self.connections[on.0].waiting.pop_front());
            let (Some(on), Some(request)) = (on, request) else {
                self.checks.must(false, || format!("{holder:?} grants {newcomer:?} what it did not ask for"));
                continue;
            };
            let bytes = self.contents[request.content.at()].geometry.length(request.piece);
            let sending = Sending { request, bytes, sent: 0, cancelled: false };
            self.connections[on.0].sending.push_back(sending);
            self.queue_turn(holder, on);
        }
        self.pump(holder);
    }

    /// Sends the next segment, if the line is free.
    fn pump(&mut self, by: PeerNumber) {
        let peer = &mut self.peers[by.at()];
        if peer.sending || peer.stalled {
            return;
        }
        while let Some(on) = peer.turns.pop_front() {
            let connection = &mut self.connections[on.0];
            let newcomer = NewcomerId(connection.newcomer.0);
            // One whose line is full gets its turn when some of that has come.
            let full = connection.on_the_way >= connection.window_bytes;
            let Some(sending) = connection.sending.front_mut().filter(|_| !full) else { continue };
            if sending.cancelled {
                let sent = u64::from(sending.sent);
                connection.sending.pop_front();
                peer.turns.push_front(on);
                peer.upload.done(self.now, newcomer, sent);
                return self.grant(by); // a slot is free; this comes back here
            }
            let bytes = (sending.bytes - sending.sent).min(SEGMENT_BYTES);
            sending.sent += bytes;
            connection.on_the_way += u64::from(bytes);
            let last = sending.sent == sending.bytes;
            let segment = Segment { request: sending.request, bytes, last };
            let wait = peer.limiter.take(self.now, u64::from(bytes)) + time_on_line(bytes, peer.link.up);
            peer.sending = true;
            return self.schedule_in(wait, Happening::Sent { by, on, segment });
        }
    }

    /// A segment has left the line.
    pub(crate) fn sent(&mut self, by: PeerNumber, on: ConnectionNumber, segment: Segment) {
        let peer = &mut self.peers[by.at()];
        peer.sending = false;
        let delay = peer.link.delay;
        if self.connections[on.0].alive {
            self.schedule_in(delay, Happening::AtLine { on, segment });
            let connection = &mut self.connections[on.0];
            if segment.last && connection.sending.pop_front().is_some() {
                let newcomer = NewcomerId(connection.newcomer.0);
                let bytes =
                    self.contents[segment.request.content.at()].geometry.length(segment.request.piece);
                self.peers[by.at()].upload.done(self.now, newcomer, u64::from(bytes));
            }
            self.queue_turn(by, on);
        }
        self.grant(by);
    }

    /// Some of what was sent has come.
    pub(crate) fn acknowledged(&mut self, by: PeerNumber, on: ConnectionNumber, bytes: u32) {
        self.connections[on.0].on_the_way -= u64::from(bytes);
        self.queue_turn(by, on);
        self.pump(by);
    }

    /// A connection takes its turn at the line, if it has something to send.
    fn queue_turn(&mut self, by: PeerNumber, on: ConnectionNumber) {
        let turns = &mut self.peers[by.at()].turns;
        if !self.connections[on.0].sending.is_empty() && !turns.contains(&on) {
            turns.push_back(on);
        }
    }

    /// A peer has a piece since now: it says so to those who fetch the content from it.
    pub(crate) fn pass_on(&mut self, by: PeerNumber, content: ContentNumber, piece: PieceIndex) {
        let hears = |((_, holder), on): (&(PeerNumber, PeerNumber), &ConnectionNumber)| {
            (*holder == by && self.connections[on.0].channels.contains(&content)).then_some(*on)
        };
        let those: Vec<ConnectionNumber> = self.between.iter().filter_map(hears).collect();
        for on in those {
            self.answer(on, Note::Have(content, piece));
        }
    }

    /// A stopped peer goes on: it reads what came meanwhile.
    pub(crate) fn resume(&mut self, peer: PeerNumber) {
        self.peers[peer.at()].stalled = false;
        let unread = std::mem::take(&mut self.peers[peer.at()].unread);
        for (on, note) in unread {
            self.holder_hears(on, note);
        }
        self.grant(peer);
    }

    /// Sends a message to the newcomer of a connection.
    fn answer(&mut self, on: ConnectionNumber, note: Note) {
        let delay = self.peers[self.connections[on.0].holder.at()].link.delay;
        self.schedule_in(delay, Happening::Note { on, to_holder: false, note });
    }
}
