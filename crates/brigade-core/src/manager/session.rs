//! One connection to the manager: its key, its address, and whether it has joined.
//!
//! Addresses are decided here: the address of a peer is the address of its session with the port on which it listens;
//! nothing else that a peer claims about its address counts. A peer on the manager's own host may have a loopback
//! address, so other peers get the manager's address as they see it. They also do if it has a link-local address, which
//! can be used only over one network interface.

use std::net::{IpAddr, SocketAddr};

use crate::{
    id::PeerKey,
    name::Username,
    time::UnixTime,
    wire::manager::{PeerAddress, PeerRow},
};

/// The number of a connection to the manager; the caller never gives one twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// Where a peer is reached: its machine's address, `None` for the manager's own, whatever its sessions come from
/// there, and its port. Two peers of one place would be one to those that dial it.
pub(super) type Endpoint = (Option<IpAddr>, u16);

#[derive(Debug)]
pub(super) struct Session {
    pub(super) key: PeerKey,
    pub(super) remote: IpAddr,
    local: IpAddr,
    pub(super) state: SessionState,
}

/// How far a session has come.
#[derive(Debug)]
pub(super) enum SessionState {
    /// It may ask.
    Observer,
    /// It asked to join; its binding or its membership is being made.
    Joining { username: Username, port: u16, unbound: bool },
    /// It is in the table.
    Peer(Peer),
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) username: Username,
    /// Whether its username is bound to no key.
    pub(super) unbound: bool,
    pub(super) port: u16,
    pub(super) since: UnixTime,
    pub(super) sending: u64,
    pub(super) receiving: u64,
    /// When it last sent a message.
    pub(super) last_message: UnixTime,
    /// It asked for a new membership, which is being made.
    pub(super) is_renewing: bool,
}

impl Peer {
    /// A peer that has joined now, and has reported no rates yet.
    pub(super) const fn new(username: Username, unbound: bool, port: u16, now: UnixTime) -> Self {
        Self {
            username,
            unbound,
            port,
            since: now,
            sending: 0,
            receiving: 0,
            last_message: now,
            is_renewing: false,
        }
    }
}

impl Session {
    pub(super) fn new(key: PeerKey, remote: SocketAddr, local: SocketAddr) -> Self {
        Self {
            key,
            remote: remote.ip().to_canonical(),
            local: local.ip().to_canonical(),
            state: SessionState::Observer,
        }
    }

    pub(super) const fn peer(&self) -> Option<&Peer> {
        match &self.state {
            SessionState::Peer(peer) => Some(peer),
            SessionState::Observer | SessionState::Joining { .. } => None,
        }
    }

    /// Whether it has, or is getting, a username that is bound to no key.
    pub(super) const fn is_unbound(&self) -> bool {
        match &self.state {
            SessionState::Peer(peer) => peer.unbound,
            SessionState::Joining { unbound, .. } => *unbound,
            SessionState::Observer => false,
        }
    }

    pub(super) const fn peer_mut(&mut self) -> Option<&mut Peer> {
        match &mut self.state {
            SessionState::Peer(peer) => Some(peer),
            SessionState::Observer | SessionState::Joining { .. } => None,
        }
    }

    /// Where `asker` reaches what listens at `port` on this session's machine.
    pub(super) fn address_for(&self, asker: &Self, port: u16) -> SocketAddr {
        let is_usable = !is_link_local(self.remote) && asker.is_beside_manager();
        let ip = if self.is_beside_manager() && !is_usable { asker.local } else { self.remote };
        SocketAddr::new(ip, port)
    }

    /// Whom, and where, `asker` dials; `None` where this session has not joined.
    pub(super) fn address_seen_by(&self, asker: &Self) -> Option<PeerAddress> {
        let peer = self.peer()?;
        let address = self.address_for(asker, peer.port).to_string();
        Some(PeerAddress { username: peer.username.clone(), key: self.key, address })
    }

