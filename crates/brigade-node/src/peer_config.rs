//! The configuration of a peer, and the address of its manager.
//!
//! A program fills it from its options and settings; the peer reads it once, when it starts.

use std::{path::PathBuf, time::Duration};

use brigade_core::{id::PeerKey, limit_plan::LimitPlan, name::Username};

use crate::shares_in_place::SharedPath;

/// Connections to other peers at the same time, unless the configuration sets another number.
const MAX_CONNECTIONS: usize = 20;

/// The configuration of a peer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerConfig {
    /// Where the manager is.
    pub manager: ManagerAddress,
    /// Its name, which the manager binds to its key; `None` for an unbound name that tells the user: `user@host`.
    pub username: Option<Username>,
    /// Its folder, which is created if it does not exist.
    pub folder: PathBuf,
    /// Which files of the folder it shares.
    pub sharing: ShareMode,
    /// Connections to other peers at the same time, in both directions together.
    pub max_connections: usize,
    /// The limits on piece data, over all connections.
    pub limits: LimitPlan,
    /// How long a part of a file is kept that nobody is fetching; `None` for ever.
    pub keep_parts: Option<Duration>,
    /// Whether fetches that run go on after a restart: they are stored in the folder until they have ended.
    pub keep_fetches: bool,
    /// Folders and files elsewhere that it shares too, where they are. They are not remembered for the next start.
    pub shares: Vec<SharedPath>,
    /// Whether it starts although one of them is not there, or cannot be read: it is listed as a problem then, and shared
    /// as soon as it is there. If not, the peer does not start.
    pub wait_for_shares: bool,
}

impl PeerConfig {
    /// A peer that shares all of `folder`, has no username of its own, and has no limits on piece data.
    pub fn new(manager: ManagerAddress, folder: impl Into<PathBuf>) -> Self {
        Self {
            manager,
            username: None,
            folder: folder.into(),
            sharing: ShareMode::Folder,
            max_connections: MAX_CONNECTIONS,
            limits: LimitPlan::default(),
            keep_parts: None,
            keep_fetches: false,
            shares: vec![],
            wait_for_shares: false,
        }
    }

    /// Sets the username, which the manager binds to the key of the folder.
    pub fn username(self, username: Username) -> Self {
        Self { username: Some(username), ..self }
    }

    /// Sets which files of the folder are shared.
    pub fn sharing(self, sharing: ShareMode) -> Self {
        Self { sharing, ..self }
    }

    /// Sets how many connections to other peers may be open at the same time, in both directions together.
    pub fn max_connections(self, max_connections: usize) -> Self {
        Self { max_connections, ..self }
    }

    /// Sets the limits on piece data, over all connections.
    pub fn limits(self, limits: LimitPlan) -> Self {
        Self { limits, ..self }
    }

    /// Sets how long a part of a file is kept that nobody is fetching; `None` for ever.
    pub fn keep_parts(self, keep_parts: Option<Duration>) -> Self {
        Self { keep_parts, ..self }
    }

    /// Sets whether fetches that run when the peer ends, or is killed, go on when it is started again in the folder.
    pub fn keep_fetches(self, keep_fetches: bool) -> Self {
        Self { keep_fetches, ..self }
    }

    /// Sets the folders and files elsewhere that it shares too; at most [`crate::peer::SHARES`]. If they cannot be
    /// shared, the peer does not start.
    pub fn shares(self, shares: Vec<SharedPath>) -> Self {
        Self { shares, ..self }
    }

    /// Sets whether the peer starts although one of them is not there, or cannot be read: a disk that is mounted later.
    pub fn wait_for_shares(self, wait_for_shares: bool) -> Self {
        Self { wait_for_shares, ..self }
    }
}

/// Which files of its folder a peer shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShareMode {
    /// Every file in it; files that are added or removed later too.
    Folder,
    /// Only the files that it fetched itself: the other files of the folder belong to the user.
    Fetched,
}

/// The address of a manager, and its key.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ManagerAddress {
    /// A host name or an IP address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
    /// The key that it must have. `None` accepts the remembered key, or any key if none is remembered.
    pub key: Option<PeerKey>,
    /// The user's own folder, where known managers are remembered; `None` to remember nothing.
    pub home: Option<PathBuf>,
}

impl ManagerAddress {
    /// A manager with any key, which is not remembered.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, key: None, home: None }
    }

    /// Sets the key that the manager must have; `None` accepts the remembered key, or any key if none is remembered.
    pub fn key(self, key: Option<PeerKey>) -> Self {
        Self { key, ..self }
    }

    /// Sets the user's own folder, where known managers are remembered; `None` to remember nothing.
    pub fn home(self, home: Option<PathBuf>) -> Self {
        Self { home, ..self }
    }

    /// `HOST:PORT`, for people.
    pub fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}
