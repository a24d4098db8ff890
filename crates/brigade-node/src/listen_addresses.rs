//! The addresses on which a peer listens, and whether other peers reach it there.
//!
//! If other machines reach the manager, its peers listen on all addresses. If the manager is on a loopback address, its
//! peers listen only on the address from which they reach it. A host that the user named overrides both. The manager
//! says in its hello, before a port is taken, and at each join whether others reach it ([`ManagerContact`]);
//! [`Listener`] then moves to other addresses if necessary.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use tokio::sync::watch;

use crate::{
    identity::key::SecretKey,
    transport::{
        accept_loop::Accept,
        port_listener::{AcceptedConnection, ListenError, Port, PortListener},
    },
};

/// The facts from a connection to the manager that decide on which addresses a peer listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManagerContact {
    /// The address of this machine that leads to the manager.
    pub(crate) local: IpAddr,
    /// Whether other machines reach the manager; `None` if the manager does not tell.
    pub(crate) from_elsewhere: Option<bool>,
}

/// The addresses on which a peer listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListenScope {
    All,
    /// Only this address, with any port. A link-local address has its zone.
    Only(SocketAddr),
}

impl ManagerContact {
    /// Binds `port`, or a free port if it is 0, on the address of `host`, whose own port is not used. Without a `host`,
    /// binds it on the addresses that other peers reach.
    ///
    /// # Errors
    /// If the system refuses the port.
    pub fn take_port(self, host: Option<SocketAddr>, port: u16) -> Result<TakenPort, ListenError> {
        let scope = host.map_or_else(|| ListenScope::of(self), ListenScope::Only);
        Ok(TakenPort { port: scope.bind(port)?, named: host, scope, contact: self })
    }
}

impl ListenScope {
    const fn of(contact: ManagerContact) -> Self {
        match contact.from_elsewhere {
            Some(true) => Self::All,
            Some(false) | None => Self::Only(SocketAddr::new(contact.local, 0)),
        }
    }

    fn bind(self, port: u16) -> Result<Port, ListenError> {
        match self {
            Self::All => Port::bind_all(port),
            Self::Only(address) => Port::bind(&[with_port(address, port)]),
        }
    }
}

/// A bound port on which the peer does not accept connections yet.
#[derive(Debug)]
pub struct TakenPort {
    port: Port,
    named: Option<SocketAddr>,
    scope: ListenScope,
    contact: ManagerContact,
}

impl TakenPort {
    /// The peer's own address, for people.
    pub fn address(&self) -> SocketAddr {
        own_address(self.named, self.contact, self.port.address().port())
    }

    /// Accepts connections from now on, as the owner of `key`. The contact is `now`, which may differ from the one when
    /// the port was taken; later contacts go to the returned sender.
    pub(crate) fn answer_as(
        self,
        key: &SecretKey,
        now: ManagerContact,
    ) -> io::Result<(Listener, ListenWatch, watch::Sender<ManagerContact>)> {
        let Self { port, named, scope, contact } = self;
        let bound = port.address();
        let acceptor = Some(port.answer_as(key)?);
        let (address, address_out) = watch::channel(ListenAddress { named, bound, contact });
        let (contact, contact_out) = watch::channel(now);
        let mut listener = Listener { acceptor, key: key.clone(), scope, address, contact: contact_out };
        listener.follow();
        Ok((listener, ListenWatch(address_out), contact))
    }
}

