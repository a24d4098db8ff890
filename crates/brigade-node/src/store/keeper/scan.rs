//! The look at everything, or at everything below one folder: what the news may have missed is found here.
//!
//! The walk comes in the order of the names and so does the table of what is shared; the two are merged, and no list
//! of everything is made.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::ControlFlow,
    sync::Arc,
    time::Duration,
};

use brigade_core::{name::FileName, time::Timestamp};

use super::{
    owner::{FIRST_RETRY, LAST_RETRY, Owner},
    problems::Trouble,
    watch::NoWatch,
};
use crate::{
    clock::now,
    store::{
        folder::{FolderError, Found, NotShared, Stamp},
        ignore,
        index::Write,
        share::{Share, Shared, at_or_below, bounds_below},
    },
};

/// Even where all news is heard, everything is looked at so often.
const SAFETY: Duration = Duration::from_secs(60);

/// Without news, so often; but a scan never takes more than one part in `SCAN_SHARE` of the time.
const POLL: Duration = Duration::from_secs(1);
const SCAN_SHARE: u32 = 4;

/// Landed files that are looked at in one go.
const LANDED_PAGE: usize = 1024;

/// Problems of one walk that are told apart; the rest is counted.
const PROBLEMS: usize = 1000;

/// What a walk found out.
#[derive(Default)]
struct Findings {
    /// Files that are not shared, or not as they are now.
    fresh: Vec<(FileName, Stamp)>,
    /// Shared files that the walk did not come upon.
    gone: Vec<FileName>,
    problems: BTreeMap<String, String>,
    more_problems: usize,
    /// Whether something could not be looked at, which may be so for a moment only.
    unreadable: bool,
    /// Why a folder could not be watched.
    unwatched: Option<NoWatch>,
}

impl Owner {
    /// The first look: what is known from before and did not change is announced without being hashed.
    pub(super) fn first_scan(&mut self, mut known: HashMap<FileName, Arc<Shared>>) {
        if self.only_landed {
            return self.first_look_at_landed(known);
        }
        let findings = self.walk(None);
        if self.stop.is_cancelled() {
            return;
        }
        let mut fresh = Vec::new();
        for (name, stamp) in findings.fresh {
            match known.remove(&name) {
                Some(shared) if shared.stamp.same_bytes(&stamp) => {
                    self.take_up(shared);
                    if self.share.by_name(&name).is_none_or(|shared| shared.stamp != stamp) {
                        fresh.push((name, stamp));
                    }
                }
                _ => fresh.push((name, stamp)),
            }
        }
        // What is left went away, or lies under another name now.
        for (name, shared) in known {
            self.index_write(Write::Delete(name));
            self.depart(shared);
        }
        self.apply(None, Findings { fresh, ..findings });
        let (files, took) = (self.share.totals().0, self.scan_cost);
        tracing::info!(files, ?took, "the folder was scanned; what is new is being hashed");
    }

    /// Looks at everything below `below`, at everything there is for `None`.
    pub(super) fn scan(&mut self, below: Option<&FileName>) {
        if self.only_landed {
            return self.look_at_landed();
        }
        if below.is_none() {
            self.start_watch(); // it may be to be had by now
        }
        let findings = self.walk(below);
        self.apply(below, findings);
    }

    /// What landed in an earlier session and is still as it was is shared again.
    fn first_look_at_landed(&mut self, known: HashMap<FileName, Arc<Shared>>) {
        for (name, shared) in known {
            if self.is_as_it_landed(&shared) {
                self.take_up(shared);
            } else {
                self.index_write(Write::Delete(name));
            }
        }
        self.next_scan = now().after(POLL);
    }

    /// What landed and is no longer as it was is not shared any more: it is not what was fetched.
    fn look_at_landed(&mut self) {
        let began = now();
        let mut last = None;
        loop {
            let page = self.share.page(last.as_ref(), LANDED_PAGE);
            let Some(end) = page.last() else { break };
            last = Some(end.name.clone());
            for shared in page {
                if !self.is_as_it_landed(&shared) {
                    self.withdraw(&shared.name);
                }
            }
        }
        self.scan_cost = now().since(began);
        self.next_scan = now().after(POLL.max(self.scan_cost * SCAN_SHARE));
    }

    /// Whether a file is still what landed. One that cannot be looked at for a moment is taken for it: it would not be
    /// looked at again, and to serve it it must be opened.
    fn is_as_it_landed(&self, shared: &Shared) -> bool {
        match self.folder.stamp(&shared.name) {
            Ok(stamp) => stamp.same_bytes(&shared.stamp),
            Err(error) => matches!(error, FolderError::Io { .. }),
        }
    }

    /// Looks at everything at `now` or as soon thereafter as may be.
    pub(super) fn scan_soon(&mut self, now: Timestamp) {
        let may = self.last_scan.after(self.scan_cost * SCAN_SHARE);
        self.next_scan = self.next_scan.min(now.max(may));
    }

