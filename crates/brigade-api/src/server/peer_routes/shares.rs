//! The routes of the shares in place: folders and files that the peer serves where they are.
//!
//! Paths are those of the machine of the peer, and absolute: the current folder of a client means nothing here.

use std::{path::Path, sync::Arc};

use axum::{Json, extract::State, http::StatusCode};
use brigade_core::name::FileName;
use brigade_node::peer::CannotShare;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    problem::Problem,
    server::{
        answer::ErrorAnswer,
        api_state::PeerApi,
        error_responses::{BodyErrors, ShareErrors},
        request_parts::{JsonBody, Values},
    },
    values::{EventData, NewShare, Share, ShareList},
};

/// The shares in place.
#[utoipa::path(
    get, operation_id = "list_shares", path = "/v1/shares", tag = "shares",
    responses((status = 200, body = ShareList, description = "The shares."))
)]
pub(crate) async fn list(State(api): State<Arc<PeerApi>>) -> Json<ShareList> {
    Json(ShareList { shares: api.peer.shares().iter().map(Share::from).collect() })
}

/// Shares a folder or a file in place. Nothing is written there. The share lasts over a restart.
#[utoipa::path(
    post, operation_id = "add_share", path = "/v1/shares", tag = "shares", request_body = NewShare,
    responses((status = 201, body = Share, description = "The share."), ShareErrors, BodyErrors)
)]
pub(crate) async fn add(
    State(api): State<Arc<PeerApi>>,
    JsonBody(share): JsonBody<NewShare>,
) -> Result<(StatusCode, Json<Share>), ErrorAnswer> {
    let path = Path::new(&share.path);
    if !path.is_absolute() || share.path.contains('\0') {
        return Err(ErrorAnswer::not_found(format!("{:?} is not an absolute path", share.path)));
    }
    let parse = |name: &String| {
        name.parse::<FileName>().map_err(|error| {
            ErrorAnswer::not_found(format!("{name:?} cannot be the name of a share: {error}"))
        })
    };
    let name = share.name.as_ref().map(parse).transpose()?;
    let status = api.peer.share(path, name).await.map_err(refusal)?;
    publish(&api);
    Ok((StatusCode::CREATED, Json(Share::from(&status))))
}

/// The share that is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShareQuery {
    /// Its name or its path.
    name: String,
}

/// Ends a share in place. Its files are withdrawn, and stay as they are.
#[utoipa::path(
    delete, operation_id = "remove_share", path = "/v1/shares", tag = "shares", params(ShareQuery),
    responses((status = 200, body = Share, description = "The share that ended."), ShareErrors)
)]
pub(crate) async fn remove(
    State(api): State<Arc<PeerApi>>,
    Values(query): Values<ShareQuery>,
) -> Result<Json<Share>, ErrorAnswer> {
    let status = api.peer.unshare(&query.name).await.map_err(refusal)?;
    publish(&api);
    Ok(Json(Share::from(&status)))
}

/// Publishes all shares, after one changed.
fn publish(api: &PeerApi) {
    let shares = api.peer.shares().iter().map(Share::from).collect();
    api.hub.publish(&EventData::Shares { shares });
}

/// The answer if a path is not shared, or a share not ended. Its status says more than the exit code, which is that of the
/// disk for most.
fn refusal(error: CannotShare) -> ErrorAnswer {
    use CannotShare as Cannot;
    let status = match &error {
        Cannot::Missing { .. } | Cannot::LastComponent { .. } | Cannot::Name { .. } | Cannot::Unknown(_) => {
            StatusCode::NOT_FOUND
        }
        Cannot::Unreadable { .. } | Cannot::NotStored { .. } => StatusCode::INSUFFICIENT_STORAGE,
        Cannot::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    };
    ErrorAnswer::new(status, Problem::from(error))
}
