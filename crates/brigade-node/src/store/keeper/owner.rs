//! The keeper's state and its loop: one wait for all that can happen, then what is due.
//!
//! What is done about one name stands in `file`, the look at everything in `scan`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use brigade_core::{name::FileName, time::Timestamp};
use tokio::sync::{mpsc, watch as tokio_watch};
use tokio_util::sync::CancellationToken;

use super::{
    Change, KeeperOptions, Landing, ProblemList,
    backlog::Tally,
    hashing::{Hashing, Job},
    looking::Looking,
    outbox::Outbox,
    problems::{Problems, Trouble},
    settle::{Quiet, Settle, Sign},
    watch::{Event, NoWatch, Watch},
};
use crate::{
    clock::{self, now},
    store::{
        folder::{Folder, PrivateState, Stamp},
        ignore::{self, Rules},
        index::{Index, Write},
        share::{Share, Shared},
        system::TELLS_WRITERS,
    },
};

/// Where it is known who writes, a second without news is enough; elsewhere caution must do.
const QUIET: Quiet = Quiet {
    closed: Duration::from_millis(200),
    open: if TELLS_WRITERS { Duration::from_secs(1) } else { Duration::from_millis(1500) },
    busy: Duration::from_secs(1),
};

/// News is gathered for so long, so that a thousand writes to one file are one look at it.
const GATHER: Duration = Duration::from_millis(25);

const _: () = assert!(
    QUIET.open.as_millis() + GATHER.as_millis() < 2_000 && QUIET.closed.as_millis() < QUIET.open.as_millis(),
    "what was changed is seen within two seconds"
);

/// How long a look at everything waits that is only about a name that cannot be shared.
const ODD_DELAY: Duration = Duration::from_secs(1);

/// Reports of the hash lanes that wait for the keeper.
const REPORTS: usize = 64;

/// What cannot be read or looked at may be so for a moment (too many open files, another program's lock) or for long (a
/// disk that fails, a right that is missing): it is tried again after these times, the first of which doubles.
pub(super) const FIRST_RETRY: Duration = Duration::from_secs(1);
pub(super) const LAST_RETRY: Duration = Duration::from_secs(60);

/// A file that could not be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    /// What it was then.
    pub(super) stamp: Stamp,
    /// After what time it is tried again.
    pub(super) pause: Duration,
}

/// How the keeper hears and is heard.
pub(super) struct Ways {
    pub(super) landed: mpsc::Receiver<Landing>,
    pub(super) changes: mpsc::Sender<Change>,
    pub(super) tally: Arc<Tally>,
    pub(super) stop: CancellationToken,
}

/// Everything that the keeper knows.
pub(super) struct Owner {
    /// Closed before the folder, whose lock ends with its last handle.
    pub(super) index: Option<Index>,
    pub(super) folder: Folder,
    pub(super) share: Share,
    pub(super) hidden: bool,
    pub(super) only_landed: bool,
    pub(super) stop: CancellationToken,
    pub(super) settle: Settle,
    pub(super) watch: Watch,
    pub(super) problems: Problems,
    pub(super) outbox: Outbox,
    /// What is to be ignored.
    pub(super) rules: Rules,
    /// What was shared when the folder went away, until it is back; nothing while it is in its place.
    pub(super) away: Option<HashMap<FileName, Arc<Shared>>>,
    /// How our own folder stood when it was last looked at.
    pub(super) private: PrivateState,
    /// When it is looked whether the folder is in its place.
    pub(super) next_presence: Timestamp,
    /// When it is tried whether it can be written to.
    pub(super) next_try: Timestamp,
    /// When everything is looked at next, and when it was last.
    pub(super) next_scan: Timestamp,
    pub(super) last_scan: Timestamp,
    /// Whether there shall be news.
    pub(super) wants_news: bool,
    /// Set where there is no news, or not of all folders.
    pub(super) polling: bool,
    /// How long the last look at everything took.
    pub(super) scan_cost: Duration,
    /// Files that could not be read. They wait in `settle` until they are tried again.
    pub(super) refused: BTreeMap<FileName, Refused>,
    /// How long until everything is looked at again after something could not be looked at.
    pub(super) rescan_pause: Duration,
    /// Files from the start that are not yet dealt with; none once all are.
    pub(super) initial: Option<BTreeMap<FileName, ()>>,
    pub(super) hashing: Hashing,
    /// How far hashing is, for others to read.
    pub(super) tally: Arc<Tally>,
    /// Files that wait for their hash, or are being hashed.
    pub(super) work: BTreeMap<FileName, Arc<Job>>,
    /// How many jobs there ever were.
    pub(super) jobs: u64,
    /// When it may be asked again who writes.
    pub(super) writers_after: Timestamp,
    /// Files that left their names, by (device, inode), and until when they are remembered.
    pub(super) departed: HashMap<(u64, u64), Arc<Shared>>,
    pub(super) departed_until: Timestamp,
    pub(super) index_writes: Vec<Write>,
    pub(super) index_due: Option<Timestamp>,
    pub(super) index_failed: bool,
}

