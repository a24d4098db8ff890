//! The routes of fetches that exist: their list, one of them, its pieces, and changes; and what is sent to others.
//!
//! `fetch_orders` begins fetches.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use brigade_node::peer as node;
use tokio::time::timeout;

use crate::{
    problem::{Problem, REFUSED},
    server::{
        answer::ErrorAnswer,
        api_state::PeerApi,
        error_responses::{BodyErrors, NotFoundErrors, RefusedErrors},
        request_parts::{JsonBody, PathValue},
    },
    values::{Fetch, FetchList, FetchUpdate, PieceMap, Upload, UploadList},
};

/// How long a fetch that is cancelled may take to end.
const ENDING: Duration = Duration::from_secs(20);

/// Numbers that an error about a missing fetch names.
const NUMBERS: usize = 20;

/// The fetches that run and the last hundred that ended, oldest first.
#[utoipa::path(get, operation_id = "list_fetches", path = "/v1/fetches", tag = "fetches", responses((status = 200, body = FetchList, description = "The fetches.")))]
pub(crate) async fn list(State(api): State<Arc<PeerApi>>) -> Json<FetchList> {
    let list = api.peer.fetches().borrow().clone();
    Json(FetchList { fetches: list.iter().map(Fetch::from).collect() })
}

/// One fetch.
#[utoipa::path(
    get, operation_id = "get_fetch", path = "/v1/fetches/{id}", tag = "fetches",
    params(("id" = u64, Path, description = "The number of the fetch.")),
    responses((status = 200, body = Fetch, description = "The fetch."), NotFoundErrors)
)]
pub(crate) async fn one(
    State(api): State<Arc<PeerApi>>,
    PathValue(id): PathValue<u64>,
) -> Result<Json<Fetch>, ErrorAnswer> {
    Ok(Json(Fetch::from(&fetch(&api, id)?)))
}

/// How long an update may take until it is answered with the old values.
const UPDATE_TIMEOUT: Duration = Duration::from_secs(2);

/// Pauses, resumes or cancels a fetch that runs, or sets its priority.
#[utoipa::path(
    patch, operation_id = "update_fetch", path = "/v1/fetches/{id}", tag = "fetches",
    params(("id" = u64, Path, description = "The number of the fetch.")),
    request_body = FetchUpdate,
    responses((status = 200, body = Fetch, description = "The fetch."), NotFoundErrors, RefusedErrors, BodyErrors)
)]
pub(crate) async fn update(
    State(api): State<Arc<PeerApi>>,
    PathValue(id): PathValue<u64>,
    JsonBody(update): JsonBody<FetchUpdate>,
) -> Result<Json<Fetch>, ErrorAnswer> {
    let fetch = fetch(&api, id)?;
    if fetch.progress().borrow().is_over() {
        let problem = Problem::new(REFUSED, format!("the fetch {id} has ended"));
        return Err(problem.with_hint("fetch the name again: verified pieces are kept").into());
    }
    if let Some(priority) = update.priority {
        fetch.set_priority(priority.into());
    }
    if let Some(paused) = update.paused {
        fetch.set_paused(paused);
    }
    if update.cancelled == Some(true) {
        fetch.give_up();
    }
    in_effect(&fetch, &update).await;
    Ok(Json(Fetch::from(&fetch)))
}

/// Removes a fetch from the list. One that runs is cancelled first; verified pieces are kept.
#[utoipa::path(
    delete, operation_id = "remove_fetch", path = "/v1/fetches/{id}", tag = "fetches",
    params(("id" = u64, Path, description = "The number of the fetch.")),
    responses((status = 204, description = "It is removed."), NotFoundErrors, RefusedErrors)
)]
pub(crate) async fn remove(
    State(api): State<Arc<PeerApi>>,
    PathValue(id): PathValue<u64>,
) -> Result<StatusCode, ErrorAnswer> {
    let mut fetch = fetch(&api, id)?;
    fetch.give_up();
    if timeout(ENDING, fetch.finished()).await.is_err() {
        let problem = Problem::new(REFUSED, format!("the fetch {id} is cancelled, but has not ended yet"));
        return Err(problem.with_hint("a slow disk may be the cause: try again later").into());
    }
    api.peer.forget_fetch(fetch.id()).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The pieces of the content that a fetch receives now; null if it receives several or none.
#[utoipa::path(
    get, operation_id = "get_pieces", path = "/v1/fetches/{id}/pieces", tag = "fetches",
    params(("id" = u64, Path, description = "The number of the fetch.")),
    responses((status = 200, body = Option<PieceMap>, description = "The pieces, or null."), NotFoundErrors)
)]
pub(crate) async fn pieces(
    State(api): State<Arc<PeerApi>>,
    PathValue(id): PathValue<u64>,
) -> Result<Json<Option<PieceMap>>, ErrorAnswer> {
    let id = fetch(&api, id)?.id();
    Ok(Json(api.peer.piece_map(id).await.map(|map| PieceMap::from(&map))))
}

/// What is sent to downloaders now, or was in the last seconds; the fastest first.
#[utoipa::path(get, operation_id = "list_uploads", path = "/v1/uploads", tag = "fetches", responses((status = 200, body = UploadList, description = "The uploads.")))]
pub(crate) async fn uploads(State(api): State<Arc<PeerApi>>) -> Json<UploadList> {
    Json(UploadList { uploads: api.peer.uploads().iter().map(Upload::from).collect() })
}

/// The fetch with this number.
/// Waits until the owner of the fetches has carried out an update: it looks at the wishes some times a second.
async fn in_effect(fetch: &node::Fetch, update: &FetchUpdate) {
    let is_shown = |progress: &node::Progress| {
        let is_paused = progress.state == node::FetchState::Paused;
        let is_state_right =
            update.cancelled != Some(true) && update.paused.is_none_or(|paused| paused == is_paused);
        let has_priority = update.priority.is_none_or(|priority| priority == progress.priority.into());
        progress.is_over() || is_state_right && has_priority
    };
    let mut progress = fetch.progress();
    let shown = progress.wait_for(is_shown);
    // A peer that stops meanwhile does not show it any more.
    let _ = timeout(UPDATE_TIMEOUT, shown).await;
}

fn fetch(api: &PeerApi, id: u64) -> Result<node::Fetch, ErrorAnswer> {
    if let Some(fetch) = api.peer.fetch_of(node::FetchId(id)) {
        return Ok(fetch);
    }
    let list = api.peer.fetches().borrow().clone();
    let numbers: Vec<String> = list.iter().rev().take(NUMBERS).map(|fetch| fetch.id().to_string()).collect();
    let hint = match numbers.is_empty() {
        true => "there are no fetches".to_owned(),
        false => format!("the latest ones are {}; `transfers` lists them", numbers.join(", ")),
    };
    Err(ErrorAnswer::from(
        Problem::new(crate::problem::NOT_FOUND, format!("there is no fetch {id}")).with_hint(hint),
    ))
}
