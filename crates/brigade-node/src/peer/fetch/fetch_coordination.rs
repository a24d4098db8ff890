//! All fetches, file by file: which file starts, lands, waits or fails, and when a fetch is over.
//!
//! It passes the results of one object to the others: the jobs, the disk space, the kept parts, the names that are
//! checked again, and the swarm. Nothing here waits; the owner in `mod.rs` has the loop.

mod changed_parts;
mod disk_problems;
mod user_wishes;

use std::{collections::BTreeMap, time::Duration};

use brigade_core::{
    id::Content,
    name::FileName,
    time::Timestamp,
    wire::manager::{Holders, LookupResult},
};
use tokio::sync::watch;

use self::changed_parts::ChangedParts;
use super::{
    blocking_work::{BlockingWork, PreparedFiles},
    catalogue_change_check::CatalogueChangeCheck,
    file_preparation::{FileDecision, LocalFileError},
    job_table::{ActiveFile, Jobs},
    space_needs::SpaceNeeds,
    unused_parts::UnusedParts,
};
use crate::{
    fetch_error::FileErrorKind,
    fetch_request::{FetchId, new_fetch::NewFetch, wanted_files::WantedFile},
    identity::clock_check::ClockDifference,
    peer::swarm::{EndedDownload, LandedContent, ManagerUpdate, OpenPart, Swarm, SwarmEvent},
    peer_status::KeptTotals,
    store::{
        folder::{FileSystemId, PrivateState},
        keeper::{self, KeeperHandle},
        part_file::{PartError, PartFile},
        share::Share,
        stored_parts::KeptPart,
    },
};

/// Contents that are fetched at the same time; the files of a larger fetch wait their turn.
const ACTIVE_CONTENTS: usize = 4096;

/// Threads that prepare files at the same time.
const PREPARING: usize = 2;

/// The configuration of the fetches of a peer.
pub(crate) struct FetchConfig {
    pub(crate) swarm: Swarm,
    pub(crate) share: Share,
    pub(crate) keeper: KeeperHandle,
    /// Whether the fetches that run go on after a restart.
    pub(crate) keep_fetches: bool,
    /// How long an unused part of a file is kept; `None` for ever.
    pub(crate) keep_parts: Option<Duration>,
    /// Whether the peer shares only what it fetches.
    pub(crate) shares_fetched: bool,
    /// The difference between this machine's clock and the manager's, if it is too large.
    pub(crate) clock: watch::Receiver<Option<ClockDifference>>,
}

/// All fetches, and the objects that they use.
pub(crate) struct Fetches {
    swarm: Swarm,
    jobs: Jobs,
    /// Threads that prepare files now.
    preparing: usize,
    kept: UnusedParts,
    /// The files whose parts another program has changed.
    changed: ChangedParts,
    change_check: CatalogueChangeCheck,
    /// The state of the private folder before the part of each active content of several pieces was opened.
    opened: BTreeMap<Content, PrivateState>,
    background: BlockingWork,
    share: Share,
    keeper: KeeperHandle,
    clock: watch::Receiver<Option<ClockDifference>>,
}

impl Fetches {
    /// No fetch yet. Returns the totals of kept parts, too.
    pub(crate) fn new(config: FetchConfig, background: BlockingWork) -> (Self, watch::Receiver<KeptTotals>) {
        let FetchConfig { swarm, share, keeper, keep_parts, shares_fetched, clock, .. } = config;
        let (kept, totals) = UnusedParts::new(keep_parts, shares_fetched);
        let this = Self {
            swarm,
            jobs: Jobs::default(),
            preparing: 0,
            kept,
            changed: ChangedParts::default(),
            change_check: CatalogueChangeCheck::default(),
            opened: BTreeMap::new(),
            background,
            share,
            keeper,
            clock,
        };
        (this, totals)
    }

    pub(crate) fn swarm(&mut self) -> &mut Swarm {
        &mut self.swarm
    }

    /// The bytes that the fetches have still to write, by file system.
    pub(crate) fn promised(&self) -> BTreeMap<FileSystemId, u64> {
        self.jobs.promised()
    }

