//! The options of a connection's TCP socket, and its addresses.
//!
//! The socket of a dialled connection and that of an accepted one are the same from here on.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// The addresses of a connection; one of IPv4 is written as such where it came over a socket of IPv6.
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

/// Sets what every connection needs: data is sent without delay, and a host that is gone is noticed.
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
