//! How commands reach the manager, choose where to listen, and join the network.
//!
//! A port that the user named is the only one tried. Otherwise the system chooses a free one, and another one if the
//! manager refuses that.

use std::net::{IpAddr, SocketAddr};

use brigade_core::wire::Reason;
use brigade_node::{
    error::ListenError,
    peer::{JoinError, ManagerAddress, ManagerContact, Peer, PeerConfig, PeerError, TakenPort, resolve_host},
};

use crate::{
    command_line::args::AtManager,
    exit::{Failure, USAGE},
    home::home,
};

/// Where the manager is that the arguments name.
pub(super) fn manager_address(args: &AtManager) -> ManagerAddress {
    ManagerAddress::new(&args.manager_host, args.manager_port).key(args.manager_key).home(home())
}

/// Where a peer is to listen, before its port is known.
pub(super) struct ListenChoice {
    contact: ManagerContact,
    host: Option<IpAddr>,
}

impl ListenChoice {
    /// Finds the address of the host that is named, and asks the manager where to listen.
    pub(super) async fn find(manager: &ManagerAddress, host: Option<&str>) -> Result<Self, Failure> {
        let host = match host {
            Some(host) => Some(own_address(host).await?),
            None => None,
        };
        Ok(Self { contact: ManagerContact::with(manager).await?, host })
    }

    /// Takes `port`, or a free one where it is 0.
    pub(super) fn take_port(&self, port: u16) -> Result<TakenPort, ListenError> {
        self.contact.take_port(self.host, port)
    }
}

/// The address that `--host` means. Only the first one: where another program has the port there, nobody would look for
/// the next one.
async fn own_address(host: &str) -> Result<IpAddr, Failure> {
    let addresses = resolve_host(host, 0).await.map_err(|error| {
        Failure::of(USAGE, &error).hint("--host must be a name or an address of this machine")
    })?;
    addresses.first().map(SocketAddr::ip).ok_or_else(|| Failure::new(USAGE, "no address to listen on"))
}

/// How often another free port is taken where the system's choice is another peer's in the network: machines
/// behind one address choose from the same ports, and seldom the same one.
const PORT_CHOICES: usize = 8;

/// Joins the network at the port that is named, or at one that is free here and in the network.
pub(super) async fn join(
    config: &PeerConfig,
    host: Option<&str>,
    port: Option<u16>,
) -> Result<Peer, Failure> {
    let choice = ListenChoice::find(&config.manager, host).await?;
    let port = port.unwrap_or(0);
    let mut attempts = if port == 0 { PORT_CHOICES } else { 1 };
    loop {
        let taken = choice.take_port(port)?;
        attempts -= 1;
        match Peer::join(config.clone(), taken).await {
            Ok(peer) => return Ok(peer),
            Err(not_joined) if attempts > 0 && is_about_the_port(&not_joined.error) => {}
            Err(not_joined) => return Err(not_joined.error.into()),
        }
    }
}

/// Whether another port would do.
pub(super) fn is_about_the_port(error: &PeerError) -> bool {
    matches!(error, PeerError::Join(JoinError::Refused { reason: Reason::PortTaken | Reason::BadPort, .. }))
}
