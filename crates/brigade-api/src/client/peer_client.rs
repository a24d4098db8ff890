//! The client of a peer.
//!
//! Each method is one request; `docs/api.md` describes the answers.

use std::time::Duration;

use axum::Router;
use hyper::Method;

use super::{
    client_error::ClientError,
    event_stream::EventStream,
    requests::{DEFAULT_TIMEOUT, RequestPath, Requests},
};
use crate::{
    local::Target,
    problem::REFUSED,
    values::{
        CheckReport, Fetch, FetchList, FetchOrder, FetchUpdate, FilePage, LimitOrder, Limits, LogLines,
        NameHolders, NewShare, PeerPage, PeerStatus, PieceMap, Share, ShareList, UnsharedPage, UploadList,
        Verification, VerifyOrder, Version,
    },
};

/// How much longer than a request asked for the program may take: a manager that was started again a moment ago is asked
/// for a minute, and a disk may be slow.
const FETCH_PATIENCE: Duration = Duration::from_secs(180);

/// A client of a running peer.
#[derive(Debug, Clone)]
pub struct PeerClient {
    requests: Requests,
}

impl PeerClient {
    /// A client of the peer that was found.
    pub fn new(target: &Target) -> Self {
        Self { requests: Requests::Socket(target.socket.clone()) }
    }

    /// A client of the peer of this process.
    pub fn in_process(router: Router) -> Self {
        Self { requests: Requests::InProcess(router) }
    }

