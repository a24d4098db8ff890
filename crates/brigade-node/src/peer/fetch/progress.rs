//! The progress of a fetch for people, and its result.
//!
//! These numbers decide nothing: [`super::job`] keeps them, and the terminal shows them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use brigade_core::{
    download::HolderId,
    limits,
    name::{FileName, Username},
    time::Timestamp,
};

use crate::peer::bandwidth::MemberTraffic;
use crate::peer::swarm::{ReceiveCounter, Unreached};

/// The number of file errors that a fetch keeps; more are only counted.
const KEPT_ERRORS: usize = 100;

/// The state of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The files that are here already are checked and verified.
    Checking,
    /// Pieces are being received.
    Fetching,
    /// No connected holder can send the missing pieces; the fetch goes on when one can.
    Waiting,
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
pub struct Progress {
    /// The requested name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// The number of files.
    pub files: u64,
    /// Files that are done: fetched, or here before.
    pub files_done: u64,
    /// Files that were here before.
    pub files_already: u64,
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
    /// Bytes that were received twice.
    pub bytes_twice: u64,
    /// Bytes a second that are received now.
    pub rate: u64,
    /// Bytes that are still to be received, as far as is known: not those of files that are copied from others.
    pub left_bytes: u64,
    /// Bytes a second over a longer time than `rate`, from which the time left is computed; `None` while it is not
    /// known.
    pub steady_rate: Option<u64>,
    /// The number of connected holders.
    pub holders: usize,
    /// The bytes and pieces from each holder, most first.
    pub from: Vec<MemberTraffic>,
    /// The time since it began.
    pub took: Duration,
    /// Files that failed, and their errors; the first hundred.
    pub errors: Vec<(FileName, String)>,
    /// The number of files that failed.
    pub failed: u64,
    /// Those of them whose name a file with another content has that was not to be kept aside.
    pub occupied: u64,
    /// Those of them that their holders changed.
    pub changed: u64,
    /// Files that were kept aside for fetched files with their names, and their new names; the first hundred.
    pub aside: Vec<(FileName, String)>,
    /// The number of known holders of a content that the fetch waits for; none of them can be reached.
    pub out_of_reach: usize,
    /// The holders that could not be reached, and their errors; the first few.
    pub unreached: Vec<Unreached>,
}

impl Progress {
    /// A fetch of `name` that has not begun.
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            state: State::Checking,
            files: 0,
            files_done: 0,
            files_already: 0,
            pieces: 0,
            pieces_done: 0,
            bytes: 0,
            bytes_done: 0,
            bytes_already: 0,
            bytes_copied: 0,
            bytes_twice: 0,
            rate: 0,
            left_bytes: 0,
            steady_rate: None,
            holders: 0,
            from: vec![],
            took: Duration::ZERO,
            errors: vec![],
            failed: 0,
            occupied: 0,
            changed: 0,
            aside: vec![],
            out_of_reach: 0,
            unreached: vec![],
        }
    }

    /// Whether it has ended, one way or another.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Failed | State::Stopped)
    }

    /// The time until the end; `None` while it is not known: in the first seconds, and while no data arrives.
    pub fn time_left(&self) -> Option<Duration> {
        let rate = self.steady_rate.filter(|rate| *rate > 0)?;
        Some(Duration::from_secs(self.left_bytes.div_ceil(rate)))
    }

    /// A file was kept aside, because a fetched file has its name now.
    pub(crate) fn kept_aside(&mut self, name: FileName, aside: String) {
        if self.aside.len() < KEPT_ERRORS {
            self.aside.push((name, aside));
        }
    }

    pub(crate) fn error(&mut self, name: FileName, error: String) {
        self.failed += 1;
        if self.errors.len() < KEPT_ERRORS {
            self.errors.push((name, error));
        }
    }
}

/// The accounts from which a [`Progress`] is made.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) progress: Progress,
    /// Counted by the connections.
    pub(crate) counter: Arc<ReceiveCounter>,
    /// Bytes that are not stored yet.
    pub(crate) left_bytes: u64,
    started: Timestamp,
    from: BTreeMap<HolderId, (u64, u64)>,
}

