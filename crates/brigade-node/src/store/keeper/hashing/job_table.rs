//! The jobs of the hash threads: which files wait to be hashed or are being hashed, at most one job for each name.
//!
//! The keeper adds, cancels and finishes jobs; the parent module has the threads, `hashing_progress` the counts that
//! people see.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use brigade_core::{name::FileName, time::Timestamp};

use super::{HashWorkers, hashing_progress::HashingCounter, thread_messages::HashJob};
use crate::store::{file_stamp::Stamp, name_ranges::at_or_below};

/// The jobs, and the threads that do them.
#[derive(Debug)]
pub(crate) struct HashJobs {
    workers: HashWorkers,
    /// The progress of hashing, which other tasks read.
    counter: Arc<HashingCounter>,
    by_name: BTreeMap<FileName, Arc<HashJob>>,
    /// The number of jobs so far.
    last: u64,
}

impl HashJobs {
    /// No jobs yet, for these threads.
    pub(crate) fn new(workers: HashWorkers, counter: Arc<HashingCounter>) -> Self {
        Self { workers, counter, by_name: BTreeMap::new(), last: 0 }
    }

    /// Adds a job. It replaces the one for the same name.
    pub(crate) fn add(&mut self, name: &FileName, stamp: Stamp, now: Timestamp) {
        self.cancel(name);
        self.last += 1;
        let job = Arc::new(HashJob::new(name.clone(), stamp, self.last));
        self.counter.added(&job, now);
        self.by_name.insert(name.clone(), job.clone());
        self.workers.add(job);
    }

    /// Cancels the job for a name, if there is one.
    pub(crate) fn cancel(&mut self, name: &FileName) {
        if let Some(job) = self.by_name.remove(name) {
            job.cancelled.store(true, Ordering::Relaxed);
            self.counter.cancelled(&job);
        }
    }

    /// Cancels the jobs for a path and for the names below it.
    pub(crate) fn cancel_at_or_below(&mut self, path: &FileName) {
        for name in self.at_or_below(path) {
            self.cancel(&name);
        }
    }

    /// Removes a job that a thread has done. `None` if it was cancelled.
    pub(crate) fn finish(&mut self, name: &FileName, number: u64) -> Option<Arc<HashJob>> {
        self.by_name.get(name).filter(|job| job.number == number)?;
        let job = self.by_name.remove(name)?;
        self.counter.ended(&job);
        Some(job)
    }

    /// Whether there is a job for the file with this stamp.
    pub(crate) fn has(&self, name: &FileName, stamp: &Stamp) -> bool {
        self.by_name.get(name).is_some_and(|job| job.stamp == *stamp)
    }

    /// The names with jobs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &FileName> {
        self.by_name.keys()
    }

    /// The names with jobs at a path and below it.
    pub(crate) fn at_or_below(&self, path: &FileName) -> Vec<FileName> {
        at_or_below(&self.by_name, path)
    }

    /// The number of jobs.
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Gives work to the threads that have none, and sets the number of files that are being written.
    pub(crate) fn dispatch(&mut self, unsettled: usize) {
        self.workers.dispatch();
        self.counter.settling(unsettled);
    }

    /// The queue of small files, or else of large files, has no more work.
    pub(crate) fn idle(&mut self, small: bool) {
        self.workers.idle(small);
    }

    /// The number of files that wait in all folders of the peer.
    pub(crate) fn waiting_in_all(&self) -> usize {
        self.counter.waiting_in_all()
    }

    /// Waits for the threads. The token that they were started with must be cancelled before.
    pub(crate) fn end(mut self) {
        let names: Vec<FileName> = self.names().cloned().collect();
        names.iter().for_each(|name| self.cancel(name)); // the progress of all folders is read on
        self.counter.settling(0);
        self.workers.end();
    }
}