    /// A fetch begins.
    pub(crate) fn begin(&mut self, ordered: NewFetch, needs: SpaceNeeds) {
        self.jobs.begin(ordered, needs, self.swarm.bytes_twice());
        self.prepare_more();
    }

    /// Notes the numbers of the swarm that are shown next: by the `only` fetch, or by all of them.
    fn note_numbers(&mut self, only: Option<FetchId>) {
        self.jobs.note_numbers(only, self.swarm.bytes_twice(), |holder| self.swarm.sender(holder));
    }

    /// Has files prepared, as long as they may be fetched.
    fn prepare_more(&mut self) {
        while self.preparing < PREPARING && self.swarm.len() < ACTIVE_CONTENTS {
            let Some(id) = self.jobs.next() else { return };
            let is_active = |content: &Content| self.swarm.is_active(content);
            let next = self.jobs.next_files(id, self.swarm.large(), is_active);
            for (file, other) in next.alike {
                let error = LocalFileError::Alike { name: file.name.clone(), other };
                self.jobs.failed(id, file, FileErrorKind::Disk, error.to_string());
            }
            if next.files.is_empty() {
                self.settle(id);
                if self.jobs.get(id).is_some_and(|job| job.next_file().is_some()) {
                    return; // the next one is large, and as many as may be are open
                }
                continue;
            }
            self.preparing += 1;
            self.background.prepare(id, next.files);
        }
    }

    /// Files are prepared: they are here, or are fetched from now on, or cannot be.
    pub(crate) fn prepared(&mut self, prepared: PreparedFiles) {
        let PreparedFiles { job: id, private, files } = prepared;
        self.preparing -= 1;
        let are_parts_removed = self.are_parts_removed(private);
        for (file, decision) in files {
            let content = file.content;
            self.jobs.prepared(id, &content);
            match decision {
                Ok(FileDecision::Here(landed)) => {
                    self.on_disk(&file, landed);
                    self.jobs.already_here(id, &file);
                }
                Ok(FileDecision::Made(landed, aside)) => {
                    self.on_disk(&file, Some(landed));
                    self.jobs.copied(id, &file, aside);
                }
                Ok(FileDecision::Small) => self.start(id, file, None),
                // Its part may be one of those that were removed.
                Ok(FileDecision::Large { .. }) if are_parts_removed => {
                    self.jobs.begin_again(id, file, (0, 0));
                }
                Ok(FileDecision::Large { file: part, list, have }) => {
                    self.opened.insert(content, private);
                    self.start(id, file, Some(OpenPart { file: part, list, have }));
                }
                Err(LocalFileError::Part(PartError::NotEnoughSpace { inodes, .. })) => {
                    self.pause(id, &file.name, inodes);
                    self.jobs.try_again(id, file, (0, 0));
                }
                Err(LocalFileError::Part(error @ PartError::Changed { .. })) => {
                    self.hash_copy_later(id, file, &error);
                    continue; // nothing else touches its content meanwhile
                }
                Err(error) => self.jobs.failed(id, file, error.kind(), error.to_string()),
            }
            if !self.swarm.is_active(&content) {
                self.opened.remove(&content);
                self.jobs.release(&content);
            }
        }
        self.keep_paused(id);
        self.prepare_more();
        self.settle(id);
    }

    /// A file is under its name without having been fetched; the keeper gets it if it does not know it.
    fn on_disk(&mut self, file: &WantedFile, landed: Option<keeper::LandedFile>) {
        if let Some(landed) = landed {
            let keeper = self.keeper.clone();
            tokio::spawn(async move { keeper.landed(vec![landed]).await });
        }
        self.remove_parts(self.kept.obsolete(&file.name, &file.content));
    }

