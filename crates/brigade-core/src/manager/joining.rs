//! How a session joins and stays a peer: usernames, addresses, bindings, memberships.
//!
//! A join has two steps that the caller carries out: it stores a new binding durably, then it signs a membership.
//! Address and username are reserved from the start, so that two sessions cannot both get them. A refused session may
//! ask again with another name. A session that only fetches may ask for an unbound name: it is not stored, and it is
//! free again when the session ends.

use super::{
    Binding, Event, LeaveReason, Manager, Output, Refusal, SessionId,
    session::{Peer, Session, SessionState},
    username_bindings::Availability,
};
use crate::{
    id::PeerKey,
    limits,
    name::{InvalidName, Username},
    plural::count,
    time::{Timestamp, UnixTime},
    wire::{
        Reason,
        manager::{Join, Joined, Renew, Renewed},
    },
};

/// The kinds of the messages that are answered late, for their refusals.
const JOIN_KIND: u8 = 0x10;
const RENEW_KIND: u8 = 0x1b;

impl Manager {
    /// The binding of `username` is durable, or could not be made so: the answer to [`Output::StoreBinding`].
    pub fn binding_stored(&mut self, username: &Username, durable: bool) {
        if !self.recording.remove(username) {
            return;
        }
        if !durable {
            self.members.unbind(username);
        }
        // Not necessarily the session that caused it: that one may be gone, and another with its key here.
        let Some(&session) = self.present.get(username) else { return };
        if durable {
            self.request_membership(session, username.clone());
        } else {
            self.fail_join(session, "the manager could not store the username");
        }
    }

    /// The session's membership is signed (a token), or could not be: the answer to [`Output::SignMembership`].
    pub fn membership_signed(
        &mut self,
        now: Timestamp,
        calendar: UnixTime,
        session: SessionId,
        token: Option<String>,
    ) {
        let Some(this) = self.sessions.get_mut(&session) else { return };
        match (&mut this.state, token) {
            (SessionState::Joining { .. }, None) => {
                self.fail_join(session, "the manager could not sign a membership");
            }
            (SessionState::Joining { username, port, unbound }, Some(membership)) => {
                let (username, port, unbound) = (username.clone(), *port, *unbound);
                let given_name = unbound.then(|| username.clone());
                let address = (this.remote, port).into();
                self.outputs.push_back(Output::Event(Event::Joined { username: username.clone(), address }));
                let since = calendar;
                this.state = SessionState::Peer(Peer::new(username, unbound, port, since));
                self.observers -= 1;
                self.observing.remove(session);
                self.table_changed = true;
                let lease_ms = u64::try_from(limits::LEASE.as_millis()).unwrap_or(u64::MAX);
                let now_s = Some(calendar.0);
                let reached_from_elsewhere = Some(self.config.reached_from_elsewhere);
                let joined =
                    Joined { membership, lease_ms, username: given_name, now_s, reached_from_elsewhere };
                self.send(session, joined);
                self.renew_lease(now, session); // from here on it is the shorter one
            }
            (SessionState::Peer(peer), token) if peer.is_renewing => {
                peer.is_renewing = false;
                match token {
                    Some(token) => {
                        self.send(session, Renewed { membership: Some(token), now_s: Some(calendar.0) })
                    }
                    None => {
                        let text = "the manager could not sign a membership".to_owned();
                        self.refuse(session, RENEW_KIND, None, Refusal { reason: Reason::Failed, text });
                    }
                }
            }
            (SessionState::Observer | SessionState::Peer(_), _) => {}
        }
    }

    pub(super) fn join(&mut self, now: Timestamp, session: SessionId, join: &Join) -> Result<(), Refusal> {
        let Some(this) = self.sessions.get(&session) else { return Ok(()) };
        let key = this.key;
        let refuse = |reason, text| Err(Refusal { reason, text });
        if !matches!(this.state, SessionState::Observer) {
            return refuse(Reason::AlreadyHere, "this session has joined already".to_owned());
        }
        if join.port == 0 {
            return refuse(Reason::BadPort, "a peer listens at a port from 1 to 65535".to_owned());
        }
        let (username, port) = match &join.username {
            Ok(username) => (username, join.port),
            Err(wrong) => return refuse(Reason::BadName, wrong.to_string()),
        };
        let (username, availability) = match join.unbound {
            Some(true) => (self.free_name(username)?, None),
            _ => (username.clone(), Some(self.check_binding(username, key)?)),
        };
        let holder = self.present.get(&username).or_else(|| self.keys.get(&key)).copied();
        if let Some(holder) = holder.and_then(|session| self.sessions.get(&session)) {
            let text = match &holder.state {
                SessionState::Peer(peer) => {
                    let address = holder.address_for(this, peer.port);
                    format!("{} is here already, at {address}, with this username or this key", peer.username)
                }
                _ => format!("{username} is joining from elsewhere at this moment"),
            };
            return refuse(Reason::AlreadyHere, text);
        }
        let other = self.endpoints.get(&this.endpoint(port)).and_then(|session| self.sessions.get(session));
        if let Some(other) = other {
            return refuse(Reason::PortTaken, port_taken(other, this, port));
        }
        if self.present.len() >= self.config.max_peers {
            let is_member = availability.is_some() && self.members.is_member(key);
            let Some(displaced) = self.newest_unbound().filter(|_| is_member) else {
                let most = count(self.config.max_peers, "peer");
                return refuse(Reason::Full, format!("the network is full: it takes {most} at most"));
            };
            self.replace_unbound(now, displaced);
        }
        self.reserve_endpoint(session, username, port, availability);
        Ok(())
    }

