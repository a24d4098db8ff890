//! Ordered fetches, which a [`PeerHandle`](crate::peer::PeerHandle) sends to the task that owns all fetches.
//!
//! These are values only.

use brigade_core::{id::Content, time::UnixTime};
use tokio::sync::{oneshot, watch};

use super::{
    FetchId, FetchOptions,
    running_fetch::{ContentHolderNames, Fetch, PieceMap},
    wanted_files::Resolved,
};
use crate::{fetch_error::FetchError, progress::Progress};

/// An order for the owner of all fetches.
#[derive(Debug)]
pub(crate) enum FetchOrder {
    /// Begin fetches.
    Begin(NewFetches),
    /// Remove a fetch that has ended from the list. The answer is whether there was one.
    Forget(FetchId, oneshot::Sender<bool>),
    /// The pieces of the content of several pieces that is being fetched for a fetch, if it is exactly one.
    Pieces(FetchId, oneshot::Sender<Option<PieceMap>>),
    /// The members that hold a content.
    Holders(Content, oneshot::Sender<ContentHolderNames>),
}

/// Fetches that are ordered together: all of them begin, or none.
#[derive(Debug)]
pub(crate) struct NewFetches {
    pub(crate) fetches: Vec<OrderedFetch>,
    /// Receives their handles when they begin, or the reason why they do not; `None` for fetches of an earlier run,
    /// which begin in any case.
    pub(crate) begun: Option<oneshot::Sender<Result<Vec<Fetch>, FetchError>>>,
}

/// One ordered fetch.
#[derive(Debug)]
pub(crate) struct OrderedFetch {
    /// Its number, if it has one from an earlier run.
    pub(crate) id: Option<FetchId>,
    pub(crate) files: Resolved,
    pub(crate) options: FetchOptions,
    /// When it was ordered.
    pub(crate) at: UnixTime,
}

/// A fetch that begins: its handle, its files, and the channel of its progress.
#[derive(Debug)]
pub(crate) struct NewFetch {
    pub(crate) handle: Fetch,
    pub(crate) files: Resolved,
    pub(crate) progress: watch::Sender<Progress>,
}

impl NewFetch {
    /// An ordered fetch begins under this number.
    pub(crate) fn begin(ordered: OrderedFetch, id: FetchId) -> Self {
        let OrderedFetch { files, options, at, .. } = ordered;
        let (handle, progress) = Fetch::new(id, &files, options, at);
        Self { handle, files, progress }
    }
}
