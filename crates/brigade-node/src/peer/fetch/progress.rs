//! What people are shown of a fetch while it runs, and what is left to say when it ends.
//!
//! Nothing is decided by these numbers: [`super::jobs`] keeps them, and the terminal makes words of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use brigade_core::{
    download::HolderId,
    limits,
    name::{FileName, Username},
    time::Timestamp,
};

use crate::peer::{
    bandwidth::MemberTraffic,
    swarm::{intake::Intake, unreached::Unreached},
};

/// Errors of single files that a fetch keeps; of more it keeps the number.
const KEPT_ERRORS: usize = 100;

/// How a fetch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// What is here already is looked through and verified.
    Checking,
    /// Pieces come in.
    Fetching,
    /// Nobody who is there could send what is missing; it goes on when someone can.
    Waiting,
    /// The disk is full; it goes on when there is room.
    Full {
        /// Bytes of it that are missing.
        missing_bytes: u64,
        /// Bytes that are free.
        free_bytes: u64,
        /// Whether there are bytes but no inodes: the file system cannot hold one more file.
        inodes: bool,
    },
    /// Everything is here, verified, durable and under its name.
    Done,
    /// It ended without some of the files; see [`Progress::errors`].
    Failed,
    /// It was given up, or the peer stopped. What was verified is kept.
    Stopped,
}

/// Why a file could not be had.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Why {
    /// The disk, or the system.
    Disk,
    /// A file with another content has its name, and was not to be kept aside.
    Occupied,
    /// Its holders changed it, or it is not what they said.
    Changed,
}

/// How far a fetch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What was asked for.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// Files that belong to it.
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
    /// Bytes that were here before and did not cross the network.
    pub bytes_already: u64,
    /// Bytes that were copied from a file with the same content that came since the fetch began.
    pub bytes_copied: u64,
    /// Bytes that crossed the network twice.
    pub bytes_twice: u64,
    /// Bytes a second that come in now, counted as they come.
    pub rate: u64,
    /// Bytes that have still to come over the network, as far as is known: not those of files that are made from others.
    pub left_bytes: u64,
    /// Bytes a second by which the time left is reckoned, over a longer time than `rate`; `None` while it is not known.
    pub steady_rate: Option<u64>,
    /// Holders that are connected.
    pub holders: usize,
    /// How much came from each, most first.
    pub from: Vec<MemberTraffic>,
    /// How long it has taken so far.
    pub took: Duration,
    /// Files that could not be had, and why; the first hundred.
    pub errors: Vec<(FileName, String)>,
    /// How many files could not be had.
    pub failed: u64,
    /// How many of them because a file with another content has their name, and was not to be kept aside.
    pub occupied: u64,
    /// How many of them because their holders changed them.
    pub changed: u64,
    /// Files that were kept aside to make room for others of their name, and where to; the first hundred.
    pub aside: Vec<(FileName, String)>,
    /// Holders that are known of what is waited for, none of which can be reached.
    pub out_of_reach: usize,
    /// Why not, as far as it is known; the first few of them.
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

    /// How long it takes until the end; `None` while that cannot be told: in the first seconds, and while nothing comes.
    pub fn time_left(&self) -> Option<Duration> {
        let rate = self.steady_rate.filter(|rate| *rate > 0)?;
        Some(Duration::from_secs(self.left_bytes.div_ceil(rate)))
    }

    /// A file has its name that another one had.
    pub(crate) fn kept_aside(&mut self, name: FileName, aside: String) {
        if self.aside.len() < KEPT_ERRORS {
            self.aside.push((name, aside));
        }
    }

    pub(crate) fn error(&mut self, name: FileName, why: Why, error: String) {
        self.failed += 1;
        match why {
            Why::Disk => {}
            Why::Occupied => self.occupied += 1,
            Why::Changed => self.changed += 1,
        }
        if self.errors.len() < KEPT_ERRORS {
            self.errors.push((name, error));
        }
    }
}

/// The accounts from which a [`Progress`] is made now and then.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) progress: Progress,
    /// Counted by the links.
    pub(crate) intake: Arc<Intake>,
    /// Bytes that are still to come, but for those of them that are here and not stored.
    pub(crate) left_bytes: u64,
    started: Timestamp,
    from: BTreeMap<HolderId, (u64, u64)>,
}

impl Accounts {
    pub(crate) fn new(name: String, now: Timestamp) -> Self {
        Self {
            progress: Progress::new(name),
            intake: Arc::default(),
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

    /// Pieces that are here without having been fetched.
    pub(crate) fn already(&mut self, bytes: u64, pieces: u64) {
        self.progress.bytes_done += bytes;
        self.progress.bytes_already += bytes;
        self.progress.pieces_done += pieces;
    }

    /// Pieces of a file that was copied from one that came meanwhile.
    pub(crate) fn copied(&mut self, bytes: u64, pieces: u64) {
        self.progress.bytes_done += bytes;
        self.progress.bytes_copied += bytes;
        self.progress.pieces_done += pieces;
    }

    /// Bytes and pieces that were taken for stored and are not.
    pub(crate) fn lost(&mut self, bytes: u64, pieces: u64) {
        self.progress.bytes_done = self.progress.bytes_done.saturating_sub(bytes);
        self.progress.pieces_done = self.progress.pieces_done.saturating_sub(pieces);
    }

    /// Pieces that were stored while nobody counted.
    pub(crate) fn found(&mut self, bytes: u64, pieces: u64) {
        self.progress.bytes_done += bytes;
        self.progress.pieces_done += pieces;
    }

    /// What is to be shown at `now`.
    pub(crate) fn shown(
        &mut self,
        now: Timestamp,
        name_of: impl Fn(HolderId) -> Option<Username>,
    ) -> Progress {
        self.progress.rate = self.intake.came.rate();
        self.progress.steady_rate = self.intake.came.steady_rate();
        self.progress.left_bytes = self.left_bytes.saturating_sub(self.intake.unstored_bytes());
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
    use crate::peer::swarm::intake::Received;

    #[test]
    fn what_is_here_and_not_stored_is_not_waited_for() {
        let mut accounts = Accounts::new("film.bin".to_owned(), Timestamp::default());
        accounts.left_bytes = 1000;
        let mut received = Received::new(accounts.intake.clone());
        received.came(400);
        received.came(100);
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
