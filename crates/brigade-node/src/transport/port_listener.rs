//! Listening on a port, and accepting connections. The number of those that have not greeted yet is limited.
//!
//! Accepting is cheap and is done in one loop, `accept_loop`. The handshake needs more processor time and runs in the
//! connection's own task. `handshake_slot` limits the number of handshakes at one time, and their duration.

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
    socket_addresses::{Addresses, lacks_zone},
    socket_options::set_options,
    tls::{config, selected_backend},
};
use crate::identity::key::SecretKey;

/// Connections that the system queues.
const BACKLOG: u32 = 1024;

/// A listening socket, and the key of its owner.
#[derive(Debug)]
pub struct PortListener {
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    slots: HandshakeSlots,
    address: SocketAddr,
}

/// A connection that was accepted, before its handshake.
#[derive(Debug)]
pub struct AcceptedConnection {
    stream: TcpStream,
    tls: Arc<rustls::ServerConfig>,
    slot: HandshakeSlot,
    remote: SocketAddr,
}

/// The error when a port cannot be used for listening.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}")]
#[non_exhaustive]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// The error of the system.
    pub source: io::Error,
}

/// A bound port that does not answer yet: the key may still be unknown.
#[derive(Debug)]
pub(crate) struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Binds the first of `addresses` that can be used. Port 0 means any free port.
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

    /// Binds `port` on all addresses of this machine, of IPv4 and also of IPv6 if it has that. Port 0 means any free
    /// port.
    pub(crate) fn bind_all(port: u16) -> Result<Self, ListenError> {
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match Self::bind_one(address) {
            // The port cannot be used, and IPv6 is not the cause.
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
        if lacks_zone(address) {
            let text = "it is a link-local address, and its zone, the network interface, is not known";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if address.is_ipv6() && address.ip().is_unspecified() {
            // This includes the addresses of IPv4, even if that is not the system's default.
            SockRef::from(&socket).set_only_v6(false)?;
        }
        // A restart must not wait for old connections to time out. On Windows the option has another meaning: it lets
        // another program bind the same port.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address, with the bound port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers as the owner of `key` from now on.
    pub(crate) fn answer_as(self, key: &SecretKey) -> io::Result<PortListener> {
        let tls = config::server(key).map_err(io::Error::other)?;
        let Self { listener, address } = self;
        Ok(PortListener { listener, tls, slots: HandshakeSlots::new(), address })
    }
}

/// Checks that `address` is one of this machine. Nothing listens there meanwhile.
///
/// # Errors
/// If the address belongs to another machine. Any other error is left for the moment at which the port is bound.
pub(crate) fn check_own_address(address: SocketAddr) -> Result<(), ListenError> {
    let mut with_free_port = address;
    with_free_port.set_port(0);
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    match socket.and_then(|socket| socket.bind(with_free_port)) {
        Err(source) if source.kind() == io::ErrorKind::AddrNotAvailable => {
            Err(ListenError { address, source })
        }
        _ => Ok(()),
    }
}

impl PortListener {
    /// Listens on the first of `addresses` that can be used. Port 0 means any free port.
    pub async fn bind(addresses: &[SocketAddr], key: &SecretKey) -> Result<Self, ListenError> {
        let port = Port::bind(addresses)?;
        let address = port.address();
        port.answer_as(key).map_err(|source| ListenError { address, source })
    }

    /// The address, with the bound port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the next connection. The future may be dropped and the method called again.
    ///
    /// # Errors
    /// If the system lacks a resource, such as open files: the caller should pause and call again.
    pub async fn accept(&self) -> io::Result<AcceptedConnection> {
        // The slot first: otherwise an accepted connection would be lost if the future were dropped while it waits for
        // one.
        let slot = self.slots.free().await?;
        let (stream, remote) = self.listener.accept().await?;
        Ok(AcceptedConnection { stream, tls: self.tls.clone(), slot: self.slots.take(slot), remote })
    }
}

impl AcceptedConnection {
    /// The address of the other end.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Sets up encryption, within [`limits::GREETING_TIME`]. After that the key of the other side is known.
    pub async fn handshake(self) -> io::Result<NewConnection> {
        let Self { stream, tls, mut slot, .. } = self;
        let deadline = Instant::now() + limits::GREETING_TIME;
        set_options(&stream)?;
        let addresses = Addresses::of(&stream)?;
        let (read, write) = stream.into_split();
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let secured = tokio::select! {
            done = timeout_at(deadline, selected_backend::accept(read, write, tls)) => {
                done.unwrap_or_else(|_| Err(late()))?
            }
            () = slot.is_over() => return Err(late()),
        };
        NewConnection::new(secured, addresses, deadline, Some(slot))
    }
}