    /// Starts to fetch the content of a file: of one piece, or into a part file.
    fn start(&mut self, id: FetchId, file: WantedFile, part: Option<OpenPart>) {
        let Some(fetch) = self.jobs.fetch_of(id, &file) else { return };
        let (counter, priority) = (fetch.counter(), fetch.options().priority);
        let started = self.swarm.start(file.content, file.landing(), part, (counter, priority));
        let Some(present) = started else { return };
        self.kept.forget(&file.content);
        self.jobs.started(id, file, present);
    }

    /// Handles an event of the swarm. Returns an update that is only for the manager.
    pub(crate) fn handle(&mut self, event: SwarmEvent) -> Option<ManagerUpdate> {
        match event {
            SwarmEvent::Stored { content, holder, bytes } => self.jobs.stored(&content, holder, bytes),
            SwarmEvent::Starved(content) => self.jobs.set_starved(&content, true),
            SwarmEvent::Fed(content) => self.jobs.set_starved(&content, false),
            SwarmEvent::HolderNamed(content) => self.change_check.forget(&content),
            SwarmEvent::Impossible { content, error } => {
                self.give_up(&content, FileErrorKind::Changed, &error.to_string());
            }
            SwarmEvent::NotWritten { content, error: PartError::NotEnoughSpace { inodes, .. } } => {
                let file = self.jobs.file_of(&content);
                if let Some((id, name)) = file.map(|(id, file)| (id, file.name.clone())) {
                    self.pause(id, &name, inodes);
                }
            }
            SwarmEvent::NotWritten { content, error } => self.not_written(&content, &error),
            SwarmEvent::Landed(landed) => {
                landed.into_iter().for_each(|landed| self.landed(landed));
                self.prepare_more();
            }
            SwarmEvent::Manager(update) => return Some(update),
        }
        None
    }

    fn landed(&mut self, landed: LandedContent) {
        let LandedContent { content, name, placed, ended } = landed;
        // Without an end it was given up before. Another fetch may have taken the name since: it stays taken.
        let Some(ended) = ended else { return self.jobs.unlock(&content) };
        let is_part_removed = placed.as_ref().is_err_and(|error| self.is_part_removed(&content, error));
        let active = self.ended(&content, &ended, placed.is_ok());
        let Some(active) = active else { return self.jobs.unlock(&content) };
        let id = active.job;
        if let Err(error @ PartError::Changed { .. }) = &placed {
            return self.hash_later(id, (active.file, ended.present), error); // it gets its name after that
        }
        self.jobs.release(&content); // the same content under other names is made from this file
        match placed {
            Ok(placed) => {
                self.remove_parts(self.kept.obsolete(&name, &content));
                self.jobs.landed(active, placed.aside);
            }
            Err(PartError::NotEnoughSpace { inodes, .. }) => {
                self.pause(id, &name, inodes);
                self.jobs.try_again(id, active.file, ended.present);
            }
            Err(_) if is_part_removed => self.jobs.begin_again(id, active.file, ended.present),
            Err(error) => {
                let is_occupied = matches!(error, PartError::Occupied { .. }) && !active.file.replace;
                let kind = if is_occupied { FileErrorKind::Occupied } else { FileErrorKind::Disk };
                self.jobs.failed(id, active.file, kind, error.to_string());
            }
        }
        self.settle(id);
    }

    /// A content is not active any more. One that is getting its name at this moment still gets it: nothing else
    /// touches its part before.
    fn ended(&mut self, content: &Content, ended: &EndedDownload, has_landed: bool) -> Option<ActiveFile> {
        if ended.is_large && !has_landed {
            self.kept.check_soon(); // the part stays
        }
        self.change_check.forget(content);
        self.opened.remove(content);
        self.jobs.ended(content, ended.is_landing)
    }

    /// Ends the download of a content.
    fn forget(&mut self, content: &Content) -> Option<ActiveFile> {
        let ended = self.swarm.forget(content)?;
        self.ended(content, &ended, false)
    }

    /// A content cannot be fetched, or not be written.
    fn give_up(&mut self, content: &Content, kind: FileErrorKind, error: &str) {
        let Some(active) = self.forget(content) else { return };
        let id = active.job;
        self.jobs.failed(id, active.file, kind, error.to_owned());
        for id in self.jobs.fail_deferred(content, kind, error) {
            self.settle(id);
        }
        self.settle(id);
    }

