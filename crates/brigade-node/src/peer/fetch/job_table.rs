//! The table of fetches, and the files whose contents are being fetched for them.
//!
//! It counts the progress of each file, and knows which files are to be prepared next. It uses no disk and no network:
//! [`super::fetch_coordination`] acts on its results.

mod options_and_list;
mod space;

use std::collections::BTreeMap;

use brigade_core::{download::HolderId, id::Content, name::FileName, time::Timestamp};

use super::{
    disk_space::DiskSpace,
    job::{FetchJob, SwarmNumbers},
    name_and_content_claims::{FileClaims, NextFiles, is_large},
    space_needs::{OPEN_PARTS, SpaceNeeds},
};
use crate::{
    clock,
    fetch_error::FileErrorKind,
    fetch_request::{FetchId, fetch_list::FetchList, new_fetch::NewFetch, wanted_files::WantedFile},
    progress::{HolderTraffic, UnusableHolders},
    store::folder::{FileSystemId, FreeSpace},
};

/// Files that are prepared together before they are fetched.
const PREPARED_TOGETHER: usize = 512;

/// All fetches.
#[derive(Default)]
pub(crate) struct Jobs {
    jobs: BTreeMap<FetchId, FetchJob>,
    list: FetchList,
    /// The files whose contents are fetched now.
    active: BTreeMap<Content, ActiveFile>,
    claims: FileClaims,
    /// The fetches that wait for space on a full disk.
    disk_space: DiskSpace,
    /// The numbers of the swarm at the last look.
    swarm: SwarmNumbers,
}

/// A file whose content is fetched now.
pub(crate) struct ActiveFile {
    pub(crate) job: FetchId,
    pub(crate) file: WantedFile,
    /// Bytes that are not stored.
    missing_bytes: u64,
    /// Whether no holder can send the missing pieces.
    is_starved: bool,
}

impl Jobs {
    /// A fetch begins, when all fetches have received so many bytes twice.
    pub(crate) fn begin(&mut self, ordered: NewFetch, needs: SpaceNeeds, bytes_twice: u64) {
        self.list.begun(ordered.handle.clone());
        let id = ordered.handle.id();
        self.jobs.insert(id, FetchJob::new(ordered, needs, clock::now(), bytes_twice));
    }

    /// Notes the numbers of the swarm that are shown next: by the `only` fetch, or by all of them.
    pub(crate) fn note_numbers(
        &mut self,
        only: Option<FetchId>,
        bytes_twice: u64,
        sender: impl Fn(HolderId) -> Option<HolderTraffic>,
    ) {
        let shown = only.map_or_else(|| self.jobs.range(..), |id| self.jobs.range(id..=id));
        let holders = shown.flat_map(|(_, job)| job.holders());
        let senders = holders.filter_map(|holder| Some((holder, sender(holder)?))).collect();
        self.swarm = SwarmNumbers { bytes_twice, senders };
    }

    pub(crate) fn get(&self, id: FetchId) -> Option<&FetchJob> {
        self.jobs.get(&id)
    }

    /// The fetches that were given up.
    pub(crate) fn given_up(&self) -> Vec<FetchId> {
        self.jobs.iter().filter(|(_, job)| job.is_given_up()).map(|(id, _)| *id).collect()
    }

    /// Ends a fetch that has nothing left to do.
    pub(crate) fn end(&mut self, id: FetchId) {
        if let Some(mut job) = self.remove(id) {
            job.end(clock::now(), &self.swarm);
            self.list.ended();
        }
    }

    /// Ends a fetch that was given up.
    pub(crate) fn stop(&mut self, id: FetchId) {
        if let Some(mut job) = self.remove(id) {
            job.stop(clock::now(), &self.swarm);
            self.list.ended();
        }
    }

    fn remove(&mut self, id: FetchId) -> Option<FetchJob> {
        self.disk_space.forget(id);
        self.claims.fetch_ended(id);
        let job = self.jobs.remove(&id)?;
        // Some were deferred before, and have their names.
        job.waiting().for_each(|file| self.claims.give_back_name(id, &file.name));
        Some(job)
    }

    /// The contents that are fetched for a fetch.
    pub(crate) fn contents_of(&self, id: FetchId) -> Vec<Content> {
        let of_it = self.active.iter().filter(|(_, active)| active.job == id);
        of_it.map(|(content, _)| *content).collect()
    }

    /// All contents that are fetched.
    pub(crate) fn contents(&self) -> Vec<Content> {
        self.active.keys().copied().collect()
    }

    /// The contents that no holder can send.
    pub(crate) fn starved(&self) -> impl Iterator<Item = &Content> {
        self.active.iter().filter(|(_, active)| active.is_starved).map(|(content, _)| content)
    }

    pub(crate) fn file_of(&self, content: &Content) -> Option<(FetchId, &WantedFile)> {
        self.active.get(content).map(|active| (active.job, &active.file))
    }

