//! One fetch that a person asked for: its files, its numbers, and its state.
//!
//! It decides nothing about its files: [`super::fetch_coordination`] does. The accounts become the [`Progress`] that a
//! person sees.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use brigade_core::{
    download::HolderId,
    geometry::Geometry,
    id::Content,
    limits,
    name::{FileName, Username},
    time::Timestamp,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::space_needs::{FullDisk, SpaceNeeds};
use crate::{
    fetch_error::FileErrorKind,
    fetch_request::new_fetch::NewFetch,
    fetch_request::wanted_files::{Resolved, WantedFile},
    peer::swarm::ReceiveCounter,
    progress::{FetchState, MemberTraffic, Progress, UnusableHolders},
};

/// One fetch.
pub(crate) struct FetchJob {
    /// Files that are not prepared yet.
    waiting: VecDeque<WantedFile>,
    /// Bytes of these, and of those that are being prepared.
    unprepared_bytes: u64,
    /// How often its files had their turn in being prepared.
    turns: u64,
    accounts: Accounts,
    progress: watch::Sender<Progress>,
    given_up: CancellationToken,
    /// Files that are neither done nor failed.
    open: u64,
    /// Its active contents, and how many of them no holder can send.
    active: u64,
    starved: u64,
    /// Bytes and pieces that counted as present of contents that did not fit, and are prepared again.
    counted: BTreeMap<Content, (u64, u64)>,
    /// Bytes of contents that were present when they were started, and counted as such.
    already: BTreeMap<Content, u64>,
    /// The space that it still needs.
    needs: SpaceNeeds,
    /// Bytes that all fetches had received twice when this one began.
    twice_before: u64,
}

/// The numbers of the swarm that the progress of a fetch shows.
#[derive(Debug, Default)]
pub(crate) struct SwarmNumbers {
    /// Bytes that were received twice, over all fetches.
    pub(crate) bytes_twice: u64,
    /// The names of the holders that sent something.
    pub(crate) names: BTreeMap<HolderId, Username>,
}

/// The accounts from which a [`Progress`] is made.
#[derive(Debug)]
struct Accounts {
    progress: Progress,
    /// Counted by the connections.
    counter: Arc<ReceiveCounter>,
    /// Bytes that are not stored yet.
    left_bytes: u64,
    started: Timestamp,
    from: BTreeMap<HolderId, (u64, u64)>,
}

impl FetchJob {
    /// A fetch that begins now, when all fetches have received so many bytes twice.
    pub(crate) fn new(ordered: NewFetch, needs: SpaceNeeds, now: Timestamp, bytes_twice: u64) -> Self {
        let NewFetch { files: Resolved { name, files, left_out }, progress, given_up } = ordered;
        let mut accounts = Accounts::new(name, now);
        accounts.progress.files = files.len() as u64;
        accounts.progress.left_out = left_out;
        for file in &files {
            accounts.progress.bytes += file.content.size;
            accounts.progress.pieces += pieces(file.content);
        }
        Self {
            open: files.len() as u64,
            unprepared_bytes: accounts.progress.bytes,
            waiting: files.into(),
            turns: 0,
            accounts,
            progress,
            given_up,
            active: 0,
            starved: 0,
            counted: BTreeMap::new(),
            already: BTreeMap::new(),
            needs,
            twice_before: bytes_twice,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.accounts.progress.name
    }

    /// Whether the person gave it up.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled()
    }

    /// Counts the bytes that arrive for it.
    pub(crate) fn counter(&self) -> Arc<ReceiveCounter> {
        self.accounts.counter.clone()
    }

    /// The holders that sent something of it.
    pub(crate) fn holders(&self) -> impl Iterator<Item = HolderId> {
        self.accounts.from.keys().copied()
    }

