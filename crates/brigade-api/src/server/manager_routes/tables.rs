//! The routes of the tables of a manager: its connected peers, and its members.
//!
//! A page of the manager has at most some hundred rows; a larger one is put together from several.

use std::sync::Arc;

use axum::{Json, extract::State};
use brigade_core::name::Username;
use brigade_node::manager::PeerOrder;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    server::{
        answer::ErrorAnswer,
        api_state::ManagerApi,
        error_responses::ManagerErrors,
        request_parts::{Values, page_rows, position},
    },
    values::{ManagerPeer, ManagerPeerPage, Member, MemberPage},
};

/// The greatest number of a first row that may be asked for: no table is so long.
const MOST_FIRST: usize = 1_000_000;

/// Where a page begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TableQuery {
    /// Only usernames after this one.
    #[param(required = false, value_type = String)]
    after: Option<String>,
    /// The most rows; 500 if it is left out.
    #[param(required = false, value_type = usize, minimum = 1, maximum = 5000)]
    limit: Option<usize>,
}

/// Which rows of the table of peers are listed, in which order.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PeerTableQuery {
    /// Only usernames after this one; for the order of the usernames.
    #[param(required = false, value_type = String)]
    after: Option<String>,
    /// The number of the first row, from 0 on; instead of `after`, and for every order.
    #[param(required = false, value_type = usize, maximum = 1000000)]
    first: Option<usize>,
    /// The column that decides the order; the username if it is left out.
    #[param(required = false, inline)]
    sort: Option<PeerColumn>,
    /// Whether the largest values come first.
    #[param(required = false, value_type = bool)]
    descending: Option<bool>,
    /// The most rows; 500 if it is left out. With `first` or `sort`, a page has at most 500.
    #[param(required = false, value_type = usize, minimum = 1, maximum = 5000)]
    limit: Option<usize>,
}

/// A column of the table of peers.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PeerColumn {
    /// The username.
    Username,
    /// The address.
    Address,
    /// The number of shared files.
    Files,
    /// The bytes of the shared files.
    Bytes,
    /// The rate of sending.
    Sending,
    /// The rate of receiving.
    Receiving,
    /// Both rates together: the active peers are at one end.
    Rates,
    /// The time of joining.
    Since,
    /// The time of the last message.
    LastMessage,
}

impl From<PeerColumn> for PeerOrder {
    fn from(column: PeerColumn) -> Self {
        match column {
            PeerColumn::Username => Self::Username,
            PeerColumn::Address => Self::Address,
            PeerColumn::Files => Self::Files,
            PeerColumn::Bytes => Self::Bytes,
            PeerColumn::Sending => Self::Sending,
            PeerColumn::Receiving => Self::Receiving,
            PeerColumn::Rates => Self::Rates,
            PeerColumn::Since => Self::Since,
            PeerColumn::LastMessage => Self::LastMessage,
        }
    }
}

/// A page of the connected peers, by username or in the order of another column.
#[utoipa::path(
    get, operation_id = "list_peers", path = "/v1/peers", tag = "network", params(PeerTableQuery),
    responses((status = 200, body = ManagerPeerPage, description = "The page."), ManagerErrors)
)]
pub(crate) async fn peers(
    State(api): State<Arc<ManagerApi>>,
    Values(query): Values<PeerTableQuery>,
) -> Result<Json<ManagerPeerPage>, ErrorAnswer> {
    let limit = page_rows(query.limit)?;
    let descending = query.descending.unwrap_or(false);
    if query.first.is_some() || query.sort.is_some() || descending {
        let (order, first) = (query.sort.map(PeerOrder::from).unwrap_or_default(), query.first.unwrap_or(0));
        if first > MOST_FIRST {
            return Err(ErrorAnswer::usage(format!("the table has no row {first}")));
        }
        let page = api.manager.peers_ordered(order, descending, first, limit).await;
        let page = page.map_err(ErrorAnswer::of_manager)?;
        let peers = page.rows.iter().map(ManagerPeer::from).collect();
        return Ok(Json(ManagerPeerPage {
            peers,
            first: page.first.map(|first| first as u64),
            total: page.total as u64,
            next: None,
        }));
    }
    let mut after: Option<Username> = position(query.after.as_deref())?;
    let mut page = ManagerPeerPage { peers: vec![], first: None, total: 0, next: None };
    loop {
        let part =
            api.manager.peers(after, limit - page.peers.len()).await.map_err(ErrorAnswer::of_manager)?;
        page.total = part.total as u64;
        page.peers.extend(part.rows.iter().map(ManagerPeer::from));
        after = part.rows.last().filter(|_| part.more).map(|last| last.username.clone());
        if after.is_none() || page.peers.len() >= limit {
            break;
        }
    }
    page.next = after.map(|after| after.to_string());
    Ok(Json(page))
}

/// A page of the members, by username, whether they are connected or not.
#[utoipa::path(
    get, operation_id = "list_members", path = "/v1/members", tag = "network", params(TableQuery),
    responses((status = 200, body = MemberPage, description = "The page."), ManagerErrors)
)]
pub(crate) async fn members(
    State(api): State<Arc<ManagerApi>>,
    Values(query): Values<TableQuery>,
) -> Result<Json<MemberPage>, ErrorAnswer> {
    let limit = page_rows(query.limit)?;
    let mut after: Option<Username> = position(query.after.as_deref())?;
    let mut page = MemberPage { members: vec![], next: None };
    loop {
        let part =
            api.manager.members(after, limit - page.members.len()).await.map_err(ErrorAnswer::of_manager)?;
        page.members.extend(part.rows.iter().map(Member::from));
        after = part.next;
        if after.is_none() || page.members.len() >= limit {
            break;
        }
    }
    page.next = after.map(|after| after.to_string());
    Ok(Json(page))
}
