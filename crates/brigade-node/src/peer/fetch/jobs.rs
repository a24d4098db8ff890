//! The table of fetches, and the files whose contents are being fetched for them.
//!
//! It counts what happens to each file, and knows which files are to be prepared next. It touches no disk and no
//! network: [`super::fetches`] does what follows from it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use brigade_core::{download::HolderId, id::Content, limits, name::FileName, time::Timestamp};

use super::{
    job::FetchJob,
    queue::{FileQueue, is_large},
    request::{FileErrorKind, FullDisk, JobId, OPEN_PARTS, OrderedFetch, SpaceNeeds, WantedFile},
};
use crate::{
    clock,
    peer::swarm::{ReceiveCounter, Swarm},
    store::folder::FileSystemId,
};

/// Files that are prepared together before they are fetched.
const PREPARED_TOGETHER: usize = 512;

/// All fetches.
#[derive(Default)]
pub(crate) struct Jobs {
    jobs: BTreeMap<JobId, FetchJob>,
    last: u32,
    /// The files whose contents are fetched now.
    active: BTreeMap<Content, ActiveFile>,
    queue: FileQueue,
    /// When each content landed that was fetched since the last moment without a fetch.
    landed: BTreeMap<Content, Timestamp>,
}

/// The next files of a fetch.
#[derive(Default)]
pub(crate) struct NextFiles {
    /// Those that are to be prepared.
    pub(crate) files: Vec<WantedFile>,
    /// Those whose name another file has, but for its case, and that name.
    pub(crate) alike: Vec<(WantedFile, FileName)>,
}

/// Where a file comes from that was not fetched.
pub(crate) enum LocalOrigin {
    /// It is under its name already.
    AlreadyPresent,
    /// It was copied from another one with the same content; where the file is kept aside that had its name.
    Copied { aside: Option<String> },
}

/// A file whose content is fetched now.
pub(crate) struct ActiveFile {
    pub(crate) job: JobId,
    pub(crate) file: WantedFile,
    /// Bytes that are not stored.
    missing_bytes: u64,
    /// Whether no holder can send the missing pieces.
    is_starved: bool,
}

impl Jobs {
    /// A fetch begins, when all fetches have received so many bytes twice.
    pub(crate) fn begin(&mut self, ordered: OrderedFetch, needs: SpaceNeeds, bytes_twice: u64) {
        self.last += 1;
        self.jobs.insert(JobId(self.last), FetchJob::new(ordered, needs, clock::now(), bytes_twice));
    }

    pub(crate) fn get(&self, id: JobId) -> Option<&FetchJob> {
        self.jobs.get(&id)
    }

    /// The fetches that were given up.
    pub(crate) fn given_up(&self) -> Vec<JobId> {
        self.jobs.iter().filter(|(_, job)| job.is_given_up()).map(|(id, _)| *id).collect()
    }

    /// Ends a fetch that has nothing left to do; whether it has ended.
    pub(crate) fn end(&mut self, id: JobId, swarm: &Swarm) -> bool {
        let is_over = self.jobs.get(&id).is_some_and(FetchJob::is_over);
        let job = if is_over { self.remove(id) } else { None };
        job.map(|mut job| job.end(clock::now(), swarm)).is_some()
    }

    /// Ends a fetch that was given up.
    pub(crate) fn stop(&mut self, id: JobId, swarm: &Swarm) {
        if let Some(mut job) = self.remove(id) {
            job.stop(clock::now(), swarm);
        }
    }

    fn remove(&mut self, id: JobId) -> Option<FetchJob> {
        let job = self.jobs.remove(&id);
        if self.jobs.is_empty() {
            self.landed.clear(); // it matters only to fetches that went on meanwhile
        }
        job
    }

