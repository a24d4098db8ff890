//! The configuration of a peer.
//!
//! The program fills it from its options and settings; `start` reads it once.

use std::{path::PathBuf, time::Duration};

use brigade_core::{name::Username, schedule::LimitPlan};

use super::session::ManagerAddress;

/// What a peer is to be.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Where the manager is.
    pub manager: ManagerAddress,
    /// Its name, which is bound to its key; `None` for one that is not bound and says whose it is, `user@host`.
    pub username: Option<Username>,
    /// Its folder, which is made if it is not there.
    pub folder: PathBuf,
    /// What of the folder it shares.
    pub sharing: Sharing,
    /// Connections to other peers at once, both ways.
    pub max_connections: usize,
    /// What was said about the limits on piece data, over all connections.
    pub limits: LimitPlan,
    /// How long a part of a file is kept that nobody is fetching; `None` for ever.
    pub keep_parts: Option<Duration>,
}

/// What of its folder a peer shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Every file in it, as it comes and goes.
    Folder,
    /// Only what it fetched itself: the folder is somebody's, not Brigade's.
    Fetched,
}
