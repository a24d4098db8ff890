//! A peer that fetches: tells its core what happens, and carries out what the core says.
//!
//! It decides nothing itself, so that what goes wrong in a world went wrong in the core. Who it asks is in `serving`.

use std::{sync::Arc, time::Duration};

use brigade_core::{
    bitfield::Bitfield,
    download::{Action, DownloadId, Event, HolderId},
    geometry::PieceIndex,
};

use crate::{
    network::{Connection, ConnectionNumber, Note, Segment, pass, time_on_line},
    workload::Manners,
    world::{ContentNumber, Happening, PeerNumber, World, download},
};

/// Bytes a second that a peer hashes and writes.
const HASHED_PER_SECOND: u64 = 1_000_000_000;

/// How long a connection takes to be made, in delays each way: TCP, TLS, hello.
const HANDSHAKE_DELAYS: u32 = 6;

/// How long dialling one who does not answer takes.
const DIAL_TIME: Duration = Duration::from_secs(10);

impl World {
    /// A peer begins to fetch a content.
    pub(crate) fn fetch(&mut self, peer: PeerNumber, content: ContentNumber) {
        let shared = &self.contents[content.at()];
        let none = Bitfield::none(shared.geometry.count());
        let one = shared.content;
        let me = &mut self.peers[peer.at()];
        let have = me.has.entry(content).or_insert(none).clone();
        me.fetching.insert(content);
        self.tell(peer, Event::Start { download: download(content), content: one, list: None, have });
        self.named(peer, content);
    }

    /// The directory names the holders of a content.
    pub(crate) fn named(&mut self, to: PeerNumber, content: ContentNumber) {
        let (mut complete, mut partial) = (Vec::new(), Vec::new());
        for (number, peer) in (0u32..).zip(&self.peers) {
            let Some(has) = peer.has.get(&content).filter(|has| peer.present && !has.is_empty()) else {
                continue;
            };
            if number != to.0 {
                if has.is_full() { &mut complete } else { &mut partial }.push(HolderId(number));
            }
        }
        self.tell(to, Event::Holders { download: download(content), complete, partial });
    }