    /// Ends a fetch that has nothing left to do.
    fn settle(&mut self, id: FetchId) {
        if self.jobs.get(id).is_some_and(|job| job.is_over()) {
            self.note_numbers(Some(id));
            self.jobs.end(id);
            self.background.remove_stored(vec![id]);
        }
    }

    /// These parts are there. Those that are in use are none of the kept ones.
    pub(crate) fn parts_found(&mut self, mut parts: Vec<KeptPart>) {
        parts.retain(|KeptPart { content, .. }| {
            !self.swarm.is_active(content) && !self.jobs.is_claimed(content)
        });
        let is_clock_wrong = self.clock.borrow().is_some();
        let obsolete = self.kept.found(parts, is_clock_wrong, |content| self.share.has(content));
        self.remove_parts(obsolete);
    }

    /// The parts were looked at because it was time to.
    pub(crate) fn parts_checked(&mut self, parts: Vec<KeptPart>) {
        self.kept.checked();
        self.parts_found(parts);
    }

    /// The parts of these contents were removed, or could not be.
    pub(crate) fn parts_removed(&mut self, contents: &[Content]) {
        for content in contents {
            self.kept.removed(content);
            self.jobs.unlock(content);
        }
        self.prepare_more();
    }

    /// Removes the parts of these contents, but for those that are in use or that files of fetches still wait for.
    fn remove_parts(&mut self, contents: Vec<Content>) {
        let unused = self.jobs.lock_unused(contents, |content| self.swarm.is_active(content));
        if !unused.is_empty() {
            unused.iter().for_each(|content| self.kept.remove(*content));
            self.background.remove_parts(unused);
        }
    }

    /// The names in the catalogue to look up now, of contents that no holder can send and of which the manager names
    /// none; each with the number of the question.
    pub(crate) fn names_to_check(&mut self, now: Timestamp) -> Vec<(Content, u64, FileName)> {
        if !self.change_check.is_due(now) {
            return vec![];
        }
        let without_holders = self.jobs.starved().filter(|content| self.swarm.has_lost_holders(content));
        let due = self.change_check.due(without_holders.copied(), now).into_iter();
        let name = |content: &Content| Some(self.jobs.file_of(content)?.1.catalogue_name.clone());
        due.filter_map(|(content, number)| Some((content, number, name(&content)?))).collect()
    }

    /// The manager answered which contents the name of a content has now.
    pub(crate) fn name_checked(&mut self, content: &Content, number: u64, found: &LookupResult) {
        let is_starved = self.jobs.starved().any(|starved| starved == content);
        let lost = self.swarm.lost_holders(content).filter(|_| is_starved);
        if let Some(error) = self.change_check.answered((content, number), found, lost.as_deref()) {
            self.give_up(content, FileErrorKind::Changed, &error);
        }
    }

    /// The manager named holders.
    pub(crate) fn holders(&mut self, named: &Holders) {
        self.swarm.holders(named, self.jobs.holders());
    }

    /// Looks at the disk if it is time to, and shows the state of all fetches.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        self.check_space(now);
        self.hash_changed(now);
        if self.kept.check(now) {
            self.background.find_parts(self.swarm.part_files());
        }
        self.note_numbers(None);
        let unusable = |contents: &[Content], starved: &[Content]| self.swarm.unusable(contents, starved);
        let connected = |contents: &[Content]| self.swarm.connected(contents);
        self.jobs.show(now, connected, unusable);
    }

    /// Closes all connections. The part files that are open, and the contents whose parts are being removed.
    pub(crate) fn stop_all(&mut self) -> (Vec<PartFile>, Vec<Content>) {
        self.swarm.disconnect_all();
        (self.swarm.part_files(), self.kept.removing())
    }

    /// Shows that every fetch was stopped.
    pub(crate) fn show_stopped(&mut self) {
        self.note_numbers(None);
        self.jobs.stop_all();
    }
}

#[cfg(test)]
mod tests;
