//! Carries out the actions of a downloader's core: sends messages, makes and ends connections.
//!
//! `invariants` sees every action. The answers arrive in `downloader`.

use std::time::Duration;

use brigade_core::{
    bitfield::Bitfield,
    download::{Action, DownloadId, HolderId},
    geometry::PieceIndex,
};

use crate::{
    event_queue::no_earlier,
    identifiers::{ContentNumber, PeerNumber, content, download},
    network::connection::{Connection, PeerMessage, Request},
    network::link::handshake,
    scheduled_event::ScheduledEvent,
    simulation::Simulation,
};

/// How long it takes to dial a peer that does not answer.
const DIAL_TIME: Duration = Duration::from_secs(10);

impl Simulation {
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
            self.schedule(due, ScheduledEvent::Deadline { of: peer });
        }
    }

    pub(crate) fn carry_out_one(&mut self, peer: PeerNumber, action: Action) {
        match action {
            Action::Connect { holder } => {
                let to = PeerNumber(holder.0);
                let other = &self.peers[to.at()];
                let delay = (self.peers[peer.at()].link.delay + other.link.delay) / 2;
                let wait = if other.stalled { DIAL_TIME } else { handshake(delay) };
                self.schedule_in(wait, ScheduledEvent::Dialled { by: peer, to });
            }
            Action::Disconnect { holder } => {
                self.checks.lost(peer, holder);
                if let Some(on) = self.peers[peer.at()].outgoing.get(&PeerNumber(holder.0)) {
                    self.cut(*on, false);
                }
            }
            Action::Open { holder, download, .. } => {
                self.send(peer, holder, PeerMessage::Open(content(download)))
            }
            Action::Close { holder, download } => {
                self.checks.released(peer, holder, download, None);
                if let Some(connection) = self.connection(peer, holder) {
                    connection.pending.retain(|(request, _)| request.content != content(download));
                }
                self.send(peer, holder, PeerMessage::Close(content(download)));
            }
            Action::AskList { holder, download, first } => {
                self.send(peer, holder, PeerMessage::AskList(content(download), first));
            }
            Action::Request { holder, download, piece, offer } => {
                self.request(peer, holder, download, piece, offer);
            }
            Action::Want { holder, download } => {
                let uplink = self.peers[peer.at()].limiter.bytes_per_second();
                self.send(peer, holder, PeerMessage::Want(content(download), uplink));
            }
            Action::Decline { holder, download, offer } => {
                self.checks.answers(peer, holder, offer);
                self.send(peer, holder, PeerMessage::Decline(content(download), offer));
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
                self.checks.check(known == Some(&*list), || format!("{peer:?} believes a wrong list"));
                self.checks.list_known(peer, download);
            }
            Action::Finished { download } => self.finished(peer, content(download)),
            Action::Banned { holder, download, .. } => {
                self.checks.banned(peer, holder, download);
                self.outcome.banned.insert((peer, PeerNumber(holder.0), content(download)));
            }
            Action::Failed { download, error } => {
                self.checks.check(false, || format!("{peer:?} gives up {download:?}: {error}"));
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
        let other = &self.peers[holder.0 as usize];
        let has = other.has(content(download)).is_some_and(|has| has.has(piece));
        self.checks.check(has, || format!("{peer:?} asks {holder:?} for {piece:?}, which it does not have"));
        let needed = self.peers[peer.at()].has(content(download)).is_some_and(|mine| !mine.has(piece));
        self.checks.check(needed, || format!("{peer:?} asks for {piece:?}, which it has"));
        let whole = shared.geometry.count() == 1;
        self.checks.requested(peer, holder, (download, piece), bytes, whole);
        if let Some(offer) = offer {
            self.checks.answers(peer, holder, offer);
        }
        let Some(connection) = self.connection(peer, holder) else { return };
        let in_turn = whole || !connection.by_turns || offer.is_some();
        let request = connection.request(content(download), piece);
        self.checks.check(in_turn, || format!("{peer:?} asks {holder:?} for {piece:?} out of turn"));
        self.send(peer, holder, PeerMessage::Request(request, offer));
    }

    fn cancel(&mut self, peer: PeerNumber, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        self.checks.released(peer, holder, download, Some(piece));
        let fits = |it: &Request| it.content == content(download) && it.piece == piece;
        if let Some(connection) = self.connection(peer, holder)
            && let Some(request) = connection.drop_request(fits)
        {
            self.send(peer, holder, PeerMessage::Cancel(request));
        }
    }

    fn finished(&mut self, peer: PeerNumber, content: ContentNumber) {
        let me = &mut self.peers[peer.at()];
        if me.fetching.remove(&content) {
            self.fetched();
        }
        let full = self.peers[peer.at()].has(content).is_some_and(Bitfield::is_full);
        self.checks.check(full, || format!("{peer:?} takes {content:?} for complete, which it is not"));
        self.checks.ended(peer, download(content));
        self.outcome.finished.insert((peer, content), self.now);
        self.completed(peer, content);
    }

    fn connection(&mut self, downloader: PeerNumber, holder: HolderId) -> Option<&mut Connection> {
        let on = self.peers[downloader.at()].outgoing.get(&PeerNumber(holder.0))?;
        self.connections.get_mut(on.at())
    }

    /// Sends a message to a holder, if there is still a connection.
    fn send(&mut self, from: PeerNumber, to: HolderId, message: PeerMessage) {
        let me = &self.peers[from.at()];
        if let Some(on) = me.outgoing.get(&PeerNumber(to.0)).copied() {
            self.schedule_in(me.link.delay, ScheduledEvent::Message { on, to_holder: true, message });
        }
    }
}