    /// A message comes from a holder.
    pub(crate) fn newcomer_hears(&mut self, on: ConnectionNumber, note: Note) {
        let connection = &mut self.connections[on.0];
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
            Note::Open(_) | Note::Close(_) | Note::AskList(..) | Note::Request(_) | Note::Cancel(_) => return,
        };
        self.tell(to, event);
    }

    /// A segment waits for the newcomer's line.
    pub(crate) fn at_line(&mut self, on: ConnectionNumber, segment: Segment) {
        let newcomer = &mut self.peers[self.connections[on.0].newcomer.at()];
        let time = time_on_line(segment.bytes, newcomer.link.down);
        let at = pass(&mut newcomer.down_free_at, self.now, time);
        self.schedule(at, Happening::Received { on, segment });
    }

    /// A segment is through.
    pub(crate) fn received(&mut self, on: ConnectionNumber, segment: Segment) {
        let connection = &mut self.connections[on.0];
        if !connection.alive {
            return;
        }
        let there = connection.holder;
        let (back, bytes) = (self.peers[connection.newcomer.at()].link.delay, segment.bytes);
        let came = connection.came(segment);
        self.schedule_in(back, Happening::Acknowledged { by: there, on, bytes });
        let Some(bytes) = came else { return };
        let connection = &mut self.connections[on.0];
        let (to, holder) = (connection.newcomer, HolderId(connection.holder.0));
        let (content, piece) = (segment.request.content, segment.request.piece);
        let download = download(content);
        if !segment.last {
            // Some shells say how far a piece is, some do not.
            if self.random.below(2) == 0 {
                self.tell(to, Event::Progress { holder, download, piece, bytes });
            }
            return;
        }
        connection.drop_request(|request| *request == segment.request);
        let from = PeerNumber(holder.0);
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
        if wrong {
            return self.tell(by, Event::Wrong { holder, download, piece });
        }
        let bytes = u64::from(self.contents[content.at()].geometry.length(piece));
        *self.outcome.stored.entry((by, from)).or_default() += bytes;
        let has = self.peers[by.at()].has.get_mut(&content);
        let is_first = has.is_some_and(|has| has.set(piece) && has.count() == 1);
        self.tell(by, Event::Stored { holder, download, piece });
        self.pass_on(by, content, piece);
        if is_first {
            self.tell_about(content); // a part can be fetched from here
        }
    }

    /// An attempt to connect has come to something.
    pub(crate) fn dialled(&mut self, by: PeerNumber, to: PeerNumber) {
        let there = &self.peers[to.at()];
        let holder = HolderId(to.0);
        if !there.present || there.stalled || self.between.contains_key(&(by, to)) {
            return self.tell(by, Event::Unreachable { holder });
        }
        let on = ConnectionNumber(self.connections.len());
        let lines = (&there.link, &self.peers[by.at()].link);
        self.connections.push(Connection::new(by, to, lines));
        self.between.insert((by, to), on);
        self.tell(by, Event::Connected { holder });
    }

    /// The newcomer sees that its connection is gone.
    pub(crate) fn broken(&mut self, on: ConnectionNumber) {
        let (by, to) = (self.connections[on.0].newcomer, self.connections[on.0].holder);
        if self.between.contains_key(&(by, to)) {
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

    fn carry_out(&mut self, peer: PeerNumber) {
        while let Some(action) = self.peers[peer.at()].downloads.next_action() {
            self.carry_out_one(peer, action);
        }
        let core = &self.peers[peer.at()];
        self.checks.settled(peer);
        let due = core.downloads.deadline();
        if let Some(due) = due
            && core.deadline.is_none_or(|at| due < at)
        {
            let due = due.max(self.now);
            self.peers[peer.at()].deadline = Some(due);
            self.schedule(due, Happening::Deadline { of: peer });
        }
    }

    fn carry_out_one(&mut self, peer: PeerNumber, action: Action) {
        match action {
            Action::Connect { holder } => {
                let to = PeerNumber(holder.0);
                let there = &self.peers[to.at()];
                let delay = (self.peers[peer.at()].link.delay + there.link.delay) / 2;
                let wait = if there.stalled { DIAL_TIME } else { delay * HANDSHAKE_DELAYS };
                self.schedule_in(wait, Happening::Dialled { by: peer, to });
            }
            Action::Disconnect { holder } => {
                self.checks.lost(peer, holder);
                if let Some(on) = self.between.get(&(peer, PeerNumber(holder.0))) {
                    self.cut(*on, false);
                }
            }
            Action::Open { holder, download, .. } => self.send(peer, holder, Note::Open(content(download))),
            Action::Close { holder, download } => {
                self.checks.released(peer, holder, download, None);
                if let Some(connection) = self.connection(peer, holder) {
                    connection.coming.retain(|(request, _)| request.content != content(download));
                }
                self.send(peer, holder, Note::Close(content(download)));
            }
            Action::AskList { holder, download, first } => {
                self.send(peer, holder, Note::AskList(content(download), first));
            }
            Action::Request { holder, download, piece } => self.request(peer, holder, download, piece),
            Action::Cancel { holder, download, piece } => {
                self.checks.released(peer, holder, download, Some(piece));
                let fits =
                    |it: &crate::network::Request| it.content == content(download) && it.piece == piece;
                if let Some(connection) = self.connection(peer, holder)
                    && let Some(request) = connection.drop_request(fits)
                {
                    self.send(peer, holder, Note::Cancel(request));
                }
            }
            Action::ListKnown { download, list } => {
                let known = self.contents[content(download).at()].list.as_ref();
                self.checks.must(known == Some(&*list), || format!("{peer:?} believes a wrong list"));
                self.checks.list_known(peer, download);
            }
            Action::Finished { download } => self.finished(peer, content(download)),
            Action::Shunned { holder, download, .. } => {
                self.checks.shunned(peer, holder, download);
                self.outcome.shunned.insert((peer, PeerNumber(holder.0), content(download)));
            }
            Action::Impossible { download, why } => {
                self.checks.must(false, || format!("{peer:?} gives up {download:?}: {why}"));
            }
            Action::Starved { .. } | Action::Fed { .. } => {}
        }
    }

    fn request(&mut self, peer: PeerNumber, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        let shared = &self.contents[content(download).at()];
        let bytes = shared.geometry.length(piece);
        let there = &self.peers[holder.0 as usize];
        let has = there.has.get(&content(download)).is_some_and(|has| has.has(piece));
        self.checks.must(has, || format!("{peer:?} asks {holder:?} for {piece:?}, which it does not have"));
        let mine = self.peers[peer.at()].has.get(&content(download));
        let needed = mine.is_some_and(|mine| !mine.has(piece));
        self.checks.must(needed, || format!("{peer:?} asks for {piece:?}, which it has"));
        let whole = shared.geometry.count() == 1;
        self.checks.requested(peer, holder, download, piece, bytes, whole);
        if let Some(connection) = self.connection(peer, holder) {
            let request = connection.request(content(download), piece);
            self.send(peer, holder, Note::Request(request));
        }
    }

    fn finished(&mut self, peer: PeerNumber, content: ContentNumber) {
        let me = &mut self.peers[peer.at()];
        me.fetching.remove(&content);
        let full = me.has.get(&content).is_some_and(Bitfield::is_full);
        self.checks.must(full, || format!("{peer:?} takes {content:?} for complete, which it is not"));
        self.checks.ended(peer, download(content));
        self.outcome.finished.insert((peer, content), self.now);
        self.tell_about(content);
    }

    fn connection(&mut self, newcomer: PeerNumber, holder: HolderId) -> Option<&mut Connection> {
        let on = self.between.get(&(newcomer, PeerNumber(holder.0)))?;
        self.connections.get_mut(on.0)
    }

    /// Sends a message to a holder, if there is still a connection.
    fn send(&mut self, from: PeerNumber, to: HolderId, note: Note) {
        if let Some(on) = self.between.get(&(from, PeerNumber(to.0))).copied() {
            let delay = self.peers[from.at()].link.delay;
            self.schedule_in(delay, Happening::Note { on, to_holder: true, note });
        }
    }

    /// The piece list of a content, which a holder sends in pages.
    pub(crate) fn list_of(&self, content: ContentNumber) -> Option<Arc<[[u8; 32]]>> {
        self.contents[content.at()].list.as_ref().map(|list| list.values().into())
    }
}

/// The world's number for a content.
const fn content(download: DownloadId) -> ContentNumber {
    ContentNumber(download.0)
}
