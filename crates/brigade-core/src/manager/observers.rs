//! Sessions that have not joined, by address, and which of them is closed when there are too many.
//!
//! Each address has a share. When all slots are in use, a session of the address with the most sessions is closed for
//! one from an address with fewer, so that one machine cannot keep others out. Sessions of members are counted
//! separately: a member replaces a session that is no member, from any address. Each step takes a few look-ups, for any
//! number of sessions. An IPv6 address counts as its /64 network, since one machine has all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
};

use super::session::SessionId;
use crate::time::Timestamp;

/// By how many an address must have more than another to give way to it: with a difference of one they would displace
/// each other for ever.
const MIN_DIFFERENCE: usize = 2;

/// All sessions that have not joined.
#[derive(Debug, Default)]
pub(super) struct Observers {
    by_session: BTreeMap<SessionId, ObserverEntry>,
    /// Those whose key is bound to no username, and those whose key is.
    strangers: SessionsByAddress,
    members: SessionsByAddress,
}

#[derive(Debug, Clone, Copy)]
struct ObserverEntry {
    address: IpAddr,
    last_received: Timestamp,
    is_member: bool,
    /// Whether it has a join in progress: then it is counted nowhere, and gives way to nobody.
    is_joining: bool,
}

/// Sessions by address.
#[derive(Debug, Default)]
struct SessionsByAddress {
    /// Of each address, the longest silent one first.
    by_address: BTreeMap<IpAddr, BTreeSet<(Timestamp, SessionId)>>,
    /// Addresses by how many there are.
    by_count: BTreeSet<(usize, IpAddr)>,
}

impl Observers {
    /// Adds a session that was heard of at `now`.
    pub(super) fn add(&mut self, now: Timestamp, session: SessionId, remote: IpAddr, is_member: bool) {
        self.remove(session);
        let entry =
            ObserverEntry { address: share_of(remote), last_received: now, is_member, is_joining: false };
        self.by_session.insert(session, entry);
        self.sessions_by_address(is_member).add(entry, session);
    }

    /// Takes a session out: it has joined, or has ended.
    pub(super) fn remove(&mut self, session: SessionId) {
        if let Some(entry) = self.by_session.remove(&session) {
            self.sessions_by_address(entry.is_member).remove(entry, session);
        }
    }

    /// The session has a join in progress from now on, or has none any more.
    pub(super) fn joins(&mut self, session: SessionId, is_joining: bool) {
        self.change(session, |entry| entry.is_joining = is_joining);
    }

    /// The session was heard of at `now`.
    pub(super) fn received(&mut self, now: Timestamp, session: SessionId) {
        self.change(session, |entry| entry.last_received = now);
    }

    fn change(&mut self, session: SessionId, change: impl FnOnce(&mut ObserverEntry)) {
        let Some(entry) = self.by_session.get_mut(&session) else { return };
        let before = *entry;
        change(entry);
        let after = *entry;
        let crowd = self.sessions_by_address(after.is_member);
        crowd.remove(before, session);
        crowd.add(after, session);
    }

    /// Which session gives way to a new one from `remote`; `None` where none does.
    pub(super) fn session_to_close(&self, remote: IpAddr, is_member: bool) -> Option<SessionId> {
        let stranger = self.strangers.most_used_address();
        if is_member && let Some((_, longest_silent)) = stranger {
            return Some(longest_silent);
        }
        let crowd = if is_member { &self.members } else { &self.strangers };
        let (count, longest_silent) = crowd.most_used_address()?;
        (crowd.count(share_of(remote)) + MIN_DIFFERENCE <= count).then_some(longest_silent)
    }

    const fn sessions_by_address(&mut self, is_member: bool) -> &mut SessionsByAddress {
        if is_member { &mut self.members } else { &mut self.strangers }
    }

    /// How many may be displaced whose key is bound to no username.
    #[cfg(test)]
    pub(super) fn strangers(&self) -> usize {
        self.strangers.by_count.iter().map(|(count, _)| count).sum()
    }

