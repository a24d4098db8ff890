//! One fetch that a person asked for: its files, its numbers, and its state.
//!
//! It decides nothing about its files: [`super::fetch_coordination`] does. The accounts become the [`Progress`] that a
//! person sees.

mod accounts;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use brigade_core::{download::HolderId, geometry::Geometry, id::Content, name::FileName, time::Timestamp};
use tokio::sync::watch;

use self::accounts::Accounts;
use super::space_needs::{FullDisk, SpaceNeeds};
use crate::{
    clock,
    fetch_error::FileErrorKind,
    fetch_request::{
        FetchOptions,
        new_fetch::NewFetch,
        running_fetch::Fetch,
        wanted_files::{Resolved, WantedFile},
    },
    peer::swarm::ReceiveCounter,
    progress::{FetchState, HolderTraffic, Progress, UnusableHolders},
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
    handle: Fetch,
    /// The options that are in effect.
    options: FetchOptions,
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
    /// The holders that sent something, with their names and addresses.
    pub(crate) senders: BTreeMap<HolderId, HolderTraffic>,
}

impl FetchJob {
    /// A fetch that begins now, when all fetches have received so many bytes twice.
    pub(crate) fn new(ordered: NewFetch, needs: SpaceNeeds, now: Timestamp, bytes_twice: u64) -> Self {
        let NewFetch { handle, files: Resolved { name, files, left_out, .. }, progress } = ordered;
        let options = handle.wishes().options;
        let mut accounts = Accounts::new(name, now);
        accounts.progress.priority = options.priority;
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
            handle,
            options,
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
        self.handle.wishes().given_up
    }

    /// The options that are in effect.
    pub(crate) const fn options(&self) -> FetchOptions {
        self.options
    }

    /// Puts the options that the person wishes into effect. Returns those before, if they differ.
    pub(crate) fn change_options(&mut self) -> Option<FetchOptions> {
        let wished = self.handle.wishes().options;
        let before = std::mem::replace(&mut self.options, wished);
        self.accounts.progress.priority = wished.priority;
        (before != wished).then_some(before)
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
        self.accounts.stored(holder, bytes, clock::now());
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

    /// Notes the files of which no connected holder can send the missing pieces.
    pub(crate) fn set_without_holder<'a>(&mut self, files: impl Iterator<Item = &'a FileName>) {
        self.accounts.progress.set_without_holder(files);
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
        let state = if self.options.paused { FetchState::Paused } else { full.unwrap_or(state) };
        self.send(state, now, swarm);
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
        let shown = self.accounts.shown(now, &swarm.senders);
        self.progress.send_replace(shown);
    }
}

/// How many pieces a content has.
fn pieces(content: Content) -> u64 {
    Geometry::new(content.size).map_or(0, |geometry| u64::from(geometry.count()))
}

#[cfg(test)]
mod tests;
