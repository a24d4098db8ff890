//! What the keeper does about one name.
//!
//! Whatever is heard of it, the answer is to look at what stands there now and to compare it with what is shared:
//! news may be late, doubled or out of order, the file system is not.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use brigade_core::{limits, name::FileName, time::Timestamp};

use super::{
    Landed,
    hashing::{Failure, Job, Outcome, Report},
    looking::Looking,
    owner::{FIRST_RETRY, LAST_RETRY, Owner, Refused},
    problems::Finder,
    settle::Sign,
};
use crate::{
    clock::{self, now},
    store::{
        folder::{FolderError, Kind, NotShared, Stamp},
        hash::HashError,
        index::Write,
        share::{Shared, at_or_below},
        system::{self, Status},
        walk::is_kept_aside,
    },
};

/// Asking who writes takes at most one part in so many of the time.
const WRITERS_SHARE: u32 = 10;

/// Files that are remembered after they left their name, in case they come back under another; and for how long.
const DEPARTED: usize = 1 << 16;
const DEPARTED_FOR: Duration = Duration::from_secs(10);

impl Owner {
    /// Something happened under a name, and this is what was found there. Folders that were looked at for the same news
    /// are in `scanned`.
    pub(super) fn inspect(
        &mut self,
        name: &FileName,
        found: Result<Status, FolderError>,
        sign: Sign,
        scanned: &mut BTreeSet<FileName>,
    ) {
        match found {
            Ok(Status { kind, .. }) if self.rules.ignores(name, kind == Kind::Folder) => self.gone(name),
            Ok(Status { kind: Kind::File, .. }) if is_kept_aside(name) => {
                self.gone(name);
                self.problems.add(Finder::Walk, name, NotShared::KeptAside.to_string());
            }
            Ok(Status { kind: Kind::File, stamp, linked }) => {
                self.gone_below(name);
                self.file(name, stamp, sign);
                if linked {
                    self.look_at_other_names(&stamp, sign);
                }
            }
            Ok(Status { kind: Kind::Folder, .. }) => {
                self.file_gone(name);
                let seen = scanned.iter().any(|folder| name == folder || name.is_below(folder));
                if !seen {
                    self.scan(Some(name));
                    scanned.insert(name.clone());
                }
            }
            Ok(Status { kind, .. }) => {
                self.gone(name);
                self.problems.add(Finder::Walk, name, NotShared::Kind(kind).to_string());
            }
            Err(error) if error.is_missing() => self.gone(name),
            Err(error) => {
                self.gone(name);
                self.problems.add(Finder::Walk, name, error.to_string());
                self.scan_soon(now().after(self.rescan_pause)); // it may be to be seen again by then
            }
        }
    }

    /// Something happened to a file through one of its names, and there is news of that one alone.
    fn look_at_other_names(&mut self, file: &Stamp, sign: Sign) {
        for other in self.share.names_of(file) {
            if let Ok(stamp) = self.folder.stamp(&other) {
                self.file(&other, stamp, sign);
            }
        }
    }

    fn look_again(&mut self, name: &FileName) {
        let found = self.folder.look(name);
        self.inspect(name, found, Sign::Written, &mut BTreeSet::new());
    }

    /// A regular file was found under a name, after something happened to it.
    fn file(&mut self, name: &FileName, stamp: Stamp, sign: Sign) {
        if self.is_settled(name, stamp) {
            if !self.refused.contains_key(name) {
                self.settle.forget(name);
            }
        } else if !self.is_moved(name, stamp) {
            self.settle.changed(name, stamp, sign, now());
            self.dealt_with(name);
        }
    }

    /// A walk found a file that is not shared as it is.
    pub(super) fn file_found(&mut self, name: &FileName, stamp: Stamp) {
        if self.is_settled(name, stamp) || self.is_moved(name, stamp) {
            return;
        }
        if self.share.totals().0 + self.settle.len() + self.work.len() >= limits::ANNOUNCED_NAMES {
            let why = format!("no more than {} files can be shared", limits::ANNOUNCED_NAMES);
            self.problems.add(Finder::File, name, why);
            return;
        }
        if let Some(initial) = &mut self.initial {
            initial.insert(name.clone(), ());
        }
        self.settle.found(name, stamp, stamp.quiet_for(SystemTime::now()), now());
    }

