//! Hashing in the background, in two lanes that do not wait for each other: small files many at a time, one on each
//! thread, and large ones one after the other, each on all threads.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use brigade_core::name::FileName;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::backlog::Tally;
use crate::store::{
    folder::{Folder, FolderError, Stamp, stamp_of},
    hash::{BUFFER_BYTES, HashError, Hashed, hash_file, hash_small},
};

/// Up to this size a file is hashed on one thread, while the other threads hash other files.
const SMALL_BYTES: u64 = 4 << 20;

/// Files, and bytes, of small files that are handed over at once: new ones wait for no more than these.
const BATCH_FILES: usize = 1024;
const BATCH_BYTES: u64 = 64 << 20;

/// Results that a thread gathers before it reports them.
const REPORTED_AT_ONCE: usize = 64;

/// Jobs that were called off may stay in a queue up to this many before it is cleared of them.
const CALLED_OFF: usize = 1024;

/// A file to be hashed.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) name: FileName,
    /// What it is now; if it is not so when it is opened, it has changed.
    pub(super) stamp: Stamp,
    /// Tells this job from an earlier one for the same file.
    pub(super) number: u64,
    /// Set when nobody wants the result.
    pub(super) called_off: AtomicBool,
    /// How many portions of it were read so far.
    pub(super) portions: AtomicU64,
}

impl Job {
    pub(super) fn new(name: FileName, stamp: Stamp, number: u64) -> Self {
        Self { name, stamp, number, called_off: AtomicBool::new(false), portions: AtomicU64::new(0) }
    }

    /// Bytes of it that were hashed so far.
    pub(super) fn hashed_bytes(&self) -> u64 {
        let portions = self.portions.load(Ordering::Relaxed);
        portions.saturating_mul(BUFFER_BYTES as u64).min(self.stamp.size)
    }
}

/// What became of a job.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) name: FileName,
    pub(super) number: u64,
    pub(super) result: Result<(Hashed, Stamp), Failure>,
}

/// Why a file was not hashed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// What the lanes say to the keeper.
#[derive(Debug)]
pub(super) enum Report {
    Outcomes(Vec<Outcome>),
    /// The lane of small (or else of large) files wants more.
    Idle {
        small: bool,
    },
}

/// The two lanes and what waits for them.
#[derive(Debug)]
pub(super) struct Hashing {
    small: Lane,
    large: Lane,
}

#[derive(Debug)]
struct Lane {
    waiting: VecDeque<Arc<Job>>,
    batches: SyncSender<Vec<Arc<Job>>>,
    idle: bool,
    thread: JoinHandle<()>,
}

/// What every job needs.
#[derive(Clone)]
struct Bench {
    folder: Folder,
    threads: usize,
    stop: CancellationToken,
    reports: mpsc::Sender<Report>,
    tally: Arc<Tally>,
    small: bool,
}

impl Hashing {
    pub(super) fn start(
        folder: &Folder,
        threads: usize,
        stop: &CancellationToken,
        reports: &mpsc::Sender<Report>,
        tally: &Arc<Tally>,
    ) -> io::Result<Self> {
        let lane = |small| {
            let (folder, stop, reports) = (folder.clone(), stop.clone(), reports.clone());
            let tally = tally.clone();
            Lane::start(Bench { folder, threads: threads.max(1), stop, reports, tally, small })
        };
        Ok(Self { small: lane(true)?, large: lane(false)? })
    }

    pub(super) fn add(&mut self, job: Arc<Job>) {
        let lane = if job.stamp.size <= SMALL_BYTES { &mut self.small } else { &mut self.large };
        lane.waiting.push_back(job);
    }

    /// Hands over what waits to lanes that have nothing to do.
    pub(super) fn dispatch(&mut self) {
        self.small.dispatch(BATCH_FILES);
        self.large.dispatch(1);
    }