    /// The files that are not prepared yet.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &WantedFile> {
        self.waiting.iter()
    }

    /// How often its files had their turn in being prepared.
    pub(crate) fn turns(&self) -> u64 {
        self.turns
    }

    pub(crate) fn take_turn(&mut self) {
        self.turns += 1;
    }

    /// The file that is to be prepared next.
    pub(crate) fn next_file(&self) -> Option<&WantedFile> {
        self.waiting.front()
    }

    /// Takes out the file that is to be prepared next; [`Self::prepared`] follows.
    pub(crate) fn take_next_file(&mut self) -> Option<WantedFile> {
        self.waiting.pop_front()
    }

    /// A file waits to be prepared: as the next one, or the last.
    pub(crate) fn wait(&mut self, file: WantedFile, first: bool) {
        self.unprepared_bytes = self.unprepared_bytes.saturating_add(file.content.size);
        if first { self.waiting.push_front(file) } else { self.waiting.push_back(file) }
    }

    /// A file is prepared, or deferred, or failed.
    pub(crate) fn prepared(&mut self, content: Content) {
        self.unprepared_bytes = self.unprepared_bytes.saturating_sub(content.size);
    }

    /// The content of a file is active from now on, and so many bytes and pieces of it are present. Those that were
    /// counted before are counted again in the same way.
    pub(crate) fn started(&mut self, file: &WantedFile, (bytes, pieces): (u64, u64)) {
        self.active += 1;
        let before = self.counted.remove(&file.content).unwrap_or_default();
        let again = (bytes.min(before.0), pieces.min(before.1));
        self.accounts.progress.found(again.0, again.1);
        self.needs.less(&file.name, again.0);
        let already = bytes - again.0;
        if already > 0 {
            *self.already.entry(file.content).or_default() += already;
        }
        self.accounts.progress.already(already, pieces - again.1);
    }

    /// No holder can send the missing pieces of one more content, or of one less.
    pub(crate) fn set_starved(&mut self, starved: bool) {
        self.starved = if starved { self.starved + 1 } else { self.starved - 1 };
    }

    /// A content of it is not active any more.
    pub(crate) fn ended(&mut self, was_starved: bool) {
        self.active -= 1;
        self.starved -= u64::from(was_starved);
    }

    /// A piece of a file that `holder` sent is stored.
    pub(crate) fn stored(&mut self, holder: HolderId, name: &FileName, bytes: u64) {
        self.accounts.stored(holder, bytes);
        self.needs.less(name, bytes);
    }

    /// Bytes and pieces of a file were stored after a pause, and not counted.
    pub(crate) fn stored_uncounted(&mut self, name: &FileName, (bytes, pieces): (u64, u64)) {
        self.accounts.progress.found(bytes, pieces);
        self.needs.less(name, bytes);
    }

    /// Bytes and pieces of a file that were counted as present are not there.
    pub(crate) fn lost(&mut self, file: &WantedFile, (bytes, pieces): (u64, u64)) {
        if bytes > 0 {
            self.counted.insert(file.content, (bytes, pieces));
        }
        self.accounts.progress.lost(bytes, pieces);
        self.needs.more(&file.name, bytes);
    }

    /// The part of a file was removed: bytes and pieces that were counted as present are not there any more.
    pub(crate) fn removed(&mut self, file: &WantedFile, (bytes, pieces): (u64, u64)) {
        self.counted.remove(&file.content);
        let already = self.already.remove(&file.content).unwrap_or(0);
        self.accounts.progress.removed(bytes, pieces, already);
        self.needs.more(&file.name, bytes);
    }

    /// A file is under its name already. `made` is the time when a fetch gave it the name, if one did.
    pub(crate) fn already_here(&mut self, file: &WantedFile, made: Option<Timestamp>) {
        let (bytes, pieces) = (file.content.size, pieces(file.content));
        if self.was_running_at(made) {
            self.accounts.progress.of_other_fetch(bytes, pieces);
        } else {
            self.accounts.progress.already(bytes, pieces);
            self.accounts.progress.files_already += 1;
        }
        self.done();
    }

    /// A file was copied from another one with the same content, which was there before or `landed`, mostly for the
    /// same fetch.
    pub(crate) fn copied(&mut self, file: &WantedFile, landed: Option<Timestamp>, aside: Option<String>) {
        let (bytes, pieces) = (file.content.size, pieces(file.content));
        if self.was_running_at(landed) {
            self.accounts.progress.copied(bytes, pieces);
        } else {
            self.accounts.progress.already(bytes, pieces);
        }
        self.needs.less(&file.name, bytes);
        self.landed(file.name.clone(), aside);
    }

    /// Whether it ran already at this time.
    fn was_running_at(&self, time: Option<Timestamp>) -> bool {
        time.is_some_and(|time| time >= self.accounts.started)
    }

    /// One more file of it is under its name. `aside` is the new name of the file that had the name before.
    pub(crate) fn landed(&mut self, name: FileName, aside: Option<String>) {
        self.done();
        if let Some(aside) = aside {
            self.accounts.progress.kept_aside(name, aside);
        }
    }

    fn done(&mut self) {
        self.open -= 1;
        self.accounts.progress.files_done += 1;
    }

    /// One file of it failed.
    pub(crate) fn failed(&mut self, content: Content, name: FileName, kind: FileErrorKind, error: String) {
        self.needs.less(&name, content.size);
        self.open -= 1;
        let progress = &mut self.accounts.progress;
        progress.error(name, error);
        match kind {
            FileErrorKind::Disk => {}
            FileErrorKind::Occupied => progress.occupied += 1,
            FileErrorKind::Changed => progress.changed += 1,
        }
    }

    /// Whether nothing of it is left to do.
    pub(crate) fn is_over(&self) -> bool {
        self.open == 0
    }

    /// The space that it still needs.
    pub(crate) fn needs(&self) -> &SpaceNeeds {
        &self.needs
    }

    /// Notes the number of connected holders of its active contents.
    pub(crate) fn set_connected(&mut self, connected: usize) {
        self.accounts.progress.holders = connected;
    }

    /// Notes the missing bytes of its active contents, and the holders that cannot be used.
    pub(crate) fn set_missing(&mut self, bytes: u64, unusable: UnusableHolders) {
        self.accounts.left_bytes = self.unprepared_bytes.saturating_add(bytes);
        self.accounts.progress.out_of_reach = unusable.out_of_reach;
        self.accounts.progress.wrong_data = unusable.wrong_data;
        self.accounts.progress.unreached = unusable.shown;
    }

    /// Whether none of its contents is active.
    pub(crate) fn is_inactive(&self) -> bool {
        self.active == 0
    }

    /// Shows its state at `now`, and that it waits for a `full` disk if it does. So many of its files are
    /// `deferred`, because another fetch deals with their contents.
    pub(crate) fn show(
        &mut self,
        now: Timestamp,
        full: Option<FullDisk>,
        deferred: u64,
        swarm: &SwarmNumbers,
    ) {
        let full = full.map(|FullDisk { on, free_bytes, inodes }| FetchState::Full {
            missing_bytes: self.needs.bytes_on(on),
            free_bytes,
            inodes,
        });
        let state = match (self.active, self.starved) {
            (0, _) if deferred > 0 && deferred == self.open => FetchState::WaitingForFetch,
            (0, _) => FetchState::Checking,
            (active, starved) if starved >= active => FetchState::Waiting,
            _ => FetchState::Fetching,
        };
        self.send(full.unwrap_or(state), now, swarm);
    }

    /// Shows the end of a fetch that has nothing left to do.
    pub(crate) fn end(&mut self, now: Timestamp, swarm: &SwarmNumbers) {
        let state = if self.accounts.progress.failed == 0 { FetchState::Done } else { FetchState::Failed };
        self.send(state, now, swarm);
    }

    /// Shows that it was stopped.
    pub(crate) fn stop(&mut self, now: Timestamp, swarm: &SwarmNumbers) {
        self.send(FetchState::Stopped, now, swarm);
    }

    fn send(&mut self, state: FetchState, now: Timestamp, swarm: &SwarmNumbers) {
        self.accounts.progress.state = state;
        self.accounts.progress.bytes_twice = swarm.bytes_twice.saturating_sub(self.twice_before);
        let shown = self.accounts.shown(now, &swarm.names);
        self.progress.send_replace(shown);
    }
}

