//! Hashing in the background, with two queues that do not wait for each other: small files, many at a time, each on
//! one thread; and large files, one after the other, each on all threads. `job_table` has the jobs of both, and
//! `thread_messages` the messages to the threads and from them.

pub(super) mod hashing_progress;
pub(super) mod job_table;
pub(super) mod thread_messages;

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::{
    hashing_progress::HashingCounter,
    thread_messages::{HashJob, HashOutcome, HashReport},
};
use crate::store::{
    file_stamp::stamp_of,
    folder::Folder,
    hash::{HashError, Hashed, hash_file, hash_small},
};

/// Files up to this size are hashed on one thread each, while the other threads hash other files.
const SMALL_BYTES: u64 = 4 << 20;

/// The number of small files, and of bytes, in one batch: a new file waits for at most one batch.
const BATCH_FILES: usize = 1024;
const BATCH_BYTES: u64 = 64 << 20;

/// Results that a thread collects before it reports them.
const REPORTED_AT_ONCE: usize = 64;

/// Cancelled jobs that may stay in a queue before they are removed.
const CALLED_OFF: usize = 1024;

/// The two queues with their threads.
#[derive(Debug)]
pub(super) struct HashWorkers {
    small: HashQueue,
    large: HashQueue,
}

#[derive(Debug)]
struct HashQueue {
    waiting: VecDeque<Arc<HashJob>>,
    batches: SyncSender<Vec<Arc<HashJob>>>,
    idle: bool,
    thread: JoinHandle<()>,
}

/// The data that each job needs.
#[derive(Clone)]
struct HashContext {
    folder: Folder,
    threads: usize,
    stop: CancellationToken,
    reports: mpsc::Sender<HashReport>,
    counter: Arc<HashingCounter>,
    small: bool,
}

impl HashWorkers {
    pub(super) fn start(
        folder: &Folder,
        threads: usize,
        stop: &CancellationToken,
        reports: &mpsc::Sender<HashReport>,
        counter: &Arc<HashingCounter>,
    ) -> io::Result<Self> {
        let queue = |small| {
            let (folder, stop, reports) = (folder.clone(), stop.clone(), reports.clone());
            let counter = counter.clone();
            HashQueue::start(HashContext { folder, threads: threads.max(1), stop, reports, counter, small })
        };
        Ok(Self { small: queue(true)?, large: queue(false)? })
    }

    pub(super) fn add(&mut self, job: Arc<HashJob>) {
        let queue = if job.stamp.size <= SMALL_BYTES { &mut self.small } else { &mut self.large };
        queue.waiting.push_back(job);
    }

    /// Gives work to the queues that have none.
    pub(super) fn dispatch(&mut self) {
        self.small.dispatch(BATCH_FILES);
        self.large.dispatch(1);
    }

    pub(super) fn idle(&mut self, small: bool) {
        if small { self.small.idle = true } else { self.large.idle = true }
    }

    /// Waits for the threads. The token that they were started with must be cancelled before.
    pub(super) fn end(self) {
        for queue in [self.small, self.large] {
            drop(queue.batches);
            let _ = queue.thread.join();
        }
    }
}

impl HashQueue {
    fn start(context: HashContext) -> io::Result<Self> {
        let (batches, receiver) = sync_channel(1);
        let name = if context.small { "hash-small" } else { "hash-large" };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&context, &receiver))?;
        Ok(Self { waiting: VecDeque::new(), batches, idle: true, thread })
    }

    fn dispatch(&mut self, files: usize) {
        let cancelled = |job: &Arc<HashJob>| job.cancelled.load(Ordering::Relaxed);
        if self.waiting.len() > CALLED_OFF && self.waiting.front().is_some_and(cancelled) {
            self.waiting.retain(|job| !cancelled(job));
        }
        if !self.idle {
            return;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < files && bytes < BATCH_BYTES {
            let Some(job) = self.waiting.pop_front() else { break };
            if !cancelled(&job) {
                bytes += job.stamp.size;
                batch.push(job);
            }
        }
        // An idle queue has space for one batch; its thread ends only with the keeper.
        if !batch.is_empty() && self.batches.try_send(batch).is_ok() {
            self.idle = false;
        }
    }
}

fn work(context: &HashContext, batches: &Receiver<Vec<Arc<HashJob>>>) {
    while let Ok(batch) = batches.recv() {
        if context.small {
            context.hash_each(&batch);
        } else {
            for job in &batch {
                context.counter.begun(job);
                let outcome =
                    context.hash(job, |file, size, off| hash_file(file, size, context.threads, off));
                context.report(HashReport::Outcomes(vec![outcome]));
            }
        }
        context.report(HashReport::Idle { small: context.small });
    }
}

impl HashContext {
    /// Hashes one file on each thread.
    fn hash_each(&self, batch: &[Arc<HashJob>]) {
        let next = AtomicUsize::new(0);
        let hash_some = || {
            let (mut buffer, mut outcomes) = (Vec::new(), Vec::new());
            while let Some(job) = batch.get(next.fetch_add(1, Ordering::Relaxed)) {
                outcomes.push(self.hash(job, |file, size, off| hash_small(file, size, &mut buffer, off)));
                if outcomes.len() >= REPORTED_AT_ONCE {
                    self.report(HashReport::Outcomes(std::mem::take(&mut outcomes)));
                }
            }
            if !outcomes.is_empty() {
                self.report(HashReport::Outcomes(outcomes));
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
        job: &HashJob,
        hash: impl FnOnce(&std::fs::File, u64, &(dyn Fn() -> bool + Sync)) -> Result<Hashed, HashError>,
    ) -> HashOutcome {
        let hash = || {
            let (file, stamp) = self.folder.open_stamped(&job.name)?;
            if !stamp.is_unchanged_since(&job.stamp) {
                return Err(HashError::Changed.into());
            }
            let cancelled = || {
                job.portions.fetch_add(1, Ordering::Relaxed);
                job.cancelled.load(Ordering::Relaxed) || self.stop.is_cancelled()
            };
            let hashed = hash(&file, stamp.size, &cancelled)?;
            let after = stamp_of(&file).map_err(HashError::from)?;
            if after == stamp { Ok((hashed, after)) } else { Err(HashError::Changed.into()) }
        };
        HashOutcome { name: job.name.clone(), number: job.number, result: hash() }
    }

    /// If the keeper has ended, the report is dropped.
    fn report(&self, report: HashReport) {
        let _ = self.reports.blocking_send(report);
    }
}