    pub(super) fn idle(&mut self, small: bool) {
        if small { self.small.idle = true } else { self.large.idle = true }
    }

    /// Waits for the threads, once the token that they were started with is cancelled.
    pub(super) fn end(self) {
        for lane in [self.small, self.large] {
            drop(lane.batches);
            let _ = lane.thread.join();
        }
    }
}

impl Lane {
    fn start(bench: Bench) -> io::Result<Self> {
        let (batches, receiver) = sync_channel(1);
        let name = if bench.small { "hash-small" } else { "hash-large" };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&bench, &receiver))?;
        Ok(Self { waiting: VecDeque::new(), batches, idle: true, thread })
    }

    fn dispatch(&mut self, files: usize) {
        let called_off = |job: &Arc<Job>| job.called_off.load(Ordering::Relaxed);
        if self.waiting.len() > CALLED_OFF && self.waiting.front().is_some_and(called_off) {
            self.waiting.retain(|job| !called_off(job));
        }
        if !self.idle {
            return;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < files && bytes < BATCH_BYTES {
            let Some(job) = self.waiting.pop_front() else { break };
            if !called_off(&job) {
                bytes += job.stamp.size;
                batch.push(job);
            }
        }
        // An idle lane has room for one batch; the thread ends only with the keeper.
        if !batch.is_empty() && self.batches.try_send(batch).is_ok() {
            self.idle = false;
        }
    }
}

fn work(bench: &Bench, batches: &Receiver<Vec<Arc<Job>>>) {
    while let Ok(batch) = batches.recv() {
        if bench.small {
            bench.hash_each(&batch);
        } else {
            for job in &batch {
                bench.tally.begun(job);
                let outcome = bench.hash(job, |file, size, off| hash_file(file, size, bench.threads, off));
                bench.report(Report::Outcomes(vec![outcome]));
            }
        }
        bench.report(Report::Idle { small: bench.small });
    }
}

impl Bench {
    /// One file on each thread.
    fn hash_each(&self, batch: &[Arc<Job>]) {
        let next = AtomicUsize::new(0);
        let hash_some = || {
            let (mut buffer, mut outcomes) = (Vec::new(), Vec::new());
            while let Some(job) = batch.get(next.fetch_add(1, Ordering::Relaxed)) {
                outcomes.push(self.hash(job, |file, size, off| hash_small(file, size, &mut buffer, off)));
                if outcomes.len() >= REPORTED_AT_ONCE {
                    self.report(Report::Outcomes(std::mem::take(&mut outcomes)));
                }
            }
            if !outcomes.is_empty() {
                self.report(Report::Outcomes(outcomes));
            }
        };
        let others = self.threads.min(batch.len()).saturating_sub(1);
        thread::scope(|scope| {
            let hash_some = &hash_some;
            for _ in 0..others {
                scope.spawn(hash_some);
            }
            hash_some();
        });
    }

    fn hash(
        &self,
        job: &Job,
        hash: impl FnOnce(&std::fs::File, u64, &(dyn Fn() -> bool + Sync)) -> Result<Hashed, HashError>,
    ) -> Outcome {
        let hash = || {
            let (file, stamp) = self.folder.open_stamped(&job.name)?;
            if stamp != job.stamp {
                return Err(HashError::Changed.into());
            }
            let called_off = || {
                job.portions.fetch_add(1, Ordering::Relaxed);
                job.called_off.load(Ordering::Relaxed) || self.stop.is_cancelled()
            };
            let hashed = hash(&file, stamp.size, &called_off)?;
            let after = stamp_of(&file).map_err(HashError::from)?;
            if after == stamp { Ok((hashed, after)) } else { Err(HashError::Changed.into()) }
        };
        Outcome { name: job.name.clone(), number: job.number, result: hash() }
    }

    /// A keeper that is gone wants to hear nothing.
    fn report(&self, report: Report) {
        let _ = self.reports.blocking_send(report);
    }
}
