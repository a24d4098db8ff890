//! Room on the disk: measured before a fetch begins ([`super::measure`]), and waited for where it runs out on the way.
//!
//! A fetch that finds a disk full midway, or without an inode for one more file, pauses: nothing more is asked for, what
//! is verified is kept and served, and it goes on by itself when there is room again. All of it runs in the owner of the
//! fetches ([`super::owner`]), but for asking the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use brigade_core::{
    bitfield::Bitfield,
    download::{DownloadId, Event},
    id::Content,
    limits,
    name::FileName,
    time::Timestamp,
};

use super::{
    job::{JobId, amount},
    kept_parts,
    measure::{Needs, NotBegun, measure},
    orders::{Answer, Certain, Order},
    owner::Fetches,
    prepare::WantedFile,
    progress::State,
};
use crate::{
    clock,
    peer::{
        session::SessionCommand as Command,
        swarm::fetching::{Fetching, Kind},
    },
    store::{
        folder::{FileSystemId, Free},
        landing::Landing,
        parts::KeptPart,
    },
};

/// How long a fetch rests after the disk was full; twice as long each time, up to the longest, where it finds that
/// the room that it was told of is not its own (a quota).
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(16);

/// A fetch that went on for so long after a rest rests only shortly the next time.
const WENT_WELL: Duration = Duration::from_secs(30);

/// With so much room a fetch goes on though more of it is missing; with less, only where that is enough.
const ENOUGH_BYTES: u64 = 64 << 20;

/// A fetch that waits for room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shortage {
    /// When to look for room next.
    next_look: Timestamp,
    rest: Duration,
    /// The file system that is full.
    on: FileSystemId,
    /// Whether it had bytes but no inodes when it was full.
    inodes: bool,
    /// Whether it waits; else it went on at `next_look`.
    pub(crate) waits: bool,
}

/// What is free for whoever waits for room.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Whether the disk is being asked at this moment.
    looking: bool,
    /// What was free when it was asked last, on each file system that a fetch waits for.
    free: BTreeMap<FileSystemId, Free>,
}

impl Room {
    /// How a fetch stands that waits for room.
    pub(crate) fn full(&self, needs: &Needs, shortage: Shortage) -> State {
        let free = self.free.get(&shortage.on);
        State::Full {
            missing_bytes: needs.bytes_on(shortage.on),
            free_bytes: free.map_or(0, |free| free.bytes),
            inodes: free.map_or(shortage.inodes, |free| free.lacks_inodes()),
        }
    }
}

impl Fetches {
    /// Measures what fetches take; they begin, or are refused, when that is known.
    pub(crate) fn order(&mut self, order: Order) {
        let mut promised = BTreeMap::new();
        for (file_system, bytes) in self.jobs.values().flat_map(|job| job.needs.bytes()) {
            let sum: &mut u64 = promised.entry(file_system).or_default();
            *sum = sum.saturating_add(bytes);
        }
        // What is being written at this moment is gone from what is free, and is not yet counted as written.
        promised.values_mut().for_each(|sum| *sum = sum.saturating_sub(limits::IN_FLIGHT_BYTES));
        let (share, answers) = (self.share.clone(), self.answers.clone());
        tokio::task::spawn_blocking(move || {
            let kept = kept_parts::look(share.folder());
            let result = measure(&share, &order.fetches, &kept, &promised);
            let _ = answers.blocking_send(Answer::Measured { order, kept, result });
        });
    }

    /// What fetches take is measured.
    pub(crate) fn measured(
        &mut self,
        order: Order,
        kept: Vec<KeptPart>,
        result: Result<Vec<Needs>, NotBegun>,
    ) {
        let Order { fetches, begun } = order;
        match result {
            Err(refused) => drop(begun.send(Err(refused))),
            // Who asked may have gone away meanwhile: then nothing begins.
            Ok(needs) if begun.send(Ok(())).is_ok() => {
                for (ordered, needs) in fetches.into_iter().zip(needs) {
                    self.begin(ordered, needs);
                }
            }
            Ok(_) => {}
        }
        // Only now: what is wanted from now on is not left alone any more, whatever its age.
        self.kept_parts(kept);
    }

    /// The disk that `name` is on is full for this fetch: it asks for nothing more until there is room. Long contents rest where they are;
    /// those of one piece that have not come go back to the files that wait.
    pub(crate) fn pause(&mut self, id: JobId, name: &FileName, inodes: bool) {
        let now = clock::now();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let on = job.needs.file_system_of(name);
        let rest = match job.shortage {
            Some(Shortage { waits: true, rest, .. }) => rest,
            Some(last) if now.since(last.next_look) < WENT_WELL => (last.rest * 2).min(LONGEST_REST),
            _ => REST,
        };
        if job.shortage.is_none_or(|shortage| !shortage.waits) {
            job.shortage = Some(Shortage { next_look: now.after(rest), rest, on, inodes, waits: true });
            self.room.free.remove(&on); // what was free before says nothing of now
            tracing::info!(fetch = job.accounts.progress.name, "the disk is full: the fetch waits for room");
        }
        // All that are not paused yet: one may have begun since, from files that were being looked through.
        let goes_on = |fetching: &Fetching| fetching.job == id && !fetching.finishing && !fetching.paused;
        let going_on = self.fetching.iter().filter(|(_, fetching)| goes_on(fetching));
        for download in going_on.map(|(download, _)| *download).collect::<Vec<_>>() {
            self.starved(download, false);
            self.downloads.handle(now, Event::Forget { download });
            let Some(fetching) = self.fetching.get_mut(&download) else { continue };
            if matches!(fetching.kind, Kind::Large { .. }) {
                fetching.paused = true;
                continue;
            }
            let (content, landings, done) = (fetching.content, fetching.landings(), fetching.done());
            self.end_download(download, None);
            landings.into_iter().for_each(|landing| self.try_again(id, content, landing, done));
            self.release(&content);
        }
        self.look_for_room(now);
    }