/// The named host; without one, the address of this machine that leads to the manager.
fn own_address(named: Option<SocketAddr>, contact: ManagerContact, port: u16) -> SocketAddr {
    let named = named.filter(|address| !address.ip().is_unspecified());
    named.map_or(SocketAddr::new(contact.local, port), |address| with_port(address, port))
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// The address on which a peer listens, with the contact for which it was chosen.
#[derive(Debug, Clone, Copy)]
struct ListenAddress {
    named: Option<SocketAddr>,
    bound: SocketAddr,
    contact: ManagerContact,
}

/// Accepts connections on the port, on the addresses that fit the last contact.
#[derive(Debug)]
pub(crate) struct Listener {
    /// `None` only while the system refuses the port.
    acceptor: Option<PortListener>,
    key: SecretKey,
    scope: ListenScope,
    address: watch::Sender<ListenAddress>,
    contact: watch::Receiver<ManagerContact>,
}

impl Accept for Listener {
    async fn accept(&mut self) -> io::Result<AcceptedConnection> {
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
}

impl Listener {
    /// Moves to other addresses if the last contact requires it.
    fn follow(&mut self) {
        let contact = *self.contact.borrow_and_update();
        let (named, mut bound) = (self.address.borrow().named, self.address.borrow().bound);
        let wanted = ListenScope::of(contact);
        if named.is_none() && wanted != self.scope {
            // First close the old socket: the system gives a port to one socket only, whatever its addresses.
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
        self.address.send_replace(ListenAddress { named, bound, contact });
    }

    fn answer(&self, scope: ListenScope) -> Result<PortListener, ListenError> {
        let port = scope.bind(self.address.borrow().bound.port())?;
        let address = port.address();
        port.answer_as(&self.key).map_err(|source| ListenError { address, source })
    }
}

/// Follows the address on which a peer listens.
#[derive(Debug, Clone)]
pub(crate) struct ListenWatch(watch::Receiver<ListenAddress>);

impl ListenWatch {
    /// The peer's own address, for people.
    pub(crate) fn address(&self) -> SocketAddr {
        let ListenAddress { named, bound, contact } = *self.0.borrow();
        own_address(named, contact, bound.port())
    }

    /// The peers that cannot reach it there, if there are any.
    pub(crate) fn unreached(&self) -> Option<UnreachableFrom> {
        let ListenAddress { bound, contact, .. } = *self.0.borrow();
        UnreachableFrom::of(bound, contact)
    }

    /// Waits until the address or the contact changes.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await // the peer stops
        }
    }
}

/// Follows whether other peers reach this one.
#[derive(Debug, Clone)]
pub struct ReachabilityWatch(pub(crate) ListenWatch);

impl ReachabilityWatch {
    /// Waits until the result differs from `known`, and returns it. The future may be dropped, and this called again.
    pub async fn other_than(&mut self, known: Option<UnreachableFrom>) -> Option<UnreachableFrom> {
        loop {
            let now = self.0.unreached();
            if now != known {
                return now;
            }
            self.0.changed().await;
        }
    }
}

/// The peers that cannot reach this one on its listen address: those on this machine, or those on other machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreachableFrom {
    listening: SocketAddr,
    /// The address that peers on this machine dial, if it is they that cannot reach it.
    local_address: Option<SocketAddr>,
}

impl UnreachableFrom {
    fn of(bound: SocketAddr, contact: ManagerContact) -> Option<Self> {
        let (listening, announced) = (bound.ip().to_canonical(), contact.local.to_canonical());
        let elsewhere = contact.from_elsewhere == Some(true);
        let local_address = SocketAddr::new(announced, bound.port());
        let reached = match listening {
            IpAddr::V4(ip) if ip.is_unspecified() => announced.is_ipv4(),
            IpAddr::V6(ip) if ip.is_unspecified() => true,
            ip => ip == announced && !(elsewhere && ip.is_loopback()),
        };
        // The manager gives other peers the address from which the session comes. If that is a loopback address, it
        // gives it only to peers on this machine.
        let unreached_locally = announced.is_loopback() && !(elsewhere && listening.is_loopback());
        let unreached = Self { listening: bound, local_address: unreached_locally.then_some(local_address) };
        (!reached).then_some(unreached)
    }
}

impl fmt::Display for UnreachableFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listening = self.listening;
        match self.local_address {
            None => write!(
                f,
                "peers on other machines cannot reach {listening}; leave --host out, or name an address of this \
                 machine that they reach"
            ),
            Some(dialled) => write!(
                f,
                "peers on this machine look for this one at {dialled} and cannot reach it at {listening}; leave --host out"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
