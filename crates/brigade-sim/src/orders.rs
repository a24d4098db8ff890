//! What a newcomer's core says is to be done, carried out.
//!
//! Messages go out, connections are made and ended, and what must hold for each is looked at in `checks`. What comes
//! back is in `newcomer`.

use std::time::Duration;

use brigade_core::{
    bitfield::Bitfield,
    download::{Action, DownloadId, HolderId},
    geometry::PieceIndex,
};

use crate::{
    network::{Connection, Note, Request},
    queue::{Happening, handshake, no_earlier},
    world::{ContentNumber, PeerNumber, World, download},
};

/// How long dialling one who does not answer takes.
const DIAL_TIME: Duration = Duration::from_secs(10);

impl World {
    pub(crate) fn carry_out(&mut self, peer: PeerNumber) {
        while let Some(action) = self.peers[peer.at()].downloads.next_action() {
            self.carry_out_one(peer, action);
        }
        let core = &mut self.peers[peer.at()];
        self.checks.settled(peer);
        let due = core.downloads.deadline();
        if let Some(due) = due
            && core.deadline.is_none_or(|at| due < at)
        {
            let due = no_earlier(due, self.now);
            core.deadline = Some(due);
            self.schedule(due, Happening::Deadline { of: peer });
        }
    }

    pub(crate) fn carry_out_one(&mut self, peer: PeerNumber, action: Action) {
        match action {
            Action::Connect { holder } => {
                let to = PeerNumber(holder.0);
                let there = &self.peers[to.at()];
                let delay = (self.peers[peer.at()].link.delay + there.link.delay) / 2;
                let wait = if there.stalled { DIAL_TIME } else { handshake(delay) };
                self.schedule_in(wait, Happening::Dialled { by: peer, to });
            }
            Action::Disconnect { holder } => {
                self.checks.lost(peer, holder);
                if let Some(on) = self.peers[peer.at()].outgoing.get(&PeerNumber(holder.0)) {
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
            Action::Request { holder, download, piece, offer } => {
                self.request(peer, holder, download, piece, offer);
            }
            Action::Want { holder, download } => {
                let uplink = self.peers[peer.at()].limiter.bytes_per_second();
                self.send(peer, holder, Note::Want(content(download), uplink));
            }
            Action::Decline { holder, download, offer } => {
                self.checks.answers(peer, holder, offer);
                self.send(peer, holder, Note::Decline(content(download), offer));
            }
            Action::MoreHolders { download } => {
                let again = self.peers[peer.at()].again.entry(content(download)).or_default();
                *again += 1;
                let again = *again;
                self.watch(peer, &[content(download)], again);
            }
            Action::Cancel { holder, download, piece } => self.cancel(peer, holder, download, piece),
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

    fn request(
        &mut self,
        peer: PeerNumber,
        holder: HolderId,
        download: DownloadId,
        piece: PieceIndex,
        offer: Option<u32>,
    ) {
        let shared = &self.contents[content(download).at()];
        let bytes = shared.geometry.length(piece);
        let there = &self.peers[holder.0 as usize];
        let has = there.has(content(download)).is_some_and(|has| has.has(piece));
        self.checks.must(has, || format!("{peer:?} asks {holder:?} for {piece:?}, which it does not have"));
        let needed = self.peers[peer.at()].has(content(download)).is_some_and(|mine| !mine.has(piece));
        self.checks.must(needed, || format!("{peer:?} asks for {piece:?}, which it has"));
        let whole = shared.geometry.count() == 1;
        self.checks.requested(peer, holder, (download, piece), bytes, whole);
        if let Some(offer) = offer {
            self.checks.answers(peer, holder, offer);
        }
        let Some(connection) = self.connection(peer, holder) else { return };
        let in_turn = whole || !connection.by_turns || offer.is_some();
        let request = connection.request(content(download), piece);
        self.checks.must(in_turn, || format!("{peer:?} asks {holder:?} for {piece:?} out of turn"));
        self.send(peer, holder, Note::Request(request, offer));
    }

    fn cancel(&mut self, peer: PeerNumber, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        self.checks.released(peer, holder, download, Some(piece));
        let fits = |it: &Request| it.content == content(download) && it.piece == piece;
        if let Some(connection) = self.connection(peer, holder)
            && let Some(request) = connection.drop_request(fits)
        {
            self.send(peer, holder, Note::Cancel(request));
        }
    }

    fn finished(&mut self, peer: PeerNumber, content: ContentNumber) {
        let me = &mut self.peers[peer.at()];
        if me.fetching.remove(&content) {
            self.fetched();
        }
        let full = self.peers[peer.at()].has(content).is_some_and(Bitfield::is_full);
        self.checks.must(full, || format!("{peer:?} takes {content:?} for complete, which it is not"));
        self.checks.ended(peer, download(content));
        self.outcome.finished.insert((peer, content), self.now);
        self.completed(peer, content);
    }

    fn connection(&mut self, newcomer: PeerNumber, holder: HolderId) -> Option<&mut Connection> {
        let on = self.peers[newcomer.at()].outgoing.get(&PeerNumber(holder.0))?;
        self.connections.get_mut(on.at())
    }

    /// Sends a message to a holder, if there is still a connection.
    fn send(&mut self, from: PeerNumber, to: HolderId, note: Note) {
        let me = &self.peers[from.at()];
        if let Some(on) = me.outgoing.get(&PeerNumber(to.0)).copied() {
            self.schedule_in(me.link.delay, Happening::Note { on, to_holder: true, note });
        }
    }
}

/// The world's number for a content.
const fn content(download: DownloadId) -> ContentNumber {
    ContentNumber(download.0)
}
