//! The routes about the manager itself: version, status, log, events, backup, and its end.
//!
//! The values are those of one moment.

use std::{process, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;

use super::backup_body::backup_answer;
use crate::{
    server::{
        answer::ErrorAnswer,
        api_state::ManagerApi,
        error_responses::{BackupErrors, EventErrors, QueryErrors},
        event_body::event_answer,
        manager_events,
        request_parts::{LogQuery, Values},
    },
    values::{EventData, LogLines, ManagerStatus, Version},
};

/// The version of the program and of the API.
#[utoipa::path(get, operation_id = "get_version", path = "/v1/version", tag = "program", responses((status = 200, body = Version, description = "The versions.")))]
pub(crate) async fn version(State(api): State<Arc<ManagerApi>>) -> Json<Version> {
    Json(Version { version: api.version.clone(), api: "v1".to_owned(), kind: "manager".to_owned() })
}

/// The status of the manager.
#[utoipa::path(get, operation_id = "get_status", path = "/v1/status", tag = "program", responses((status = 200, body = ManagerStatus, description = "The status.")))]
pub(crate) async fn status(State(api): State<Arc<ManagerApi>>) -> Json<ManagerStatus> {
    let view = api.manager.view().borrow().clone();
    Json(ManagerStatus {
        address: view.address.to_string(),
        key: view.key.to_string(),
        folder: view.state_dir.display().to_string(),
        max_peers: view.max_peers as u64,
        open: view.open,
        peers: view.totals.peers as u64,
        members: view.totals.members as u64,
        sending: view.totals.sending,
        receiving: view.totals.receiving,
        names: view.totals.names as u64,
        contents: view.totals.contents as u64,
        bytes: view.totals.bytes,
        version: api.version.clone(),
        pid: process::id(),
        since_s: view.since.0,
    })
}

/// The last lines of the log, oldest first.
#[utoipa::path(
    get, operation_id = "get_log", path = "/v1/log", tag = "program", params(LogQuery),
    responses((status = 200, body = LogLines, description = "The lines."), QueryErrors)
)]
pub(crate) async fn log(
    State(api): State<Arc<ManagerApi>>,
    Values(query): Values<LogQuery>,
) -> Result<Json<LogLines>, ErrorAnswer> {
    Ok(Json(LogLines { lines: api.log.last(query.lines()?) }))
}

/// The events, as server-sent events.
///
/// Each event has an id, `EPOCH.NUMBER`. With the id of the last event in the header `last-event-id`, the events after it
/// follow. Without it, or if events are missing, a `reset` and the present state come first.
#[utoipa::path(
    get, operation_id = "follow_events", path = "/v1/events", tag = "program",
    params(("last-event-id" = Option<String>, Header, description = "The id of the last event that the client has.")),
    responses((status = 200, content_type = "text/event-stream", body = EventData, description = "The events."), EventErrors)
)]
pub(crate) async fn events(
    State(api): State<Arc<ManagerApi>>,
    headers: HeaderMap,
) -> Result<Response, ErrorAnswer> {
    let hub = api.hub.clone();
    event_answer(&hub, Arc::new(move || manager_events::present_state(api.clone()).boxed()), &headers)
}

/// A copy of the state, **with the secret key**: the bytes of a backup. The client writes them to a file.
#[utoipa::path(
    post, operation_id = "back_up", path = "/v1/backup", tag = "program",
    responses((status = 200, content_type = "application/octet-stream", description = "The backup, complete."), BackupErrors)
)]
pub(crate) async fn backup(State(api): State<Arc<ManagerApi>>) -> Result<Response, ErrorAnswer> {
    backup_answer(&api.manager).await
}

/// Stops the manager. The answer comes before it ends.
#[utoipa::path(post, operation_id = "stop", path = "/v1/stop", tag = "program", responses((status = 202, description = "It stops now.")))]
pub(crate) async fn stop(State(api): State<Arc<ManagerApi>>) -> StatusCode {
    tracing::info!("a local client stops the manager");
    api.stop.cancel();
    StatusCode::ACCEPTED
}

/// This description.
#[utoipa::path(
    get, operation_id = "get_openapi", path = "/v1/openapi.json", tag = "program",
    responses((status = 200, content_type = "application/json", description = "This description.", body = Object))
)]
pub(crate) async fn openapi(State(api): State<Arc<ManagerApi>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], (api.document)()).into_response()
}