    /// Of the peers whose usernames are bound to no key, the one whose session is the newest: it has fetched least.
    fn newest_unbound(&self) -> Option<SessionId> {
        let is_unbound = |session: &SessionId| self.sessions.get(session).is_some_and(Session::is_unbound);
        self.present.values().copied().filter(is_unbound).max()
    }

    /// Ends the session of a peer that gives way to a member.
    fn replace_unbound(&mut self, now: Timestamp, session: SessionId) {
        self.forget(now, session, LeaveReason::Replaced);
        let text =
            "the network is full, and this peer, whose username is not bound, was replaced by a member";
        self.close_full(session, text.to_owned());
    }

    /// Whether `key` may bear `username`, and does so already.
    fn check_binding(&self, username: &Username, key: PeerKey) -> Result<Availability, Refusal> {
        let availability = self.members.availability(username, key);
        let (reason, text) = match availability {
            Availability::Bound => return Ok(availability),
            Availability::Free if !username.contains(Username::UNBOUND_MARK) => return Ok(availability),
            Availability::Free => {
                let text = format!("a username with `{}` is not bound to a key", Username::UNBOUND_MARK);
                (Reason::BadName, text)
            }
            Availability::Taken => {
                let text =
                    format!("{username}, or a name that differs from it only in case, is another key's");
                (Reason::NameTaken, text)
            }
            Availability::TooMany => {
                let text = format!("this key has {} usernames already", limits::NAMES_OF_A_KEY);
                (Reason::TooMuch, text)
            }
            Availability::Full => {
                let text = format!("the network is full: {} members belong to it", limits::MEMBERS);
                (Reason::Full, text)
            }
        };
        Err(Refusal { reason, text })
    }

    /// The name that a session gets which asks for `username` without binding it: the first that nobody has, with a
    /// number where others were before it.
    fn free_name(&self, username: &Username) -> Result<Username, Refusal> {
        let refuse = |reason, text| Err(Refusal { reason, text });
        if !username.may_be_unbound() {
            let (mark, most) = (Username::UNBOUND_MARK, limits::UNBOUND_NAME_BYTES);
            let text = format!("a username that is not bound has a `{mark}` and at most {most} bytes");
            return refuse(Reason::BadName, text);
        }
        for number in 1..=limits::SESSIONS_OF_A_NAME {
            match username.numbered(number) {
                Ok(name) if self.present.contains_key(&name) || self.members.is_bound(&name) => {}
                Ok(name) => return Ok(name),
                Err(error) => return refuse(Reason::BadName, InvalidName::new(username, error).to_string()),
            }
        }
        refuse(
            Reason::Full,
            format!("{} sessions have the name {username} already", limits::SESSIONS_OF_A_NAME),
        )
    }

    pub(super) fn renew(&mut self, session: SessionId, renew: &Renew) {
        let peer = self.sessions.get_mut(&session).and_then(|this| Some((this.key, this.peer_mut()?)));
        match peer {
            Some((key, peer)) if renew.membership && !peer.is_renewing => {
                peer.is_renewing = true;
                let username = peer.username.clone();
                self.outputs
                    .push_back(Output::SignMembership { session, binding: Binding { username, key } });
            }
            _ => self.send(session, Renewed { membership: None, now_s: Some(self.calendar.0) }),
        }
    }

    /// Where there is no `availability` the name is the session's alone.
    fn reserve_endpoint(
        &mut self,
        session: SessionId,
        username: Username,
        port: u16,
        availability: Option<Availability>,
    ) {
        let Some(this) = self.sessions.get_mut(&session) else { return };
        let (key, endpoint) = (this.key, this.endpoint(port));
        this.state =
            SessionState::Joining { username: username.clone(), port, unbound: availability.is_none() };
        self.observing.joins(session, true);
        self.present.insert(username.clone(), session);
        self.keys.insert(key, session);
        self.endpoints.insert(endpoint, session);
        if availability == Some(Availability::Free) {
            self.members.bind(&username, key);
            self.recording.insert(username.clone());
            self.outputs.push_back(Output::StoreBinding { binding: Binding { username, key } });
        } else if !self.recording.contains(&username) {
            self.request_membership(session, username);
        }
    }

    fn request_membership(&mut self, session: SessionId, username: Username) {
        let Some(key) = self.sessions.get(&session).map(|this| this.key) else { return };
        self.outputs.push_back(Output::SignMembership { session, binding: Binding { username, key } });
    }

    fn fail_join(&mut self, session: SessionId, text: &str) {
        let Some(this) = self.sessions.get_mut(&session) else { return };
        let SessionState::Joining { username, port, .. } =
            std::mem::replace(&mut this.state, SessionState::Observer)
        else {
            return;
        };
        let (key, endpoint) = (this.key, this.endpoint(port));
        self.release_endpoint(&username, key, endpoint);
        self.observing.joins(session, false);
        let text = text.to_owned();
        self.refuse(session, JOIN_KIND, None, Refusal { reason: Reason::Failed, text });
    }
}

/// Who is reached at `port` of the asker's machine, as the asker sees it.
fn port_taken(other: &Session, asker: &Session, port: u16) -> String {
    let address = other.address_for(asker, port);
    match &other.state {
        SessionState::Peer(Peer { username, .. }) | SessionState::Joining { username, .. } => {
            format!("{username} is reached at {address} already; two peers at one address need two ports")
        }
        SessionState::Observer => format!("somebody is reached at {address} already"), // none has a place
    }
}
