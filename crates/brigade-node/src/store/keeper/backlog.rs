//! How far hashing is: what waits for it, how many bytes of how many are done, and how long the rest takes.
//!
//! The keeper and its hash threads count here; `status` reads. Nothing is decided by these numbers.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use brigade_core::{name::FileName, time::Timestamp};

use super::hashing::Job;

/// What is not hashed yet. The bytes are counted from the moment on at which there was last nothing to hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Files that wait for their hash or are being hashed.
    pub files: usize,
    /// Bytes of these files, and of those that were hashed since.
    pub bytes: u64,
    /// Bytes that were hashed since.
    pub bytes_done: u64,
    /// The large file that is being hashed now.
    pub current: Option<FileName>,
    /// How long it has taken so far.
    pub took: Duration,
    /// Files that were written to a moment ago, or are still open for writing: they are hashed when they are at rest.
    pub settling: usize,
}

impl Backlog {
    /// How long the rest takes at the rate so far; `None` while nothing is done.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.bytes.saturating_sub(self.bytes_done);
        let millis = u128::from(left) * self.took.as_millis() / u128::from(self.bytes_done).max(1);
        (self.bytes_done > 0).then(|| Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

/// The counts behind a [`Backlog`]. They have a lock: it is held to add a few numbers, once for each file.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Mutex<Counts>,
    settling: AtomicUsize,
}

#[derive(Debug, Default)]
struct Counts {
    files: usize,
    bytes: u64,
    bytes_done: u64,
    since: Option<Timestamp>,
    current: Option<Arc<Job>>,
}

impl Tally {
    /// One more file is to be hashed.
    pub(super) fn added(&self, job: &Job, now: Timestamp) {
        let mut counts = self.counts();
        counts.files += 1;
        counts.bytes += job.stamp.size;
        counts.since.get_or_insert(now);
    }

    /// A large file is being hashed from now on.
    pub(super) fn begun(&self, job: &Arc<Job>) {
        self.counts().current = Some(job.clone());
    }

    /// A file was hashed, or could not be.
    pub(super) fn ended(&self, job: &Job) {
        self.leave(job, true);
    }

    /// A file is not to be hashed any more.
    pub(super) fn called_off(&self, job: &Job) {
        self.leave(job, false);
    }

    /// So many files are not at rest.
    pub(super) fn settling(&self, files: usize) {
        self.settling.store(files, Ordering::Relaxed);
    }

    /// How far it is at `now`.
    pub(super) fn backlog(&self, now: Timestamp) -> Backlog {
        let counts = self.counts();
        let current = counts.current.as_ref().filter(|job| !job.called_off.load(Ordering::Relaxed));
        let of_current = current.map_or(0, |job| job.hashed_bytes());
        Backlog {
            files: counts.files,
            bytes: counts.bytes,
            bytes_done: (counts.bytes_done + of_current).min(counts.bytes),
            current: current.map(|job| job.name.clone()),
            took: counts.since.map_or(Duration::ZERO, |since| now.since(since)),
            settling: self.settling.load(Ordering::Relaxed),
        }
    }

    fn leave(&self, job: &Job, done: bool) {
        let mut counts = self.counts();
        counts.current.take_if(|current| current.number == job.number);
        counts.files = counts.files.saturating_sub(1);
        if counts.files == 0 {
            *counts = Counts::default();
        } else if done {
            counts.bytes_done += job.stamp.size;
        } else {
            counts.bytes = counts.bytes.saturating_sub(job.stamp.size);
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::Ordering, time::Duration};

    use brigade_core::time::Timestamp;

    use super::{Arc, Backlog, Job, Tally};
    use crate::store::{folder::Stamp, hash::BUFFER_BYTES};

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn job(number: u64, size: u64) -> Arc<Job> {
        let stamp = Stamp { device: 1, inode: number, size, mtime_ns: 0, ctime_ns: 0, executable: false };
        Arc::new(Job::new(format!("f{number}").parse().unwrap(), stamp, number))
    }

    #[test]
    fn bytes_files_and_the_time_left_are_counted_while_a_large_file_is_hashed() {
        let (tally, unit) = (Tally::default(), BUFFER_BYTES as u64);
        let (large, other, small) = (job(1, 100 * unit), job(2, 100 * unit), job(3, 1000));
        [&large, &other, &small].into_iter().for_each(|job| tally.added(job, at(10)));
        assert_eq!(tally.backlog(at(10)).time_left(), None);
        tally.begun(&large);
        large.portions.store(50, Ordering::Relaxed);
        tally.ended(&small);
        let backlog = tally.backlog(at(25));
        let expected = Backlog {
            files: 2,
            bytes: 200 * unit + 1000,
            bytes_done: 50 * unit + 1000,
            current: Some("f1".parse().unwrap()),
            took: Duration::from_secs(15),
            settling: 0,
        };
        assert_eq!(backlog, expected);
        assert_eq!(backlog.time_left().unwrap().as_secs(), 44); // 150 units at ten units in three seconds
    }

    #[test]
    fn what_is_called_off_counts_no_more_and_what_is_over_begins_anew() {
        let tally = Tally::default();
        let (one, two) = (job(1, 500), job(2, 300));
        tally.added(&one, at(0));
        tally.added(&two, at(0));
        tally.called_off(&one);
        assert_eq!((tally.backlog(at(1)).files, tally.backlog(at(1)).bytes), (1, 300));
        tally.ended(&two);
        assert_eq!(tally.backlog(at(2)), Backlog::default());
        tally.added(&one, at(100));
        assert_eq!(tally.backlog(at(115)).took, Duration::from_secs(15));
    }
}
