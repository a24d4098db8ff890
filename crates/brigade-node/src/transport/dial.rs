//! Connecting to a key, at the first of its addresses that answers.
//!
//! Another key than the expected one is refused here, before anything is sent. The greeting on the connection is in
//! [`super::greeting`]; the side that is dialled is in [`super::port_listener`].

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use brigade_core::{id::PeerKey, limits};
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout, timeout_at},
};

use super::{
    greeting::NewConnection,
    socket_addresses::{Addresses, lacks_zone},
    socket_options::set_options,
    tls::{config, selected_backend},
};
use crate::{identity::key::SecretKey, user_account::too_many_open_files::OpenFilesLimit};

/// The time to wait for the answer of one address: two lost packets are sent again within it, and there is time left
/// for another address.
const CONNECT_TIME: Duration = Duration::from_secs(4);

/// More files than the system opens at one time to resolve a name.
const RESOLVER_FILES: usize = 4;

/// The file in which Unix systems have the address of `localhost`.
const HOSTS_FILE: &str = "/etc/hosts";

/// The error when no connection to a key could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The host's name has no address.
    #[error("finding the address of {host}")]
    Resolve {
        /// The name.
        host: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The address does not answer.
    #[error("connecting to {address}")]
    Connect {
        /// The address.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The address is a link-local address of IPv6 without its zone.
    #[error("{address} is a link-local address, and its zone, the network interface, is not known")]
    NoZone {
        /// The address.
        address: String,
    },
    /// The other side has another key.
    #[error("{address} has the key {found}, not {expected}")]
    WrongKey {
        /// The address.
        address: String,
        /// The expected key.
        expected: PeerKey,
        /// The key of the other side.
        found: PeerKey,
    },
    /// The other side answers, but the TLS handshake fails.
    #[error("setting up encryption with {address}")]
    Handshake {
        /// The address.
        address: String,
        /// The error.
        source: io::Error,
    },
}

/// How long the system may look up a name. It asks each name server several times, which takes longer if all are away.
const LOOKUP_TIME: Duration = Duration::from_secs(10);

/// Why a name was not found in this time.
const NO_NAME_SERVER: &str = "no name server answers";

/// The addresses of `host`, IPv4 first, so that `localhost` is the same address for all programs.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let failed = |source| DialError::Resolve { host: host.to_owned(), source };
    // Before a port, an address of IPv6 is written in brackets: `[::1]`.
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Some(address) = localhost_without_file(bare, port, Path::new(HOSTS_FILE)) {
        return Ok(vec![address]);
    }
    let found = timeout(LOOKUP_TIME, tokio::net::lookup_host((bare, port))).await;
    let found = found.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, NO_NAME_SERVER)));
    let mut addresses: Vec<_> = found.map_err(|error| failed(open_files_error().unwrap_or(error)))?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    if addresses.is_empty() {
        return Err(failed(io::Error::other("the name has no address")));
    }
    Ok(addresses)
}

/// The address of `localhost` where the system has no file with names, such as in a container with nothing but this
/// program. The system would ask a name server there, and report after seconds that there is none.
fn localhost_without_file(host: &str, port: u16, file: &Path) -> Option<SocketAddr> {
    let missing = cfg!(unix) && host.eq_ignore_ascii_case("localhost") && !file.exists();
    missing.then(|| (Ipv4Addr::LOCALHOST, port).into())
}

/// The error if a limit does not let this process open as many files as the system needs to resolve a name. The system
/// itself then reports that the name is not known. Any other error (IPv4 may be missing) does not explain that.
fn open_files_error() -> Option<io::Error> {
    let opened: io::Result<Vec<TcpSocket>> = (0..RESOLVER_FILES).map(|_| TcpSocket::new_v4()).collect();
    opened.err().filter(|error| OpenFilesLimit::of_error(error).is_some())
}

/// Connects to the first of `addresses` that answers, as the owner of `key`. The other side must have the key
/// `expected`, if there is one. All of it takes at most [`limits::GREETING_TIME`]; an address that does not answer is
/// given up sooner.
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
            // The error of the first address is returned: users mean that one.
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
    if lacks_zone(address) {
        return Err(DialError::NoZone { address: address.to_string() });
    }
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
    let done = timeout_at(deadline, selected_backend::connect(read, write, config, name)).await;
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

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{DialError, SecretKey, dial, localhost_without_file, resolve};
    use crate::test_helpers::run_with_few_open_files::run_with_few_open_files;

    #[tokio::test]
    async fn a_link_local_address_without_a_zone_is_not_dialled() {
        let address = "[fe80::1]:7".parse().unwrap();
        let dialled = dial(&[address], &SecretKey::generate(), None).await;
        let error = dialled.err().unwrap().to_string();
        assert!(error.starts_with("[fe80::1]:7 is a link-local address, and its zone"), "{error}");
    }

    #[test]
    fn localhost_has_an_address_without_a_file_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hosts");
        let expected = Some("127.0.0.1:7".parse().unwrap());
        assert_eq!(localhost_without_file("localhost", 7, &file), expected);
        assert_eq!(localhost_without_file("LocalHost", 7, &file), expected);
        assert_eq!(localhost_without_file("other", 7, &file), None);
        std::fs::write(&file, "").unwrap();
        assert_eq!(localhost_without_file("localhost", 7, &file), None);
    }

    #[test]
    fn a_limit_on_open_files_is_not_taken_for_an_unknown_name() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let test = "transport::dial::tests::a_limit_on_open_files_is_not_taken_for_an_unknown_name";
        run_with_few_open_files(test, || match runtime.block_on(resolve("localhost", 1)) {
            Ok(addresses) => !addresses.is_empty(),
            Err(DialError::Resolve { source, .. }) => {
                assert_eq!(Errno::from_io_error(&source), Some(Errno::MFILE), "{source}");
                false
            }
            Err(error) => panic!("{error}"),
        });
    }
}
