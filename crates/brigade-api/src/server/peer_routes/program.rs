//! The routes about the program itself: version, status, what it does not share, log, events, and its end.
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
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    problem::{Problem, REFUSED, folder_hint},
    server::{
        answer::ErrorAnswer,
        api_state::PeerApi,
        error_responses::{CheckErrors, EventErrors, QueryErrors},
        event_body::event_answer,
        peer_events,
        request_parts::{LogQuery, PAGE_ROWS, Values},
    },
    values::{
        CheckReport, EventData, IgnoredFiles, LogLines, PeerStatus, UnsharedFile, UnsharedPage, Version,
    },
};

/// The version of the program and of the API.
#[utoipa::path(get, operation_id = "get_version", path = "/v1/version", tag = "program", responses((status = 200, body = Version, description = "The versions.")))]
pub(crate) async fn version(State(api): State<Arc<PeerApi>>) -> Json<Version> {
    Json(Version { version: api.version.clone(), api: "v1".to_owned(), kind: "peer".to_owned() })
}

/// The status of the peer.
#[utoipa::path(get, operation_id = "get_status", path = "/v1/status", tag = "program", responses((status = 200, body = PeerStatus, description = "The status.")))]
pub(crate) async fn status(State(api): State<Arc<PeerApi>>) -> Json<PeerStatus> {
    let PeerApi { peer, version, .. } = &*api;
    let status = peer.status();
    let running = peer.fetches().borrow().iter().filter(|fetch| !fetch.progress().borrow().is_over()).count();
    Json(PeerStatus {
        username: status.username.to_string(),
        key: status.key.to_string(),
        network: peer.network().to_string(),
        address: status.address.to_string(),
        unreached: status.unreached.map(|unreached| unreached.to_string()),
        folder: peer.folder().display().to_string(),
        manager: (&status.manager).into(),
        clock: status.clock.map(Into::into),
        files: status.files as u64,
        bytes: status.bytes,
        hashing: (&status.backlog).into(),
        sending: status.sending,
        receiving: status.receiving,
        sent: status.sent.iter().map(Into::into).collect(),
        kept: status.kept.into(),
        fetches: running as u64,
        problems: peer_events::problem_count(&status.problems),
        version: version.clone(),
        pid: process::id(),
        since_s: peer.since().0,
    })
}

/// Where a page of the problems begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ProblemQuery {
    /// Only paths after this one.
    #[param(required = false, value_type = String)]
    after: Option<String>,
}

/// The files that are not shared, and the problems of the folder.
#[utoipa::path(
    get, operation_id = "list_problems", path = "/v1/problems", tag = "files", params(ProblemQuery),
    responses((status = 200, body = UnsharedPage, description = "The page."), QueryErrors)
)]
pub(crate) async fn problems(
    State(api): State<Arc<PeerApi>>,
    Values(query): Values<ProblemQuery>,
) -> Json<UnsharedPage> {
    let list = api.peer.problems().borrow().clone();
    let after = query.after.unwrap_or_default();
    let mut listed = list.listed.iter().filter(|(path, _)| *path > after).peekable();
    let row = |(path, reason): &(String, String)| UnsharedFile { path: path.clone(), reason: reason.clone() };
    let files: Vec<UnsharedFile> = listed.by_ref().take(PAGE_ROWS).map(row).collect();
    let is_more = listed.peek().is_some();
    Json(UnsharedPage {
        folder: list.keeper_problems.iter().map(ToString::to_string).collect(),
        folder_hints: list.keeper_problems.iter().map(|problem| folder_hint(problem).to_owned()).collect(),
        ignored: IgnoredFiles {
            files: list.ignored.files as u64,
            patterns: list.ignored.patterns as u64,
            entries: list.ignored.entries as u64,
        },
        next: files.last().filter(|_| is_more).map(|last| last.path.clone()),
        files,
        rest: list.rest as u64,
    })
}

/// The last lines of the log, oldest first.
#[utoipa::path(
    get, operation_id = "get_log", path = "/v1/log", tag = "program", params(LogQuery),
    responses((status = 200, body = LogLines, description = "The lines."), QueryErrors)
)]
pub(crate) async fn log(
    State(api): State<Arc<PeerApi>>,
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
    State(api): State<Arc<PeerApi>>,
    headers: HeaderMap,
) -> Result<Response, ErrorAnswer> {
    let hub = api.hub.clone();
    event_answer(&hub, Arc::new(move || peer_events::present_state(api.clone()).boxed()), &headers)
}

/// Checks the peer and its surroundings, with the remedy for each fault. This may take some seconds.
#[utoipa::path(
    get, operation_id = "get_checks", path = "/v1/doctor", tag = "program",
    responses((status = 200, body = CheckReport, description = "The checks."), CheckErrors)
)]
pub(crate) async fn doctor(State(api): State<Arc<PeerApi>>) -> Result<Json<CheckReport>, ErrorAnswer> {
    let Some(checks) = &api.checks else {
        return Err(ErrorAnswer::not_found("this program makes no checks"));
    };
    let running =
        || Problem::new(REFUSED, "the checks are being made for another client").with_hint("try again later");
    Ok(Json(checks.run().await.ok_or_else(running)?))
}

/// Stops the peer, as `Q` does at its prompt. The answer comes before it ends.
#[utoipa::path(post, operation_id = "stop", path = "/v1/stop", tag = "program", responses((status = 202, description = "It stops now.")))]
pub(crate) async fn stop(State(api): State<Arc<PeerApi>>) -> StatusCode {
    tracing::info!("a local client stops the peer");
    api.peer.request_stop();
    StatusCode::ACCEPTED
}

/// This description.
#[utoipa::path(
    get, operation_id = "get_openapi", path = "/v1/openapi.json", tag = "program",
    responses((status = 200, content_type = "application/json", description = "This description.", body = Object))
)]
pub(crate) async fn openapi(State(api): State<Arc<PeerApi>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], (api.document)()).into_response()
}
