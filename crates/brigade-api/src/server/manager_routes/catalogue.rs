//! The routes of the catalogue of a manager: names with their contents, and the holders of a content.
//!
//! Both are read page by page.

use std::sync::Arc;

use axum::{Json, extract::State};
use brigade_core::{
    id::{Content, ContentId},
    name::FileName,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    server::{
        answer::ErrorAnswer,
        api_state::ManagerApi,
        error_responses::ManagerErrors,
        request_parts::{Values, page_rows, position},
    },
    values::{ContentHolder, ContentHolders, ContentPage, ManagerContent},
};

/// Which names are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ContentQuery {
    /// Names that begin so or, if it has `*` or `?`, names that the pattern fits.
    #[param(required = false, value_type = String)]
    prefix: Option<String>,
    /// Only names after this one.
    #[param(required = false, value_type = String)]
    after: Option<String>,
    /// The most rows; 500 if it is left out. All contents of one name are on one page.
    #[param(required = false, value_type = usize, minimum = 1, maximum = 5000)]
    limit: Option<usize>,
}

/// A page of the catalogue, by name.
#[utoipa::path(
    get, operation_id = "list_contents", path = "/v1/contents", tag = "network", params(ContentQuery),
    responses((status = 200, body = ContentPage, description = "The page."), ManagerErrors)
)]
pub(crate) async fn contents(
    State(api): State<Arc<ManagerApi>>,
    Values(query): Values<ContentQuery>,
) -> Result<Json<ContentPage>, ErrorAnswer> {
    let limit = page_rows(query.limit)?;
    let prefix = query.prefix.unwrap_or_default();
    let mut after: Option<FileName> = position(query.after.as_deref())?;
    let mut page = ContentPage { contents: vec![], next: None };
    loop {
        let most = limit - page.contents.len();
        let part = api.manager.contents(&prefix, after, most).await.map_err(ErrorAnswer::of_manager)?;
        // A pattern may fit nothing in many pages: an empty part is passed on, with the position where it goes on.
        let is_empty = part.rows.is_empty();
        page.contents.extend(part.rows.iter().map(ManagerContent::from));
        after = part.next;
        if after.is_none() || is_empty || page.contents.len() >= limit {
            break;
        }
    }
    page.next = after.map(|after| after.to_string());
    Ok(Json(page))
}

/// Which content is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HolderQuery {
    /// The id of the content.
    #[param(pattern = "^[0-9a-f]{64}$")]
    id: String,
    /// Its size in bytes.
    size: u64,
}

/// The holders of a content: those that have all of it first.
#[utoipa::path(
    get, operation_id = "get_holders", path = "/v1/contents/holders", tag = "network", params(HolderQuery),
    responses((status = 200, body = ContentHolders, description = "The holders."), ManagerErrors)
)]
pub(crate) async fn holders(
    State(api): State<Arc<ManagerApi>>,
    Values(query): Values<HolderQuery>,
) -> Result<Json<ContentHolders>, ErrorAnswer> {
    let id: ContentId = query
        .id
        .parse()
        .map_err(|error| ErrorAnswer::usage(format!("{:?} is not an id: {error}", query.id)))?;
    let content = Content { id, size: query.size };
    let rows = api.manager.holders(content, 0, usize::MAX).await.map_err(ErrorAnswer::of_manager)?;
    let all = rows.complete + rows.partial;
    Ok(Json(ContentHolders {
        id: query.id,
        size: query.size,
        rest: all.saturating_sub(rows.rows.len()) as u64,
        holders: rows.rows.iter().map(ContentHolder::from).collect(),
    }))
}
