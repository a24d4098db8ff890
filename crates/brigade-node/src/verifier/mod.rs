//! Verifies what is on the disk: a thread hashes the shared files and the kept parts again, one after the other.
//!
//! A file with other bytes than announced is withdrawn by the keeper of its folder, at once. The thread sleeps as long as
//! it reads (`pace`), so that serving goes on. There is at most one verification at a time.

mod pace;

use std::{fs::File, sync::Arc, thread, time::SystemTime};

use brigade_core::name::FileName;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::pace::Pace;
use crate::{
    share_keepers::ShareHandle,
    store::{
        file_stamp::stamp_of,
        hash::{HashError, hash_file},
        keeper::KeeperCommand,
        share::{DamagedFile, Share, SharedFile, SharedNames},
        stored_parts::{damaged_pieces, kept_parts},
        system::drop_from_cache,
    },
    verification::{CannotVerify, Damage, DamagedPart, LISTED, Verification, VerifyProgress, VerifyState},
};

/// Files that are taken from the table at once.
const PAGE: usize = 1024;

/// Requests for verifications that wait.
const REQUESTS: usize = 16;

/// Starts verifications, one at a time.
#[derive(Debug)]
pub(crate) struct VerifierOwner {
    share: Share,
    shares_in_place: ShareHandle,
    stop: CancellationToken,
    requests: mpsc::Receiver<VerifyRequest>,
    /// The last verification. It runs while its sender exists.
    last: Option<watch::Receiver<VerifyProgress>>,
}

/// A request to verify the file `name`, or the files below it; all files for "".
#[derive(Debug)]
struct VerifyRequest {
    name: String,
    answer: oneshot::Sender<Result<Verification, CannotVerify>>,
}

/// A handle of the owner; cheap to clone. It does not keep any folder open.
#[derive(Debug, Clone)]
pub(crate) struct VerifierHandle {
    requests: mpsc::Sender<VerifyRequest>,
    share: SharedNames,
    shares_in_place: ShareHandle,
}

/// A verification that runs on its thread.
struct VerifyThread {
    share: Share,
    shares_in_place: ShareHandle,
    name: String,
    cancelled: CancellationToken,
    progress: watch::Sender<VerifyProgress>,
    pace: Pace,
}

/// The result of hashing a file.
enum VerifiedFile {
    Right,
    Damaged(DamagedFile),
    Changed,
    Unreadable(String),
    Cancelled,
}

impl VerifierHandle {
    /// Begins a verification.
    pub(crate) async fn verify(&self, name: &str) -> Result<Verification, CannotVerify> {
        let (answer, answers) = oneshot::channel();
        let request = VerifyRequest { name: name.to_owned(), answer };
        self.requests.send(request).await.map_err(|_| CannotVerify::Stopping)?;
        answers.await.map_err(|_| CannotVerify::Stopping)?
    }

    /// The damaged files at `name` and below it; at most a thousand.
    pub(crate) fn damaged(&self, name: &str) -> Vec<Damage> {
        let files = self.share.damaged_files(name, None, LISTED);
        files.iter().map(|file| damage(&self.shares_in_place, file)).collect()
    }
}

impl VerifierOwner {
    /// An owner that verifies the files of `share`. All of it ends when `stop` is cancelled.
    pub(crate) fn new(
        share: Share,
        shares_in_place: ShareHandle,
        stop: CancellationToken,
    ) -> (Self, VerifierHandle) {
        let (sender, requests) = mpsc::channel(REQUESTS);
        let handle = VerifierHandle {
            requests: sender,
            share: share.names(),
            shares_in_place: shares_in_place.clone(),
        };
        (Self { share, shares_in_place, stop, requests, last: None }, handle)
    }

    /// Runs until the peer stops.
    pub(crate) async fn run(mut self) {
        let stop = self.stop.clone();
        while let Some(Some(request)) = stop.run_until_cancelled(self.requests.recv()).await {
            let answer = self.start(&request.name);
            let _ = request.answer.send(answer); // an error means that nobody waits any more
        }
    }

    fn start(&mut self, name: &str) -> Result<Verification, CannotVerify> {
        if let Some(other) = self.last.as_ref().filter(|other| other.has_changed().is_ok()) {
            return Err(CannotVerify::Running { name: other.borrow().name.clone() });
        }
        let (files, bytes) = self.count(name);
        if files == 0 && !name.is_empty() {
            return Err(CannotVerify::NoFiles { name: name.to_owned() });
        }
        let progress = VerifyProgress { name: name.to_owned(), files, bytes, ..VerifyProgress::default() };
        let (sender, progress) = watch::channel(progress);
        let cancelled = self.stop.child_token();
        let verification = VerifyThread {
            share: self.share.clone(),
            shares_in_place: self.shares_in_place.clone(),
            name: name.to_owned(),
            cancelled: cancelled.clone(),
            progress: sender,
            pace: Pace::default(),
        };
        let started = thread::Builder::new().name("verify".to_owned()).spawn(move || verification.run());
        started.map_err(|error| CannotVerify::Thread { reason: error.to_string() })?;
        self.last = Some(progress.clone());
        Ok(Verification { progress, cancelled })
    }