    /// The sessions that are in it, after a look at whether all of it agrees.
    #[cfg(test)]
    pub(super) fn check(&self) -> BTreeSet<SessionId> {
        for (crowd, is_member) in [(&self.strangers, false), (&self.members, true)] {
            let mut counted: BTreeMap<IpAddr, BTreeSet<(Timestamp, SessionId)>> = BTreeMap::new();
            let of_it = |entry: &ObserverEntry| entry.is_member == is_member && !entry.is_joining;
            for (session, entry) in self.by_session.iter().filter(|(_, entry)| of_it(entry)) {
                counted.entry(entry.address).or_default().insert((entry.last_received, *session));
            }
            assert_eq!(crowd.by_address, counted);
            let counts = counted.iter().map(|(address, sessions)| (sessions.len(), *address)).collect();
            assert_eq!(crowd.by_count, counts);
        }
        self.by_session.keys().copied().collect()
    }
}

impl SessionsByAddress {
    fn count(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).map_or(0, BTreeSet::len)
    }

    /// How many come from the address that has most, and the one of them of which nothing was heard for longest.
    fn most_used_address(&self) -> Option<(usize, SessionId)> {
        let (count, address) = self.by_count.last()?;
        let (_, session) = self.by_address.get(address)?.first()?;
        Some((*count, *session))
    }

    fn add(&mut self, entry: ObserverEntry, session: SessionId) {
        if entry.is_joining {
            return;
        }
        let sessions = self.by_address.entry(entry.address).or_default();
        self.by_count.remove(&(sessions.len(), entry.address));
        sessions.insert((entry.last_received, session));
        self.by_count.insert((sessions.len(), entry.address));
    }

    fn remove(&mut self, entry: ObserverEntry, session: SessionId) {
        if entry.is_joining {
            return;
        }
        let Some(sessions) = self.by_address.get_mut(&entry.address) else { return };
        self.by_count.remove(&(sessions.len(), entry.address));
        sessions.remove(&(entry.last_received, session));
        if sessions.is_empty() {
            self.by_address.remove(&entry.address);
        } else {
            self.by_count.insert((sessions.len(), entry.address));
        }
    }
}

/// What has one share together: an IPv4 address, or an IPv6 network of 64 bits.
fn share_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{IpAddr, Observers, SessionId, Timestamp, share_of};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_of_64_bits_has_one_share() {
        assert_eq!(share_of(ip("2001:db8::1")), share_of(ip("2001:db8::ffff:1:2:3")));
        assert_ne!(share_of(ip("2001:db8::1")), share_of(ip("2001:db8:0:1::1")));
        assert_eq!(share_of(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
        assert_ne!(share_of(ip("10.0.0.1")), share_of(ip("10.0.0.2")));
    }

    #[test]
    fn the_most_crowded_address_gives_way_by_its_longest_silent_session() {
        let at = Timestamp::from_micros;
        let mut observers = Observers::default();
        for session in 0..4 {
            observers.add(at(session), SessionId(session), ip("10.0.0.1"), false);
        }
        observers.received(at(9), SessionId(0));
        assert_eq!(observers.session_to_close(ip("10.0.0.2"), false), Some(SessionId(1)));
        assert_eq!(observers.session_to_close(ip("10.0.0.1"), false), None, "its own share is the largest");
        assert_eq!(observers.session_to_close(ip("10.0.0.1"), true), Some(SessionId(1)), "a member's key");
        for session in 10..13 {
            observers.add(at(20), SessionId(session), ip("10.0.0.2"), false);
        }
        assert_eq!(observers.session_to_close(ip("10.0.0.2"), false), None, "they would displace each other");
        assert_eq!(observers.session_to_close(ip("10.0.0.3"), false), Some(SessionId(1)));
        observers.check();
    }

    #[test]
    fn members_give_way_to_members_alone() {
        let at = Timestamp::from_micros;
        let mut observers = Observers::default();
        for session in 0..3 {
            observers.add(at(session), SessionId(session), ip("10.0.0.1"), true);
        }
        assert_eq!(observers.session_to_close(ip("10.0.0.2"), false), None);
        assert_eq!(observers.session_to_close(ip("10.0.0.2"), true), Some(SessionId(0)));
        assert_eq!(observers.session_to_close(ip("10.0.0.1"), true), None);
        observers.remove(SessionId(0));
        assert_eq!(observers.session_to_close(ip("10.0.0.2"), true), Some(SessionId(1)));
        observers.remove(SessionId(1));
        assert_eq!(observers.session_to_close(ip("10.0.0.2"), true), None);
    }
}
