//! The keeper's state and its loop: it waits for one of all inputs, then does the work that is due.
//!
//! `file_reconciliation` handles one name, `scan` the whole folder.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use brigade_core::{backoff::Backoff, name::FileName, time::Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    announcement_queue::AnnouncementQueue,
    files_being_written::{ChangeKind, FilesBeingWritten, QuietTimes},
    folder_presence::FolderPresence,
    hashing::{
        HashWorkers,
        hashing_progress::HashingCounter,
        job_table::HashJobs,
        thread_messages::{HashOutcome, HashReport},
    },
    index_writer::IndexWriter,
    keeper_messages::{Change, KeeperCommand, LandedNotice},
    open_folder_cache::OpenFolderCache,
    options::KeeperOptions,
    rename_detection::RenameCandidates,
    scan::scan_schedule::ScanSchedule,
    sharing_problems::{KeeperProblem, ProblemBoard, Problems},
    watch::{Event, FolderWatcher, WatchError},
};
use crate::{
    clock::{self, now},
    store::{
        file_stamp::Stamp,
        folder::Folder,
        ignore_patterns::{self, IgnoreRules},
        share::{Share, SharedFile},
        system::TELLS_WRITERS,
    },
};

/// On systems that report which process writes to a file, a second without events is enough; on others the keeper waits
/// longer.
const QUIET: QuietTimes = QuietTimes {
    closed: Duration::from_millis(200),
    open: if TELLS_WRITERS { Duration::from_secs(1) } else { Duration::from_millis(1500) },
    busy: Duration::from_secs(1),
};

/// Events are collected for this time, so that a thousand writes to one file cause one check.
const GATHER: Duration = Duration::from_millis(25);

const _: () = assert!(
    QUIET.open.as_millis() + GATHER.as_millis() < 2_000 && QUIET.closed.as_millis() < QUIET.open.as_millis(),
    "a change is seen within two seconds"
);

/// The delay of a scan for an event about a name that cannot be shared, or whose spelling is doubtful.
pub(super) const OTHER_DELAY: Duration = Duration::from_secs(1);

/// The most batches of events that are handled before a hash of a file with coarse times counts.
const PENDING_BATCHES: usize = 64;

/// Reports of the hash threads that wait for the keeper.
const REPORTS: usize = 64;

/// The pauses before the next attempt to read a file: it may be readable soon (too many open files, another program's
/// lock) or not for a long time (a failing disk, a missing permission).
pub(super) const RETRY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// A file that could not be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct FailedRead {
    /// Its stamp at that time.
    pub(super) stamp: Stamp,
    /// The pauses before the next attempts.
    pub(super) backoff: Backoff,
}

/// The channels of the keeper.
pub(super) struct KeeperChannels {
    pub(super) landed: mpsc::Receiver<LandedNotice>,
    pub(super) commands: mpsc::Receiver<KeeperCommand>,
    pub(super) changes: mpsc::Sender<Change>,
    pub(super) problems: ProblemBoard,
    pub(super) counter: Arc<HashingCounter>,
    pub(super) stop: CancellationToken,
}

/// The keeper: its settings, and the objects that keep its state.
pub(super) struct KeeperOwner {
    pub(super) index: IndexWriter,
    pub(super) folder: Folder,
    pub(super) share: Share,
    pub(super) hidden: bool,
    pub(super) only_landed: bool,
    /// Whether the folder is to be watched.
    wants_watch: bool,
    pub(super) stop: CancellationToken,
    pub(super) watch: FolderWatcher,
    pub(super) problems: Problems,
    pub(super) change_queue: AnnouncementQueue,
    /// The ignore patterns.
    pub(super) rules: IgnoreRules,
    pub(super) presence: FolderPresence,
    pub(super) scans: ScanSchedule,
    pub(super) settle: FilesBeingWritten,
    pub(super) hashing: HashJobs,
    /// Files that could not be read. They wait in `files_being_written` for the next attempt.
    pub(super) failed_reads: BTreeMap<FileName, FailedRead>,
    /// Files of the first scan that are not announced yet; `None` when that is complete.
    pub(super) initial: Option<BTreeMap<FileName, ()>>,
    /// The earliest time of the next search for open files.
    pub(super) writers_after: Timestamp,
    pub(super) departed: RenameCandidates,
    /// Files that are shared under a new name and were not hashed again since.
    pub(super) unchecked: BTreeSet<FileName>,
    /// Files that were shared until they began to change.
    pub(super) changing: BTreeMap<FileName, Arc<SharedFile>>,
}