    /// The files to be verified, also those that are known to be damaged, and their bytes.
    fn count(&self, name: &str) -> (usize, u64) {
        let (mut files, mut bytes) = (0, 0);
        for_each_page(&self.share, name, |page| {
            files += page.len();
            bytes += page.iter().map(|file| file.content.size).sum::<u64>();
            true
        });
        for_each_damaged(&self.share, name, |file| {
            files += 1;
            bytes += file.expected.size;
            true
        });
        (files, bytes)
    }
}

impl VerifyThread {
    fn run(self) {
        for_each_damaged(&self.share, &self.name, |file| self.check_damaged(file));
        self.check_suspected();
        for_each_page(&self.share, &self.name, |page| {
            page.iter().all(|shared| self.check_shared(shared)) // until it is cancelled
        });
        self.check_parts();
        let is_cancelled = self.cancelled.is_cancelled();
        self.progress.send_modify(|progress| {
            progress.current = None;
            progress.state = if is_cancelled { VerifyState::Cancelled } else { VerifyState::Finished };
        });
    }

    /// Verifies a shared file. Returns whether to go on.
    fn check_shared(&self, shared: &Arc<SharedFile>) -> bool {
        match self.hash(shared) {
            VerifiedFile::Cancelled => return false,
            VerifiedFile::Right => self.done(shared, |_| {}),
            VerifiedFile::Changed => self.done(shared, |progress| progress.changed += 1),
            VerifiedFile::Unreadable(reason) => self.done(shared, |progress| {
                let unreadable = (shared.name.clone(), reason);
                list(&mut progress.unreadable, unreadable, &mut progress.unlisted);
            }),
            VerifiedFile::Damaged(damaged) => {
                let DamagedFile { found, stamp, .. } = damaged;
                self.command(&shared.name, KeeperCommand::Damaged { file: shared.clone(), found, stamp });
                let damage = damage(&self.shares_in_place, &damaged);
                self.done(shared, |progress| list(&mut progress.damaged, damage, &mut progress.unlisted));
            }
        }
        true
    }

    /// Verifies a file that is known to be damaged: it may have been repaired where it is, or its disk.
    fn check_damaged(&self, file: &DamagedFile) -> bool {
        let DamagedFile { name, expected, stamp, .. } = file.clone();
        let expected = SharedFile { name, content: expected, list: None, stamp };
        let is_right = match self.hash(&expected) {
            VerifiedFile::Cancelled => return false,
            VerifiedFile::Right => true,
            _ => false,
        };
        if is_right {
            self.command(&file.name, KeeperCommand::Undamaged(file.name.clone()));
        }
        let damage = damage(&self.shares_in_place, file);
        self.done(&expected, |progress| {
            if !is_right {
                list(&mut progress.damaged, damage, &mut progress.unlisted);
            }
        });
        true
    }

    /// Verifies the files that have other bytes than before, although their length and times are the same. They are
    /// shared, and counted as the other shared files.
    fn check_suspected(&self) {
        let mut last = None;
        loop {
            let page = self.share.suspected_files(&self.name, last.as_ref(), PAGE);
            let Some(end) = page.last() else { return };
            last = Some(end.name.clone());
            for file in page {
                let DamagedFile { name, expected, stamp, .. } = DamagedFile::clone(&file);
                let before = Arc::new(SharedFile { name, content: expected, list: None, stamp });
                if self.is_cancelled() || !self.check_shared(&before) {
                    return;
                }
            }
        }
    }

    fn hash(&self, shared: &SharedFile) -> VerifiedFile {
        self.progress.send_modify(|progress| progress.current = Some(shared.name.clone()));
        let Ok(file) = self.share.open(shared) else {
            self.share.report_unservable(shared);
            return if self.is_cancelled() { VerifiedFile::Cancelled } else { VerifiedFile::Changed };
        };
        match self.hash_open(&file, shared) {
            Ok(result) => result,
            Err(HashError::Cancelled) => VerifiedFile::Cancelled,
            Err(HashError::Changed) => VerifiedFile::Changed,
            Err(error) => VerifiedFile::Unreadable(error.to_string()),
        }
    }