    fn walk(&mut self, below: Option<&FileName>) -> Findings {
        let began = now();
        let mut findings = Findings::default();
        let (mut last, end) = below.map_or((String::new(), None), |folder| {
            let (from, to) = bounds_below(folder);
            (from, Some(to))
        });
        match below {
            Some(folder) => findings.unwatched = self.watch.folder(folder).err(),
            None => self.watch.begin_walk(),
        }
        let (watch, share, stop) = (&mut self.watch, &self.share, &self.stop);
        let mut visit = |found| {
            match found {
                Found::Folder(name) => {
                    // Where one cannot be watched, the others will hardly be.
                    if findings.unwatched.is_none() {
                        findings.unwatched = watch.folder(&name).err();
                    }
                }
                Found::File(name, stamp) => {
                    findings.file(share, &last, &name, stamp);
                    last.clear();
                    last.push_str(&name);
                }
                Found::NotShared(path, why) => {
                    findings.unreadable |= matches!(why, NotShared::Unreadable(_));
                    findings.problem(path, why.to_string());
                }
            }
            if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let walked = self.folder.walk(below, self.hidden, &mut self.rules, &mut visit);
        if self.stop.is_cancelled() {
            return Findings::default(); // broken off: what was not come upon may well be there
        }
        match walked {
            Ok(()) => findings.gone.extend(self.share.names_between(&last, end.as_deref())),
            Err(error) => {
                // What cannot be listed for a moment is still there; what is gone is gone.
                findings.unreadable |= !error.is_missing();
                if error.is_missing() {
                    findings.gone.extend(self.share.names_between(&last, end.as_deref()));
                }
                findings
                    .problem(below.map_or_else(|| ".".to_owned(), ToString::to_string), error.to_string());
            }
        }
        if below.is_none() {
            self.watch.end_walk();
            self.last_scan = now();
            self.scan_cost = self.last_scan.since(began);
            if self.polling && findings.unwatched.is_none() && self.watch.is_on() {
                self.polling = false;
                self.problems.mended(&Trouble::Unwatched(NoWatch::Folders));
            }
            let pause = if self.polling { POLL.max(self.scan_cost * SCAN_SHARE) } else { SAFETY };
            self.next_scan = self.last_scan.after(pause);
        }
        self.plan_rescan(below.is_none(), findings.unreadable);
        findings
    }

    /// What could not be looked at is looked at again soon, and more seldom the longer that lasts.
    fn plan_rescan(&mut self, of_everything: bool, unreadable: bool) {
        if unreadable {
            self.scan_soon(now().after(self.rescan_pause));
        }
        if of_everything {
            let longer = (self.rescan_pause * 2).min(LAST_RETRY);
            self.rescan_pause = if unreadable { longer } else { FIRST_RETRY };
        }
    }

    fn apply(&mut self, below: Option<&FileName>, findings: Findings) {
        for name in &findings.gone {
            self.withdraw(name);
        }
        let path = below.map_or("", FileName::as_str);
        self.problems.walked(path, &findings.problems);
        for (name, stamp) in &findings.fresh {
            self.file_found(name, *stamp);
        }
        self.forget_problem_files(below);
        if self.rules.take_changed() {
            self.forget_ignored();
        }
        if self.rules.take_unsettled() {
            self.scan_soon(now().after(ignore::QUIET));
        }
        self.problems.ignoring(self.rules.ignoring());
        if below.is_none() {
            self.problems.counted(findings.problems.len() + findings.more_problems + self.refused.len());
        }
        if let Some(why) = findings.unwatched {
            self.broken(why);
        }
    }

    /// Files that wait, are being hashed or are a problem, and are to be ignored from now on. (Those that are shared
    /// the walk did not come upon.)
    fn forget_ignored(&mut self) {
        let mut names: BTreeSet<FileName> = self.settle.names().cloned().collect();
        names.extend(self.work.keys().chain(self.refused.keys()).cloned());
        names.extend(self.problems.of_files("").iter().filter_map(|name| name.parse().ok()));
        for name in names {
            if self.rules.ignores(&name, false) {
                self.gone(&name);
            }
        }
    }

    /// A file that is served from before.
    fn take_up(&mut self, shared: Arc<Shared>) {
        self.share.insert(shared.clone());
        self.outbox.shared(shared);
    }

    /// Files that were a problem in themselves and are not there any more are none.
    fn forget_problem_files(&mut self, below: Option<&FileName>) {
        let refused = match below {
            Some(folder) => at_or_below(&self.refused, folder),
            None => self.refused.keys().cloned().collect(),
        };
        let listed = self.problems.of_files(below.map_or("", FileName::as_str));
        let names: BTreeSet<FileName> =
            refused.into_iter().chain(listed.iter().filter_map(|name| name.parse().ok())).collect();
        for name in names {
            if self.folder.stamp(&name).is_err_and(|error| error.is_missing()) {
                self.refused.remove(&name);
                self.problems.solved(&name);
            }
        }
    }
}

impl Findings {
    fn file(&mut self, share: &Share, last: &str, name: &FileName, stamp: Stamp) {
        let (between, shared) = share.up_to(last, name);
        self.gone.extend(between);
        if shared.is_none_or(|shared| shared.stamp != stamp) {
            self.fresh.push((name.clone(), stamp));
        }
    }

    fn problem(&mut self, path: String, why: String) {
        if self.problems.len() < PROBLEMS {
            self.problems.insert(path, why);
        } else {
            self.more_problems += 1;
        }
    }
}