/// Runs a keeper until it is stopped.
pub(super) async fn keep(folder: Folder, share: Share, options: KeeperOptions, mut channels: KeeperChannels) {
    let (reports, mut reported) = mpsc::channel(REPORTS);
    let counter = channels.counter.clone();
    let hashing = match HashWorkers::start(&folder, options.threads, &channels.stop, &reports, &counter) {
        Ok(workers) => HashJobs::new(workers, counter),
        Err(error) => {
            tracing::error!(%error, "the hash threads could not be started");
            return;
        }
    };
    drop(reports);
    let mut owner = KeeperOwner::new(folder, share, &options, hashing, &channels);
    let share = owner.share.clone();
    let known = owner.index.open(&mut owner.problems);
    let damaged = owner.index.damaged();
    owner.take_damaged(damaged, &known);
    owner.start_watch();
    owner.first_scan(known);
    let mut batch = Vec::new();
    let mut gather_until = now();
    loop {
        owner.do_due_work(now());
        if owner.is_over() {
            break;
        }
        let has_space = !owner.change_queue.is_full();
        let wake = owner.deadline();
        tokio::select! {
            biased;
            () = channels.stop.cancelled() => break,
            Some((files, done)) = channels.landed.recv() => {
                owner.landed(files);
                let _ = done.send(());
            }
            Some(command) = channels.commands.recv() => owner.obey(command),
            permit = channels.changes.reserve(), if !owner.change_queue.is_empty() => {
                match (permit, owner.change_queue.pop()) {
                    (Ok(_), Some(Change::Scanned)) if !options.first_scan.finish() => {} // other folders are not
                    (Ok(permit), Some(change)) => permit.send(change),
                    _ => break,
                }
            }
            () = channels.changes.closed() => break,
            Some(report) = reported.recv(), if has_space => owner.report(report),
            names = share.next_unservable(), if has_space => owner.check_unservable(&names),
            () = async {
                clock::reach(Some(gather_until)).await;
                owner.watch.next_events(&mut batch).await;
            }, if has_space => {
                owner.events(&mut batch);
                gather_until = now().after(GATHER);
            }
            () = clock::reach(Some(wake)), if has_space => {}
        }
    }
    // The hash threads must not wait for a keeper that does not receive any more.
    drop(reported);
    owner.end();
}

impl KeeperOwner {
    fn new(
        folder: Folder,
        share: Share,
        options: &KeeperOptions,
        hashing: HashJobs,
        channels: &KeeperChannels,
    ) -> Self {
        let now = now();
        Self {
            index: IndexWriter::new(folder.clone(), options.index.clone()),
            watch: FolderWatcher::none(&folder),
            presence: FolderPresence::new(folder.clone(), now),
            problems: Problems::new(channels.problems.clone(), folder.share_in_place().cloned()),
            folder,
            share,
            hidden: options.hidden,
            only_landed: options.only_landed,
            wants_watch: options.watch && !options.only_landed,
            stop: channels.stop.clone(),
            change_queue: AnnouncementQueue::default(),
            rules: IgnoreRules::default(),
            scans: ScanSchedule::new(now, !options.watch || options.only_landed, RETRY),
            settle: FilesBeingWritten::new(QUIET),
            hashing,
            failed_reads: BTreeMap::new(),
            initial: Some(BTreeMap::new()),
            writers_after: now,
            departed: RenameCandidates::new(now),
            unchecked: BTreeSet::new(),
            changing: BTreeMap::new(),
        }
    }

    /// Starts the watcher, if it is wanted and not running.
    pub(super) fn start_watch(&mut self) {
        if self.wants_watch && !self.watch.is_on() {
            match FolderWatcher::start(&self.folder, self.hidden) {
                Ok(watch) => self.watch = watch,
                Err(reason) => self.watch_failed(reason),
            }
        }
    }

    /// The folder cannot be watched: reports that once, and scans often from now on.
    pub(super) fn watch_failed(&mut self, reason: WatchError) {
        self.problems.report_keeper_problem(KeeperProblem::Unwatched(reason));
        self.scans.start_polling(now());
    }

    /// Whether it ends: the folder of a share in place is gone, or is not to be shared any more, and that is announced.
    /// The owner of the shares in place starts another keeper when the folder is back.
    fn is_over(&self) -> bool {
        self.folder.share_in_place().is_some() && self.presence.is_away() && self.change_queue.is_empty()
    }

    fn obey(&mut self, command: KeeperCommand) {
        match command {
            KeeperCommand::Rescan => self.scans.soon(now()),
            KeeperCommand::Unshare => self.unshare(),
            _ if self.presence.is_away() => {}
            KeeperCommand::Damaged { file, found, stamp } => self.damage_found(&file, found, stamp),
            KeeperCommand::Undamaged(name) => self.undamaged(&name),
        }
    }

