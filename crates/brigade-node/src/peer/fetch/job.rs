//! One fetch that a person asked for: its files, its numbers, and how it stands.
//!
//! What is done about its files is in [`super::jobs`]; what waits for room on the disk, in [`super::disk_space`].

use std::collections::{BTreeMap, VecDeque};

use brigade_core::{
    bitfield::Bitfield,
    download::HolderId,
    geometry::Geometry,
    id::Content,
    name::{FileName, Username},
    time::Timestamp,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    disk_space::{Room, Shortage},
    measure::Needs,
    prepare::WantedFile,
    progress::{Accounts, Progress, State, Why},
};

/// The number of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobId(pub(crate) u32);

/// One fetch.
pub(crate) struct Job {
    /// Files that were not looked at yet.
    waiting: VecDeque<WantedFile>,
    /// Bytes of these, and of those that are being looked at.
    unseen_bytes: u64,
    /// How often it had its turn in being looked at.
    pub(crate) turns: u64,
    pub(crate) accounts: Accounts,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) given_up: CancellationToken,
    /// Files that are neither done nor failed.
    open: u64,
    /// Contents of it that are being fetched, and how many of them nobody could send.
    pub(crate) active: u64,
    pub(crate) starved: u64,
    /// Bytes and pieces that counted as being here of contents that did not fit, and are looked at again.
    counted: BTreeMap<Content, (u64, u64)>,
    /// What it has still to write.
    pub(crate) needs: Needs,
    /// Set from the first time on that the disk was full.
    pub(crate) shortage: Option<Shortage>,
    /// What had crossed the network twice, over all fetches, when this one began.
    twice_before: u64,
}

impl Job {
    pub(crate) fn new(
        name: String,
        files: Vec<WantedFile>,
        progress: watch::Sender<Progress>,
        given_up: CancellationToken,
        needs: Needs,
        (now, twice): (Timestamp, u64),
    ) -> Self {
        let mut accounts = Accounts::new(name, now);
        accounts.progress.files = files.len() as u64;
        for file in &files {
            accounts.progress.bytes += file.content.size;
            accounts.progress.pieces += pieces(file.content);
        }
        Self {
            open: files.len() as u64,
            unseen_bytes: accounts.progress.bytes,
            waiting: files.into(),
            turns: 0,
            accounts,
            progress,
            given_up,
            active: 0,
            starved: 0,
            counted: BTreeMap::new(),
            needs,
            shortage: None,
            twice_before: twice,
        }
    }

