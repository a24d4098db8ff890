//! Where a peer listens, and whether others reach it there.
//!
//! A manager that other machines reach has peers that listen on all addresses; one on a loopback address has peers that
//! listen where it is reached from, and nowhere else. A host that a person named stands above that. The manager says
//! it in its hello, before a port is taken ([`Contact`]), and again whenever a peer joins: [`Listener`] follows.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use brigade_core::wire::Reason;
use tokio::sync::watch;

use super::session::dial::{ManagerAddress, ReachError};
use crate::{
    identity::key::SecretKey,
    transport::{
        accept::{Accepted, Acceptor, ListenError, Port},
        connection::Greeted,
    },
};

/// What a connection to the manager shows of where a peer is to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contact {
    /// The address of this machine that leads to the manager.
    local: IpAddr,
    /// Whether other machines reach the manager; `None` from one that does not say it.
    from_elsewhere: Option<bool>,
}

/// The addresses on which a peer listens where no host is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Only(IpAddr),
}

impl Contact {
    /// Greets the manager under a key that is forgotten afterwards, and leaves.
    ///
    /// # Errors
    /// Where the manager is not reached, or is not the one that it was.
    pub async fn with(manager: &ManagerAddress) -> Result<Self, ReachError> {
        let session = manager.reach(&SecretKey::generate()).await?;
        let contact = Self::over(&session, None);
        session.writer.close(Reason::Stopping, "").await;
        Ok(contact)
    }

    /// What this session shows, where its answer to a join has said this much.
    pub(super) fn over(session: &Greeted, joined: Option<bool>) -> Self {
        Self { local: session.local.ip(), from_elsewhere: joined.or(session.hello.reached_from_elsewhere) }
    }

    /// Takes `port`, or a free one where it is 0: at `host`, where one is named, else where others can reach it.
    ///
    /// # Errors
    /// Where the system does not give it.
    pub fn take_port(self, host: Option<IpAddr>, port: u16) -> Result<TakenPort, ListenError> {
        let scope = host.map_or_else(|| self.scope(), Scope::Only);
        Ok(TakenPort { port: scope.bind(port)?, named: host, scope, contact: self })
    }

    /// With a manager that only this machine reaches.
    #[cfg(test)]
    pub(super) fn on_loopback() -> Self {
        Self { local: [127, 0, 0, 1].into(), from_elsewhere: Some(false) }
    }

    const fn scope(self) -> Scope {
        match self.from_elsewhere {
            Some(true) => Scope::All,
            Some(false) | None => Scope::Only(self.local),
        }
    }
}

impl Scope {
    fn bind(self, port: u16) -> Result<Port, ListenError> {
        match self {
            Self::All => Port::bind_all(port),
            Self::Only(ip) => Port::bind(&[SocketAddr::new(ip, port)]),
        }
    }
}

/// A port that a peer has taken and on which it does not answer yet.
#[derive(Debug)]
pub struct TakenPort {
    port: Port,
    named: Option<IpAddr>,
    scope: Scope,
    contact: Contact,
}

impl TakenPort {
    /// The peer's own address, for people.
    pub fn address(&self) -> SocketAddr {
        own_address(self.named, self.contact, self.port.address().port())
    }

    /// Answers here as the owner of `key` from now on. The manager's word is `now`, perhaps another than when the port
    /// was taken; its later ones go to the sender.
    pub(super) fn answer_as(
        self,
        key: &SecretKey,
        now: Contact,
    ) -> io::Result<(Listener, Listening, watch::Sender<Contact>)> {
        let Self { port, named, scope, contact } = self;
        let bound = port.address();
        let acceptor = Some(port.answer_as(key)?);
        let (place, place_out) = watch::channel(Place { named, bound, contact });
        let (contact, contact_out) = watch::channel(now);
        let mut listener = Listener { acceptor, key: key.clone(), scope, place, contact: contact_out };
        listener.follow();
        Ok((listener, Listening(place_out), contact))
    }
}

/// A named host is shown as it is; else the address here that leads to the manager.
fn own_address(named: Option<IpAddr>, contact: Contact, port: u16) -> SocketAddr {
    let named = named.filter(|ip| !ip.is_unspecified());
    SocketAddr::new(named.unwrap_or(contact.local), port)
}

/// Where a peer listens, and what the manager said when it went there.
#[derive(Debug, Clone, Copy)]
struct Place {
    named: Option<IpAddr>,
    bound: SocketAddr,
    contact: Contact,
}

