//! What the owner of the fetches is told besides news of holders: orders, and answers to what it asked.
//!
//! The owner, [`super::fetch`], waits for none of them: what takes time is done elsewhere and comes back so.

use brigade_core::{download::DownloadId, id::Content, wire::manager::Found};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    job::JobId,
    measure::{Needs, NotBegun},
    prepare::{Decision, PrepareError, WantedFile},
    progress::Progress,
};
use crate::store::{
    folder::{FileSystemId, Free},
    parts::KeptPart,
};

/// Fetches that are asked for together: all of them begin, or none.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) fetches: Vec<Ordered>,
    /// Hears that they begin, or why not.
    pub(super) begun: oneshot::Sender<Result<(), NotBegun>>,
}

/// One fetch that is asked for.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) name: String,
    pub(super) files: Vec<WantedFile>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) given_up: CancellationToken,
}

/// Answers to what the owner asked of the disk or of the manager, without waiting for them.
#[derive(Debug)]
pub(super) enum Answer {
    /// Whether an order can land and fits on the disk, and what each of its fetches will take there.
    Measured { order: Order, kept: Vec<KeptPart>, result: Result<Vec<Needs>, NotBegun> },
    /// So much is free on each of the file systems that were asked.
    Free(Vec<(FileSystemId, Free)>),
    /// These parts are there.
    Kept(Vec<KeptPart>),
    /// The parts of these contents are removed, or could not be.
    Removed(Vec<Content>),
    /// What the name of a content means now.
    Means { download: DownloadId, found: Found },
}

/// What is known of files that were looked through.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) job: JobId,
    pub(super) files: Vec<(WantedFile, Result<Decision, PrepareError>)>,
}
