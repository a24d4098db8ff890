//! The keeper's state and its loop: it waits for one of all inputs, then does the work that is due.
//!
//! `file` handles one name, `scan` the whole folder.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use brigade_core::{backoff::Backoff, name::FileName, time::Timestamp};
use tokio::sync::{mpsc, watch as tokio_watch};
use tokio_util::sync::CancellationToken;

use super::{
    cached_lookup::CachedLookup,
    change::{Change, LandedNotice},
    change_queue::ChangeQueue,
    departed::DepartedFiles,
    hashing::{HashWorkers, backlog::BacklogCounter, job::HashJob},
    options::KeeperOptions,
    problems::{KeeperProblem, ProblemList, Problems},
    settle::{ChangeKind, QuietTimes, SettlingFiles},
    watch::{Event, FolderWatcher, WatchError},
};
use crate::{
    clock::{self, now},
    store::{
        folder::{Folder, PrivateState},
        ignore::{self, IgnoreRules},
        index::{Index, IndexWrite},
        share::{Share, SharedFile},
        stamp::Stamp,
        system::TELLS_WRITERS,
    },
};

/// On systems that can tell who writes to a file, a second without events is enough; on others the keeper waits
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

/// The delay of a scan for an event about a name that cannot be shared.
const OTHER_DELAY: Duration = Duration::from_secs(1);

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
    pub(super) changes: mpsc::Sender<Change>,
    pub(super) counter: Arc<BacklogCounter>,
    pub(super) stop: CancellationToken,
}

/// The state of the keeper.
pub(super) struct KeeperOwner {
    /// Declared before the folder, so that it is closed before the lock ends with the folder's last handle.
    pub(super) index: Option<Index>,
    pub(super) folder: Folder,
    pub(super) share: Share,
    pub(super) hidden: bool,
    pub(super) only_landed: bool,
    pub(super) stop: CancellationToken,
    pub(super) settle: SettlingFiles,
    pub(super) watch: FolderWatcher,
    pub(super) problems: Problems,
    pub(super) change_queue: ChangeQueue,
    /// The ignore patterns.
    pub(super) rules: IgnoreRules,
    /// The files that were shared when the folder disappeared; `None` while the folder is at its path.
    pub(super) away: Option<HashMap<FileName, Arc<SharedFile>>>,
    /// The state of `.brigade/` at the last check.
    pub(super) private: PrivateState,
    /// The time of the next check that the folder is at its path.
    pub(super) next_presence_check: Timestamp,
    /// The time of the next check that the folder is writable.
    pub(super) next_write_check: Timestamp,
    /// The times of the next scan and of the last one.
    pub(super) next_scan: Timestamp,
    pub(super) last_scan: Timestamp,
    /// Whether the folder is to be watched.
    pub(super) wants_watch: bool,
    /// Whether the keeper scans often, since some folders are not watched.
    pub(super) polling: bool,
    /// The duration of the last scan.
    pub(super) scan_cost: Duration,
    /// Files that could not be read. They wait in `settle` for the next attempt.
    pub(super) failed_reads: BTreeMap<FileName, FailedRead>,
    /// The pauses before the next scans after an entry could not be read.
    pub(super) rescan: Backoff,
    /// Files of the first scan that are not announced yet; `None` when that is complete.
    pub(super) initial: Option<BTreeMap<FileName, ()>>,
    pub(super) hashing: HashWorkers,
    /// The progress of hashing, which other tasks read.
    pub(super) counter: Arc<BacklogCounter>,
    /// Files that wait to be hashed, or are being hashed.
    pub(super) work: BTreeMap<FileName, Arc<HashJob>>,
    /// The number of jobs so far.
    pub(super) jobs: u64,
    /// The earliest time of the next search for open files.
    pub(super) writers_after: Timestamp,
    /// Files that lost their names.
    pub(super) departed: DepartedFiles,
    pub(super) index_writes: Vec<IndexWrite>,
    pub(super) index_due: Option<Timestamp>,
    pub(super) index_failed: bool,
}

