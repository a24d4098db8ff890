//! The state of the routes: the peer or the manager, and what the program adds.
//!
//! It has nothing of its own that changes, except the events.

use std::sync::Arc;

use brigade_node::{manager::ManagerHandle, peer::PeerHandle};
use tokio_util::sync::CancellationToken;

use super::{checks::Checks, event_hub::EventHub, verification_slot::VerificationSlot};
use crate::log_ring::LogRing;

/// The state of the routes of a peer.
#[derive(Debug)]
pub(super) struct PeerApi {
    pub(super) peer: PeerHandle,
    pub(super) log: LogRing,
    pub(super) version: String,
    pub(super) checks: Option<Checks>,
    /// The OpenAPI document.
    pub(super) document: fn() -> String,
    pub(super) hub: Arc<EventHub>,
    pub(super) verification: VerificationSlot,
}

/// The state of the routes of a manager.
#[derive(Debug)]
pub(super) struct ManagerApi {
    pub(super) manager: ManagerHandle,
    pub(super) log: LogRing,
    pub(super) version: String,
    /// Is cancelled when a client stops the manager.
    pub(super) stop: CancellationToken,
    /// The OpenAPI document.
    pub(super) document: fn() -> String,
    pub(super) hub: Arc<EventHub>,
}