impl Accounts {
    pub(crate) fn new(name: String, now: Timestamp) -> Self {
        Self {
            progress: Progress::new(name),
            counter: Arc::default(),
            left_bytes: 0,
            started: now,
            from: BTreeMap::new(),
        }
    }

    /// When the fetch began.
    pub(crate) const fn began(&self) -> Timestamp {
        self.started
    }

    /// A piece that `holder` sent is stored.
    pub(crate) fn stored(&mut self, holder: HolderId, bytes: u64) {
        if self.from.len() < limits::COUNTED_MEMBERS || self.from.contains_key(&holder) {
            let from = self.from.entry(holder).or_default();
            from.0 += bytes;
            from.1 += 1;
        }
        self.progress.bytes_done += bytes;
        self.progress.pieces_done += 1;
    }

    /// The holders that sent something of it.
    pub(crate) fn holders(&self) -> impl Iterator<Item = HolderId> {
        self.from.keys().copied()
    }

    /// Pieces are present that were not fetched.
    pub(crate) fn already(&mut self, bytes: u64, pieces: u64) {
        self.progress.bytes_done += bytes;
        self.progress.bytes_already += bytes;
        self.progress.pieces_done += pieces;
    }

    /// A file was copied from another one that landed meanwhile.
    pub(crate) fn copied(&mut self, bytes: u64, pieces: u64) {
        self.progress.bytes_done += bytes;
        self.progress.bytes_copied += bytes;
        self.progress.pieces_done += pieces;
    }

    /// Bytes and pieces that were counted as stored are not.
    pub(crate) fn lost(&mut self, bytes: u64, pieces: u64) {
        self.progress.bytes_done = self.progress.bytes_done.saturating_sub(bytes);
        self.progress.pieces_done = self.progress.pieces_done.saturating_sub(pieces);
    }

    /// Pieces were stored that were not counted.
    pub(crate) fn found(&mut self, bytes: u64, pieces: u64) {
        self.progress.bytes_done += bytes;
        self.progress.pieces_done += pieces;
    }

    /// The progress at `now`.
    pub(crate) fn shown(
        &mut self,
        now: Timestamp,
        name_of: impl Fn(HolderId) -> Option<Username>,
    ) -> Progress {
        self.progress.rate = self.counter.rate();
        self.progress.steady_rate = self.counter.steady_rate();
        self.progress.left_bytes = self.left_bytes.saturating_sub(self.counter.unstored_bytes());
        self.progress.took = now.since(self.started);
        let given = |(holder, (bytes, pieces)): (&HolderId, &(u64, u64))| {
            Some(MemberTraffic { username: name_of(*holder)?, bytes: *bytes, pieces: *pieces })
        };
        let mut from: Vec<MemberTraffic> = self.from.iter().filter_map(given).collect();
        from.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.username.cmp(&b.username)));
        self.progress.from = from;
        self.progress.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Accounts, Timestamp};
    use crate::peer::swarm::partial::ReceivedBytes;

    #[test]
    fn what_is_here_and_not_stored_is_not_waited_for() {
        let mut accounts = Accounts::new("film.bin".to_owned(), Timestamp::default());
        accounts.left_bytes = 1000;
        let mut received = ReceivedBytes::new(accounts.counter.clone());
        received.add(400);
        received.add(100);
        let shown = accounts.shown(Timestamp::default(), |_| None);
        assert_eq!((shown.left_bytes, shown.time_left()), (500, None), "too early to tell");
        assert!(shown.rate > 0);
        // A piece that is taken back has to come again.
        drop(received);
        let mut shown = accounts.shown(Timestamp::default(), |_| None);
        assert_eq!(shown.left_bytes, 1000);
        shown.steady_rate = Some(300);
        assert_eq!(shown.time_left().map(|left| left.as_secs()), Some(4));
    }
}
