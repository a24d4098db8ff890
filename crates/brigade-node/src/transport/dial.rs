//! Making a connection to a key, at whichever of its addresses answers.
//!
//! Another key than the one that was dialled is refused here, before anything is sent. What is said first over the
//! connection is in [`super::greeting`]; the other side's half is in [`super::accept`].

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use brigade_core::{id::PeerKey, limits};
use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    greeting::NewConnection,
    socket::{Addresses, set_options},
    tls::{backend, config},
};
use crate::identity::key::SecretKey;

/// How long one address may leave a first packet unanswered: one lost packet, and a second, are made up for in that
/// time, and there is time left for another address.
const CONNECT_TIME: Duration = Duration::from_secs(4);

/// Why no connection to a key came about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The host's name has no address.
    #[error("finding the address of {host}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody answers.
    #[error("connecting to {address}")]
    Connect {
        /// Where.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody with another key answers.
    #[error("at {address} answers the key {found}, not {expected}")]
    WrongKey {
        /// Where.
        address: String,
        /// The key that was dialled.
        expected: PeerKey,
        /// The key that answered.
        found: PeerKey,
    },
    /// Somebody answers who does not speak Brigade's TLS.
    #[error("setting up encryption with {address}")]
    Handshake {
        /// Where.
        address: String,
        /// What went wrong.
        source: io::Error,
    },
}

/// The addresses of `host`, IPv4 first, so that everybody means the same one by `localhost`.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let failed = |source| DialError::Resolve { host: host.to_owned(), source };
    // `[::1]` is how an address of IPv6 is written before a port.
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let mut addresses: Vec<_> = tokio::net::lookup_host((bare, port)).await.map_err(failed)?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    if addresses.is_empty() {
        return Err(failed(io::Error::other("the name has no address")));
    }
    Ok(addresses)
}

/// Connects to the first of `addresses` that answers, as the owner of `key`, to `expected` or, where that is
/// `None`, to whoever is there. All of it takes at most [`limits::GREETING_TIME`]; an address where nothing answers
/// at all is given up sooner.
pub(crate) async fn dial(
    addresses: &[SocketAddr],
    key: &SecretKey,
    expected: Option<PeerKey>,
) -> Result<NewConnection, DialError> {
    let deadline = Instant::now() + limits::GREETING_TIME;
    let mut failure = None;
    for address in addresses {
        match dial_one(*address, key, expected, deadline).await {
            Ok(connection) => return Ok(connection),
            // The first address is the one that people mean.
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.unwrap_or_else(|| DialError::Connect {
        address: "nowhere".to_owned(),
        source: io::Error::other("no address is known"),
    }))
}

async fn dial_one(
    address: SocketAddr,
    key: &SecretKey,
    expected: Option<PeerKey>,
    deadline: Instant,
) -> Result<NewConnection, DialError> {
    let connect = |source| DialError::Connect { address: address.to_string(), source };
    let failed = |source| DialError::Handshake { address: address.to_string(), source };
    let soon = deadline.min(Instant::now() + CONNECT_TIME);
    let stream = timeout_at(soon, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| connect(io::ErrorKind::TimedOut.into()))?.map_err(connect)?;
    set_options(&stream).map_err(connect)?;
    let addresses = Addresses::of(&stream).map_err(connect)?;
    let (read, write) = stream.into_split();

    let found = Arc::new(OnceLock::new());
    let config =
        config::client(key, expected, found.clone()).map_err(|error| failed(io::Error::other(error)))?;
    let name = ServerName::IpAddress(address.ip().into()); // never sent: rustls needs one
    let done = timeout_at(deadline, backend::connect(read, write, config, name)).await;
    match done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(secured) => NewConnection::new(secured, addresses, deadline, None).map_err(failed),
        Err(source) => Err(match (expected, found.get().copied()) {
            (Some(expected), Some(found)) if expected != found => {
                DialError::WrongKey { address: address.to_string(), expected, found }
            }
            _ => failed(source),
        }),
    }
}
