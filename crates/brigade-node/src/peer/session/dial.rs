//! Connecting to the manager: dialling it, remembering its key as ssh does for hosts, and joining.
//!
//! The connection to a manager that a peer has joined is in [`super::connection`]; an
//! [`Observer`](crate::manager_questions::Observer) asks without joining.

use std::net::SocketAddr;

use brigade_core::{
    id::PeerKey,
    name::Username,
    wire::{
        Message, Reason,
        manager::{FromManager, Join, Joined, ToManager},
    },
};
use tokio::time::timeout;

use crate::{
    identity::{key::SecretKey, known_managers::KnownManagers},
    listen_addresses::ManagerContact,
    peer_config::ManagerAddress,
    peer_error::{ANSWER_TIMEOUT, JoinError, ReachError},
    transport::{
        connection::ConnectionError,
        dial::{DialError, dial, resolve},
        greeting::GreetedConnection,
        own_hello::own_hello,
    },
};

/// The username with which a peer asks to join.
#[derive(Debug, Clone)]
pub(crate) struct RequestedName {
    pub(crate) username: Username,
    /// Whether the manager is not to bind it to the peer's key.
    pub(crate) unbound: bool,
}

impl ManagerAddress {
    /// Dials the manager as the owner of `key`, checks the manager's key, and greets.
    pub(crate) async fn reach(&self, key: &SecretKey) -> Result<GreetedConnection, ReachError> {
        let address = self.shown();
        let known = self.home.as_deref().map(KnownManagers::in_home);
        let remembered = match &known {
            // A given key takes precedence over the remembered one.
            Some(known) if self.key.is_some() => known.find(&self.host, self.port).unwrap_or_default(),
            Some(known) => known.find(&self.host, self.port)?,
            None => None,
        };
        let expected = self.key.or(remembered);
        let addresses = resolve(&self.host, self.port).await;
        let dialled = match addresses {
            Ok(addresses) => {
                let dialled = dial(&addresses, key, expected).await;
                let other_key = match &dialled {
                    Err(DialError::WrongKey { found, .. }) => Some(*found),
                    _ => None,
                };
                if let Some(other) = other_key
                    && is_peer(&addresses, other).await
                {
                    return Err(ReachError::NotAManager { address });
                }
                dialled
            }
            Err(error) => Err(error),
        };
        let connection = dialled.map_err(|error| match error {
            DialError::WrongKey { expected, found, .. } => match (&known, self.key) {
                (Some(known), None) => {
                    let remembered_in = known.path().to_owned();
                    ReachError::WrongKey { address: address.clone(), expected, found, remembered_in }
                }
                _ => ReachError::NotTheKey { address: address.clone(), given: expected, found },
            },
            source => ReachError::Dial { address: address.clone(), source },
        })?;
        let manager = connection.peer();
        let greeted = connection.greet(own_hello(None)).await;
        let greeted = greeted.map_err(|source| ReachError::Greet { address: address.clone(), source })?;
        // Only a peer shows a membership.
        if greeted.hello.membership.is_some() {
            greeted.writer.close(Reason::Stopping, "").await;
            return Err(ReachError::NotAManager { address });
        }
        // Only a manager says whether others can reach it.
        if greeted.hello.reached_from_elsewhere.is_some() {
            self.remember_key(manager);
        }
        Ok(greeted)
    }

    /// Remembers the key of the manager at this address, after the manager has acted as one. If the file cannot be
    /// written, the next contact is a first one again.
    pub(crate) fn remember_key(&self, manager: PeerKey) {
        let Some(known) = self.home.as_deref().map(KnownManagers::in_home) else { return };
        if known.find(&self.host, self.port).is_ok_and(|remembered| remembered == Some(manager)) {
            return;
        }
        if let Err(error) = known.remember(&self.host, self.port, manager) {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::debug!(%error, cause, "the manager's key is not remembered");
        }
    }
}

impl RequestedName {
    /// The name that the peer has after it joined: the manager may add a number to an unbound name.
    pub(crate) fn granted(&self, joined: &Joined) -> Username {
        joined.username.as_ref().unwrap_or(&self.username).clone()
    }
}

impl ManagerContact {
    /// Greets the manager with a temporary key, and leaves.
    ///
    /// # Errors
    /// If the manager is not reached, or has another key than before.
    pub async fn with(manager: &ManagerAddress) -> Result<Self, ReachError> {
        let session = manager.reach(&SecretKey::generate()).await?;
        let contact = Self::over(&session, None);
        session.writer.close(Reason::Stopping, "").await;
        Ok(contact)
    }

    /// The contact over `session`. `joined` is from the answer to a join, which is newer than the hello.
    pub(crate) fn over(session: &GreetedConnection, joined: Option<bool>) -> Self {
        Self { local: session.local.ip(), from_elsewhere: joined.or(session.hello.reached_from_elsewhere) }
    }

    /// A contact with a manager that only this machine reaches.
    #[cfg(test)]
    pub(crate) fn on_loopback() -> Self {
        Self { local: [127, 0, 0, 1].into(), from_elsewhere: Some(false) }
    }
}

/// Whether a peer with the key `found` answers at `addresses`: only a peer shows a membership. A temporary key is used.
async fn is_peer(addresses: &[SocketAddr], found: PeerKey) -> bool {
    let Ok(connection) = dial(addresses, &SecretKey::generate(), Some(found)).await else { return false };
    let Ok(greeted) = connection.greet(own_hello(None)).await else { return false };
    greeted.writer.close(Reason::Stopping, "").await;
    greeted.hello.membership.is_some()
}

/// Asks the manager to let this peer join as `name`, with its listener on `port`.
pub(crate) async fn join(
    session: &mut GreetedConnection,
    name: &RequestedName,
    port: u16,
) -> Result<Joined, JoinError> {
    let exchange = async {
        let join = Join { username: Ok(name.username.clone()), port, unbound: name.unbound.then_some(true) };
        session.writer.send(&ToManager::from(join)).await?;
        session.writer.flush().await?;
        loop {
            match session.reader.next::<FromManager>().await? {
                Some(FromManager::Joined(joined)) => return Ok(joined),
                Some(FromManager::Refused(refused)) => {
                    return Err(JoinError::Refused { reason: refused.reason, text: refused.text });
                }
                Some(FromManager::Goodbye(bye)) => {
                    return Err(JoinError::Refused { reason: bye.reason, text: bye.text });
                }
                Some(other) => tracing::debug!(kind = other.kind(), "a message before joining"),
                None => return Err(ConnectionError::Io(std::io::ErrorKind::UnexpectedEof.into()).into()),
            }
        }
    };
    let silence = || ConnectionError::Io(std::io::ErrorKind::TimedOut.into());
    timeout(ANSWER_TIMEOUT, exchange).await.map_err(|_| silence())?
}
