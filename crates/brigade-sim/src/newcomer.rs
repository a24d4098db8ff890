//! A peer that fetches: tells its core what happens.
//!
//! It decides nothing itself, so that what goes wrong in a world went wrong in the core. What the core says is carried
//! out in `orders`; who it asks is in `serving`.

use brigade_core::{
    bitfield::Bitfield,
    download::{Event, HolderId},
    geometry::PieceIndex,
};

use crate::{
    network::{Connection, ConnectionNumber, Note, Segment, pass, time_on_line},
    queue::Happening,
    workload::Manners,
    world::{ContentNumber, PeerNumber, World, download},
};

/// Bytes a second that a peer hashes and writes.
const HASHED_PER_SECOND: u64 = 1_000_000_000;

impl World {
    /// A peer begins to fetch a content.
    pub(crate) fn fetch(&mut self, peer: PeerNumber, content: ContentNumber) {
        let shared = &self.contents[content.at()];
        let none = Bitfield::none(shared.geometry.count());
        let one = shared.content;
        let me = &mut self.peers[peer.at()];
        let have = me.has[content.at()].get_or_insert(none).clone();
        me.fetching.insert(content);
        self.outcome.started.insert((peer, content), self.now);
        self.tell(peer, Event::Start { download: download(content), content: one, list: None, have });
        self.watch(peer, &[content], 0);
    }

    /// A message comes from a holder.
    pub(crate) fn newcomer_hears(&mut self, on: ConnectionNumber, note: Note) {
        let connection = &mut self.connections[on.at()];
        if !connection.alive {
            return;
        }
        let (to, holder) = (connection.newcomer, HolderId(connection.holder.0));
        let event = match note {
            Note::HaveAll(content) => Event::HaveAll { holder, download: download(content) },
            Note::Bits(content, bits) => Event::Bits { holder, download: download(content), first: 0, bits },
            Note::Have(content, piece) => {
                Event::Have { holder, download: download(content), pieces: vec![piece.0] }
            }
            Note::ListPage(content, first, values) => {
                Event::ListPage { holder, download: download(content), first, values }
            }
            Note::RefusedPiece(request, reason) => {
                if connection.drop_request(|other| *other == request).is_none() {
                    return; // taken back meanwhile
                }
                let download = download(request.content);
                self.checks.released(to, holder, download, Some(request.piece));
                Event::Refused { holder, download, piece: Some(request.piece), reason }
            }
            Note::RefusedAll(content, reason) => {
                connection.coming.retain(|(request, _)| request.content != content);
                self.checks.released(to, holder, download(content), None);
                Event::Refused { holder, download: download(content), piece: None, reason }
            }
            Note::Turns(limited) => {
                connection.by_turns = limited;
                Event::Turns { holder, limited }
            }
            Note::Offer(content, offer, pieces) => {
                self.checks.must_answer(to, holder, offer);
                Event::Offered { holder, download: download(content), offer, pieces }
            }
            Note::Open(_)
            | Note::Close(_)
            | Note::AskList(..)
            | Note::Request(..)
            | Note::Cancel(_)
            | Note::Want(..)
            | Note::Decline(..) => return,
        };
        self.tell(to, event);
    }

    /// A segment waits for the newcomer's line.
    pub(crate) fn at_line(&mut self, on: ConnectionNumber, segment: Segment) {
        let newcomer = &mut self.peers[self.connections[on.at()].newcomer.at()];
        let time = time_on_line(segment.bytes, newcomer.link.down);
        let at = pass(&mut newcomer.down_free_at, self.now, time);
        self.schedule(at, Happening::Received { on, segment });
    }

