//! The sessions of the peers with the manager: joining, announcing, watching, and updates of holders.
//!
//! This is the peers' side; the manager's side is in `manager`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use brigade_core::{
    download::{Event, HolderId},
    id::{Content, PeerKey},
    limits,
    manager::SessionId,
    wire::manager::{
        Announce, FileEntry, FromManager, Hold, Holders, Join, Renew, ToManager, Unhold, Unwatch, Watch,
        WireContent,
    },
};

use crate::{
    identifiers::{ContentNumber, PeerNumber, download},
    network::link::handshake,
    scheduled_event::ScheduledEvent,
    simulation::Simulation,
};

/// The port on which every peer listens.
const PORT: u16 = 7001;

impl Simulation {
    /// A peer's connection to the manager is made: it joins.
    pub(crate) fn connected_to_manager(&mut self, peer: PeerNumber) {
        let me = &mut self.peers[peer.at()];
        if !me.present || me.session.is_some() {
            return;
        }
        self.manager.last_session += 1;
        let session = SessionId(self.manager.last_session);
        me.session = Some(session);
        self.manager.sessions.insert(session, peer);
        let mut key = PeerKey([7; 32]);
        key.0[..4].copy_from_slice(&peer.0.to_be_bytes());
        let remote = SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + peer.0), 50_000));
        let local = SocketAddr::from((Ipv4Addr::new(192, 168, 0, 1), 12_000));
        self.manager.core.connected(self.now, session, key, remote, local);
        let username = format!("peer-{}", peer.0).parse().map_err(|_| unreachable!("a fine username"));
        self.say_to_manager(session, Join { username, port: PORT, unbound: None }.into());
        self.schedule_in(limits::LEASE / 3, ScheduledEvent::Renew { of: peer, session });
    }

    /// A peer receives a message from the manager.
    pub(crate) fn peer_receives(&mut self, to: PeerNumber, session: SessionId, message: FromManager) {
        if self.peers[to.at()].session != Some(session) {
            return;
        }
        match message {
            FromManager::Joined(_) => self.joined(to),
            FromManager::Holders(holders) => self.named(to, &holders),
            FromManager::Refused(refused) => {
                self.checks.check(false, || format!("the manager refuses {to:?} something: {refused:?}"));
            }
            _ => {}
        }
    }

    /// A peer has joined: it announces its contents and asks for holders of the contents that it fetches.
    fn joined(&mut self, peer: PeerNumber) {
        let me = &self.peers[peer.at()];
        let all = (0..).map(ContentNumber).zip(&me.has);
        let held = all.filter_map(|(content, has)| Some((content, has.as_ref()?)));
        let (complete, partial): (Vec<_>, Vec<_>) = held.partition(|(_, has)| has.is_full());
        let complete: Vec<ContentNumber> = complete.into_iter().map(|(content, _)| content).collect();
        let partial = partial.into_iter().filter(|(_, has)| !has.is_empty()).map(|(content, _)| content);
        let partial: Vec<ContentNumber> = partial.collect();
        let fetching: Vec<ContentNumber> = me.fetching.iter().copied().collect();
        for some in complete.chunks(limits::ANNOUNCE_ENTRIES) {
            self.announce(peer, some);
        }
        for some in partial.chunks(limits::WATCH_CONTENTS) {
            self.send_to_manager(peer, Hold { contents: self.wire(some) });
        }
        for some in fetching.chunks(limits::WATCH_CONTENTS) {
            self.watch(peer, some, 0);
        }
    }

    /// A peer announces contents.
    pub(crate) fn announce(&mut self, peer: PeerNumber, contents: &[ContentNumber]) {
        let entry = |content: &ContentNumber| {
            let Content { id, size } = self.contents[content.at()].content;
            let name = format!("content-{}", content.0).parse().map_err(|_| unreachable!("a fine name"))?;
            Ok(FileEntry { name, id, size, mtime_s: 0, executable: false })
        };
        let entries = contents.iter().map(entry).collect();
        self.send_to_manager(peer, Announce { number: 1, entries });
    }

    /// A peer has the first piece of a content.
    pub(crate) fn hold(&mut self, peer: PeerNumber, content: ContentNumber) {
        self.send_to_manager(peer, Hold { contents: self.wire(&[content]) });
    }

    /// A peer has all of a content.
    pub(crate) fn completed(&mut self, peer: PeerNumber, content: ContentNumber) {
        self.announce(peer, &[content]);
        if self.contents[content.at()].geometry.count() > 1 {
            self.send_to_manager(peer, Unhold { contents: self.wire(&[content]) });
        }
        self.send_to_manager(peer, Unwatch { contents: self.wire(&[content]) });
    }

    /// A peer asks for the holders of contents; `again` is above 0 if it asks for other holders.
    pub(crate) fn watch(&mut self, peer: PeerNumber, contents: &[ContentNumber], again: u32) {
        let again = (again > 0).then_some(again);
        self.send_to_manager(peer, Watch { contents: self.wire(contents), again });
    }

    fn wire(&self, contents: &[ContentNumber]) -> Vec<WireContent> {
        let of = |content: &ContentNumber| {
            let Content { id, size } = self.contents[content.at()].content;
            WireContent { id, size }
        };
        contents.iter().map(of).collect()
    }

    /// Sends something to the manager, if there is a session.
    fn send_to_manager(&mut self, peer: PeerNumber, message: impl Into<ToManager>) {
        let me = &self.peers[peer.at()];
        if let Some(session) = me.session {
            let message = Box::new(message.into());
            self.schedule_in(me.link.delay, ScheduledEvent::ToManager { session, message });
        }
    }

    /// The manager names the holders of contents.
    fn named(&mut self, to: PeerNumber, holders: &Holders) {
        let number = |position: &u32| {
            let key = &holders.peers.get(*position as usize)?.key.0;
            Some(HolderId(u32::from_be_bytes(key[..4].try_into().ok()?)))
        };
        for of in &holders.contents {
            let Some(content) = self.numbers.get(&of.id).copied() else { continue };
            if self.peers[to.at()].fetching.contains(&content) {
                let complete = of.complete.iter().filter_map(number).collect();
                let partial = of.partial.iter().filter_map(number).collect();
                self.notify_core(to, Event::Holders { download: download(content), complete, partial });
            }
        }
    }

    pub(crate) fn renew(&mut self, of: PeerNumber, session: SessionId) {
        if self.peers[of.at()].session == Some(session) {
            self.send_to_manager(of, Renew { membership: false });
            self.schedule_in(limits::LEASE / 3, ScheduledEvent::Renew { of, session });
        }
    }

    /// A peer sees that its session is gone: it makes another one.
    pub(crate) fn session_ended(&mut self, of: PeerNumber, session: SessionId) {
        let me = &mut self.peers[of.at()];
        if me.session.take_if(|mine| *mine == session).is_some() {
            self.connect_to_manager(of);
        }
    }

    /// A peer begins to connect to the manager.
    pub(crate) fn connect_to_manager(&mut self, peer: PeerNumber) {
        let wait = handshake(self.peers[peer.at()].link.delay).max(Duration::from_millis(1));
        self.schedule_in(wait, ScheduledEvent::Entered { peer });
    }

    /// A peer's process ends: the manager sees it after a while.
    pub(crate) fn quit(&mut self, peer: PeerNumber) {
        if let Some(session) = self.peers[peer.at()].session.take() {
            self.manager.sessions.remove(&session);
            self.schedule_in(self.peers[peer.at()].link.delay, ScheduledEvent::SessionBroken { session });
        }
    }
}