    /// The contents that are fetched for a fetch.
    pub(crate) fn contents_of(&self, id: JobId) -> Vec<Content> {
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

    pub(crate) fn file_of(&self, content: &Content) -> Option<(JobId, &WantedFile)> {
        self.active.get(content).map(|active| (active.job, &active.file))
    }

    /// The fetch that has its turn in being prepared, if it is not `waiting` for space. Fetches take turns, so that a
    /// large one does not keep a small one waiting.
    pub(crate) fn next(&mut self, is_waiting: impl Fn(JobId) -> bool) -> Option<JobId> {
        let may_go_on = |id: &JobId, job: &FetchJob| job.next_file().is_some() && !is_waiting(*id);
        let next = self.jobs.iter_mut().filter(|(id, job)| may_go_on(id, job));
        let (id, job) = next.min_by_key(|(_, job)| job.turns())?;
        job.take_turn();
        Some(*id)
    }

    /// The next files of a fetch that may be prepared. One whose content is dealt with under another name is deferred.
    pub(crate) fn next_files(&mut self, id: JobId, swarm: &Swarm) -> NextFiles {
        let mut large = self.queue.large_in_preparation() + swarm.large();
        let mut next = NextFiles::default();
        while next.files.len() < PREPARED_TOGETHER {
            let Some(job) = self.jobs.get_mut(&id) else { break };
            let Some(content) = job.next_file().map(|file| file.content) else { break };
            let is_taken = self.queue.is_prepared(&content) || swarm.is_active(&content);
            if !is_taken && is_large(&content) && large >= OPEN_PARTS {
                break;
            }
            let Some(file) = job.take_next_file() else { break };
            if let Err(other) = self.queue.take_name(&file.name) {
                job.prepared(content);
                next.alike.push((file, other));
            } else if is_taken {
                job.prepared(content);
                self.queue.defer(id, file);
            } else {
                large += usize::from(is_large(&content));
                self.queue.prepare(content);
                next.files.push(file);
            }
        }
        next
    }

    /// A file is prepared.
    pub(crate) fn prepared(&mut self, id: JobId, content: &Content) {
        self.queue.prepared(content);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.prepared(*content);
        }
    }

    /// Where the bytes of a content are counted; `None` if its fetch was given up meanwhile.
    pub(crate) fn counter(&mut self, id: JobId, file: &WantedFile) -> Option<Arc<ReceiveCounter>> {
        let Some(job) = self.jobs.get(&id) else {
            self.queue.give_back_name(&file.name);
            return None;
        };
        Some(job.counter())
    }

