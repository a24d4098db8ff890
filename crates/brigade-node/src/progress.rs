//! The progress of a fetch for people, and its result.
//!
//! These numbers decide nothing. The peer publishes them some times a second, and a program shows them.

use std::{net::SocketAddr, time::Duration};

use brigade_core::{
    download::Priority,
    id::Content,
    name::{FileName, Username},
};

/// The number of file errors that a fetch keeps; more are only counted.
const KEPT_ERRORS: usize = 100;

/// The number of files without a holder that are named.
const SHOWN_WITHOUT_HOLDER: usize = 3;

/// The state of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchState {
    /// The files that are here already are checked and verified.
    Checking,
    /// Pieces are being received.
    Fetching,
    /// Other fetches of the same peer receive the missing files. When they have ended, the fetch goes on.
    WaitingForFetch,
    /// No connected holder can send the missing pieces; the fetch goes on when one can.
    Waiting,
    /// It was paused, and goes on when it is resumed.
    Paused,
    /// The disk is full; the fetch goes on when there is space.
    Full {
        /// Bytes that the fetch has still to write.
        missing_bytes: u64,
        /// Free bytes.
        free_bytes: u64,
        /// Whether there are bytes but no inodes: the file system cannot hold one more file.
        inodes: bool,
    },
    /// All files are verified, durable and under their names.
    Done,
    /// Some files failed; see [`Progress::errors`].
    Failed,
    /// The fetch was given up, or the peer stopped. Verified pieces are kept.
    Stopped,
}

/// The progress of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The requested name.
    pub name: String,
    /// Its state.
    pub state: FetchState,
    /// The number of files.
    pub files: u64,
    /// Files that are done: fetched, or here before.
    pub files_done: u64,
    /// Files that were here before.
    pub files_already: u64,
    /// Files that are not among `files`, because only others share them than the requested member.
    pub left_out: u64,
    /// Pieces of all its files.
    pub pieces: u64,
    /// Pieces that are verified and written.
    pub pieces_done: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Bytes that are verified and written.
    pub bytes_done: u64,
    /// Bytes that were here before and were not received.
    pub bytes_already: u64,
    /// Bytes that were copied from a file with the same content that landed since the fetch began.
    pub bytes_copied: u64,
    /// Bytes that another fetch of the same peer received while this one ran.
    pub bytes_of_other_fetches: u64,
    /// Bytes that were received twice.
    pub bytes_twice: u64,
    /// Bytes a second that are received now.
    pub rate: u64,
    /// Bytes that are still to be received, as far as is known: not those of files that are copied from others.
    pub left_bytes: u64,
    /// Bytes a second over a longer time than `rate`, from which the time left is computed; `None` while it is not
    /// known.
    pub steady_rate: Option<u64>,
    /// The number of connected holders of the contents that are fetched now.
    pub holders: usize,
    /// The bytes and pieces from each holder, most first.
    pub from: Vec<MemberTraffic>,
    /// The same holders in the same order, with their addresses and rates.
    pub senders: Vec<HolderTraffic>,
    /// How urgent it is.
    pub priority: Priority,
    /// The time since it began.
    pub took: Duration,
    /// Files that failed, and their errors; the first hundred.
    pub errors: Vec<(FileName, String)>,
    /// The number of files that failed.
    pub failed: u64,
    /// Those of them whose names belong to files with another content, which were not to be kept aside.
    pub occupied: u64,
    /// Those of them that their holders changed.
    pub changed: u64,
    /// Files that were kept aside for fetched files with their names, and their new names; the first hundred.
    pub aside: Vec<(FileName, String)>,
    /// Files of which no connected holder can send the missing pieces now; the first few.
    pub without_holder: Vec<FileName>,
    /// The number of these files.
    pub files_without_holder: u64,
    /// The number of known holders of a content that the fetch waits for, if none of them can be reached.
    pub out_of_reach: usize,
    /// The number of holders of a content that the fetch waits for which sent wrong data.
    pub wrong_data: usize,
    /// The holders that cannot be used, and why; the first few.
    pub unreached: Vec<UnreachableHolder>,
}