    /// A segment is through.
    pub(crate) fn received(&mut self, on: ConnectionNumber, segment: Segment) {
        let connection = &mut self.connections[on.at()];
        if !connection.alive {
            return;
        }
        let (to, from, bytes) = (connection.newcomer, connection.holder, segment.bytes);
        connection.on_the_way -= u64::from(bytes);
        self.peers[to.at()].came_bytes += u64::from(bytes);
        let blocked = std::mem::take(&mut connection.blocked);
        let came = connection.came(segment);
        if came.is_some() && segment.last {
            connection.drop_request(|request| *request == segment.request);
        }
        if blocked {
            let back = self.peers[to.at()].link.delay;
            self.schedule_in(back, Happening::Acknowledged { by: from, on });
        }
        let Some(bytes) = came else { return };
        let holder = HolderId(from.0);
        let (content, piece) = (segment.request.content, segment.request.piece);
        let download = download(content);
        if !segment.last {
            // Some shells say how far a piece is, some do not.
            if self.random.below(2) == 0 {
                self.tell(to, Event::Progress { holder, download, piece, bytes });
            }
            return;
        }
        self.checks.arrived(to, holder, download, piece);
        let time = time_on_line(self.contents[content.at()].geometry.length(piece), HASHED_PER_SECOND);
        self.schedule_in(time, Happening::Hashed { by: to, from, content, piece });
        self.tell(to, Event::Arrived { holder, download, piece });
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
        let wrong =
            matches!(self.peers[from.at()].manners, Manners::WrongPieces(n) if piece.0.is_multiple_of(n));
        let bytes = u64::from(self.contents[content.at()].geometry.length(piece));
        if wrong {
            self.peers[by.at()].wrong_bytes += bytes;
            return self.tell(by, Event::Wrong { holder, download, piece });
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
            self.checks.must(verified, || format!("{by:?} stores {piece:?}, of which it knows no hash"));
        }
        self.tell(by, Event::Stored { holder, download, piece });
        if new {
            self.pass_on(by, content, piece);
            self.copied(by, content, piece);
        }
        if is_first {
            self.hold(by, content); // a part can be fetched from here
        }
    }

    /// An attempt to connect has come to something.
    pub(crate) fn dialled(&mut self, by: PeerNumber, to: PeerNumber) {
        let there = &self.peers[to.at()];
        let holder = HolderId(to.0);
        let full = there.incoming.len() >= self.incoming;
        if !there.present || there.stalled || full || there.incoming.contains_key(&by) {
            return self.tell(by, Event::Unreachable { holder });
        }
        let on = ConnectionNumber(u32::try_from(self.connections.len()).unwrap_or(u32::MAX));
        let lines = (&there.link, &self.peers[by.at()].link);
        self.connections.push(Connection::new(by, to, lines));
        let limited = there.limiter.bytes_per_second().is_some();
        self.peers[to.at()].incoming.insert(by, on);
        self.peers[by.at()].outgoing.insert(to, on);
        self.outcome.most_holders = self.outcome.most_holders.max(self.peers[by.at()].outgoing.len());
        if limited {
            self.answer(on, Note::Turns(true));
        }
        self.tell(by, Event::Connected { holder });
    }

    /// The newcomer sees that its connection is gone.
    pub(crate) fn broken(&mut self, on: ConnectionNumber) {
        let (by, to) = (self.connections[on.at()].newcomer, self.connections[on.at()].holder);
        if self.peers[by.at()].outgoing.contains_key(&to) {
            return; // it had given it up itself, and there is another
        }
        self.checks.lost(by, HolderId(to.0));
        self.tell(by, Event::Lost { holder: HolderId(to.0) });
    }

    /// A peer's deadline is here.
    pub(crate) fn deadline(&mut self, of: PeerNumber) {
        let peer = &mut self.peers[of.at()];
        if peer.deadline.take_if(|at| *at <= self.now).is_some() {
            peer.downloads.handle_timeout(self.now);
            self.carry_out(of);
        }
    }

    /// Tells a peer's core what happened, and carries out what it says.
    pub(crate) fn tell(&mut self, peer: PeerNumber, event: Event) {
        self.outcome.events += 1;
        self.peers[peer.at()].downloads.handle(self.now, event);
        self.carry_out(peer);
    }
}
