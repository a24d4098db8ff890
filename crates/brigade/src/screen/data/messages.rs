//! What the screen of a peer asks for, and what it gets.
//!
//! `pages` and `live` make the updates.

use std::sync::Arc;

use brigade_api::{client::ClientError, problem::Problem};

use crate::{
    failure::Failure,
    screen::model::{
        FileRow, FolderFolds, ListedPeer, LoadedPage, PageRequest, PeerSummary, PieceBits, SentFile, Transfer,
    },
    terminal::line_completion::CompletedText,
};

/// What the screen asks for.
#[derive(Debug)]
pub(crate) enum DataRequest {
    /// A page of the files.
    Files { request: PageRequest, folds: Arc<FolderFolds> },
    /// A page of the peers.
    Peers(PageRequest),
    /// Pauses a fetch, or lets it go on.
    SetPaused { id: u64, paused: bool },
    /// Ends a fetch, or removes one that ended from the list.
    Remove { id: u64 },
}

/// What the screen gets.
#[derive(Debug)]
pub(crate) enum DataUpdate {
    Summary(PeerSummary),
    /// All fetches.
    Fetches(Vec<Transfer>),
    Uploads(Vec<SentFile>),
    Pieces {
        id: u64,
        pieces: Option<PieceBits>,
    },
    /// A page, or the error.
    Files(Result<LoadedPage<FileRow>, String>),
    /// A page, or the error.
    Peers(Result<LoadedPage<ListedPeer>, String>),
    /// The words that may replace the bytes of the line from `start` to the cursor.
    Completed {
        line: String,
        start: usize,
        texts: Vec<CompletedText>,
    },
    /// The files of the network may have changed.
    FilesChanged,
    /// A text for the log.
    Text(String),
    /// The peer has ended, or does not answer any more.
    Ended(String),
}

/// An error of the API in one line or more, as the commands print it.
pub(super) fn error_text(error: ClientError) -> String {
    Failure::from(Problem::from(error)).text()
}
