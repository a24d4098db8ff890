//! The way to the manager: dialling it, and remembering its key as ssh remembers a host's.
//!
//! What goes over the connection afterwards is in [`super::task`]; the questions that need no membership are in
//! [`super::questions`].

use std::path::PathBuf;

use brigade_core::{
    id::PeerKey,
    wire::hello::{Hello, VERSION},
};

use crate::{
    identity::{
        key::SecretKey,
        known_managers::{KnownManagers, KnownManagersError},
    },
    transport::{
        connection::{GreetError, Greeted},
        dial::{DialError, dial, resolve},
    },
};

/// The program and version that both sides show each other.
pub(crate) const AGENT: &str = concat!("brigade/", env!("CARGO_PKG_VERSION"));

/// Where a manager is, and who it must be.
#[derive(Debug, Clone)]
pub struct ManagerAddress {
    /// A name or an address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// The key that must answer; else the one that answered before, and at first contact whichever answers.
    pub key: Option<PeerKey>,
    /// The user's own folder, where known managers are remembered; `None` to remember nothing.
    pub home: Option<PathBuf>,
}

/// Why the manager was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// Nobody answers, or not with Brigade's encryption.
    #[error("reaching the manager at {address}")]
    Dial {
        /// Where.
        address: String,
        /// What went wrong.
        source: DialError,
    },
    /// Somebody answers with another key than before.
    #[error("the manager at {address} is not the one that was there before")]
    WrongKey {
        /// Where.
        address: String,
        /// The key that is remembered.
        expected: PeerKey,
        /// The key that answered.
        found: PeerKey,
        /// The file where it is remembered.
        remembered_in: PathBuf,
    },
    /// Another key answers than the one that was given.
    #[error("the manager at {address} has another key than the one that was given")]
    NotTheKey {
        /// Where.
        address: String,
        /// The key that was given.
        given: PeerKey,
        /// The key that answered.
        found: PeerKey,
    },
    /// It answers, but not with a greeting.
    #[error("greeting the manager at {address}")]
    Greet {
        /// Where.
        address: String,
        /// What went wrong.
        source: GreetError,
    },
    /// The file of known managers cannot be used.
    #[error(transparent)]
    Known(#[from] KnownManagersError),
}

impl ManagerAddress {
    /// `HOST:PORT`, for people.
    pub fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Dials the manager as the owner of `key`, checks that it is the one it was, and greets.
    pub async fn reach(&self, key: &SecretKey) -> Result<Greeted, ReachError> {
        let address = self.shown();
        let known = self.home.as_deref().map(KnownManagers::in_home);
        let remembered = match &known {
            // With a key that was given, what is remembered decides nothing.
            Some(known) if self.key.is_some() => known.find(&self.host, self.port).unwrap_or_default(),
            Some(known) => known.find(&self.host, self.port)?,
            None => None,
        };
        let expected = self.key.or(remembered);
        let addresses = resolve(&self.host, self.port).await;
        let dialled = match addresses {
            Ok(addresses) => dial(&addresses, key, expected).await,
            Err(error) => Err(error),
        };
        let fresh = dialled.map_err(|error| match error {
            DialError::WrongKey { expected, found, .. } => match (&known, self.key) {
                (Some(known), None) => {
                    let remembered_in = known.path().to_owned();
                    ReachError::WrongKey { address: address.clone(), expected, found, remembered_in }
                }
                _ => ReachError::NotTheKey { address: address.clone(), given: expected, found },
            },
            source => ReachError::Dial { address: address.clone(), source },
        })?;
        let manager = fresh.peer();
        let mine = Hello {
            version: VERSION,
            agent: AGENT.to_owned(),
            membership: None,
            reached_from_elsewhere: None,
        };
        let greeted = fresh.greet(mine).await.map_err(|source| ReachError::Greet { address, source })?;
        // Only who speaks Brigade is remembered.
        if let Some(known) = known.filter(|_| remembered != Some(manager)) {
            // Where nothing can be written, the next contact is a first one again: no reason not to go on now.
            if let Err(error) = known.remember(&self.host, self.port, manager) {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::debug!(%error, cause, "the manager's key is not remembered");
            }
        }
        Ok(greeted)
    }
}