    /// The fetch that has its turn in being prepared, is not paused and does not wait for space. Fetches of one priority
    /// take turns, so that a large one does not keep a small one waiting.
    pub(crate) fn next(&mut self) -> Option<FetchId> {
        let disk_space = &self.disk_space;
        let may_go_on = |id: &FetchId, job: &FetchJob| {
            job.next_file().is_some() && !job.options().paused && !disk_space.is_waiting(*id)
        };
        let next = self.jobs.iter_mut().filter(|(id, job)| may_go_on(id, job));
        let (id, job) = next.min_by_key(|(_, job)| (job.options().priority, job.turns()))?;
        job.take_turn();
        Some(*id)
    }

    /// The next files of a fetch that may be prepared, while so many contents of several pieces are fetched. A file
    /// whose content is dealt with under another name is deferred.
    pub(crate) fn next_files(
        &mut self,
        id: FetchId,
        large_active: usize,
        is_active: impl Fn(&Content) -> bool,
    ) -> NextFiles {
        let mut large = self.claims.open_parts() + large_active;
        let mut next = NextFiles::default();
        while next.files.len() < PREPARED_TOGETHER {
            let Some(job) = self.jobs.get_mut(&id) else { break };
            let Some(content) = job.next_file().map(|file| file.content) else { break };
            let is_taken = self.claims.is_prepared(&content) || is_active(&content);
            if !is_taken && is_large(&content) && large >= OPEN_PARTS {
                break;
            }
            let Some(file) = job.take_next_file() else { break };
            if self.claims.take_up(id, file, is_taken, &mut next) {
                large += usize::from(is_large(&content));
            } else {
                job.prepared(content);
            }
        }
        next
    }

