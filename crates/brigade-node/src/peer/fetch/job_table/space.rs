//! The fetches that wait for space on a full disk.
//!
//! `disk_space` decides how long they wait, `fetch_coordination/disk_problems` pauses their contents.

use std::collections::BTreeSet;

use super::{FetchId, FileName, FileSystemId, FreeSpace, Jobs, Timestamp};

impl Jobs {
    /// Whether a fetch waits for space on a disk.
    pub(crate) fn waits_for_space(&self, id: FetchId) -> bool {
        self.disk_space.is_waiting(id)
    }

    /// A fetch waits from now on for space on the file system of a name.
    pub(crate) fn wait_for_space(&mut self, id: FetchId, name: &FileName, inodes: bool, now: Timestamp) {
        let Some(job) = self.jobs.get(&id) else { return };
        if self.disk_space.wait(id, job.needs().file_system_of(name), inodes, now) {
            tracing::info!(fetch = job.name(), "the disk is full: the fetch waits for space");
        }
    }

    /// The file systems whose free space is to be checked now, each with a folder on it.
    pub(crate) fn full_disks_to_check(&mut self, now: Timestamp) -> BTreeSet<(FileSystemId, String)> {
        let due = self.disk_space.check(now).into_iter();
        due.filter_map(|(id, on)| Some((on, self.jobs.get(&id)?.needs().folder_on(on)))).collect()
    }

    /// So much space is free. Returns the fetches that have enough space and continue.
    pub(crate) fn space_checked(
        &mut self,
        free: Vec<(FileSystemId, FreeSpace)>,
        now: Timestamp,
    ) -> Vec<FetchId> {
        let needed = |id: FetchId, on| self.jobs.get(&id).map_or(0, |job| job.needs().bytes_on(on));
        self.disk_space.checked(free, now, needed)
    }

    /// No fetch waits for space any more.
    pub(crate) fn forget_full_disks(&mut self) {
        self.disk_space.forget_all();
    }
}
