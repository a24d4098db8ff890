//! Room on the disk: measured before a fetch begins, and waited for where it runs out on the way.
//!
//! A fetch that cannot fit is refused before a byte of it is fetched, with both figures. One that finds the disk full
//! midway pauses: nothing more is asked for, what is verified is kept and served, and it goes on by itself when there is
//! room again. All of it runs in the owner of the fetches ([`super::fetch`]), but for the measuring.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use brigade_core::{
    bitfield::Bitfield,
    download::{DownloadId, Event},
    id::Content,
    time::Timestamp,
};

use super::{
    fetch::{Answer, Fetches, Fetching, Kind, Order},
    jobs::{Job, JobId},
    prepare::WantedFile,
    session::Command,
};
use crate::{
    clock,
    store::{folder::Folder, landing::Landing, parts::parts},
};

/// How long a fetch rests after the disk was full; twice as long each time, up to the longest, where it finds that
/// the room that it was told of is not its own (a quota).
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(16);

/// A fetch that went on for so long after a rest rests only shortly the next time.
const WENT_WELL: Duration = Duration::from_secs(30);

/// With so much room a fetch goes on though more of it is missing; with less, only where that is enough.
const ENOUGH_BYTES: u64 = 64 << 20;

/// What is to be fetched does not fit on the disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no room for {name:?} in {}", .folder.display())]
pub struct NoRoom {
    /// What was to be fetched.
    pub name: String,
    /// Where to.
    pub folder: PathBuf,
    /// Bytes that it would take there, beside what is there of it already.
    pub needed_bytes: u64,
    /// Bytes that are free there, and not promised to other fetches.
    pub free_bytes: u64,
}

/// A fetch that waits for room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shortage {
    /// When to look for room next.
    next_look: Timestamp,
    rest: Duration,
    /// Whether it waits; else it went on at `next_look`.
    pub(super) waits: bool,
}

/// What is free for whoever waits for room.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes of fetches that are being measured and have not begun.
    measured_bytes: u64,
    /// Whether the disk is being asked at this moment.
    looking: bool,
    /// What was free when it was asked last.
    pub(super) free_bytes: Option<u64>,
}

/// Whether `files` fit into `folder` beside `promised` bytes that other fetches will take.
pub(super) fn measure(
    folder: &Folder,
    name: &str,
    files: &[WantedFile],
    promised: u64,
) -> Result<(), NoRoom> {
    // Where the system does not say, running full on the way is soon enough.
    let Ok(free) = folder.free_bytes() else { return Ok(()) };
    let free_bytes = free.saturating_sub(promised);
    if total_bytes(files) <= free_bytes {
        return Ok(());
    }
    let begun: BTreeMap<Content, u64> = parts(folder).unwrap_or_default().into_iter().collect();
    let missing = |file: &WantedFile| {
        let size = file.content.size;
        // Most likely the very file, or one that is in the way: neither takes room.
        let is_there = folder.stamp(&file.name).is_ok_and(|stamp| stamp.size == size);
        if is_there { 0 } else { size.saturating_sub(begun.get(&file.content).copied().unwrap_or(0)) }
    };
    let needed_bytes = files.iter().map(missing).fold(0, u64::saturating_add);
    if needed_bytes <= free_bytes {
        return Ok(());
    }
    Err(NoRoom { name: name.to_owned(), folder: folder.path().to_owned(), needed_bytes, free_bytes })
}

fn total_bytes(files: &[WantedFile]) -> u64 {
    files.iter().map(|file| file.content.size).fold(0, u64::saturating_add)
}

impl Fetches {
    /// Measures the room for a fetch; it begins, or is refused, when that is known.
    pub(super) fn order(&mut self, order: Order) {
        let promised =
            self.jobs.values().map(Job::left_bytes).fold(self.room.measured_bytes, u64::saturating_add);
        let bytes = total_bytes(&order.files);
        self.room.measured_bytes = self.room.measured_bytes.saturating_add(bytes);
        let (folder, answers) = (self.folder.clone(), self.answers.clone());
        tokio::task::spawn_blocking(move || {
            let result = measure(&folder, &order.name, &order.files, promised);
            let _ = answers.blocking_send(Answer::Measured { order, bytes, result });
        });
    }

    /// The room for a fetch is measured.
    pub(super) fn measured(&mut self, order: Order, bytes: u64, result: Result<(), NoRoom>) {
        self.room.measured_bytes = self.room.measured_bytes.saturating_sub(bytes);
        let fits = result.is_ok();
        // Who asked may have gone away meanwhile: then nothing begins.
        if order.begun.send(result).is_ok() && fits {
            self.begin(order.name, order.files, order.progress, order.given_up);
        }
    }

    /// A piece did not fit on the disk. A content of one piece is fetched again when there is room; a long one goes on.
    pub(super) fn no_room(&mut self, job: JobId, download: DownloadId) {
        let Some(fetching) = self.fetching.get(&download) else { return };
        if matches!(fetching.kind, Kind::Large { .. }) {
            return self.pause(job);
        }
        let (content, landings) = (fetching.content, fetching.landings());
        self.downloads.handle(clock::now(), Event::Forget { download });
        self.end_download(download);
        for landing in landings {
            self.try_again(job, content, landing, 0);
        }
    }