    /// The version of the program.
    ///
    /// # Errors
    /// If the program does not answer; so in all methods.
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("version")).await
    }

    /// The status of the peer.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn status(&self) -> Result<PeerStatus, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("status")).await
    }

    /// The fetches that run and the last ones that ended, oldest first.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn fetches(&self) -> Result<Vec<Fetch>, ClientError> {
        let list: FetchList = self.requests.ask(Method::GET, RequestPath::new("fetches")).await?;
        Ok(list.fetches)
    }

    /// Begins a fetch for each name, in the order of the names.
    ///
    /// # Errors
    /// If one name cannot be fetched: then none begins, and the details have the error of each name.
    pub async fn begin_fetches(&self, order: &FetchOrder) -> Result<Vec<Fetch>, ClientError> {
        let patience = FETCH_PATIENCE + Duration::from_secs(order.wait_s.unwrap_or(0));
        let path = RequestPath::new("fetches");
        let list: FetchList = self.requests.order(Method::POST, path, order, patience).await?;
        Ok(list.fetches)
    }

    /// One fetch.
    ///
    /// # Errors
    /// If there is no such fetch.
    pub async fn fetch(&self, id: u64) -> Result<Fetch, ClientError> {
        self.requests.ask(Method::GET, fetch_path(id)).await
    }

    /// Pauses or resumes a fetch, or sets its priority.
    ///
    /// # Errors
    /// If there is no such fetch, or it has ended.
    pub async fn update_fetch(&self, id: u64, update: FetchUpdate) -> Result<Fetch, ClientError> {
        self.requests.order(Method::PATCH, fetch_path(id), &update, DEFAULT_TIMEOUT).await
    }

    /// Cancels a fetch that runs. It stays in the list, and its verified pieces are kept.
    ///
    /// # Errors
    /// If there is no such fetch, or it has ended.
    pub async fn cancel_fetch(&self, id: u64) -> Result<Fetch, ClientError> {
        self.update_fetch(id, FetchUpdate { cancelled: Some(true), ..FetchUpdate::default() }).await
    }

    /// Cancels a fetch that runs, or removes one that has ended from the list. Verified pieces are kept.
    ///
    /// # Errors
    /// If there is no such fetch.
    pub async fn remove_fetch(&self, id: u64) -> Result<(), ClientError> {
        match self.cancel_fetch(id).await {
            Err(ClientError::Problem(problem)) if problem.code() == REFUSED => {
                self.requests.ask(Method::DELETE, fetch_path(id)).await
            }
            result => result.map(drop),
        }
    }

    /// The pieces of the content that a fetch receives; `None` if it receives several or none.
    ///
    /// # Errors
    /// If there is no such fetch.
    pub async fn piece_map(&self, id: u64) -> Result<Option<PieceMap>, ClientError> {
        self.requests.ask(Method::GET, fetch_path(id).part("pieces")).await
    }

    /// What is sent to downloaders now.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn uploads(&self) -> Result<UploadList, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("uploads")).await
    }

    /// The limits that are in effect.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn limits(&self) -> Result<Limits, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("limits")).await
    }

    /// Sets the limit of a direction, `up` or `down`: a rate like `10MB`, `off`, or `None` for the configured one.
    /// Returns the limits that are in effect then.
    ///
    /// # Errors
    /// If the rate cannot be read.
    pub async fn set_limit(&self, direction: &str, cap: Option<&str>) -> Result<Limits, ClientError> {
        let order = LimitOrder { cap: cap.map(str::to_owned) };
        self.requests
            .order(Method::PUT, RequestPath::new("limits").part(direction), &order, DEFAULT_TIMEOUT)
            .await
    }

    /// A page of the names that begin with `prefix` and follow `after`, at most `limit` of them.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn files(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<FilePage, ClientError> {
        self.file_page("prefix", prefix, after, limit).await
    }

    /// A page of the names that a pattern fits, or that begin with the text, as `files` lists them.
    ///
    /// # Errors
    /// If the pattern is not valid, or the manager does not answer.
    pub async fn matching_files(
        &self,
        pattern: &str,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<FilePage, ClientError> {
        self.file_page("pattern", pattern, after, limit).await
    }

    async fn file_page(
        &self,
        kind: &str,
        text: &str,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<FilePage, ClientError> {
        let limit = limit.map(|limit| limit.to_string());
        let path = RequestPath::new("files").with(kind, text).with_some("after", after);
        self.requests.ask(Method::GET, path.with_some("limit", limit.as_deref())).await
    }

    /// The contents of a name, with their holders.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn name_holders(&self, name: &str) -> Result<NameHolders, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("files/holders").with("name", name)).await
    }

    /// A page of the table of peers: the usernames that follow `after`.
    ///
    /// # Errors
    /// If the manager does not answer.
    pub async fn peers(&self, after: Option<&str>) -> Result<PeerPage, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("peers").with_some("after", after)).await
    }

    /// A page of the files that are not shared: the paths that follow `after`.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn problems(&self, after: Option<&str>) -> Result<UnsharedPage, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("problems").with_some("after", after)).await
    }

    /// The shares in place.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn shares(&self) -> Result<Vec<Share>, ClientError> {
        let list: ShareList = self.requests.ask(Method::GET, RequestPath::new("shares")).await?;
        Ok(list.shares)
    }

    /// Shares a folder or a file in place.
    ///
    /// # Errors
    /// If it cannot be shared under this name.
    pub async fn share(&self, share: &NewShare) -> Result<Share, ClientError> {
        self.requests.order(Method::POST, RequestPath::new("shares"), share, DEFAULT_TIMEOUT).await
    }

    /// Ends a share; `name` is its name or its path.
    ///
    /// # Errors
    /// If there is no such share.
    pub async fn unshare(&self, name: &str) -> Result<Share, ClientError> {
        self.requests.ask(Method::DELETE, RequestPath::new("shares").with("name", name)).await
    }

    /// Begins a verification of the files on the disk.
    ///
    /// # Errors
    /// If one runs already.
    pub async fn begin_verification(&self, order: &VerifyOrder) -> Result<Verification, ClientError> {
        self.requests.order(Method::POST, RequestPath::new("verify"), order, DEFAULT_TIMEOUT).await
    }

    /// The verification that runs, or the last one; `None` if there was none.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn verification(&self) -> Result<Option<Verification>, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("verify")).await
    }

    /// Cancels the verification that runs.
    ///
    /// # Errors
    /// If none runs.
    pub async fn cancel_verification(&self) -> Result<(), ClientError> {
        self.requests.ask(Method::DELETE, RequestPath::new("verify")).await
    }

    /// The last lines of the log, at most `lines`.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn log(&self, lines: usize) -> Result<LogLines, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("log").with("lines", &lines.to_string())).await
    }

    /// The checks of the peer and its surroundings.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn doctor(&self) -> Result<CheckReport, ClientError> {
        self.requests.ask(Method::GET, RequestPath::new("doctor")).await
    }

    /// Stops the peer, as `Q` does at its prompt. The answer comes before it ends.
    ///
    /// # Errors
    /// If the peer does not answer.
    pub async fn stop(&self) -> Result<(), ClientError> {
        self.requests.ask(Method::POST, RequestPath::new("stop")).await
    }

    /// The events from now on, after the present state; with the id of the last event that the caller has, those after
    /// it.
    ///
    /// # Errors
    /// If the peer does not answer, or too many clients follow its events.
    pub async fn events(&self, after: Option<String>) -> Result<EventStream, ClientError> {
        EventStream::open(self.requests.clone(), after).await
    }
}

fn fetch_path(id: u64) -> RequestPath {
    RequestPath::new("fetches").part(&id.to_string())
}
