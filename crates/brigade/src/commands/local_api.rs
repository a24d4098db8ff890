//! The API of this process: beside what the command does, other commands can act on the peer or the manager.
//!
//! A socket that cannot be made is no reason to end: a note says so, and the command goes on without it.

use brigade_api::{
    client::{ManagerClient, PeerClient},
    local::BindError,
    server::{
        ApiServer, Checks, ManagerExtras, PeerExtras, manager_router, peer_router, serve_manager, serve_peer,
    },
};
use brigade_node::{manager::ManagerHandle, peer::PeerHandle};
use tokio_util::sync::CancellationToken;

use crate::{failure::Failure, log::log_ring};

/// The API of the peer or the manager of this process, until it is stopped or dropped.
pub(super) struct LocalApi {
    server: Option<ApiServer>,
    /// Why there is no socket.
    note: Option<String>,
}

impl LocalApi {
    /// Serves the API of a peer, with the doctor's `checks` of it. Returns a client of it in this process, too.
    pub(super) fn of_peer(peer: &PeerHandle, checks: Checks) -> (PeerClient, Self) {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let extras = PeerExtras { log: log_ring(), version: version.clone(), checks: Some(checks) };
        let router = peer_router(peer.clone(), extras);
        let served = serve_peer(peer, router.clone(), &version);
        (PeerClient::in_process(router), Self::new(served))
    }

    /// Serves the API of a manager. A client that stops the manager cancels `stop`. Returns a client of it in this
    /// process, too.
    pub(super) fn of_manager(manager: &ManagerHandle, stop: CancellationToken) -> (ManagerClient, Self) {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let extras = ManagerExtras { log: log_ring(), version: version.clone(), stop };
        let router = manager_router(manager.clone(), extras);
        let served = serve_manager(manager, router.clone(), &version);
        (ManagerClient::in_process(router), Self::new(served))
    }

    fn new(served: Result<ApiServer, BindError>) -> Self {
        let (server, note) = match served {
            Ok(server) => (Some(server), None),
            Err(error) => (None, Some(note(&error))),
        };
        Self { server, note }
    }

    /// The note if no other command can reach this process.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Closes the socket, after the peer or the manager has stopped.
    pub(super) async fn stop(self) {
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}

fn note(error: &BindError) -> String {
    let text = Failure::other("other commands cannot reach this one", error).text();
    text.replacen("error: ", "note: ", 1)
}
