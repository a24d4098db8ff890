//! The client of a manager.
//!
//! Each method is one request; `docs/api.md` describes the answers.

use std::time::Duration;

use axum::{Router, body::Body};
use hyper::Method;

use super::{
    backup_parts::BackupParts,
    client_error::ClientError,
    event_stream::EventStream,
    requests::{RequestPath, Requests, request},
};
use crate::{
    local::Target,
    values::{ContentHolders, ContentPage, LogLines, ManagerPeerPage, ManagerStatus, MemberPage, Version},
};

/// How long a backup may take until it begins to come: the manager writes it to its disk first.
const BACKUP_PATIENCE: Duration = Duration::from_secs(600);

/// A client of a running manager.
#[derive(Debug, Clone)]
pub struct ManagerClient {
    requests: Requests,
}

impl ManagerClient {
    /// A client of the manager that was found.
    pub fn new(target: &Target) -> Self {
        Self { requests: Requests::Socket(target.socket.clone()) }
    }

    /// A client of the manager of this process.
    pub fn in_process(router: Router) -> Self {
        Self { requests: Requests::InProcess(router) }
    }

    /// The version of the program.
    ///
    /// # Errors
    /// If the manager does not answer; so in all methods.
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("version")).await
    }

    /// The status of the manager.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn status(&self) -> Result<ManagerStatus, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("status")).await
    }

    /// A page of the connected peers, by username: those that follow `after`.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn peers(
        &self,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<ManagerPeerPage, ClientError> {
        self.page(RequestPath::new("peers"), after, limit).await
    }

    /// A page of the connected peers from the row number `first` on, in the order of a column (`username`, `address`,
    /// `files`, `bytes`, `sending`, `receiving`, `rates`, `since` or `last_message`); at most 500 rows.
    ///
    /// # Errors
    /// If there is no such column.
    pub async fn ordered_peers(
        &self,
        sort: &str,
        descending: bool,
        first: usize,
        limit: usize,
    ) -> Result<ManagerPeerPage, ClientError> {
        let path = RequestPath::new("peers").with("sort", sort).with("first", &first.to_string());
        let path = path.with("descending", if descending { "true" } else { "false" });
        self.page(path, None, Some(limit)).await
    }

    /// A page of the members, by username: those that follow `after`.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn members(
        &self,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<MemberPage, ClientError> {
        self.page(RequestPath::new("members"), after, limit).await
    }

    /// A page of the catalogue: the names that begin with `prefix` and follow `after`.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn contents(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<ContentPage, ClientError> {
        self.page(RequestPath::new("contents").with("prefix", prefix), after, limit).await
    }

    /// The holders of the content with this id (64 hexadecimal digits) and size.
    ///
    /// # Errors
    /// If the id is not valid.
    pub async fn content_holders(&self, id: &str, size: u64) -> Result<ContentHolders, ClientError> {
        let path = RequestPath::new("contents/holders").with("id", id).with("size", &size.to_string());
        self.requests.ask(Method::GET, path).await
    }

    /// A backup of the state, **with the secret key of the network**, part by part. A
    /// [`BackupFile`](brigade_node::manager::BackupFile) is a file for it.
    ///
    /// # Errors
    /// If the manager cannot make the copy.
    pub async fn backup(&self) -> Result<BackupParts, ClientError> {
        let request = request(Method::POST, &RequestPath::new("backup"), Body::empty());
        Ok(BackupParts::of(self.requests.open_within(request, BACKUP_PATIENCE).await?))
    }

    /// The last lines of the log, at most `lines`.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn log(&self, lines: usize) -> Result<LogLines, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("log").with("lines", &lines.to_string())).await
    }

    /// Stops the manager. The answer comes before it ends.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn stop(&self) -> Result<(), ClientError> {
        self.requests.ask(Method::POST, RequestPath::new("stop")).await
    }

    /// The events from now on, after the present state; with the id of the last event that the caller has, those after
    /// it.
    ///
    /// # Errors
    /// If the manager does not answer, or too many clients follow its events.
    pub async fn events(&self, after: Option<String>) -> Result<EventStream, ClientError> {
        EventStream::open(self.requests.clone(), after).await
    }

    async fn page<T: serde::de::DeserializeOwned>(
        &self,
        path: RequestPath,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<T, ClientError> {
        let limit = limit.map(|limit| limit.to_string());
        self.requests
            .ask(Method::GET, path.with_some("after", after).with_some("limit", limit.as_deref()))
            .await
    }
}
