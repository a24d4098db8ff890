//! Waiting for connections, with a bound on those that have not greeted yet.
//!
//! Accepting is cheap and happens in one place; the handshake, which costs the processor something, runs in the
//! connection's own task and only while few others are at it. Who takes long over it, or over the greeting, does so
//! only as long as there is room for others: strangers that say nothing keep nobody out.

use std::{
    future::pending,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use brigade_core::limits;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    connection::Fresh,
    tls::{config, handshake},
};
use crate::identity::key::SecretKey;

/// Connections that may be between accept and greeting at once. More wait in the system's queue.
const HANDSHAKES: usize = 64;

/// How long each of them may be at it while there is no room for another: some round trips around the world.
const TURN: Duration = Duration::from_millis(1500);

/// Connections that the system queues for us.
const BACKLOG: u32 = 1024;

/// A listening socket and the key that answers on it.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    handshakes: Arc<Semaphore>,
    /// Whether no place among the handshakes is free.
    crowded: watch::Sender<bool>,
    address: SocketAddr,
}

/// A connection that was accepted and has shown nothing yet.
#[derive(Debug)]
pub struct Accepted {
    stream: TcpStream,
    tls: Arc<rustls::ServerConfig>,
    turn: Turn,
    remote: SocketAddr,
}

/// A place among those that have not greeted yet; held until the greeting is done.
#[derive(Debug)]
pub(crate) struct Turn {
    _place: OwnedSemaphorePermit,
    ends: Instant,
    crowded: watch::Receiver<bool>,
}

impl Turn {
    /// Waits until it has lasted long enough, and others have no place.
    pub(crate) async fn is_over(&mut self) {
        sleep_until(self.ends).await;
        if self.crowded.wait_for(|crowded| *crowded).await.is_err() {
            pending::<()>().await; // nobody accepts any more, so nobody waits
        }
    }
}

/// Why nobody can listen at an address.
#[derive(Debug, thiserror::Error)]
#[error("listening on {address}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// A port that is taken and on which nobody answers yet: the key may still be unknown.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Takes the first of `addresses` that can be used; port 0 takes a free one.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, ListenError> {
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
    pub fn bind_all(port: u16) -> Result<Self, ListenError> {
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
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers here as the owner of `key` from now on.
    pub fn answer_as(self, key: &SecretKey) -> io::Result<Acceptor> {
        let tls = config::server(key).map_err(io::Error::other)?;
        let Self { listener, address } = self;
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        Ok(Acceptor { listener, tls, handshakes, crowded: watch::Sender::new(false), address })
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
        // The place first: a connection that was taken in would be lost where this is dropped while it waits for one.
        let place = match self.handshakes.clone().try_acquire_owned() {
            Ok(place) => place,
            Err(_) => self.wait_for_place().await?,
        };
        let (stream, remote) = self.listener.accept().await?;
        let turn = Turn { _place: place, ends: Instant::now() + TURN, crowded: self.crowded.subscribe() };
        Ok(Accepted { stream, tls: self.tls.clone(), turn, remote })
    }
}

impl Acceptor {
    async fn wait_for_place(&self) -> io::Result<OwnedSemaphorePermit> {
        self.crowded.send_replace(true);
        // Also where this is not waited for to the end: whoever comes next then sees for himself.
        let _calm = Calm(&self.crowded);
        self.handshakes.clone().acquire_owned().await.map_err(io::Error::other)
    }
}

/// At its end nobody waits for a place any more.
struct Calm<'a>(&'a watch::Sender<bool>);

impl Drop for Calm<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Accepted {
    /// Where it comes from.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Sets up encryption; the connection's key is known after that. Bounded by [`limits::GREETING_TIME`].
    pub async fn handshake(self) -> io::Result<Fresh> {
        let Self { stream, tls, mut turn, .. } = self;
        let deadline = Instant::now() + limits::GREETING_TIME;
        prepare(&stream)?;
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let secured = tokio::select! {
            done = timeout_at(deadline, handshake::accept(stream, tls)) => {
                done.unwrap_or_else(|_| Err(late()))?
            }
            () = turn.is_over() => return Err(late()),
        };
        Fresh::new(secured, deadline, Some(turn))
    }
}

/// What every connection wants of its socket: no waiting for more to send, and word of a host that vanished.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(3));
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(20)))?;
    Ok(())
}