impl Accounts {
    fn new(name: String, now: Timestamp) -> Self {
        Self {
            progress: Progress::new(name),
            counter: Arc::default(),
            left_bytes: 0,
            started: now,
            from: BTreeMap::new(),
        }
    }

    /// A piece that `holder` sent is stored.
    fn stored(&mut self, holder: HolderId, bytes: u64) {
        if self.from.len() < limits::COUNTED_MEMBERS || self.from.contains_key(&holder) {
            let from = self.from.entry(holder).or_default();
            from.0 += bytes;
            from.1 += 1;
        }
        self.progress.bytes_done += bytes;
        self.progress.pieces_done += 1;
    }

    /// The progress at `now`.
    fn shown(&mut self, now: Timestamp, names: &BTreeMap<HolderId, Username>) -> Progress {
        self.progress.rate = self.counter.rate();
        self.progress.steady_rate = self.counter.steady_rate();
        let waits = matches!(
            self.progress.state,
            FetchState::Waiting | FetchState::WaitingForFetch | FetchState::Full { .. }
        );
        if waits {
            // Nothing is received; the meters would show the bytes of the last seconds.
            (self.progress.rate, self.progress.steady_rate) = (0, None);
        }
        self.progress.left_bytes = self.left_bytes.saturating_sub(self.counter.unstored_bytes());
        self.progress.took = now.since(self.started);
        let given = |(holder, (bytes, pieces)): (&HolderId, &(u64, u64))| {
            Some(MemberTraffic { username: names.get(holder)?.clone(), bytes: *bytes, pieces: *pieces })
        };
        let mut from: Vec<MemberTraffic> = self.from.iter().filter_map(given).collect();
        from.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.username.cmp(&b.username)));
        self.progress.from = from;
        self.progress.clone()
    }
}

