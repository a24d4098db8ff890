//! Ordered fetches, which [`Peer`](crate::peer::Peer) sends to the task that owns all fetches.
//!
//! These are values only.

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::wanted_files::Resolved;
use crate::{fetch_error::FetchError, progress::Progress};

/// Fetches that are ordered together: all of them begin, or none.
#[derive(Debug)]
pub(crate) struct NewFetches {
    pub(crate) fetches: Vec<NewFetch>,
    /// Receives whether they begin, or the reason.
    pub(crate) begun: oneshot::Sender<Result<(), FetchError>>,
}

/// One ordered fetch.
#[derive(Debug)]
pub(crate) struct NewFetch {
    pub(crate) files: Resolved,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) given_up: CancellationToken,
}
