//! The addresses of both ends of a connection, and the zones of link-local addresses.
//!
//! The addresses are read in the same way for a dialled connection and for an accepted one. A link-local address of
//! IPv6 belongs to a network interface of this machine, the zone, and can only be used together with it.

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

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
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address, // with its zone
    }
}

/// An address of IPv6 that a machine at `sender` named, as it is used here. Zones are numbered by each machine, so a
/// zone that another machine named has no meaning here. If `sender` is link-local, another link-local address gets its
/// zone: both are on the same link, unless the other machine has several.
pub(crate) fn with_zone_of(sender: SocketAddr, mut address: SocketAddrV6) -> SocketAddrV6 {
    let zone = match sender {
        SocketAddr::V6(sender) if sender.ip().is_unicast_link_local() => sender.scope_id(),
        _ => 0,
    };
    address.set_scope_id(if address.ip().is_unicast_link_local() { zone } else { 0 });
    address
}

/// Whether an address is link-local and has no zone.
pub(super) fn lacks_zone(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(address) if address.ip().is_unicast_link_local() && address.scope_id() == 0)
}

#[cfg(test)]
mod tests {
    use super::{SocketAddr, canonical, lacks_zone, with_zone_of};

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_of_a_connection_keeps_its_zone() {
        for (text, expected) in [
            ("10.0.0.7:1", "10.0.0.7:1"),
            ("[::ffff:10.0.0.7]:1", "10.0.0.7:1"),
            ("[2001:db8::7]:1", "[2001:db8::7]:1"),
            ("[fe80::7%2]:1", "[fe80::7%2]:1"),
        ] {
            assert_eq!(canonical(address(text)), address(expected));
        }
    }

    #[test]
    fn a_link_local_address_gets_the_zone_of_a_link_local_sender() {
        for (sender, named, expected) in [
            ("[fe80::1%2]:12000", "[fe80::7]:1", "[fe80::7%2]:1"),
            ("[fe80::1%2]:12000", "[fe80::7%3]:1", "[fe80::7%2]:1"),
            ("[fe80::1%2]:12000", "[2001:db8::7%3]:1", "[2001:db8::7]:1"),
            ("[2001:db8::1]:12000", "[fe80::7%3]:1", "[fe80::7]:1"),
            ("10.0.0.1:12000", "[fe80::7]:1", "[fe80::7]:1"),
        ] {
            assert_eq!(with_zone_of(address(sender), named.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn only_a_link_local_address_lacks_a_zone() {
        for (text, expected) in [
            ("[fe80::7]:1", true),
            ("[fe80::7%2]:1", false),
            ("[2001:db8::7]:1", false),
            ("169.254.0.7:1", false),
        ] {
            assert_eq!(lacks_zone(address(text)), expected, "{text}");
        }
    }
}