    /// The content of a file is fetched from now on; so many bytes and pieces of it are present.
    pub(crate) fn started(&mut self, id: JobId, file: WantedFile, present: (u64, u64)) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.started(&file, present);
            let missing_bytes = file.content.size.saturating_sub(present.0);
            self.active.insert(file.content, ActiveFile { job: id, file, missing_bytes, is_starved: false });
        }
    }

    /// A file is under its name without having been fetched.
    pub(crate) fn on_disk(&mut self, id: JobId, file: &WantedFile, origin: LocalOrigin) {
        self.queue.give_back_name(&file.name);
        let landed_at = self.landed.get(&file.content).copied();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match origin {
            LocalOrigin::AlreadyPresent => job.already_here(file),
            LocalOrigin::Copied { aside } => {
                // The other file came while this fetch went on, mostly by the same fetch.
                let was_fetched = landed_at.is_some_and(|landed_at| landed_at >= job.began());
                job.copied(file, was_fetched, aside);
            }
        }
    }

    /// A file cannot be fetched.
    pub(crate) fn failed(&mut self, id: JobId, file: WantedFile, kind: FileErrorKind, error: String) {
        self.queue.give_back_name(&file.name);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.failed(file.content, file.name, kind, error);
        }
    }

    /// A file that did not fit waits until there is space. So many of its bytes and pieces had been counted as present.
    pub(crate) fn try_again(&mut self, id: JobId, file: WantedFile, present: (u64, u64)) {
        self.queue.give_back_name(&file.name);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.lost(&file, present);
        job.wait(file, true);
    }

    /// Files that were deferred for a content wait to be prepared again.
    pub(crate) fn release(&mut self, content: &Content) {
        for (id, file) in self.queue.take_deferred(content) {
            match self.jobs.get_mut(&id) {
                Some(job) => job.wait(file, false),
                None => self.queue.give_back_name(&file.name),
            }
        }
    }

    /// Files that were deferred for a content fail with it; their fetches.
    pub(crate) fn fail_deferred(
        &mut self,
        content: &Content,
        kind: FileErrorKind,
        error: &str,
    ) -> Vec<JobId> {
        let deferred = self.queue.take_deferred(content);
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
        if is_landing {
            self.queue.prepare(*content);
        }
        let active = self.active.remove(content)?;
        self.queue.give_back_name(&active.file.name);
        self.jobs.get_mut(&active.job)?.ended(active.is_starved);
        Some(active)
    }

    /// A file has landed; where the file is that had its name.
    pub(crate) fn landed(&mut self, active: ActiveFile, aside: Option<String>) {
        self.landed.insert(active.file.content, clock::now());
        if let Some(job) = self.jobs.get_mut(&active.job) {
            job.landed(active.file.name, aside);
        }
    }

    /// The bytes that the fetches have still to write, by file system.
    pub(crate) fn promised(&self) -> BTreeMap<FileSystemId, u64> {
        let mut promised = BTreeMap::new();
        for (file_system, bytes) in self.jobs.values().flat_map(|job| job.needs().bytes()) {
            let sum: &mut u64 = promised.entry(file_system).or_default();
            *sum = sum.saturating_add(bytes);
        }
        // Bytes that are being written at this moment are not free any more, and do not count as written yet.
        promised.values_mut().for_each(|sum| *sum = sum.saturating_sub(limits::IN_FLIGHT_BYTES));
        promised
    }

    /// The holders that sent something.
    pub(crate) fn holders(&self) -> impl Iterator<Item = HolderId> {
        self.jobs.values().flat_map(FetchJob::holders)
    }

    /// Whether a content is fetched, or a file is prepared or deferred for it.
    pub(crate) fn is_in_use(&self, content: &Content, swarm: &Swarm) -> bool {
        swarm.is_active(content) || self.queue.is_in_use(content)
    }

    /// Those of `contents` that are not in use and that no file of a fetch waits for. Nothing else touches them until
    /// they are [`unlocked`](Self::unlock).
    pub(crate) fn lock_unused(&mut self, mut contents: Vec<Content>, swarm: &Swarm) -> Vec<Content> {
        contents.retain(|content| !self.is_in_use(content, swarm));
        if contents.is_empty() {
            return contents; // mostly: then the files that wait are not looked at
        }
        let locked: BTreeSet<Content> = contents.iter().copied().collect();
        let waiting = self.jobs.values().flat_map(FetchJob::waiting).map(|file| file.content);
        let waiting: BTreeSet<Content> = waiting.filter(|content| locked.contains(content)).collect();
        contents.retain(|content| !waiting.contains(content));
        contents.iter().for_each(|content| self.queue.prepare(*content));
        contents
    }

    /// The files that were deferred for a content go on.
    pub(crate) fn unlock(&mut self, content: &Content) {
        self.queue.prepared(content);
        self.release(content);
    }

    /// Shows the state of every fetch at `now`; `full` says which disk it waits for.
    pub(crate) fn show(&mut self, now: Timestamp, swarm: &Swarm, full: impl Fn(JobId) -> Option<FullDisk>) {
        for (id, job) in &mut self.jobs {
            let of_it = self.active.iter().filter(|(_, active)| active.job == *id);
            let missing = of_it.clone().map(|(_, active)| active.missing_bytes);
            let missing = missing.fold(0, u64::saturating_add);
            let starved = of_it.filter(|(_, active)| active.is_starved).map(|(content, _)| content);
            job.set_missing(missing, swarm.unreached(starved));
            job.show(now, full(*id), swarm);
        }
    }

    /// Shows that every fetch was stopped.
    pub(crate) fn stop_all(&mut self, swarm: &Swarm) {
        self.jobs.values_mut().for_each(|job| job.stop(clock::now(), swarm));
    }
}
