//! The paths of the routes, and what the program adds to the API of its peer or manager.
//!
//! A router also starts the task that publishes the events.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post, put},
};
use brigade_node::{manager::ManagerHandle, peer::PeerHandle};
use tokio_util::sync::CancellationToken;

use super::{
    answer::{unknown_path, wrong_method},
    api_state::{ManagerApi, PeerApi},
    checks::Checks,
    event_hub::EventHub,
    manager_events, manager_routes,
    openapi::{manager_document, peer_document},
    peer_events, peer_routes,
    request_parts::BODY_BYTES,
    verification_slot::VerificationSlot,
};
use crate::log_ring::LogRing;

/// What the program adds to the API of its peer.
#[derive(Debug, Clone, Default)]
pub struct PeerExtras {
    /// The last lines of the log.
    pub log: LogRing,
    /// The version of the program.
    pub version: String,
    /// The checks of `doctor`, if the program makes them.
    pub checks: Option<Checks>,
}

/// What the program adds to the API of its manager.
#[derive(Debug, Clone, Default)]
pub struct ManagerExtras {
    /// The last lines of the log.
    pub log: LogRing,
    /// The version of the program.
    pub version: String,
    /// Is cancelled when a client stops the manager: then the program stops it.
    pub stop: CancellationToken,
}

/// The routes of a peer, for a socket and for clients in the same process. A task publishes the events until the peer
/// stops.
pub fn peer_router(peer: PeerHandle, extras: PeerExtras) -> Router {
    let hub = Arc::new(EventHub::starting_now());
    let PeerExtras { log, version, checks } = extras;
    let api = Arc::new(PeerApi {
        peer,
        log,
        version,
        checks,
        document: peer_document,
        hub,
        verification: VerificationSlot::default(),
    });
    tokio::spawn(peer_events::publish(api.clone()));
    let routes = Router::new()
        .route("/version", get(peer_routes::program::version))
        .route("/status", get(peer_routes::program::status))
        .route("/problems", get(peer_routes::program::problems))
        .route("/log", get(peer_routes::program::log))
        .route("/events", get(peer_routes::program::events))
        .route("/doctor", get(peer_routes::program::doctor))
        .route("/stop", post(peer_routes::program::stop))
        .route("/openapi.json", get(peer_routes::program::openapi))
        .route("/fetches", get(peer_routes::fetches::list).post(peer_routes::fetch_orders::begin))
        .route(
            "/fetches/{id}",
            get(peer_routes::fetches::one)
                .patch(peer_routes::fetches::update)
                .delete(peer_routes::fetches::remove),
        )
        .route("/fetches/{id}/pieces", get(peer_routes::fetches::pieces))
        .route("/uploads", get(peer_routes::fetches::uploads))
        .route("/limits", get(peer_routes::limits::show))
        .route("/limits/{direction}", put(peer_routes::limits::set))
        .route("/files", get(peer_routes::files::list))
        .route("/files/holders", get(peer_routes::files::holders))
        .route("/peers", get(peer_routes::files::peers))
        .route(
            "/shares",
            get(peer_routes::shares::list).post(peer_routes::shares::add).delete(peer_routes::shares::remove),
        )
        .route(
            "/verify",
            get(peer_routes::verification::show)
                .post(peer_routes::verification::begin)
                .delete(peer_routes::verification::cancel),
        );
    finish(routes, api)
}

/// The routes of a manager, for a socket and for clients in the same process. A task publishes the events until the
/// manager stops.
pub fn manager_router(manager: ManagerHandle, extras: ManagerExtras) -> Router {
    let hub = Arc::new(EventHub::starting_now());
    let ManagerExtras { log, version, stop } = extras;
    let api = Arc::new(ManagerApi { manager, log, version, stop, document: manager_document, hub });
    tokio::spawn(manager_events::publish(api.clone()));
    let routes = Router::new()
        .route("/version", get(manager_routes::program::version))
        .route("/status", get(manager_routes::program::status))
        .route("/log", get(manager_routes::program::log))
        .route("/events", get(manager_routes::program::events))
        .route("/stop", post(manager_routes::program::stop))
        .route("/backup", post(manager_routes::program::backup))
        .route("/openapi.json", get(manager_routes::program::openapi))
        .route("/peers", get(manager_routes::tables::peers))
        .route("/members", get(manager_routes::tables::members))
        .route("/contents", get(manager_routes::catalogue::contents))
        .route("/contents/holders", get(manager_routes::catalogue::holders));
    finish(routes, api)
}

/// The routes under the version of the API, with the answers to all other requests.
fn finish<S: Clone + Send + Sync + 'static>(routes: Router<S>, api: S) -> Router {
    Router::new()
        .nest("/v1", routes)
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(api)
}