    /// A file whose bytes did not fit waits with the others until there is room. So many of its bytes and pieces had
    /// been counted as being here.
    pub(crate) fn try_again(&mut self, id: JobId, content: Content, landing: Landing, counted: (u64, u64)) {
        self.taken_names.remove(&landing.name.folded());
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.lost(&landing.name, content, counted);
        let Landing { name, mtime_s, executable, replace } = landing;
        job.wait(WantedFile { name, content, mtime_s, executable, replace }, true);
    }

    /// Asks how much is free, where a fetch waits for room and it is time to.
    pub(crate) fn look_for_room(&mut self, now: Timestamp) {
        if self.room.looking {
            return;
        }
        // At the first time it is looked at once, to have a figure to show.
        let is_due = |shortage: &Shortage| {
            shortage.waits && (shortage.next_look <= now || !self.room.free.contains_key(&shortage.on))
        };
        let due = self.jobs.values().filter_map(|job| {
            let shortage = job.shortage.filter(is_due)?;
            Some((shortage.on, job.needs.place(shortage.on)))
        });
        let asked: BTreeSet<(FileSystemId, String)> = due.collect();
        if asked.is_empty() {
            return;
        }
        self.room.looking = true;
        let folder = self.folder.clone();
        let unknown = asked.iter().map(|(on, _)| (*on, Free::UNKNOWN)).collect();
        let certain = Certain::new(self.answers.clone(), Answer::Free(unknown));
        tokio::task::spawn_blocking(move || {
            let free =
                |(on, place): (FileSystemId, String)| (on, folder.free(&place).unwrap_or(Free::UNKNOWN));
            certain.answer(Answer::Free(asked.into_iter().map(free).collect()));
        });
    }

    /// So much is free on these file systems: each fetch that finds enough goes on.
    pub(crate) fn free(&mut self, free: Vec<(FileSystemId, Free)>) {
        let now = clock::now();
        self.room.looking = false;
        let mut left: BTreeMap<FileSystemId, Free> = free.into_iter().collect();
        self.room.free.extend(&left);
        let mut going_on = vec![];
        for (id, job) in &mut self.jobs {
            let Some(shortage) = job.shortage.as_mut().filter(|it| it.waits && it.next_look <= now) else {
                continue;
            };
            let Some(left) = left.get_mut(&shortage.on) else { continue };
            let needed = job.needs.bytes_on(shortage.on).clamp(1, ENOUGH_BYTES);
            if needed <= left.bytes && left.files > 0 {
                left.bytes -= needed;
                shortage.waits = false;
                shortage.next_look = now;
                going_on.push(*id);
            } else {
                shortage.next_look = now.after(shortage.rest);
            }
        }
        for id in going_on {
            self.go_on(id);
        }
    }

    fn go_on(&mut self, id: JobId) {
        let paused = self.fetching.iter().filter(|(_, fetching)| fetching.job == id && fetching.paused);
        for download in paused.map(|(download, _)| *download).collect::<Vec<_>>() {
            self.start_again(download);
        }
        self.prepare_more();
    }

    /// Fetches what is missing of a long content that was paused. It gets a new number: what is still said of the old
    /// one is about requests that were taken back. Who has it is known, be the manager there or not.
    fn start_again(&mut self, download: DownloadId) {
        let Some(mut fetching) = self.fetching.remove(&download) else { return };
        let content = fetching.content;
        let (list, have) = match &fetching.kind {
            Kind::Large { part: Some(part), .. } => (Some(part.list.clone()), part.have().clone()),
            _ => (None, Bitfield::none(fetching.geometry.count())),
        };
        // What was still written when it was paused, nobody has counted.
        let (here, counted) = (amount(&have, &fetching.geometry), fetching.done());
        let found = (here.0.saturating_sub(counted.0), here.1.saturating_sub(counted.1));
        fetching.counts(found.0, found.1);
        if let Some((job, name)) = self.jobs.get_mut(&fetching.job).zip(fetching.any_name()) {
            job.accounts.found(found.0, found.1);
            job.takes_no_more(name, found.0);
        }
        fetching.paused = false;
        let holders = fetching.known.of_now();
        self.last_download += 1;
        let download = DownloadId(self.last_download);
        self.by_content.insert(content, download);
        self.fetching.insert(download, fetching);
        let now = clock::now();
        self.downloads.handle(now, Event::Start { download, content, list, have });
        if let Some((complete, partial)) = holders {
            self.downloads.handle(now, Event::Holders { download, complete, partial });
        }
        self.for_session.push_back(Command::Watch(vec![content]));
    }
}