    fn hash_open(&self, file: &File, shared: &SharedFile) -> Result<VerifiedFile, HashError> {
        let (size, expected) = (shared.content.size, shared.content.id);
        drop_from_cache(file); // the disk is to be verified, and not the memory
        let hashed = hash_file(file, size, 1, &|| self.is_cancelled_after_pause(size))?;
        if hashed.content.id == expected {
            return Ok(VerifiedFile::Right);
        }
        let stamp = stamp_of(file)?;
        // A write a moment ago may not be in the times yet.
        let is_certain = stamp.same_bytes(&shared.stamp) && stamp.distinct_after(SystemTime::now()).is_zero();
        if !is_certain {
            return Ok(VerifiedFile::Changed);
        }
        let (name, found) = (shared.name.clone(), hashed.content.id);
        Ok(VerifiedFile::Damaged(DamagedFile { name, expected: shared.content, found, stamp }))
    }

    /// Verifies the pieces of the kept parts. Their number is bounded by the disk, and they have no place in the counts.
    fn check_parts(&self) {
        let folder = self.share.folder();
        let parts = match kept_parts(folder, SystemTime::now()) {
            Ok(parts) => parts,
            Err(error) => return tracing::warn!(%error, "the kept parts of files cannot be listed"),
        };
        let is_wanted = |name: Option<&FileName>| {
            self.name.is_empty() || name.is_some_and(|name| is_at_or_below(name, &self.name))
        };
        for part in parts.into_iter().filter(|part| is_wanted(part.name.as_ref())) {
            let pause = |bytes| self.is_cancelled_after_pause(bytes);
            match damaged_pieces(folder, part.content, &pause) {
                Ok(0) => {}
                Ok(pieces) => self.progress.send_modify(|progress| {
                    let damaged = DamagedPart { content: part.content, name: part.name, pieces };
                    list(&mut progress.damaged_parts, damaged, &mut progress.unlisted);
                }),
                Err(error) => tracing::warn!(%error, "a kept part of a file cannot be verified"),
            }
            if self.is_cancelled() {
                return;
            }
        }
    }

    /// Counts a file that is done.
    fn done(&self, file: &SharedFile, change: impl FnOnce(&mut VerifyProgress)) {
        self.progress.send_modify(|progress| {
            progress.files_done += 1;
            progress.bytes_done += file.content.size;
            // Files may have been added since they were counted.
            progress.files = progress.files.max(progress.files_done);
            progress.bytes = progress.bytes.max(progress.bytes_done);
            change(progress);
        });
    }

    fn command(&self, name: &FileName, command: KeeperCommand) {
        if let Some(keeper) = self.shares_in_place.keeper_of(name) {
            keeper.blocking_command(command);
        }
    }

    fn is_cancelled_after_pause(&self, bytes: u64) -> bool {
        if !self.is_cancelled() {
            self.pace.read_next(bytes);
        }
        self.is_cancelled()
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }
}

fn damage(shares_in_place: &ShareHandle, file: &DamagedFile) -> Damage {
    let DamagedFile { name, expected, found, .. } = file.clone();
    let can_be_repaired = !shares_in_place.has(&name);
    Damage { name, expected, found, can_be_repaired }
}

/// Adds to a list of limited length.
fn list<T>(items: &mut Vec<T>, item: T, unlisted: &mut usize) {
    if items.len() < LISTED {
        items.push(item);
    } else {
        *unlisted += 1;
    }
}

/// Calls `visit` with the shared files at `name` and below it, page by page, until it returns false.
fn for_each_page(share: &Share, name: &str, mut visit: impl FnMut(&[Arc<SharedFile>]) -> bool) {
    if let Ok(name) = name.parse::<FileName>()
        && let Some(file) = share.by_name(&name)
        && !visit(&[file])
    {
        return;
    }
    let mut last = None;
    loop {
        let page = share.page_below(name, last.as_ref(), PAGE);
        let Some(end) = page.last() else { return };
        last = Some(end.name.clone());
        if !visit(&page) {
            return;
        }
    }
}

/// Calls `visit` with the damaged files at `name` and below it, until it returns false.
fn for_each_damaged(share: &Share, name: &str, mut visit: impl FnMut(&DamagedFile) -> bool) {
    let mut last = None;
    loop {
        let page = share.names().damaged_files(name, last.as_ref(), PAGE);
        let Some(end) = page.last() else { return };
        last = Some(end.name.clone());
        if !page.iter().all(|file| visit(file)) {
            return;
        }
    }
}

fn is_at_or_below(name: &FileName, path: &str) -> bool {
    name.as_str() == path || name.is_below(path)
}