    /// Does the work that is due.
    fn do_due_work(&mut self, now: Timestamp) {
        if now >= self.presence.next_check() {
            self.check_presence(now);
        }
        if !self.change_queue.is_full() && !self.presence.is_away() {
            if now >= self.scans.next() {
                self.scan(None);
            }
            if self.settle.next().is_some_and(|due| due.max(self.writers_after) <= now) {
                self.hash_settled(now);
            }
        }
        // Files that could not be read wait in `files_being_written` too. They are problems; they are not being
        // written.
        self.hashing.dispatch(self.settle.unsettled());
        if self.index.due().is_some_and(|due| due <= now) {
            self.index.write(&mut self.problems);
        }
        self.departed.expire(now);
        if self.initial.as_ref().is_some_and(BTreeMap::is_empty) {
            self.initial = None;
            self.change_queue.push(Change::Scanned);
        }
        for change in self.problems.publish() {
            self.change_queue.push(change);
        }
    }

    fn deadline(&self) -> Timestamp {
        let at_rest = self.settle.next().map(|due| due.max(self.writers_after));
        let scan = (!self.presence.is_away()).then_some(self.scans.next());
        let due = [scan, at_rest, self.index.due()].into_iter().flatten();
        due.fold(self.presence.next_check(), Timestamp::min)
    }

    /// Handles the report of a hash thread.
    fn report(&mut self, report: HashReport) {
        match report {
            HashReport::Idle { small } => self.hashing.idle(small),
            HashReport::Outcomes(outcomes) => {
                let is_coarse = |outcome: &HashOutcome| {
                    outcome.result.as_ref().is_ok_and(|(_, stamp)| stamp.has_coarse_times())
                };
                // Only the events show each write of a file with coarse times; they cancel the hash.
                let is_certain = !outcomes.iter().any(is_coarse) || self.handle_pending_events();
                for outcome in outcomes {
                    if is_certain || !is_coarse(&outcome) {
                        self.hashed(outcome);
                    } else {
                        self.hash_again(&outcome);
                    }
                }
            }
        }
    }

    /// Handles the events that happened until now, without waiting for more. Returns whether it saw all of them.
    fn handle_pending_events(&mut self) -> bool {
        let mut batch = Vec::new();
        for _ in 0..PENDING_BATCHES {
            self.watch.pending_events(&mut batch);
            if batch.is_empty() {
                return true;
            }
            if batch.iter().any(|event| matches!(event, Event::Lost | Event::Broken(_))) {
                self.events(&mut batch);
                return false;
            }
            self.events(&mut batch);
        }
        false
    }

    /// Handles a batch of events; each name once.
    fn events(&mut self, batch: &mut Vec<Event>) {
        let mut changed: Vec<(FileName, ChangeKind)> = Vec::new();
        // Names with a write in this batch, whatever happened later.
        let mut written: BTreeSet<FileName> = BTreeSet::new();
        let mut positions: HashMap<FileName, usize> = HashMap::new();
        // Names that belong to another file, or to none, since an event of this batch.
        let mut replaced: BTreeSet<FileName> = BTreeSet::new();
        let mut hidden: HashMap<FileName, ChangeKind> = HashMap::new();
        for event in batch.drain(..) {
            if let Event::To(name, kind) = &event {
                self.note_event(name, *kind, &mut replaced);
                if kind.is_write() {
                    written.insert(name.clone());
                }
            }
            match event {
                Event::To(name, kind) => match positions.get(&name) {
                    // The last event counts, but a change of attributes alone does not replace a write.
                    Some(position) if kind != ChangeKind::Touched => changed[*position].1 = kind,
                    Some(_) => {}
                    None => {
                        positions.insert(name.clone(), changed.len());
                        changed.push((name, kind));
                    }
                },
                Event::Hidden(name, kind) => drop(hidden.insert(name, kind)),
                Event::Rules => self.scans.soon(now().after(ignore_patterns::QUIET)),
                Event::Other => {
                    self.scans.soon(now().after(OTHER_DELAY));
                    self.presence.check_soon(now()); // the event may be about the shared folder itself
                }
                Event::Lost => self.scans.soon(now()),
                Event::Broken(reason) => self.watch_failed(reason),
            }
        }
        if self.presence.is_away() {
            return;
        }
        let mut scanned = BTreeSet::new();
        let folder = self.folder.clone();
        let mut lookup = OpenFolderCache::new(&folder);
        for (name, kind) in changed {
            let found = lookup.status(&name);
            let is_coarse = found.as_ref().is_ok_and(|found| found.stamp.has_coarse_times());
            // With coarse times, only the event shows the write.
            let kind = if is_coarse && written.contains(&name) { ChangeKind::Written } else { kind };
            self.inspect(&name, found, kind, &mut scanned);
        }
        for (name, kind) in hidden {
            if let Some(file) = lookup.status(&name).ok().and_then(|found| found.linked_file()) {
                self.inspect_other_names(&file, kind); // a shared name may belong to the same file
            }
        }
    }

    fn end(mut self) {
        self.stop.cancel(); // this stops the hash threads too, if the receiver of the changes was dropped
        self.index.write(&mut self.problems);
        self.hashing.end();
    }
}