    /// Whether nothing more need be done about a file that is so: it is shared, being hashed, or refused, and then it is
    /// tried again in its time. What was
    /// shared under its name and is not any more is withdrawn at once.
    fn is_settled(&mut self, name: &FileName, stamp: Stamp) -> bool {
        let is_refused = self.refused.get(name).is_some_and(|refused| refused.stamp == stamp);
        if is_refused || self.work.get(name).is_some_and(|job| job.stamp == stamp) {
            return true;
        }
        self.call_off(name);
        self.refused.remove(name);
        match self.share.by_name(name) {
            None => false,
            Some(shared) if shared.stamp == stamp => true,
            Some(shared) if shared.stamp.same_bytes(&stamp) => {
                self.check_again(&shared, stamp);
                true
            }
            Some(_) => {
                self.withdraw(name);
                false
            }
        }
    }

    /// The bytes should be the same, but something about the file changed: it is hashed again, and served meanwhile.
    fn check_again(&mut self, shared: &Arc<Shared>, stamp: Stamp) {
        if shared.stamp.executable != stamp.executable {
            let stamp = Stamp { ctime_ns: shared.stamp.ctime_ns, ..stamp }; // of the hash: the check is still to be done
            let (name, content, list) = (shared.name.clone(), shared.content, shared.list.clone());
            self.announce(Shared { name, content, list, stamp });
        }
        self.hash(&shared.name, stamp);
    }

    /// Whether the file just left another name, or did so while no keeper was there: its hash is known.
    fn is_moved(&mut self, name: &FileName, stamp: Stamp) -> bool {
        let before = self.departed.get(&(stamp.device, stamp.inode));
        let Some(before) = before.filter(|before| before.stamp.same_bytes(&stamp)) else { return false };
        // The number of a file that was deleted is soon another's, and times can be set: it is the same file only if it
        // was there when it was hashed.
        let born = self.folder.born_ns(name).ok().flatten();
        if born.is_none_or(|born| born > before.stamp.ctime_ns) {
            return false;
        }
        let (content, list) = (before.content, before.list.clone());
        let ctime_ns = before.stamp.ctime_ns; // of the hash
        self.announce(Shared { name: name.clone(), content, list, stamp: Stamp { ctime_ns, ..stamp } });
        if ctime_ns != stamp.ctime_ns {
            self.hash(name, stamp);
        }
        true
    }

    /// Serves a file from now on, and says so unless nothing changed that others know of.
    fn announce(&mut self, file: Shared) {
        let file = Arc::new(file);
        let before = self.share.insert(file.clone());
        let news = before.is_none_or(|before| {
            before.content != file.content
                || before.stamp.mtime_s() != file.stamp.mtime_s()
                || before.stamp.executable != file.stamp.executable
        });
        self.settle.forget(&file.name);
        self.refused.remove(&file.name);
        self.problems.solved(&file.name);
        self.dealt_with(&file.name);
        self.index_write(Write::Put(file.clone()));
        if news {
            self.outbox.shared(file);
        }
    }

    /// Serves a file no more.
    pub(super) fn withdraw(&mut self, name: &FileName) {
        if let Some(shared) = self.share.remove(name) {
            self.outbox.gone(name.clone());
            self.index_write(Write::Delete(name.clone()));
            self.depart(shared);
        }
    }

    /// Remembers a file that may come back under another name.
    pub(super) fn depart(&mut self, shared: Arc<Shared>) {
        if self.departed.len() < DEPARTED {
            self.departed.insert((shared.stamp.device, shared.stamp.inode), shared);
        }
        self.departed_until = now().after(DEPARTED_FOR);
    }

    /// Nothing that could be shared is there any more, under this name or below it.
    pub(super) fn gone(&mut self, path: &FileName) {
        let mut left = self.settle.forget_at_or_below(path);
        for name in self.share.names_at_or_below(path) {
            left.extend(self.share.by_name(&name).map(|shared| shared.stamp));
            self.withdraw(&name);
        }
        for name in at_or_below(&self.work, path) {
            self.call_off(&name);
        }
        for name in at_or_below(&self.refused, path) {
            self.refused.remove(&name);
        }
        self.problems.gone(path);
        if let Some(initial) = &mut self.initial {
            for name in at_or_below(initial, path) {
                initial.remove(&name);
            }
        }
        for file in left {
            self.look_at_other_names(&file, Sign::Touched);
        }
    }

    /// What is there is a folder: whatever was known of a file is past.
    fn file_gone(&mut self, name: &FileName) {
        let waited = self.settle.forget(name);
        let shared = self.share.by_name(name).map(|shared| shared.stamp);
        self.withdraw(name);
        self.call_off(name);
        self.refused.remove(name);
        self.dealt_with(name);
        for file in waited.into_iter().chain(shared) {
            self.problems.solved(name);
            self.look_at_other_names(&file, Sign::Touched);
        }
    }

