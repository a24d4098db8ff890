//! The routes of the limits on sending and receiving.
//!
//! A limit that is set here holds until the peer ends, like one that is typed at its prompt.

use std::sync::Arc;

use axum::{Json, extract::State};
use brigade_core::limit_plan::Direction;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    problem::{Problem, USAGE},
    server::{
        answer::ErrorAnswer,
        api_state::PeerApi,
        error_responses::{BodyErrors, StoppingErrors},
        request_parts::{JsonBody, PathValue},
    },
    text::cap::parse_cap,
    values::{LimitOrder, Limits},
};

/// A direction of transfers.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LimitDirection {
    /// Sending.
    Up,
    /// Receiving.
    Down,
}

/// The limits that are in effect.
#[utoipa::path(
    get, operation_id = "get_limits", path = "/v1/limits", tag = "limits", responses((status = 200, body = Limits, description = "The limits."), StoppingErrors)
)]
pub(crate) async fn show(State(api): State<Arc<PeerApi>>) -> Result<Json<Limits>, ErrorAnswer> {
    let limits = api.peer.limits().await.ok_or_else(|| ErrorAnswer::stopping("peer"))?;
    Ok(Json(Limits::from(&limits)))
}

/// Sets the limit of a direction, or brings back the configured one. The answer has the limits that are in effect then.
#[utoipa::path(
    put, operation_id = "set_limit", path = "/v1/limits/{direction}", tag = "limits",
    params(("direction" = LimitDirection, Path, description = "Sending or receiving.")),
    request_body = LimitOrder,
    responses((status = 200, body = Limits, description = "The limits."), StoppingErrors, BodyErrors)
)]
pub(crate) async fn set(
    State(api): State<Arc<PeerApi>>,
    PathValue(direction): PathValue<LimitDirection>,
    JsonBody(order): JsonBody<LimitOrder>,
) -> Result<Json<Limits>, ErrorAnswer> {
    let parse = |text: String| {
        parse_cap(&text).map_err(|reason| {
            Problem::new(USAGE, format!("{text:?} is not a limit: {reason}"))
                .with_hint("a rate like \"10MB\", \"off\", or null for the configured limit")
        })
    };
    let cap = order.cap.map(parse).transpose()?;
    let direction = match direction {
        LimitDirection::Up => Direction::Up,
        LimitDirection::Down => Direction::Down,
    };
    let limits = api.peer.set_limit(direction, cap).await.ok_or_else(|| ErrorAnswer::stopping("peer"))?;
    Ok(Json(Limits::from(&limits)))
}
