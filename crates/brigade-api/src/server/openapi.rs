//! The OpenAPI documents of the peer and of the manager.
//!
//! They are made from the handlers and the values, and compared with the committed `openapi.json` and
//! `openapi-manager.json` by a test.

use utoipa::OpenApi;

use super::{manager_routes as manager, peer_routes as peer};
use crate::{
    problem::{AmbiguousChoice, NameProblem, ProblemBody, ProblemDetails},
    values::FileVersion,
};

/// The API of a peer.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Brigade peer",
        description = "The local API of a running peer, over a socket that only its user can open.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        peer::program::version,
        peer::program::status,
        peer::program::problems,
        peer::program::log,
        peer::program::events,
        peer::program::doctor,
        peer::program::stop,
        peer::program::openapi,
        peer::fetches::list,
        peer::fetch_orders::begin,
        peer::fetches::one,
        peer::fetches::update,
        peer::fetches::remove,
        peer::fetches::pieces,
        peer::fetches::uploads,
        peer::limits::show,
        peer::limits::set,
        peer::files::list,
        peer::files::holders,
        peer::files::peers,
        peer::shares::list,
        peer::shares::add,
        peer::shares::remove,
        peer::verification::begin,
        peer::verification::show,
        peer::verification::cancel,
    ),
    components(schemas(ProblemBody, ProblemDetails, AmbiguousChoice, NameProblem, FileVersion, peer::limits::LimitDirection)),
    tags(
        (name = "program", description = "The program itself."),
        (name = "fetches", description = "Fetches and uploads."),
        (name = "limits", description = "Limits on sending and receiving."),
        (name = "files", description = "The files and peers of the network, and the files of this peer."),
        (name = "shares", description = "Folders and files that are shared in place, and the verification of all files."),
    )
)]
struct PeerDocument;

/// The API of a manager.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Brigade manager",
        description = "The local API of a running manager, over a socket that only its user can open.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        manager::program::version,
        manager::program::status,
        manager::program::log,
        manager::program::events,
        manager::program::backup,
        manager::program::stop,
        manager::program::openapi,
        manager::tables::peers,
        manager::tables::members,
        manager::catalogue::contents,
        manager::catalogue::holders,
    ),
    components(schemas(ProblemBody, ProblemDetails, AmbiguousChoice, NameProblem, FileVersion)),
    tags(
        (name = "program", description = "The program itself."),
        (name = "network", description = "Peers, members and the catalogue."),
    )
)]
struct ManagerDocument;

/// The OpenAPI document of a peer, as JSON.
pub fn peer_document() -> String {
    text(&PeerDocument::openapi())
}

/// The OpenAPI document of a manager, as JSON.
pub fn manager_document() -> String {
    text(&ManagerDocument::openapi())
}

fn text(document: &utoipa::openapi::OpenApi) -> String {
    // It has only string keys, so this cannot fail.
    document.to_pretty_json().unwrap_or_default() + "\n"
}