impl Progress {
    /// A fetch of `name` that has not begun.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: FetchState::Checking,
            files: 0,
            files_done: 0,
            files_already: 0,
            left_out: 0,
            pieces: 0,
            pieces_done: 0,
            bytes: 0,
            bytes_done: 0,
            bytes_already: 0,
            bytes_copied: 0,
            bytes_of_other_fetches: 0,
            bytes_twice: 0,
            rate: 0,
            left_bytes: 0,
            steady_rate: None,
            holders: 0,
            from: vec![],
            senders: vec![],
            priority: Priority::Normal,
            took: Duration::ZERO,
            errors: vec![],
            failed: 0,
            occupied: 0,
            changed: 0,
            aside: vec![],
            without_holder: vec![],
            files_without_holder: 0,
            out_of_reach: 0,
            wrong_data: 0,
            unreached: vec![],
        }
    }

    /// The progress after the peer has ended: a fetch that was not over was stopped.
    #[must_use]
    pub fn or_stopped(self) -> Self {
        if self.is_over() { self } else { Self { state: FetchState::Stopped, ..self } }
    }

    /// Whether the fetch has ended: done, failed or stopped.
    pub fn is_over(&self) -> bool {
        matches!(self.state, FetchState::Done | FetchState::Failed | FetchState::Stopped)
    }

    /// The time until the end; `None` while it is not known: in the first seconds, and while no data arrives.
    pub fn time_left(&self) -> Option<Duration> {
        let rate = self.steady_rate.filter(|rate| *rate > 0)?;
        Some(Duration::from_secs(self.left_bytes.div_ceil(rate)))
    }

    /// Pieces are present that were not fetched.
    pub(crate) fn already(&mut self, bytes: u64, pieces: u64) {
        self.found(bytes, pieces);
        self.bytes_already += bytes;
    }

    /// A file was copied from another one that landed meanwhile.
    pub(crate) fn copied(&mut self, bytes: u64, pieces: u64) {
        self.found(bytes, pieces);
        self.bytes_copied += bytes;
    }

    /// A file got its name from another fetch meanwhile.
    pub(crate) fn of_other_fetch(&mut self, bytes: u64, pieces: u64) {
        self.found(bytes, pieces);
        self.bytes_of_other_fetches += bytes;
    }

    /// Pieces were stored that were not counted.
    pub(crate) fn found(&mut self, bytes: u64, pieces: u64) {
        self.bytes_done += bytes;
        self.pieces_done += pieces;
    }

    /// Bytes and pieces that were counted as stored are not.
    pub(crate) fn lost(&mut self, bytes: u64, pieces: u64) {
        self.bytes_done = self.bytes_done.saturating_sub(bytes);
        self.pieces_done = self.pieces_done.saturating_sub(pieces);
    }

    /// Bytes and pieces that were counted as stored were removed. So many bytes of the content had been present before.
    pub(crate) fn removed(&mut self, bytes: u64, pieces: u64, already: u64) {
        self.lost(bytes, pieces);
        self.bytes_already = self.bytes_already.saturating_sub(already);
    }

    /// A file was kept aside, because a fetched file has its name now.
    pub(crate) fn kept_aside(&mut self, name: FileName, aside: String) {
        if self.aside.len() < KEPT_ERRORS {
            self.aside.push((name, aside));
        }
    }

    /// No connected holder can send the missing pieces of these files now.
    pub(crate) fn set_without_holder<'a>(&mut self, files: impl Iterator<Item = &'a FileName>) {
        (self.files_without_holder, self.without_holder) = (0, vec![]);
        for name in files {
            self.files_without_holder += 1;
            if self.without_holder.len() < SHOWN_WITHOUT_HOLDER {
                self.without_holder.push(name.clone());
            }
        }
    }

    pub(crate) fn error(&mut self, name: FileName, error: String) {
        self.failed += 1;
        if self.errors.len() < KEPT_ERRORS {
            self.errors.push((name, error));
        }
    }
}

/// The piece data that a member sent or received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberTraffic {
    /// The member.
    pub username: Username,
    /// Bytes of piece data.
    pub bytes: u64,
    /// Whole pieces.
    pub pieces: u64,
}

impl MemberTraffic {
    /// So many bytes and whole pieces of a member.
    pub const fn new(username: Username, bytes: u64, pieces: u64) -> Self {
        Self { username, bytes, pieces }
    }
}

/// The piece data that one holder has sent for a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HolderTraffic {
    /// The holder.
    pub username: Username,
    /// Its address.
    pub address: SocketAddr,
    /// Bytes of piece data that were verified and stored.
    pub bytes: u64,
    /// Whole pieces.
    pub pieces: u64,
    /// Bytes a second now.
    pub rate: u64,
    /// Whether there is a connection to it.
    pub connected: bool,
}

impl HolderTraffic {
    /// A holder that has sent nothing and is not connected.
    pub const fn new(username: Username, address: SocketAddr) -> Self {
        Self { username, address, bytes: 0, pieces: 0, rate: 0, connected: false }
    }
}

/// The piece data that is sent to one downloader now, or was sent to it in the last seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upload {
    /// The downloader.
    pub username: Username,
    /// The content that it requested last, if it requested one.
    pub content: Option<Content>,
    /// A name of this content in the shared folder, if there is one.
    pub name: Option<FileName>,
    /// Bytes of piece data that were sent to it, of all contents.
    pub bytes: u64,
    /// Whole pieces.
    pub pieces: u64,
    /// Bytes a second now.
    pub rate: u64,
}

/// The holders of the contents of a fetch that cannot be used.
#[derive(Debug, Default)]
pub(crate) struct UnusableHolders {
    /// See [`Progress::out_of_reach`].
    pub(crate) out_of_reach: usize,
    /// See [`Progress::wrong_data`].
    pub(crate) wrong_data: usize,
    /// See [`Progress::unreached`].
    pub(crate) shown: Vec<UnreachableHolder>,
}

/// A holder that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnreachableHolder {
    /// Its name.
    pub username: Username,
    /// The address that was dialled.
    pub address: SocketAddr,
    /// The last error.
    pub cause: String,
}

impl UnreachableHolder {
    /// A holder that could not be used for this reason.
    pub const fn new(username: Username, address: SocketAddr, cause: String) -> Self {
        Self { username, address, cause }
    }
}
