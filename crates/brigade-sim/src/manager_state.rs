//! The state of the manager in a simulation: its core, which is the product's own, and the peer of each of its
//! sessions.
//!
//! `behaviour/manager` runs the core, and `behaviour/manager_session` has the peers' side of the sessions.

use std::collections::BTreeMap;

use brigade_core::{
    manager::{Config, Manager, SessionId},
    time::Timestamp,
};

use crate::identifiers::PeerNumber;

/// The manager, and the peer of each session.
#[derive(Debug)]
pub(crate) struct SimulatedManager {
    pub(crate) core: Manager,
    pub(crate) sessions: BTreeMap<SessionId, PeerNumber>,
    pub(crate) last_session: u64,
    pub(crate) deadline: Option<Timestamp>,
}

impl SimulatedManager {
    pub(crate) fn new(seed: u64) -> Self {
        let core = Manager::new(Config { max_peers: 1 << 20, seed, ..Config::default() }, []);
        Self { core, sessions: BTreeMap::new(), last_session: 0, deadline: None }
    }
}
