//! The options of a connection's TCP socket, and its addresses.
//!
//! They are the same for a dialled connection and for an accepted one.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// The addresses of a connection. An IPv4 address on a socket of IPv6 is converted to IPv4.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl Addresses {
    pub(crate) fn of(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self { remote: canonical(stream.peer_addr()?), local: canonical(stream.local_addr()?) })
    }
}

/// Sets the options of every connection: data is sent without delay, and the loss of the other host is noticed.
pub(crate) fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(3));
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(20)))?;
    Ok(())
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
