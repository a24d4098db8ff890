//! The addresses of both ends of a connection.
//!
//! They are read in the same way for a dialled connection and for an accepted one.

use std::{io, net::SocketAddr};

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

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