/// Accepts connections at the port, on the addresses that the manager's last word asks for.
#[derive(Debug)]
pub(super) struct Listener {
    /// Absent only while the system does not give the port back.
    acceptor: Option<Acceptor>,
    key: SecretKey,
    scope: Scope,
    place: watch::Sender<Place>,
    contact: watch::Receiver<Contact>,
}

impl Listener {
    /// Waits for the next connection. May be dropped and called again.
    ///
    /// # Errors
    /// Where the system is out of something: the caller waits a little and calls again.
    pub(super) async fn accept(&mut self) -> io::Result<Accepted> {
        loop {
            if self.acceptor.is_none() {
                self.acceptor = Some(self.answer(self.scope).map_err(|error| error.source)?);
            }
            let acceptor = self.acceptor.as_ref().ok_or(io::ErrorKind::NotConnected)?;
            tokio::select! {
                accepted = acceptor.accept() => return accepted,
                Ok(()) = self.contact.changed() => {}
            }
            self.follow();
        }
    }

    /// Moves to the addresses that the manager's last word asks for, where they are others.
    fn follow(&mut self) {
        let contact = *self.contact.borrow_and_update();
        let (named, mut bound) = (self.place.borrow().named, self.place.borrow().bound);
        let wanted = contact.scope();
        if named.is_none() && wanted != self.scope {
            // Before: the system gives a port to one socket only, whatever its addresses.
            self.acceptor = None;
            match self.answer(wanted) {
                Ok(acceptor) => {
                    bound = acceptor.address();
                    tracing::info!(address = %bound, "the peer listens on other addresses now");
                    (self.acceptor, self.scope) = (Some(acceptor), wanted);
                }
                Err(error) => {
                    tracing::warn!(%error, cause = %error.source, "the addresses to listen on stay as they are");
                }
            }
        }
        self.place.send_replace(Place { named, bound, contact });
    }

    fn answer(&self, scope: Scope) -> Result<Acceptor, ListenError> {
        let port = scope.bind(self.place.borrow().bound.port())?;
        let address = port.address();
        port.answer_as(&self.key).map_err(|source| ListenError { address, source })
    }
}

/// Where a peer listens, now and when that changes.
#[derive(Debug, Clone)]
pub(super) struct Listening(watch::Receiver<Place>);

impl Listening {
    /// The peer's own address, for people.
    pub(super) fn address(&self) -> SocketAddr {
        let Place { named, bound, contact } = *self.0.borrow();
        own_address(named, contact, bound.port())
    }

    /// Who cannot reach it there.
    pub(super) fn unreached(&self) -> Option<OutOfReach> {
        let Place { bound, contact, .. } = *self.0.borrow();
        OutOfReach::of(bound, contact)
    }

    /// Waits until it may be another place.
    pub(super) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await // the peer stops
        }
    }
}

/// Follows who cannot reach a peer.
#[derive(Debug, Clone)]
pub struct ReachWatch(pub(super) Listening);

impl ReachWatch {
    /// Waits until there are others than `known` that cannot reach it, and says which. May be dropped and called again.
    pub async fn other_than(&mut self, known: Option<OutOfReach>) -> Option<OutOfReach> {
        loop {
            let now = self.0.unreached();
            if now != known {
                return now;
            }
            self.0.changed().await;
        }
    }
}

/// Others that cannot reach a peer where it listens, and what they are told instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfReach {
    listening: SocketAddr,
    /// Where peers on the same machine look for it, where it is they that do not find it.
    told_here: Option<SocketAddr>,
}

impl OutOfReach {
    fn of(bound: SocketAddr, contact: Contact) -> Option<Self> {
        let (listening, told) = (bound.ip().to_canonical(), contact.local.to_canonical());
        let elsewhere = contact.from_elsewhere == Some(true);
        let told_here = SocketAddr::new(told, bound.port());
        let reached = match listening {
            IpAddr::V4(ip) if ip.is_unspecified() => told.is_ipv4(),
            IpAddr::V6(ip) if ip.is_unspecified() => true,
            ip => ip == told && !(elsewhere && ip.is_loopback()),
        };
        // Others are told where the session comes from. Beside the manager that is a loopback address, which those
        // elsewhere are not told; but those here are.
        let by_those_here = told.is_loopback() && !(elsewhere && listening.is_loopback());
        let unreached = Self { listening: bound, told_here: by_those_here.then_some(told_here) };
        (!reached).then_some(unreached)
    }
}

impl fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listening = self.listening;
        match self.told_here {
            None => write!(
                f,
                "peers on other machines cannot reach {listening}; leave --host out, or name an address of this \
                 machine that they reach"
            ),
            Some(told) => write!(
                f,
                "peers on this machine look for this one at {told} and cannot reach it at {listening}; leave --host out"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
