//! The manager of a world, which is the product's own, and the peer of each of its sessions.
//!
//! The messages between it and the peers are in `behaviour/manager_session`.

use std::collections::BTreeMap;

use brigade_core::{
    manager::{Config, Manager, SessionId},
    time::Timestamp,
};

use crate::identifiers::PeerNumber;

/// The manager, and the peer of each session.
#[derive(Debug)]
pub(crate) struct ManagerSessions {
    pub(crate) manager: Manager,
    pub(crate) sessions: BTreeMap<SessionId, PeerNumber>,
    pub(crate) last_session: u64,
    pub(crate) deadline: Option<Timestamp>,
}

impl ManagerSessions {
    pub(crate) fn new(seed: u64) -> Self {
        let manager = Manager::new(Config { max_peers: 1 << 20, seed, ..Config::default() }, []);
        Self { manager, sessions: BTreeMap::new(), last_session: 0, deadline: None }
    }
}