/// Runs a keeper until it is stopped.
pub(super) async fn keep(
    folder: Folder,
    share: Share,
    options: KeeperOptions,
    problems: tokio_watch::Sender<Arc<ProblemList>>,
    mut ways: Ways,
) {
    let (reports, mut reported) = mpsc::channel(REPORTS);
    let hashing = match Hashing::start(&folder, options.threads, &ways.stop, &reports, &ways.tally) {
        Ok(hashing) => hashing,
        Err(error) => {
            tracing::error!(%error, "the threads that hash could not be started");
            return;
        }
    };
    drop(reports);
    let mut owner = Owner::new(folder, share, &options, problems, hashing, &ways);
    let known = owner.open_index();
    owner.start_watch();
    owner.first_scan(known);
    let mut batch = Vec::new();
    let mut gather_until = now();
    loop {
        owner.step(now());
        let room = !owner.outbox.is_full();
        let wake = owner.deadline();
        tokio::select! {
            biased;
            () = ways.stop.cancelled() => break,
            Some((files, done)) = ways.landed.recv() => {
                owner.landed(files);
                let _ = done.send(());
            }
            permit = ways.changes.reserve(), if !owner.outbox.is_empty() => match (permit, owner.outbox.pop()) {
                (Ok(permit), Some(change)) => permit.send(change),
                _ => break,
            },
            () = ways.changes.closed() => break,
            Some(report) = reported.recv(), if room => owner.report(report),
            () = async { clock::reach(Some(gather_until)).await; owner.watch.news(&mut batch).await }, if room => {
                owner.events(&mut batch);
                gather_until = now().after(GATHER);
            }
            () = clock::reach(Some(wake)), if room => {}
        }
    }
    // Threads that report must not wait for a keeper that hears no more.
    drop(reported);
    owner.end();
}

impl Owner {
    fn new(
        folder: Folder,
        share: Share,
        options: &KeeperOptions,
        problems: tokio_watch::Sender<Arc<ProblemList>>,
        hashing: Hashing,
        ways: &Ways,
    ) -> Self {
        Self {
            index: None,
            watch: Watch::none(&folder),
            private: folder.private_state(),
            folder,
            share,
            hidden: options.hidden,
            only_landed: options.only_landed,
            stop: ways.stop.clone(),
            settle: Settle::new(QUIET),
            problems: Problems::new(problems),
            outbox: Outbox::default(),
            rules: Rules::default(),
            away: None,
            next_presence: now(),
            next_try: now(),
            next_scan: now(),
            last_scan: now(),
            wants_news: options.watch && !options.only_landed,
            polling: !options.watch || options.only_landed,
            scan_cost: Duration::ZERO,
            refused: BTreeMap::new(),
            rescan_pause: FIRST_RETRY,
            initial: Some(BTreeMap::new()),
            hashing,
            tally: ways.tally.clone(),
            work: BTreeMap::new(),
            jobs: 0,
            writers_after: now(),
            departed: HashMap::new(),
            departed_until: now(),
            index_writes: Vec::new(),
            index_due: None,
            index_failed: false,
        }
    }

    /// Begins to hear news, where that is wanted and not so already.
    pub(super) fn start_watch(&mut self) {
        if self.wants_news && !self.watch.is_on() {
            match Watch::start(&self.folder, self.hidden) {
                Ok(watch) => self.watch = watch,
                Err(why) => self.broken(why),
            }
        }
    }

    /// News cannot be had: said once, and from now on everything is looked at time and again.
    pub(super) fn broken(&mut self, why: NoWatch) {
        self.problems.trouble(Trouble::Unwatched(why));
        if !self.polling {
            self.polling = true;
            self.scan_soon(now());
        }
    }

    /// What is due.
    fn step(&mut self, now: Timestamp) {
        if now >= self.next_presence {
            self.look_for_folder(now);
        }
        if !self.outbox.is_full() && self.away.is_none() {
            if now >= self.next_scan {
                self.scan(None);
            }
            if self.settle.next().is_some_and(|due| due.max(self.writers_after) <= now) {
                self.hash_those_at_rest(now);
            }
        }
        self.hashing.dispatch();
        // Those that could not be read wait there too, to be tried again: they are problems, and not being written.
        self.tally.settling(self.settle.restless());
        if self.index_due.is_some_and(|due| due <= now) {
            self.write_index();
        }
        if !self.departed.is_empty() && self.departed_until <= now {
            self.departed = HashMap::new();
        }
        if self.initial.as_ref().is_some_and(BTreeMap::is_empty) {
            self.initial = None;
            self.outbox.push(Change::Scanned);
        }
        for news in self.problems.publish() {
            self.outbox.push(news);
        }
    }

    fn deadline(&self) -> Timestamp {
        let at_rest = self.settle.next().map(|due| due.max(self.writers_after));
        let scan = self.away.is_none().then_some(self.next_scan);
        let due = [scan, at_rest, self.index_due].into_iter().flatten();
        due.fold(self.next_presence, Timestamp::min)
    }

    /// Looks at what news there is, each name once.
    fn events(&mut self, batch: &mut Vec<Event>) {
        let mut signs: Vec<(FileName, Sign)> = Vec::new();
        let mut places: HashMap<FileName, usize> = HashMap::new();
        for event in batch.drain(..) {
            match event {
                Event::To(name, sign) => match places.get(&name) {
                    // What was seen last counts, but a touch says nothing about writing.
                    Some(place) if sign != Sign::Touched => signs[*place].1 = sign,
                    Some(_) => {}
                    None => {
                        places.insert(name.clone(), signs.len());
                        signs.push((name, sign));
                    }
                },
                Event::Rules => self.scan_soon(now().after(ignore::QUIET)),
                Event::Odd => {
                    self.scan_soon(now().after(ODD_DELAY));
                    self.next_presence = now(); // it may be about the shared folder
                }
                Event::Lost => self.scan_soon(now()),
                Event::Broken(why) => self.broken(why),
            }
        }
        if self.away.is_some() {
            return;
        }
        let mut scanned = BTreeSet::new();
        let folder = self.folder.clone();
        let mut walk = Looking::new(&folder);
        for (name, sign) in signs {
            let found = walk.look(&name);
            self.inspect(&name, found, sign, &mut scanned);
        }
    }

    fn end(mut self) {
        self.stop.cancel(); // of the hash lanes, too, where it is the changes that nobody receives any more
        self.write_index();
        self.hashing.end();
    }
}
