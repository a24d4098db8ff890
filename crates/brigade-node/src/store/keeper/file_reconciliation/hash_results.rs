//! How the keeper handles the result of a hash: the file is shared, withdrawn, or hashed again later.
//!
//! `damaged_files` decides whether other bytes than before are damage.

use crate::{
    clock::now,
    store::{
        hash::HashError,
        keeper::{
            event_loop::{FailedRead, KeeperOwner, RETRY},
            files_being_written::ChangeKind,
            hashing::thread_messages::{HashFailure, HashOutcome},
            sharing_problems::ProblemSource,
        },
        share::SharedFile,
    },
};

impl KeeperOwner {
    /// Hashes a file again that may have been written since.
    pub(in crate::store::keeper) fn hash_again(&mut self, outcome: &HashOutcome) {
        if let Some(job) = self.hashing.finish(&outcome.name, outcome.number) {
            self.settle.changed(&outcome.name, job.stamp, ChangeKind::Written, now());
        }
    }

    /// Handles the result of a hash.
    pub(in crate::store::keeper) fn hashed(&mut self, outcome: HashOutcome) {
        let HashOutcome { name, number, result } = outcome;
        let Some(job) = self.hashing.finish(&name, number) else { return };
        self.remove_initial(&name);
        let unchanged = self.folder.stamp(&name).is_ok_and(|stamp| stamp.is_unchanged_since(&job.stamp));
        if self.folder.is_manager_key(&name) {
            return self.scans.soon(now()); // the scan withholds its folder
        }
        match result {
            Ok((hashed, stamp)) if unchanged => {
                if let Some(before) = self.before_damage(&name, &hashed, &stamp) {
                    self.suspect(&before, hashed.content.id, stamp);
                }
                self.unchecked.remove(&name);
                self.departed.forget_written(&stamp);
                self.announce(SharedFile { name, content: hashed.content, list: hashed.list, stamp });
            }
            // The read failed although the stamp is unchanged: the next attempt may succeed.
            Err(HashFailure::Hash(error @ HashError::Changed)) if unchanged => {
                self.withdraw(&name);
                self.failed_reads.remove(&name);
                self.problems.add(ProblemSource::File, &name, error.to_string());
                self.settle.busy(&name, job.stamp, now());
            }
            Err(error) if unchanged && !matches!(error, HashFailure::Hash(HashError::Cancelled)) => {
                self.withdraw(&name);
                self.problems.add(ProblemSource::File, &name, format!("{error}; it is tried again"));
                let before = self.failed_reads.get(&name).filter(|before| before.stamp == job.stamp);
                let mut backoff = before.map_or(RETRY, |before| before.backoff);
                self.settle.again(&name, job.stamp, now().after(backoff.next_pause()));
                self.failed_reads.insert(name, FailedRead { stamp: job.stamp, backoff });
            }
            // The file has changed or is gone: handle its current state.
            _ => self.inspect_again(&name),
        }
    }
}
