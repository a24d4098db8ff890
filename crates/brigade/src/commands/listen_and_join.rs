//! How commands choose where to listen, and join the network.
//!
//! Only the port that the user named is tried. Otherwise the system chooses a free one, and another one if the manager
//! refuses it.

use std::net::SocketAddr;

use brigade_core::wire::Reason;
use brigade_node::{
    error::ListenError,
    peer::{JoinError, ManagerAddress, ManagerContact, Peer, PeerConfig, PeerError, TakenPort, resolve_host},
};

use crate::{
    failure::{Failure, USAGE},
    text::hints,
};

/// The choice of the address to listen on, before the port is known.
pub(super) struct ListenChoice {
    contact: ManagerContact,
    host: Option<SocketAddr>,
}

impl ListenChoice {
    /// Resolves `host`, and asks the manager where to listen.
    pub(super) async fn find(manager: &ManagerAddress, host: Option<&str>) -> Result<Self, Failure> {
        let host = own_host(host).await?;
        Ok(Self { contact: ManagerContact::with(manager).await?, host })
    }

    /// Binds `port`, or a free one if it is 0.
    pub(super) fn take_port(&self, port: u16) -> Result<TakenPort, ListenError> {
        self.contact.take_port(self.host, port)
    }
}

/// The address of `--host`, if that is given.
async fn own_host(host: Option<&str>) -> Result<Option<SocketAddr>, Failure> {
    match host {
        Some(host) => own_address(host).await.map(Some),
        None => Ok(None),
    }
}

/// The address of `--host`, with its zone if it is a link-local one. Only the first address is used: peers would not
/// find a second one if another program has the port there.
async fn own_address(host: &str) -> Result<SocketAddr, Failure> {
    let addresses =
        resolve_host(host, 0).await.map_err(|error| Failure::of(USAGE, &error).hint(hints::OWN_HOST))?;
    addresses.first().copied().ok_or_else(|| Failure::new(USAGE, "no address to listen on"))
}

/// How often another free port is tried if the one that the system chose belongs to another peer of the network:
/// machines behind one address use the same ports, but seldom the same one.
const PORT_CHOICES: usize = 8;

/// Why a command did not join.
pub(super) enum JoinFailure {
    /// The same attempt may succeed later, without a change by a person.
    MayPass(Failure),
    /// It may succeed when the lease of an earlier session has ended.
    MayPassAfterLease(Failure),
    /// Only a person can help.
    Final(Failure),
}

impl From<JoinFailure> for Failure {
    fn from(failure: JoinFailure) -> Self {
        match failure {
            JoinFailure::MayPass(failure)
            | JoinFailure::MayPassAfterLease(failure)
            | JoinFailure::Final(failure) => failure,
        }
    }
}

impl From<PeerError> for JoinFailure {
    fn from(error: PeerError) -> Self {
        let after_lease = matches!(&error, PeerError::Join(error) if error.may_pass_after_lease());
        let class = match error.may_pass() {
            true => Self::MayPass,
            false if after_lease => Self::MayPassAfterLease,
            false => Self::Final,
        };
        class(error.into())
    }
}

/// Joins the network with `port`, or with a port that is free here and in the network.
pub(super) async fn join(
    config: &PeerConfig,
    host: Option<&str>,
    port: Option<u16>,
) -> Result<Peer, Failure> {
    Ok(try_join(config, host, port).await?)
}

/// Like [`join`]; the error says whether another attempt may succeed.
pub(super) async fn try_join(
    config: &PeerConfig,
    host: Option<&str>,
    port: Option<u16>,
) -> Result<Peer, JoinFailure> {
    let host = own_host(host).await.map_err(JoinFailure::Final)?;
    let contact = ManagerContact::with(&config.manager).await;
    let contact = contact.map_err(|error| PeerError::Join(error.into()))?;
    let choice = ListenChoice { contact, host };
    let port = port.unwrap_or(0);
    let mut attempts = if port == 0 { PORT_CHOICES } else { 1 };
    loop {
        let taken = choice.take_port(port).map_err(PeerError::Port)?;
        attempts -= 1;
        match Peer::join(config.clone(), taken).await {
            Ok(peer) => return Ok(peer),
            Err(not_joined) if attempts > 0 && is_about_the_port(&not_joined.error) => {}
            Err(not_joined) => return Err(not_joined.error.into()),
        }
    }
}

/// Whether another port would help.
pub(super) fn is_about_the_port(error: &PeerError) -> bool {
    matches!(error, PeerError::Join(JoinError::Refused { reason: Reason::PortTaken | Reason::BadPort, .. }))
}
