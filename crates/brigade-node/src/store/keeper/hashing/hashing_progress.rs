//! The progress of hashing: how many files and bytes wait, how many are done, and the time left.
//!
//! The keeper and its hash threads count; `status` reads. No decision depends on these numbers.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use brigade_core::{name::FileName, time::Timestamp};

use super::thread_messages::HashJob;

/// The files that are not hashed yet. Bytes are counted from the time at which there was last nothing to hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HashingProgress {
    /// Files that wait to be hashed, or are being hashed.
    pub files: usize,
    /// Bytes of these files and of those that were hashed since then.
    pub bytes: u64,
    /// Bytes that were hashed since then.
    pub bytes_done: u64,
    /// The large file that is being hashed.
    pub current: Option<FileName>,
    /// The time since then.
    pub took: Duration,
    /// Files that were written a moment ago or are open for writing: they are hashed when their writers are done.
    pub settling: usize,
}

impl HashingProgress {
    /// The time that the rest takes at the rate so far; `None` while no bytes are hashed.
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.bytes.saturating_sub(self.bytes_done);
        let millis = u128::from(left) * self.took.as_millis() / u128::from(self.bytes_done).max(1);
        (self.bytes_done > 0).then(|| Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

/// The counts of a [`HashingProgress`]. The lock is held to add a few numbers, once for each file.
#[derive(Debug, Default)]
pub(crate) struct HashingCounter {
    counts: Mutex<Counts>,
    settling: AtomicUsize,
    /// The counter of all folders together, which counts the same.
    all: Option<Arc<Self>>,
}

#[derive(Debug, Default)]
struct Counts {
    files: usize,
    bytes: u64,
    bytes_done: u64,
    since: Option<Timestamp>,
    current: Option<Arc<HashJob>>,
}

impl HashingCounter {
    /// A counter of one folder; `all` counts its files too.
    pub(crate) fn of_folder(all: Arc<Self>) -> Self {
        Self { all: Some(all), ..Self::default() }
    }

    /// Adds a file that is to be hashed.
    pub(crate) fn added(&self, job: &HashJob, now: Timestamp) {
        self.all.iter().for_each(|all| all.added(job, now));
        let mut counts = self.counts();
        counts.files += 1;
        counts.bytes += job.stamp.size;
        counts.since.get_or_insert(now);
    }

    /// The hashing of a large file begins.
    pub(crate) fn begun(&self, job: &Arc<HashJob>) {
        self.all.iter().for_each(|all| all.begun(job));
        self.counts().current = Some(job.clone());
    }

    /// A file was hashed, or could not be hashed.
    pub(crate) fn ended(&self, job: &HashJob) {
        self.leave(job, true);
    }

    /// A file is not to be hashed any more.
    pub(crate) fn cancelled(&self, job: &HashJob) {
        self.leave(job, false);
    }

    /// Sets the number of files that are being written.
    pub(crate) fn settling(&self, files: usize) {
        let before = self.settling.swap(files, Ordering::Relaxed);
        if let Some(all) = &self.all {
            all.settling.fetch_add(files, Ordering::Relaxed);
            all.settling.fetch_sub(before, Ordering::Relaxed);
        }
    }

    /// The number of files that wait in all folders together.
    pub(crate) fn waiting_in_all(&self) -> usize {
        let all = self.all.as_deref().unwrap_or(self);
        all.counts().files + all.settling.load(Ordering::Relaxed)
    }

    /// The progress at `now`.
    pub(crate) fn backlog(&self, now: Timestamp) -> HashingProgress {
        let counts = self.counts();
        let current = counts.current.as_ref().filter(|job| !job.cancelled.load(Ordering::Relaxed));
        let of_current = current.map_or(0, |job| job.hashed_bytes());
        HashingProgress {
            files: counts.files,
            bytes: counts.bytes,
            bytes_done: (counts.bytes_done + of_current).min(counts.bytes),
            current: current.map(|job| job.name.clone()),
            took: counts.since.map_or(Duration::ZERO, |since| now.since(since)),
            settling: self.settling.load(Ordering::Relaxed),
        }
    }

    fn leave(&self, job: &HashJob, done: bool) {
        self.all.iter().for_each(|all| all.leave(job, done));
        let mut counts = self.counts();
        counts.current.take_if(|current| std::ptr::eq(Arc::as_ptr(current), job));
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

    use super::{Arc, HashJob, HashingCounter, HashingProgress};
    use crate::store::{file_stamp::Stamp, hash::BUFFER_BYTES};

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn job(number: u64, size: u64) -> Arc<HashJob> {
        let stamp = Stamp { device: 1, inode: number, size, mtime_ns: 0, ctime_ns: 0, executable: false };
        Arc::new(HashJob::new(format!("f{number}").parse().unwrap(), stamp, number))
    }

    #[test]
    fn bytes_files_and_the_time_left_are_counted_while_a_large_file_is_hashed() {
        let (counter, unit) = (HashingCounter::default(), BUFFER_BYTES as u64);
        let (large, other, small) = (job(1, 100 * unit), job(2, 100 * unit), job(3, 1000));
        [&large, &other, &small].into_iter().for_each(|job| counter.added(job, at(10)));
        assert_eq!(counter.backlog(at(10)).time_left(), None);
        counter.begun(&large);
        large.portions.store(50, Ordering::Relaxed);
        counter.ended(&small);
        let backlog = counter.backlog(at(25));
        let expected = HashingProgress {
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
    fn the_counts_of_folders_add_up() {
        let all = Arc::<HashingCounter>::default();
        let folders = [(); 2].map(|()| HashingCounter::of_folder(all.clone()));
        // Keepers number their jobs without each other.
        let jobs = [job(1, 500), job(1, 300)];
        for (folder, job) in folders.iter().zip(&jobs) {
            folder.added(job, at(0));
            folder.begun(job);
            folder.settling(2);
        }
        folders[0].settling(1);
        assert_eq!(
            (all.backlog(at(1)).files, all.backlog(at(1)).bytes, all.backlog(at(1)).settling),
            (2, 800, 3)
        );
        assert_eq!((folders[0].backlog(at(1)).files, folders[0].waiting_in_all()), (1, 5));
        folders[0].ended(&jobs[0]);
        assert!(all.backlog(at(2)).current.is_some(), "the other folder's file is still hashed");
    }

    #[test]
    fn cancelled_jobs_are_not_counted_and_finished_counts_restart() {
        let counter = HashingCounter::default();
        let (one, two) = (job(1, 500), job(2, 300));
        counter.added(&one, at(0));
        counter.added(&two, at(0));
        counter.cancelled(&one);
        assert_eq!((counter.backlog(at(1)).files, counter.backlog(at(1)).bytes), (1, 300));
        counter.ended(&two);
        assert_eq!(counter.backlog(at(2)), HashingProgress::default());
        counter.added(&one, at(100));
        assert_eq!(counter.backlog(at(115)).took, Duration::from_secs(15));
    }
}