    /// The files that nobody has looked at yet.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &WantedFile> {
        self.waiting.iter()
    }

    /// The file that is to be looked at next.
    pub(crate) fn next_file(&self) -> Option<&WantedFile> {
        self.waiting.front()
    }

    /// Takes out the file that is to be looked at next; [`Self::was_seen`] follows.
    pub(crate) fn take_next_file(&mut self) -> Option<WantedFile> {
        self.waiting.pop_front()
    }

    /// A file waits to be looked at: as the next one, or the last.
    pub(crate) fn wait(&mut self, file: WantedFile, first: bool) {
        self.unseen_bytes = self.unseen_bytes.saturating_add(file.content.size);
        if first { self.waiting.push_front(file) } else { self.waiting.push_back(file) }
    }

    /// It is known of a file what becomes of it.
    pub(crate) fn was_seen(&mut self, content: Content) {
        self.unseen_bytes = self.unseen_bytes.saturating_sub(content.size);
    }

    /// Bytes of files of which it is not known what becomes of them.
    pub(crate) fn unseen_bytes(&self) -> u64 {
        self.unseen_bytes
    }

    /// A content of it is fetched from now on, of which `have` is here: so many bytes and pieces. What had counted before
    /// counts as what it was then.
    pub(crate) fn started(&mut self, file: &WantedFile, have: &Bitfield, geometry: &Geometry) -> (u64, u64) {
        self.active += 1;
        let (bytes, pieces) = amount(have, geometry);
        let before = self.counted.remove(&file.content).unwrap_or_default();
        let again = (bytes.min(before.0), pieces.min(before.1));
        self.accounts.found(again.0, again.1);
        self.needs.less(&file.name, again.0);
        self.accounts.already(bytes - again.0, pieces - again.1);
        (bytes, pieces)
    }

    /// So many bytes are written, or never will be.
    pub(crate) fn takes_no_more(&mut self, name: &FileName, bytes: u64) {
        self.needs.less(name, bytes);
    }

    /// Bytes and pieces that were taken for written are not there.
    pub(crate) fn lost(&mut self, name: &FileName, content: Content, (bytes, pieces): (u64, u64)) {
        if bytes > 0 {
            self.counted.insert(content, (bytes, pieces));
        }
        self.accounts.lost(bytes, pieces);
        self.needs.more(name, bytes);
    }

    /// Does not wait for room any more.
    pub(crate) fn wait_no_more(&mut self) {
        self.shortage = None;
    }

    /// Shows how it stands at `now`.
    pub(crate) fn show(
        &mut self,
        now: Timestamp,
        twice: u64,
        room: &Room,
        name_of: impl Fn(HolderId) -> Option<Username>,
    ) {
        self.accounts.progress.bytes_twice = twice.saturating_sub(self.twice_before);
        if !self.accounts.progress.is_over() {
            let full = self.shortage.filter(|shortage| shortage.waits);
            let shown = full.map(|shortage| room.full(&self.needs, shortage));
            let going = match (self.active, self.starved) {
                (0, _) => State::Checking,
                (active, starved) if starved >= active => State::Waiting,
                _ => State::Fetching,
            };
            self.accounts.progress.state = shown.unwrap_or(going);
        }
        let shown = self.accounts.shown(now, name_of);
        self.progress.send_replace(shown);
    }

    /// Whether files of it are to be looked through, as far as there is room for them.
    pub(crate) fn may_look(&self) -> bool {
        !self.waiting.is_empty() && !self.shortage.is_some_and(|shortage| shortage.waits)
    }

    /// One more file of it is under its name.
    pub(crate) fn done(&mut self) {
        self.open -= 1;
        self.accounts.progress.files_done += 1;
    }

    /// One file of it cannot be had.
    pub(crate) fn failed(&mut self, name: FileName, why: Why, error: String) {
        self.open -= 1;
        self.accounts.progress.error(name, why, error);
    }

    /// Whether nothing of it is left to do.
    pub(crate) fn is_over(&self) -> bool {
        self.open == 0
    }
}

/// Bytes and pieces of what is in a bitfield.
pub(crate) fn amount(have: &Bitfield, geometry: &Geometry) -> (u64, u64) {
    let bytes = have.iter().map(|piece| u64::from(geometry.length(piece))).sum();
    (bytes, u64::from(have.count()))
}

/// How many pieces a content has.
pub(crate) fn pieces(content: Content) -> u64 {
    Geometry::new(content.size).map_or(0, |geometry| u64::from(geometry.count()))
}

#[cfg(test)]
mod tests {
    use super::{
        Bitfield, CancellationToken, Content, Geometry, Job, Needs, Progress, Timestamp, WantedFile, amount,
        watch,
    };

    #[test]
    fn what_did_not_fit_counts_as_what_it_was_when_it_is_found_again() {
        let content = Content { id: brigade_core::id::ContentId([1; 32]), size: 600_000 };
        let name = "film".parse().unwrap();
        let file = WantedFile { name, content, mtime_s: 0, executable: false, replace: false };
        let geometry = Geometry::new(content.size).unwrap();
        let mut all = Bitfield::none(geometry.count());
        for piece in geometry.pieces() {
            all.set(piece);
        }
        let (progress, given_up) = (watch::channel(Progress::new(String::new())).0, CancellationToken::new());
        let begun = (Timestamp::default(), 0);
        let mut job =
            Job::new("film".into(), vec![file.clone()], progress, given_up, Needs::default(), begun);
        job.started(&file, &Bitfield::none(geometry.count()), &geometry);
        let (bytes, pieces) = amount(&all, &geometry);
        job.accounts.found(bytes, pieces); // all of it came over the network
        job.lost(&file.name, content, (bytes, pieces));
        assert_eq!(job.accounts.progress.bytes_done, 0);
        job.started(&file, &all, &geometry);
        let shown = &job.accounts.progress;
        assert_eq!((shown.bytes_done, shown.bytes_already), (content.size, 0));
        assert_eq!(shown.pieces_done, u64::from(geometry.count()));
    }
}
