//! What befalls peers by the plan of their world: they leave and come back, are stopped and go on, lose connections.
//!
//! What they do by themselves is in `newcomer` and `serving`.

use brigade_core::upload::NewcomerId;

use crate::{
    network::ConnectionNumber,
    queue::Happening,
    workload::Deed,
    world::{PeerNumber, World},
};

impl World {
    /// What the plan has in store happens.
    pub(crate) fn do_deed(&mut self, deed: Deed) {
        match deed {
            Deed::Fetch(peer, content) => self.fetch(peer, content),
            Deed::Leave(peer) => self.leave(peer),
            Deed::Return(peer) => {
                if !std::mem::replace(&mut self.peers[peer.at()].present, true) {
                    self.enter(peer);
                    self.begin_signs(peer);
                }
            }
            Deed::Stall(peer) => self.peers[peer.at()].stalled = true,
            Deed::Resume(peer) => self.resume(peer),
            Deed::Break(newcomer, holder) => {
                if let Some(on) = self.peers[newcomer.at()].outgoing.get(&holder) {
                    self.cut(*on, true);
                }
            }
            Deed::Limit(peer, limit) => self.set_limit(peer, limit),
        }
    }

    /// A stopped peer goes on: it reads what came meanwhile.
    fn resume(&mut self, peer: PeerNumber) {
        self.peers[peer.at()].stalled = false;
        for what in std::mem::take(&mut self.peers[peer.at()].unread) {
            self.happen(what);
        }
        self.grant(peer);
    }

    pub(crate) fn leave(&mut self, peer: PeerNumber) {
        let me = &mut self.peers[peer.at()];
        me.present = false;
        me.stalled = false;
        me.unread.clear();
        let gone: Vec<ConnectionNumber> = me.incoming.values().chain(me.outgoing.values()).copied().collect();
        for on in gone {
            self.cut(on, true);
        }
        self.quit(peer);
    }

    /// Ends a connection; with `tell` the newcomer sees it after a while.
    pub(crate) fn cut(&mut self, on: ConnectionNumber, tell: bool) {
        let connection = &mut self.connections[on.at()];
        if !connection.alive {
            return;
        }
        let (newcomer, holder) = (connection.newcomer, connection.holder);
        for content in &connection.channels {
            self.peers[holder.at()].listeners[content.at()].retain(|(_, other)| *other != on);
        }
        connection.end();
        self.peers[newcomer.at()].outgoing.remove(&holder);
        self.peers[holder.at()].incoming.remove(&newcomer);
        self.peers[holder.at()].upload.left(NewcomerId(newcomer.0));
        self.checks.gone(holder, NewcomerId(newcomer.0));
        self.grant(holder);
        if tell {
            let delay = self.peers[holder.at()].link.delay;
            self.schedule_in(delay, Happening::Broken { on });
        }
    }
}