    /// The disk is full for this fetch: it asks for nothing more until there is room.
    pub(super) fn pause(&mut self, id: JobId) {
        let now = clock::now();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let rest = match job.shortage {
            Some(Shortage { waits: true, rest, .. }) => rest,
            Some(last) if now.since(last.next_look) < WENT_WELL => (last.rest * 2).min(LONGEST_REST),
            _ => REST,
        };
        if job.shortage.is_none_or(|shortage| !shortage.waits) {
            job.shortage = Some(Shortage { next_look: now.after(rest), rest, waits: true });
            tracing::info!(fetch = job.accounts.progress.name, "the disk is full: the fetch waits for room");
        }
        // All that are not paused yet: one may have begun since, from files that were being looked through.
        let goes_on = |fetching: &Fetching| {
            let is_long = matches!(fetching.kind, Kind::Large { .. });
            fetching.job == id && is_long && !fetching.finishing && !fetching.paused
        };
        let going_on = self.fetching.iter().filter(|(_, fetching)| goes_on(fetching));
        for download in going_on.map(|(download, _)| *download).collect::<Vec<_>>() {
            self.starved(download, false);
            self.downloads.handle(now, Event::Forget { download });
            if let Some(fetching) = self.fetching.get_mut(&download) {
                fetching.paused = true;
            }
        }
        self.look_for_room(now);
    }

    /// A file whose bytes did not fit waits with the others until there is room. So many of its bytes had been
    /// counted as being here.
    pub(super) fn try_again(&mut self, id: JobId, content: Content, landing: Landing, counted_bytes: u64) {
        self.taken_names.remove(&landing.name.folded());
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.accounts.lost(counted_bytes, if counted_bytes > 0 { super::jobs::pieces(content) } else { 0 });
        let Landing { name, mtime_s, executable, replace } = landing;
        job.waiting.push_front(WantedFile { name, content, mtime_s, executable, replace });
        self.pause(id);
    }

    /// Asks how much is free, where a fetch waits for room and it is time to.
    pub(super) fn look_for_room(&mut self, now: Timestamp) {
        // At the first time it is looked at once, to have a figure to show.
        let is_due = |shortage: Shortage| {
            shortage.waits && (shortage.next_look <= now || self.room.free_bytes.is_none())
        };
        if self.room.looking || !self.jobs.values().any(|job| job.shortage.is_some_and(is_due)) {
            return;
        }
        self.room.looking = true;
        let (folder, answers) = (self.folder.clone(), self.answers.clone());
        tokio::task::spawn_blocking(move || {
            let _ = answers.blocking_send(Answer::Free(folder.free_bytes().unwrap_or(u64::MAX)));
        });
    }

    /// So much is free: whoever finds enough goes on.
    pub(super) fn free(&mut self, free_bytes: u64) {
        let now = clock::now();
        self.room.looking = false;
        self.room.free_bytes = Some(free_bytes);
        let mut left = free_bytes;
        let mut going_on = vec![];
        for (id, job) in &mut self.jobs {
            let needed = job.left_bytes().clamp(1, ENOUGH_BYTES);
            let Some(shortage) = job.shortage.as_mut().filter(|it| it.waits && it.next_look <= now) else {
                continue;
            };
            if needed <= left {
                left -= needed;
                shortage.waits = false;
                shortage.next_look = now;
                going_on.push(*id);
            } else {
                shortage.next_look = now.after(shortage.rest);
            }
        }
        for id in going_on {
            self.go_on(id);
        }
    }

    fn go_on(&mut self, id: JobId) {
        let paused = self.fetching.iter().filter(|(_, fetching)| fetching.job == id && fetching.paused);
        for download in paused.map(|(download, _)| *download).collect::<Vec<_>>() {
            self.start_again(download);
        }
        self.prepare_more();
    }

    /// Fetches what is missing of a long content that was paused. It gets a new number: what is still said of the old
    /// one is about requests that were taken back.
    fn start_again(&mut self, download: DownloadId) {
        let Some(mut fetching) = self.fetching.remove(&download) else { return };
        let content = fetching.content;
        let (list, have) = match &fetching.kind {
            Kind::Large { part: Some(part), .. } => (Some(part.list.clone()), part.have().clone()),
            _ => (None, Bitfield::none(fetching.geometry.count())),
        };
        fetching.paused = false;
        self.last_download += 1;
        let download = DownloadId(self.last_download);
        self.by_content.insert(content, download);
        self.fetching.insert(download, fetching);
        self.downloads.handle(clock::now(), Event::Start { download, content, list, have });
        self.for_session.push_back(Command::Watch(vec![content]));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use brigade_core::id::{Content, ContentId};

    use super::{Folder, WantedFile, measure};

    fn wanted(name: &str, byte: u8, size: u64) -> WantedFile {
        let content = Content { id: ContentId([byte; 32]), size };
        WantedFile { name: name.parse().unwrap(), content, mtime_s: 0, executable: false, replace: false }
    }

    #[test]
    fn what_is_there_already_takes_no_room_and_what_is_promised_does() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let free = folder.free_bytes().unwrap();
        let huge = wanted("huge", 1, free / 2);
        assert_eq!(measure(&folder, "d", std::slice::from_ref(&huge), 0), Ok(()));
        let error = measure(&folder, "d", std::slice::from_ref(&huge), free - 1000).unwrap_err();
        assert_eq!((error.needed_bytes, error.name.as_str()), (free / 2, "d"));
        assert!(error.free_bytes < free / 2);
        let there = fs::File::create(temp.path().join("huge")).unwrap();
        there.set_len(free / 2).unwrap(); // sparse: it takes nothing
        assert_eq!(measure(&folder, "d", &[huge], free - 1000), Ok(()));
    }

    #[test]
    fn sums_that_no_disk_has_do_not_overflow() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let files = [wanted("a", 1, u64::MAX), wanted("b", 2, u64::MAX)];
        assert_eq!(measure(&folder, "d", &files, u64::MAX).unwrap_err().needed_bytes, u64::MAX);
    }
}