/// How many pieces a content has.
fn pieces(content: Content) -> u64 {
    Geometry::new(content.size).map_or(0, |geometry| u64::from(geometry.count()))
}

#[cfg(test)]
mod tests {
    use super::{
        Accounts, BTreeMap, CancellationToken, Content, FetchJob, NewFetch, Progress, Resolved, SpaceNeeds,
        Timestamp, WantedFile, pieces, watch,
    };
    use crate::peer::swarm::partial_contents::ReceivedBytes;

    /// A fetch of one file.
    fn job() -> (FetchJob, WantedFile) {
        let content = Content { id: brigade_core::id::ContentId([1; 32]), size: 600_000 };
        let file = WantedFile::new("film".parse().unwrap(), content);
        let (progress, given_up) = (watch::channel(Progress::new(String::new())).0, CancellationToken::new());
        let files = Resolved { name: "film".to_owned(), files: vec![file.clone()], left_out: 0 };
        let ordered = NewFetch { files, progress, given_up };
        (FetchJob::new(ordered, SpaceNeeds::default(), Timestamp::default(), 0), file)
    }

    #[test]
    fn pieces_of_a_removed_part_do_not_count_as_present() {
        let (mut job, file) = job();
        let (all, found) = ((file.content.size, pieces(file.content)), (400_000, 2));
        let shown = |job: &FetchJob| {
            let progress = &job.accounts.progress;
            (progress.bytes_done, progress.bytes_already, progress.pieces_done)
        };
        job.started(&file, found);
        job.stored_uncounted(&file.name, (100_000, 1));
        assert_eq!(shown(&job), (500_000, 400_000, 3));
        job.removed(&file, (500_000, 3));
        assert_eq!(shown(&job), (0, 0, 0));
        job.started(&file, found);
        job.lost(&file, found); // the disk was full, and then the part was removed
        job.removed(&file, (0, 0));
        job.started(&file, (0, 0));
        job.stored_uncounted(&file.name, all);
        assert_eq!(shown(&job), (all.0, 0, all.1));
    }

    #[test]
    fn pieces_that_did_not_fit_are_counted_as_before_when_they_are_found_again() {
        let (mut job, file) = job();
        let content = file.content;
        job.started(&file, (0, 0));
        let all = (content.size, pieces(content));
        job.stored_uncounted(&file.name, all); // all of it was received
        job.lost(&file, all);
        assert_eq!(job.accounts.progress.bytes_done, 0);
        job.started(&file, all);
        let shown = &job.accounts.progress;
        assert_eq!((shown.bytes_done, shown.bytes_already), (content.size, 0));
        assert_eq!(shown.pieces_done, pieces(content));
    }

    #[test]
    fn received_bytes_are_not_counted_as_left() {
        let mut accounts = Accounts::new("film.bin".to_owned(), Timestamp::default());
        accounts.left_bytes = 1000;
        let mut received = ReceivedBytes::new(accounts.counter.clone());
        received.add(400);
        received.add(100);
        let shown = accounts.shown(Timestamp::default(), &BTreeMap::new());
        assert_eq!((shown.left_bytes, shown.time_left()), (500, None), "too early to tell");
        assert!(shown.rate > 0);
        // A dropped piece has to be received again.
        drop(received);
        let mut shown = accounts.shown(Timestamp::default(), &BTreeMap::new());
        assert_eq!(shown.left_bytes, 1000);
        shown.steady_rate = Some(300);
        assert_eq!(shown.time_left().map(|left| left.as_secs()), Some(4));
    }
}
