//! Listening on a port, and accepting connections with a bound on those that have not greeted yet.
//!
//! Accepting is cheap and happens in one place, `accept_loop`; the handshake, which costs processor time, runs
//! in the connection's own task. How many are at it at once, and for how long, is in `handshake_slot`.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use brigade_core::limits;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};

use super::{
    greeting::NewConnection,
    handshake_slot::{HandshakeSlot, HandshakeSlots},
    socket::{Addresses, set_options},
    tls::{backend, config},
};
use crate::identity::key::SecretKey;

/// Connections that the system queues for us.
const BACKLOG: u32 = 1024;

/// A listening socket and the key that answers on it.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    slots: HandshakeSlots,
    address: SocketAddr,
}

/// A connection that was accepted, before its handshake.
#[derive(Debug)]
pub struct Accepted {
    stream: TcpStream,
    tls: Arc<rustls::ServerConfig>,
    slot: HandshakeSlot,
    remote: SocketAddr,
}

/// Why a port cannot be used for listening.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A port that is taken and on which nothing answers yet: the key may still be unknown.
#[derive(Debug)]
pub(crate) struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Takes the first of `addresses` that can be used; port 0 takes a free one.
    pub(crate) fn bind(addresses: &[SocketAddr]) -> Result<Self, ListenError> {
        let mut failure = None;
        for address in addresses {
            match Self::bind_one(*address) {
                Ok(port) => return Ok(port),
                Err(source) => failure = failure.or(Some(ListenError { address: *address, source })),
            }
        }
        Err(failure.unwrap_or_else(|| ListenError {
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            source: io::Error::other("no address was given"),
        }))
    }

    /// Takes `port` on all addresses of this machine, of IPv4 and of IPv6 where it has that; 0 takes a free one.
    pub(crate) fn bind_all(port: u16) -> Result<Self, ListenError> {
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match Self::bind_one(address) {
            // The port cannot be had, and IPv6 is not why.
            Err(source)
                if matches!(source.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) =>
            {
                Err(ListenError { address, source })
            }
            Err(_) => Self::bind(&[SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))]),
            Ok(port) => Ok(port),
        }
    }

    fn bind_one(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if address.is_ipv6() && address.ip().is_unspecified() {
            // All addresses means those of IPv4 too, whatever the system's default is.
            SockRef::from(&socket).set_only_v6(false)?;
        }
        // A restart must not wait for old connections to time out. On Windows the option means something else:
        // that another program may take the port over.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it is, with the port that was taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers here as the owner of `key` from now on.
    pub(crate) fn answer_as(self, key: &SecretKey) -> io::Result<Acceptor> {
        let tls = config::server(key).map_err(io::Error::other)?;
        let Self { listener, address } = self;
        Ok(Acceptor { listener, tls, slots: HandshakeSlots::new(), address })
    }
}

impl Acceptor {
    /// Listens on the first of `addresses` that can be used; port 0 takes a free one.
    pub async fn bind(addresses: &[SocketAddr], key: &SecretKey) -> Result<Self, ListenError> {
        let port = Port::bind(addresses)?;
        let address = port.address();
        port.answer_as(key).map_err(|source| ListenError { address, source })
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next connection. May be dropped and called again.
    ///
    /// # Errors
    /// Where the system is out of something, such as open files: the caller waits a little and calls again.
    pub async fn accept(&self) -> io::Result<Accepted> {
        // The slot first: an accepted connection would be lost where this is dropped while it waits for one.
        let slot = self.slots.free().await?;
        let (stream, remote) = self.listener.accept().await?;
        Ok(Accepted { stream, tls: self.tls.clone(), slot: self.slots.take(slot), remote })
    }
}

impl Accepted {
    /// The address of the other end.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Sets up encryption; the connection's key is known after that. Bounded by [`limits::GREETING_TIME`].
    pub async fn handshake(self) -> io::Result<NewConnection> {
        let Self { stream, tls, mut slot, .. } = self;
        let deadline = Instant::now() + limits::GREETING_TIME;
        set_options(&stream)?;
        let addresses = Addresses::of(&stream)?;
        let (read, write) = stream.into_split();
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let secured = tokio::select! {
            done = timeout_at(deadline, backend::accept(read, write, tls)) => {
                done.unwrap_or_else(|_| Err(late()))?
            }
            () = slot.is_over() => return Err(late()),
        };
        NewConnection::new(secured, addresses, deadline, Some(slot))
    }
}
