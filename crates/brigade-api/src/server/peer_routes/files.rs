//! The routes of the network's files and peers, which the manager knows.
//!
//! A page of a pattern reads several pages of the manager, at most [`MANAGER_PAGES`]; so it may be empty and not the last.

use std::sync::Arc;

use axum::{Json, extract::State};
use brigade_core::{
    id::Content,
    name::{FileName, Username},
    wire::manager::CatalogueEntry,
};
use brigade_node::peer::{FileListing, LocalContent};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    server::{
        answer::ErrorAnswer,
        api_state::PeerApi,
        error_responses::ManagerErrors,
        request_parts::{Values, page_rows, position},
    },
    values::{FileEntry, FilePage, LocalCopy, NameHolders, PeerPage, PeerRow},
};

/// Pages of the manager that are read for one page. A page of the manager has some hundred names.
const MANAGER_PAGES: usize = 50;

/// Which names are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FileQuery {
    /// Names that begin so.
    #[param(required = false, value_type = String)]
    prefix: Option<String>,
    /// Instead of `prefix`: names that the pattern fits, or that begin with the text.
    #[param(required = false, value_type = String)]
    pattern: Option<String>,
    /// Only names after this one.
    #[param(required = false, value_type = String)]
    after: Option<String>,
    /// The most rows; 500 if it is left out. The last name has all its contents, which may be a few more rows.
    #[param(required = false, value_type = usize, minimum = 1, maximum = 5000)]
    limit: Option<usize>,
}

/// A page of the files in the network, in the order of their names.
#[utoipa::path(
    get, operation_id = "list_files", path = "/v1/files", tag = "files", params(FileQuery),
    responses((status = 200, body = FilePage, description = "The page."), ManagerErrors)
)]
pub(crate) async fn list(
    State(api): State<Arc<PeerApi>>,
    Values(query): Values<FileQuery>,
) -> Result<Json<FilePage>, ErrorAnswer> {
    let limit = page_rows(query.limit)?;
    let after: Option<FileName> = position(query.after.as_deref())?;
    let mut listing = match (&query.pattern, &query.prefix) {
        (Some(pattern), _) => FileListing::continued(pattern, after)?,
        (None, prefix) => FileListing::of_prefix(prefix.as_deref().unwrap_or_default(), after)?,
    };
    let mut page = FilePage { files: vec![], next: None, incomplete_ms: None };
    for _ in 0..MANAGER_PAGES {
        let Some((prefix, after)) = listing.question() else { break };
        let answer = api.peer.files(&prefix, after).await?;
        page.incomplete_ms = answer.incomplete_ms;
        let mut entries = listing.take(answer);
        let most = rows_with_whole_names(&entries, limit - page.files.len());
        let is_cut = entries.len() > most;
        entries.truncate(most);
        page.files.extend(entries.iter().map(|entry| FileEntry::new(entry, local_copy(&api, entry))));
        if is_cut || page.files.len() >= limit {
            page.next = page
                .files
                .last()
                .map(|last| last.name.clone())
                .filter(|_| is_cut || listing.question().is_some());
            return Ok(Json(page));
        }
    }
    match listing.question() {
        Some((_, after)) => page.next = after.map(|after| after.to_string()),
        None => listing.ended()?,
    }
    Ok(Json(page))
}

/// At least `most` rows, and then up to the end of a name: the next page begins after it.
fn rows_with_whole_names(entries: &[CatalogueEntry], most: usize) -> usize {
    let Some(last) = entries.get(..most).and_then(<[_]>::last) else { return most };
    most + entries[most..].iter().take_while(|entry| entry.name == last.name).count()
}

/// Whether this peer has the content.
fn local_copy(api: &PeerApi, entry: &CatalogueEntry) -> LocalCopy {
    match api.peer.local_content(&Content { id: entry.id, size: entry.size }) {
        LocalContent::Whole => LocalCopy::Whole,
        LocalContent::Partly => LocalCopy::Partly,
        LocalContent::Missing => LocalCopy::No,
    }
}

/// The name that is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct NameQuery {
    /// The name.
    name: String,
}

/// The contents of a name, with their holders and the time of the first announcement.
#[utoipa::path(
    get, operation_id = "get_holders", path = "/v1/files/holders", tag = "files", params(NameQuery),
    responses((status = 200, body = NameHolders, description = "The contents."), ManagerErrors)
)]
pub(crate) async fn holders(
    State(api): State<Arc<PeerApi>>,
    Values(query): Values<NameQuery>,
) -> Result<Json<NameHolders>, ErrorAnswer> {
    let result = api.peer.lookup(&query.name).await?;
    Ok(Json(NameHolders::new(query.name, &result)))
}

/// Where a page of the table of peers begins.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PeerQuery {
    /// Only usernames after this one.
    #[param(required = false, value_type = String)]
    after: Option<String>,
}

/// A page of the table of peers, by username.
#[utoipa::path(
    get, operation_id = "list_peers", path = "/v1/peers", tag = "files", params(PeerQuery),
    responses((status = 200, body = PeerPage, description = "The page."), ManagerErrors)
)]
pub(crate) async fn peers(
    State(api): State<Arc<PeerApi>>,
    Values(query): Values<PeerQuery>,
) -> Result<Json<PeerPage>, ErrorAnswer> {
    let after: Option<Username> = position(query.after.as_deref())?;
    let page = api.peer.peers(after).await?;
    let next = page.rows.last().filter(|_| page.more).map(|last| last.username.to_string());
    let peers = page.rows.iter().map(PeerRow::from).collect();
    Ok(Json(PeerPage { peers, next, incomplete_ms: page.incomplete_ms }))
}
