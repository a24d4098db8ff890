//! The routes of the verification: what is on the disk is hashed again, and damaged files are fetched again.
//!
//! One verification runs at a time. Its result stays until the next one begins.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use brigade_core::name::FileName;
use brigade_node::{clock, peer as node};
use tokio::time::{Instant, sleep};

use crate::{
    problem::{Problem, REFUSED},
    server::{
        answer::ErrorAnswer,
        api_state::PeerApi,
        error_responses::{BodyErrors, RefusedErrors, VerifyErrors},
        request_parts::JsonBody,
    },
    values::{EventData, Verification, VerifyOrder},
};

/// How long the keeper may take to learn that a file is damaged, and the pause between two attempts to repair it.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Begins to hash again the shared files with a name or below it, or all of them.
#[utoipa::path(
    post, operation_id = "begin_verification", path = "/v1/verify", tag = "shares", request_body = VerifyOrder,
    responses((status = 201, body = Verification, description = "It runs."), VerifyErrors, BodyErrors)
)]
pub(crate) async fn begin(
    State(api): State<Arc<PeerApi>>,
    JsonBody(order): JsonBody<VerifyOrder>,
) -> Result<(StatusCode, Json<Verification>), ErrorAnswer> {
    if api.verification.is_repairing() {
        let problem = Problem::new(REFUSED, "the repairs of the last verification are beginning");
        return Err(problem.with_hint("try again in a moment").into());
    }
    let mut handle = api.peer.verify(&order.name).await?;
    let begun_s = clock::unix_now().0;
    let shown = Verification::new(&handle.progress().borrow(), begun_s, order.repair);
    let cancelled = api.verification.begin(handle.progress(), order.repair, begun_s);
    tokio::spawn(async move {
        tokio::select! {
            () = cancelled.cancelled() => handle.cancel(),
            _ = handle.finished() => {}
        }
        finish(&api, &handle.finished().await, order.repair).await;
    });
    Ok((StatusCode::CREATED, Json(shown)))
}

/// The verification that runs, or the last one; null if there was none.
#[utoipa::path(
    get, operation_id = "get_verification", path = "/v1/verify", tag = "shares",
    responses((status = 200, body = Option<Verification>, description = "The verification, or null."))
)]
pub(crate) async fn show(State(api): State<Arc<PeerApi>>) -> Json<Option<Verification>> {
    Json(api.verification.shown())
}

/// Cancels the verification that runs.
#[utoipa::path(
    delete, operation_id = "cancel_verification", path = "/v1/verify", tag = "shares",
    responses((status = 204, description = "It ends after the current read."), RefusedErrors)
)]
pub(crate) async fn cancel(State(api): State<Arc<PeerApi>>) -> Result<StatusCode, ErrorAnswer> {
    match api.verification.cancel() {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::new(REFUSED, "no verification runs").into()),
    }
}

/// The verification has ended: repairs what is damaged, if that was asked for.
async fn finish(api: &PeerApi, ended: &node::VerifyProgress, repair: bool) {
    if repair && ended.state == node::VerifyState::Finished {
        for damage in ended.damaged.iter().filter(|damage| damage.can_be_repaired) {
            let result = repair_file(api, &damage.name).await;
            let result =
                result.map(|fetch| fetch.id().0).map_err(|error| Problem::from(error).message().to_owned());
            api.verification.repaired(&damage.name, result);
        }
    }
    api.verification.repairs_begun();
    if let Some(verification) = api.verification.shown() {
        api.hub.publish(&EventData::Verification { verification });
    }
}

/// Fetches a damaged file again. The keeper of the folder may learn a moment after the verification that it is damaged.
async fn repair_file(api: &PeerApi, name: &FileName) -> Result<node::Fetch, node::CannotRepair> {
    let patience = Instant::now() + PATIENCE;
    loop {
        let result = api.peer.repair(name).await;
        if !matches!(result, Err(node::CannotRepair::NotDamaged(_))) || Instant::now() > patience {
            return result;
        }
        sleep(PAUSE).await;
    }
}