/// Runs a keeper until it is stopped.
pub(super) async fn keep(
    folder: Folder,
    share: Share,
    options: KeeperOptions,
    problems: tokio_watch::Sender<Arc<ProblemList>>,
    mut channels: KeeperChannels,
) {
    let (reports, mut reported) = mpsc::channel(REPORTS);
    let hashing =
        match HashWorkers::start(&folder, options.threads, &channels.stop, &reports, &channels.counter) {
            Ok(hashing) => hashing,
            Err(error) => {
                tracing::error!(%error, "the hash threads could not be started");
                return;
            }
        };
    drop(reports);
    let mut owner = KeeperOwner::new(folder, share, &options, problems, hashing, &channels);
    let known = owner.open_index();
    owner.start_watch();
    owner.first_scan(known);
    let mut batch = Vec::new();
    let mut gather_until = now();
    loop {
        owner.do_due_work(now());
        let has_space = !owner.change_queue.is_full();
        let wake = owner.deadline();
        tokio::select! {
            biased;
            () = channels.stop.cancelled() => break,
            Some((files, done)) = channels.landed.recv() => {
                owner.landed(files);
                let _ = done.send(());
            }
            permit = channels.changes.reserve(), if !owner.change_queue.is_empty() => {
                match (permit, owner.change_queue.pop()) {
                    (Ok(permit), Some(change)) => permit.send(change),
                    _ => break,
                }
            }
            () = channels.changes.closed() => break,
            Some(report) = reported.recv(), if has_space => owner.report(report),
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
        problems: tokio_watch::Sender<Arc<ProblemList>>,
        hashing: HashWorkers,
        channels: &KeeperChannels,
    ) -> Self {
        Self {
            index: None,
            watch: FolderWatcher::none(&folder),
            private: folder.private_state(),
            folder,
            share,
            hidden: options.hidden,
            only_landed: options.only_landed,
            stop: channels.stop.clone(),
            settle: SettlingFiles::new(QUIET),
            problems: Problems::new(problems),
            change_queue: ChangeQueue::default(),
            rules: IgnoreRules::default(),
            away: None,
            next_presence_check: now(),
            next_write_check: now(),
            next_scan: now(),
            last_scan: now(),
            wants_watch: options.watch && !options.only_landed,
            polling: !options.watch || options.only_landed,
            scan_cost: Duration::ZERO,
            failed_reads: BTreeMap::new(),
            rescan: RETRY,
            initial: Some(BTreeMap::new()),
            hashing,
            counter: channels.counter.clone(),
            work: BTreeMap::new(),
            jobs: 0,
            writers_after: now(),
            departed: DepartedFiles::default(),
            index_writes: Vec::new(),
            index_due: None,
            index_failed: false,
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
        if !self.polling {
            self.polling = true;
            self.scan_soon(now());
        }
    }

    /// Does the work that is due.
    fn do_due_work(&mut self, now: Timestamp) {
        if now >= self.next_presence_check {
            self.check_presence(now);
        }
        if !self.change_queue.is_full() && self.away.is_none() {
            if now >= self.next_scan {
                self.scan(None);
            }
            if self.settle.next().is_some_and(|due| due.max(self.writers_after) <= now) {
                self.hash_settled(now);
            }
        }
        self.hashing.dispatch();
        // Files that could not be read wait there too. They are problems; they are not being written.
        self.counter.settling(self.settle.unsettled());
        if self.index_due.is_some_and(|due| due <= now) {
            self.write_index();
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
        let scan = self.away.is_none().then_some(self.next_scan);
        let due = [scan, at_rest, self.index_due].into_iter().flatten();
        due.fold(self.next_presence_check, Timestamp::min)
    }

    /// Handles a batch of events; each name once.
    fn events(&mut self, batch: &mut Vec<Event>) {
        let mut changed: Vec<(FileName, ChangeKind)> = Vec::new();
        let mut positions: HashMap<FileName, usize> = HashMap::new();
        for event in batch.drain(..) {
            if let Event::To(name, ChangeKind::Written | ChangeKind::Closed) = &event {
                self.note_written(name);
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
                Event::Rules => self.scan_soon(now().after(ignore::QUIET)),
                Event::Other => {
                    self.scan_soon(now().after(OTHER_DELAY));
                    self.next_presence_check = now(); // the event may be about the shared folder itself
                }
                Event::Lost => self.scan_soon(now()),
                Event::Broken(reason) => self.watch_failed(reason),
            }
        }
        if self.away.is_some() {
            return;
        }
        let mut scanned = BTreeSet::new();
        let folder = self.folder.clone();
        let mut lookup = CachedLookup::new(&folder);
        for (name, kind) in changed {
            let found = lookup.status(&name);
            self.inspect(&name, found, kind, &mut scanned);
        }
    }

    fn end(mut self) {
        self.stop.cancel(); // this stops the hash threads too, if the receiver of the changes was dropped
        self.write_index();
        self.hashing.end();
    }
}
