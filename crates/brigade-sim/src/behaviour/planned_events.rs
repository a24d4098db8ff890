//! Planned events of peers: they leave and return, stall and resume, lose connections. Also the end of any connection.
//!
//! The peers' own behaviour is in `downloader` and `holder`.

use brigade_core::{geometry::PieceIndex, upload::DownloaderId};

use crate::{
    identifiers::{ConnectionNumber, ContentNumber, PeerNumber},
    plan::PlannedEvent,
    scheduled_event::ScheduledEvent,
    simulation::Simulation,
};

impl Simulation {
    /// Applies an event of the plan.
    pub(crate) fn apply_planned(&mut self, event: PlannedEvent) {
        match event {
            PlannedEvent::Fetch(peer, content) => self.fetch(peer, content),
            PlannedEvent::Leave(peer) => self.leave(peer),
            PlannedEvent::Return(peer) => {
                if !std::mem::replace(&mut self.peers[peer.at()].present, true) {
                    self.connect_to_manager(peer);
                    self.begin_keepalives(peer);
                }
            }
            PlannedEvent::Stall(peer) => self.peers[peer.at()].stalled = true,
            PlannedEvent::Resume(peer) => self.resume(peer),
            PlannedEvent::Break(downloader, holder) => {
                if let Some(on) = self.peers[downloader.at()].outgoing.get(&holder) {
                    self.cut(*on, true);
                }
            }
            PlannedEvent::Limit(peer, limit) => self.set_limit(peer, limit),
        }
    }

    /// A stalled peer resumes: it handles the events that arrived meanwhile.
    fn resume(&mut self, peer: PeerNumber) {
        self.peers[peer.at()].stalled = false;
        for what in std::mem::take(&mut self.peers[peer.at()].unread) {
            self.run_event(what);
        }
        self.grant(peer);
    }

    /// A peer has one piece more: complete holders leave where the plan says so and no piece becomes rare.
    pub(crate) fn copied(&mut self, by: PeerNumber, content: ContentNumber, piece: PieceIndex) {
        let complete = self.peers[by.at()].is_complete();
        let Some(copies) = &mut self.copies else { return };
        for leaver in copies.add(by, content, piece, complete) {
            self.leave(leaver);
        }
    }

    pub(crate) fn leave(&mut self, peer: PeerNumber) {
        let me = &mut self.peers[peer.at()];
        me.present = false;
        me.stalled = false;
        me.unread.clear();
        let broken: Vec<ConnectionNumber> =
            me.incoming.values().chain(me.outgoing.values()).copied().collect();
        for on in broken {
            self.cut(on, true);
        }
        self.quit(peer);
    }

    /// Ends a connection. With `notify`, the downloader sees it after a while.
    pub(crate) fn cut(&mut self, on: ConnectionNumber, notify: bool) {
        let connection = &mut self.connections[on.at()];
        if !connection.alive {
            return;
        }
        let (downloader, holder) = (connection.downloader, connection.holder);
        for content in &connection.channels {
            self.peers[holder.at()].listeners[content.at()].retain(|(_, other)| *other != on);
        }
        connection.end();
        self.peers[downloader.at()].outgoing.remove(&holder);
        self.peers[holder.at()].incoming.remove(&downloader);
        self.peers[holder.at()].upload.disconnected(DownloaderId(downloader.0));
        self.checks.disconnected(holder, DownloaderId(downloader.0));
        self.grant(holder);
        if notify {
            let delay = self.peers[holder.at()].link.delay;
            self.schedule_in(delay, ScheduledEvent::Broken { on });
        }
    }
}