    /// What is there is a file: nothing is below it.
    fn gone_below(&mut self, name: &FileName) {
        let mut names: BTreeSet<FileName> = self.share.names_at_or_below(name).into_iter().collect();
        names.extend(self.settle.at_or_below(name));
        names.extend(at_or_below(&self.work, name));
        names.extend(at_or_below(&self.refused, name));
        names.remove(name);
        for name in names {
            self.gone(&name);
        }
        self.problems.gone_below(name);
    }

    /// A file from the start had its chance.
    pub(super) fn dealt_with(&mut self, name: &FileName) {
        if let Some(initial) = &mut self.initial {
            initial.remove(name);
        }
    }

    /// Has those hashed that have rested long enough, unless somebody still has them open for writing.
    pub(super) fn hash_those_at_rest(&mut self, now: Timestamp) {
        let mut at_rest = Vec::new();
        for (name, stamp) in self.settle.take_due(now) {
            match self.folder.look(&name) {
                Ok(Status { kind: Kind::File, stamp: found, .. }) if found == stamp => {
                    at_rest.push((name, stamp))
                }
                _ => self.look_again(&name),
            }
        }
        if at_rest.is_empty() {
            return;
        }
        let files = at_rest.iter().map(|(_, stamp)| (stamp.device, stamp.inode)).collect();
        let asked = clock::now();
        let written = system::open_for_writing(&files);
        let answered = clock::now();
        self.writers_after = answered.after(answered.since(asked) * WRITERS_SHARE);
        for (name, stamp) in at_rest {
            if written.contains(&(stamp.device, stamp.inode)) {
                self.settle.busy(&name, stamp, now);
                self.dealt_with(&name);
            } else {
                self.hash(&name, stamp);
            }
        }
    }

    fn hash(&mut self, name: &FileName, stamp: Stamp) {
        self.call_off(name);
        self.jobs += 1;
        let job = Arc::new(Job::new(name.clone(), stamp, self.jobs));
        self.tally.added(&job, now());
        self.work.insert(name.clone(), job.clone());
        self.hashing.add(job);
    }

    fn call_off(&mut self, name: &FileName) {
        if let Some(job) = self.work.remove(name) {
            job.called_off.store(true, Ordering::Relaxed);
            self.tally.called_off(&job);
        }
    }

    pub(super) fn report(&mut self, report: Report) {
        match report {
            Report::Idle { small } => self.hashing.idle(small),
            Report::Outcomes(outcomes) => outcomes.into_iter().for_each(|outcome| self.hashed(outcome)),
        }
    }

    fn hashed(&mut self, outcome: Outcome) {
        let Outcome { name, number, result } = outcome;
        if self.work.get(&name).is_none_or(|job| job.number != number) {
            return; // called off
        }
        let Some(job) = self.work.remove(&name) else { return };
        self.tally.ended(&job);
        self.dealt_with(&name);
        let unchanged = self.folder.stamp(&name).is_ok_and(|stamp| stamp == job.stamp);
        match result {
            Ok((hashed, stamp)) if unchanged => {
                self.announce(Shared { name, content: hashed.content, list: hashed.list, stamp });
            }
            // It reads otherwise than it looks: perhaps the next time it does not.
            Err(Failure::Hash(error @ HashError::Changed)) if unchanged => {
                self.withdraw(&name);
                self.refused.remove(&name);
                self.problems.add(Finder::File, &name, error.to_string());
                self.settle.busy(&name, job.stamp, now());
            }
            Err(error) if unchanged && !matches!(error, Failure::Hash(HashError::Cancelled)) => {
                self.withdraw(&name);
                self.problems.add(Finder::File, &name, format!("{error}; it is tried again"));
                let before = self.refused.get(&name).filter(|before| before.stamp == job.stamp);
                let pause = before.map_or(FIRST_RETRY, |before| (before.pause * 2).min(LAST_RETRY));
                self.settle.again(&name, job.stamp, now().after(pause));
                self.refused.insert(name, Refused { stamp: job.stamp, pause });
            }
            // It is not what was hashed, or is not there: what is, begins anew.
            _ => self.look_again(&name),
        }
    }

    pub(super) fn landed(&mut self, files: Vec<Landed>) {
        let folder = self.folder.clone();
        let mut walk = Looking::new(&folder);
        for Landed { name, content, list, stamp } in files {
            let hidden = name.is_hidden() && !self.hidden;
            if self.away.is_some() || hidden || is_kept_aside(&name) || self.rules.ignores(&name, false) {
                continue;
            }
            match walk.stamp(&name) {
                Ok(found) if found.same_bytes(&stamp) => {
                    self.call_off(&name);
                    self.refused.remove(&name);
                    // Getting its name has changed the file's ctime, and nothing else.
                    self.announce(Shared { name, content, list, stamp: found });
                }
                _ if self.only_landed => {}
                _ => self.look_again(&name),
            }
        }
    }
}