    /// Its row as `asker` is shown it; `None` where this session has not joined.
    pub(super) fn row_for(&self, asker: &Self, (files, bytes): (u64, u64)) -> Option<PeerRow> {
        let peer = self.peer()?;
        Some(PeerRow {
            username: peer.username.clone(),
            address: self.address_for(asker, peer.port).to_string(),
            files,
            bytes,
            sending: peer.sending,
            receiving: peer.receiving,
            since_s: peer.since.0,
        })
    }

    /// Where what listens at `port` on this session's machine is reached.
    pub(super) fn endpoint(&self, port: u16) -> Endpoint {
        ((!self.is_beside_manager()).then_some(self.remote), port)
    }

    /// Whether it comes from the machine on which the manager runs.
    fn is_beside_manager(&self) -> bool {
        self.remote.is_loopback() || self.remote == self.local
    }
}

/// Whether it is a link-local address of IPv6.
const fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::{PeerKey, Session};

    /// `remote` and `local` ends of a holder's and of an asker's session, and what the asker is told.
    #[track_caller]
    fn check(holder: (&str, &str), asker: (&str, &str), expected: &str) {
        let session = |(remote, local): (&str, &str)| {
            Session::new(
                PeerKey([0; 32]),
                (remote.parse::<std::net::IpAddr>().unwrap(), 4000).into(),
                (local.parse::<std::net::IpAddr>().unwrap(), 12000).into(),
            )
        };
        assert_eq!(session(holder).address_for(&session(asker), 7001).to_string(), expected);
    }

    #[test]
    fn a_peer_is_reached_where_its_session_comes_from() {
        check(("10.0.0.7", "10.0.0.1"), ("10.0.0.8", "10.0.0.1"), "10.0.0.7:7001");
        check(("::ffff:10.0.0.7", "::ffff:10.0.0.1"), ("10.0.0.8", "10.0.0.1"), "10.0.0.7:7001");
        check(("2001:db8::7", "2001:db8::1"), ("2001:db8::8", "2001:db8::1"), "[2001:db8::7]:7001");
    }

    #[test]
    fn a_peer_beside_the_manager_is_reached_where_the_manager_is() {
        check(("127.0.0.1", "127.0.0.1"), ("10.0.0.8", "10.0.0.1"), "10.0.0.1:7001");
        check(("::1", "::1"), ("10.0.0.8", "10.0.0.1"), "10.0.0.1:7001");
        check(("192.168.0.1", "192.168.0.1"), ("10.0.0.8", "10.0.0.1"), "10.0.0.1:7001");
        check(("::ffff:127.0.0.1", "::ffff:127.0.0.1"), ("10.0.0.8", "10.0.0.1"), "10.0.0.1:7001");
    }

    #[test]
    fn two_peers_beside_the_manager_use_the_address_that_the_holder_has() {
        check(("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), "127.0.0.1:7001");
        check(("10.0.0.1", "10.0.0.1"), ("127.0.0.1", "127.0.0.1"), "10.0.0.1:7001");
        check(("127.0.0.1", "127.0.0.1"), ("10.0.0.1", "10.0.0.1"), "127.0.0.1:7001");
    }

    #[test]
    fn a_link_local_address_beside_the_manager_is_given_only_to_those_that_reached_the_manager_there() {
        check(("fe80::1", "fe80::1"), ("127.0.0.1", "127.0.0.1"), "127.0.0.1:7001");
        check(("fe80::1", "fe80::1"), ("10.0.0.8", "10.0.0.1"), "10.0.0.1:7001");
        check(("fe80::1", "fe80::1"), ("fe80::8", "fe80::1"), "[fe80::1]:7001");
        check(("fe80::1", "fe80::1"), ("fe80::1", "fe80::1"), "[fe80::1]:7001");
        check(("127.0.0.1", "127.0.0.1"), ("fe80::8", "fe80::1"), "[fe80::1]:7001");
    }
}
