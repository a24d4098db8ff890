//! The API of a running peer or manager: its routes, its events, and the socket on which it is served.
//!
//! [`peer_router`] and [`manager_router`] make the routes, for a socket and for clients in the same process;
//! [`serve_peer`] and [`serve_manager`] serve them on a socket until the server is stopped or dropped. The routes only
//! translate: the peer and the manager decide. `answer` and `request_parts` give every error the form of a
//! [`Problem`](crate::problem::Problem).

mod accept_loop;
mod answer;
mod api_state;
mod checks;
mod error_responses;
mod event_body;
mod event_hub;
mod manager_events;
mod manager_routes;
mod openapi;
mod peer_events;
mod peer_routes;
mod request_parts;
mod routers;
mod verification_slot;

use std::{path::PathBuf, process};

use axum::Router;
use brigade_node::{manager::ManagerHandle, peer::PeerHandle};

pub use self::{
    accept_loop::ApiServer,
    checks::Checks,
    openapi::{manager_document, peer_document},
    routers::{ManagerExtras, PeerExtras, manager_router, peer_router},
};
use crate::local::{BindError, LocalListener, ProgramKind, SocketRecord};

/// Serves the routes of a peer on the socket of its folder.
///
/// # Errors
/// If no socket can be made; the peer goes on without one.
pub fn serve_peer(peer: &PeerHandle, router: Router, version: &str) -> Result<ApiServer, BindError> {
    let record = SocketRecord {
        kind: ProgramKind::Peer,
        folder: peer.folder().to_owned(),
        pid: process::id(),
        since_s: peer.since().0,
        version: version.to_owned(),
        username: Some(peer.username().to_string()),
    };
    Ok(ApiServer::start(LocalListener::bind(record)?, router))
}

/// Serves the routes of a manager on the socket of the folder of its state.
///
/// # Errors
/// If no socket can be made; the manager goes on without one.
pub fn serve_manager(manager: &ManagerHandle, router: Router, version: &str) -> Result<ApiServer, BindError> {
    let view = manager.view();
    let (folder, since_s) = {
        let view = view.borrow();
        (PathBuf::from(&*view.state_dir), view.since.0)
    };
    let (kind, version) = (ProgramKind::Manager, version.to_owned());
    let record = SocketRecord { kind, folder, pid: process::id(), since_s, version, username: None };
    Ok(ApiServer::start(LocalListener::bind(record)?, router))
}