    /// A file is prepared.
    pub(crate) fn prepared(&mut self, id: FetchId, content: &Content) {
        self.claims.prepared(content);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.prepared(*content);
        }
    }

    /// The fetch for which the content of a file starts; `None` if the fetch was given up meanwhile.
    pub(crate) fn fetch_of(&mut self, id: FetchId, file: &WantedFile) -> Option<&FetchJob> {
        let job = self.jobs.get(&id);
        if job.is_none() {
            self.claims.give_back_name(id, &file.name);
        }
        job
    }

    /// The content of a file is fetched from now on; so many bytes and pieces of it are present.
    pub(crate) fn started(&mut self, id: FetchId, file: WantedFile, present: (u64, u64)) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.started(&file, present);
            let missing_bytes = file.content.size.saturating_sub(present.0);
            self.active.insert(file.content, ActiveFile { job: id, file, missing_bytes, is_starved: false });
        }
    }

    /// A file is under its name already.
    pub(crate) fn already_here(&mut self, id: FetchId, file: &WantedFile) {
        self.claims.give_back_name(id, &file.name);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.already_here(file, self.claims.named_at(&file.name));
        }
    }

    /// A file was copied from another one with the same content; the file that had its name is kept `aside`.
    pub(crate) fn copied(&mut self, id: FetchId, file: &WantedFile, aside: Option<String>) {
        self.claims.give_back_name(id, &file.name);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.copied(file, self.claims.landed_at(&file.content), aside);
        self.claims.named(&file.name, clock::now());
    }

    /// A file cannot be fetched.
    pub(crate) fn failed(&mut self, id: FetchId, file: WantedFile, kind: FileErrorKind, error: String) {
        self.claims.give_back_name(id, &file.name);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.failed(file.content, file.name, kind, error);
        }
    }

    /// A file is prepared again; one that did not fit waits until there is space. So many of its bytes and pieces had
    /// been counted as present.
    pub(crate) fn try_again(&mut self, id: FetchId, file: WantedFile, present: (u64, u64)) {
        self.claims.give_back_name(id, &file.name);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.lost(&file, present);
        job.wait(file, true);
    }

    /// A file whose part was removed is fetched from the beginning. So many of its bytes and pieces had been present.
    pub(crate) fn begin_again(&mut self, id: FetchId, file: WantedFile, present: (u64, u64)) {
        self.claims.give_back_name(id, &file.name);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.removed(&file, present);
        job.wait(file, true);
    }

    /// Files that were deferred for a content wait to be prepared again.
    pub(crate) fn release(&mut self, content: &Content) {
        for (id, file) in self.claims.take_deferred(content) {
            match self.jobs.get_mut(&id) {
                Some(job) => job.wait(file, false),
                None => self.claims.give_back_name(id, &file.name),
            }
        }
    }

    /// Files that were deferred for a content fail with it; their fetches.
    pub(crate) fn fail_deferred(
        &mut self,
        content: &Content,
        kind: FileErrorKind,
        error: &str,
    ) -> Vec<FetchId> {
        let deferred = self.claims.take_deferred(content);
        let ids = deferred.iter().map(|(id, _)| *id).collect();
        for (id, file) in deferred {
            self.failed(id, file, kind, error.to_owned());
        }
        ids
    }

    /// A piece is stored.
    pub(crate) fn stored(&mut self, content: &Content, holder: HolderId, bytes: u64) {
        let Some(active) = self.active.get_mut(content) else { return };
        active.missing_bytes = active.missing_bytes.saturating_sub(bytes);
        if let Some(job) = self.jobs.get_mut(&active.job) {
            job.stored(holder, &active.file.name, bytes);
        }
    }

    /// Bytes and pieces were stored after a pause, and not counted.
    pub(crate) fn stored_uncounted(&mut self, content: &Content, uncounted: (u64, u64)) {
        let Some(active) = self.active.get_mut(content) else { return };
        active.missing_bytes = active.missing_bytes.saturating_sub(uncounted.0);
        if let Some(job) = self.jobs.get_mut(&active.job) {
            job.stored_uncounted(&active.file.name, uncounted);
        }
    }

    /// No holder can send the missing pieces, or one can again.
    pub(crate) fn set_starved(&mut self, content: &Content, starved: bool) {
        let Some(active) = self.active.get_mut(content).filter(|active| active.is_starved != starved) else {
            return;
        };
        active.is_starved = starved;
        if let Some(job) = self.jobs.get_mut(&active.job) {
            job.set_starved(starved);
        }
    }

    /// A content is not active any more. While it `is_landing`, nothing else touches it.
    pub(crate) fn ended(&mut self, content: &Content, is_landing: bool) -> Option<ActiveFile> {
        let active = self.active.remove(content);
        if is_landing {
            self.claims.prepare(*content, active.as_ref().map(|active| active.job));
        }
        let active = active?;
        self.claims.give_back_name(active.job, &active.file.name);
        self.jobs.get_mut(&active.job)?.ended(active.is_starved);
        Some(active)
    }

    /// A file has landed. `aside` is the new name of the file that had its name.
    pub(crate) fn landed(&mut self, active: ActiveFile, aside: Option<String>) {
        self.claims.landed(&active.file, clock::now());
        if let Some(job) = self.jobs.get_mut(&active.job) {
            job.landed(active.file.name, aside);
        }
    }

    /// The bytes that the fetches have still to write, by file system.
    pub(crate) fn promised(&self) -> BTreeMap<FileSystemId, u64> {
        SpaceNeeds::promised(self.jobs.values().map(FetchJob::needs))
    }

    /// The holders that sent something.
    pub(crate) fn holders(&self) -> impl Iterator<Item = HolderId> {
        self.jobs.values().flat_map(FetchJob::holders)
    }

    /// Whether a file is prepared or deferred for a content.
    pub(crate) fn is_claimed(&self, content: &Content) -> bool {
        self.claims.is_in_use(content)
    }

    /// Those of `contents` that are not fetched and that no file of a fetch waits for. Nothing else touches them until
    /// they are [`unlocked`](Self::unlock).
    pub(crate) fn lock_unused(
        &mut self,
        contents: Vec<Content>,
        is_active: impl Fn(&Content) -> bool,
    ) -> Vec<Content> {
        let waiting = self.jobs.values().flat_map(FetchJob::waiting);
        self.claims.lock_unused(contents, is_active, waiting)
    }

    /// Nothing else touches the content of a waiting file until it is [`unlocked`](Self::unlock).
    pub(crate) fn lock(&mut self, id: FetchId, content: Content) {
        self.claims.lock(content, Some(id).filter(|id| self.jobs.contains_key(id)));
    }

    /// The files that were deferred for a content go on.
    pub(crate) fn unlock(&mut self, content: &Content) {
        self.claims.prepared(content);
        self.release(content);
    }

    /// Shows the state of every fetch at `now`, with its `connected` holders and those that are `unusable`.
    pub(crate) fn show(
        &mut self,
        now: Timestamp,
        connected: impl Fn(&[Content]) -> usize,
        unusable: impl Fn(&[Content], &[Content]) -> UnusableHolders,
    ) {
        for (id, job) in &mut self.jobs {
            let (mut contents, mut starved, mut missing_bytes) = (vec![], vec![], 0_u64);
            for (content, active) in self.active.iter().filter(|(_, active)| active.job == *id) {
                contents.push(*content);
                starved.extend(active.is_starved.then_some(*content));
                missing_bytes = missing_bytes.saturating_add(active.missing_bytes);
            }
            let files = starved.iter().filter_map(|content| self.active.get(content));
            job.set_without_holder(files.map(|active| &active.file.name));
            job.set_connected(connected(&contents));
            job.set_missing(missing_bytes, unusable(&contents, &starved));
            let owner = |content: &Content| self.active.get(content).map(|active| active.job);
            let deferred = if job.is_inactive() { self.claims.deferred_for_others(*id, owner) } else { 0 };
            job.show(now, self.disk_space.full(*id), deferred, &self.swarm);
        }
        self.claims.forget_unneeded_times(self.jobs.values().flat_map(FetchJob::waiting));
    }

    /// Shows that every fetch was stopped.
    pub(crate) fn stop_all(&mut self) {
        self.jobs.values_mut().for_each(|job| job.stop(clock::now(), &self.swarm));
    }
}
