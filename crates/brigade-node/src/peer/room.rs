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
    limits,
    time::Timestamp,
};

use super::{
    fetch::{Answer, Fetches, Order, Ordered},
    fetching::{Fetching, Kind},
    job::{JobId, amount},
    prepare::WantedFile,
    session::Command,
};
use crate::{
    clock,
    store::{landing::Landing, looking::Looking, parts::parts, share::Share},
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
    /// Whether the disk is being asked at this moment.
    looking: bool,
    /// What was free when it was asked last.
    pub(super) free_bytes: Option<u64>,
}

/// The bytes that each of these fetches will take in the folder, if all of them fit beside `promised` bytes that other
/// fetches will take.
fn measure(share: &Share, fetches: &[Ordered], promised: u64) -> Result<Vec<u64>, NoRoom> {
    let folder = share.folder();
    // A part is of use for one file; others of the same content are copies.
    let mut begun: BTreeMap<Content, u64> = parts(folder).unwrap_or_default().into_iter().collect();
    let mut walk = Looking::new(folder);
    let mut missing = |file: &WantedFile| {
        let size = file.content.size;
        if share.by_name(&file.name).is_some_and(|shared| shared.content == file.content) {
            return 0;
        }
        // Most likely the very file, or one that is in the way. But one that makes way stays on the disk as well.
        let is_there = !file.replace && walk.stamp(&file.name).is_ok_and(|stamp| stamp.size == size);
        if is_there { 0 } else { size.saturating_sub(begun.remove(&file.content).unwrap_or(0)) }
    };
    let of_each = |fetch: &Ordered| fetch.files.iter().map(&mut missing).fold(0, u64::saturating_add);
    let needed: Vec<u64> = fetches.iter().map(of_each).collect();
    // Where the system does not say, running full on the way is soon enough.
    let Ok(free) = folder.free_bytes() else { return Ok(needed) };
    let (needed_bytes, free_bytes) =
        (needed.iter().copied().fold(0, u64::saturating_add), free.saturating_sub(promised));
    if needed_bytes == 0 || needed_bytes <= free_bytes {
        return Ok(needed);
    }
    let name = fetches.first().map_or_else(String::new, |first| first.name.clone());
    Err(NoRoom { name, folder: folder.path().to_owned(), needed_bytes, free_bytes })
}

impl Fetches {
    /// Measures the room for fetches; they begin, or are refused, when that is known.
    pub(super) fn order(&mut self, order: Order) {
        let promised = self.jobs.values().map(|job| job.room_bytes).fold(0, u64::saturating_add);
        // What is being written at this moment is gone from what is free, and is not yet counted as written.
        let promised = promised.saturating_sub(limits::IN_FLIGHT_BYTES);
        let (share, answers) = (self.share.clone(), self.answers.clone());
        tokio::task::spawn_blocking(move || {
            let result = measure(&share, &order.fetches, promised);
            let _ = answers.blocking_send(Answer::Measured { order, result });
        });
    }

    /// The room for fetches is measured.
    pub(super) fn measured(&mut self, order: Order, result: Result<Vec<u64>, NoRoom>) {
        let Order { fetches, begun } = order;
        match result {
            Err(no_room) => drop(begun.send(Err(no_room))),
            // Who asked may have gone away meanwhile: then nothing begins.
            Ok(needed) if begun.send(Ok(())).is_ok() => {
                for (ordered, room_bytes) in fetches.into_iter().zip(needed) {
                    self.begin(ordered, room_bytes);
                }
            }
            Ok(_) => {}
        }
    }

    /// The disk is full for this fetch: it asks for nothing more until there is room. Long contents rest where they are;
    /// those of one piece that have not come go back to the files that wait.
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
        let goes_on = |fetching: &Fetching| fetching.job == id && !fetching.finishing && !fetching.paused;
        let going_on = self.fetching.iter().filter(|(_, fetching)| goes_on(fetching));
        for download in going_on.map(|(download, _)| *download).collect::<Vec<_>>() {
            self.starved(download, false);
            self.downloads.handle(now, Event::Forget { download });
            let Some(fetching) = self.fetching.get_mut(&download) else { continue };
            if matches!(fetching.kind, Kind::Large { .. }) {
                fetching.paused = true;
                continue;
            }
            let (content, landings, done) = (fetching.content, fetching.landings(), fetching.done());
            self.end_download(download, None);
            landings.into_iter().for_each(|landing| self.try_again(id, content, landing, done));
            self.release(&content);
        }
        self.look_for_room(now);
    }

    /// A file whose bytes did not fit waits with the others until there is room. So many of its bytes and pieces had
    /// been counted as being here.
    pub(super) fn try_again(&mut self, id: JobId, content: Content, landing: Landing, counted: (u64, u64)) {
        self.taken_names.remove(&landing.name.folded());
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.lost(counted);
        let Landing { name, mtime_s, executable, replace } = landing;
        job.wait(WantedFile { name, content, mtime_s, executable, replace }, true);
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
            let needed = job.room_bytes.clamp(1, ENOUGH_BYTES);
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
    /// one is about requests that were taken back. Who has it is known, be the manager there or not.
    fn start_again(&mut self, download: DownloadId) {
        let Some(mut fetching) = self.fetching.remove(&download) else { return };
        let content = fetching.content;
        let (list, have) = match &fetching.kind {
            Kind::Large { part: Some(part), .. } => (Some(part.list.clone()), part.have().clone()),
            _ => (None, Bitfield::none(fetching.geometry.count())),
        };
        // What was still written when it was paused, nobody has counted.
        let (here, counted) = (amount(&have, &fetching.geometry), fetching.done());
        let found = (here.0.saturating_sub(counted.0), here.1.saturating_sub(counted.1));
        fetching.counts(found.0, found.1);
        if let Some(job) = self.jobs.get_mut(&fetching.job) {
            job.accounts.found(found.0, found.1);
            job.takes_no_more(found.0);
        }
        fetching.paused = false;
        let holders = fetching.known.of_now();
        self.last_download += 1;
        let download = DownloadId(self.last_download);
        self.by_content.insert(content, download);
        self.fetching.insert(download, fetching);
        let now = clock::now();
        self.downloads.handle(now, Event::Start { download, content, list, have });
        if let Some((complete, partial)) = holders {
            self.downloads.handle(now, Event::Holders { download, complete, partial });
        }
        self.for_session.push_back(Command::Watch(vec![content]));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use brigade_core::id::{Content, ContentId};

    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::{Ordered, Share, WantedFile, measure};
    use crate::{peer::progress::Progress, store::folder::Folder};

    fn wanted(name: &str, byte: u8, size: u64) -> WantedFile {
        let content = Content { id: ContentId([byte; 32]), size };
        WantedFile { name: name.parse().unwrap(), content, mtime_s: 0, executable: false, replace: false }
    }

    fn ordered(files: &[WantedFile]) -> Vec<Ordered> {
        let (progress, _) = watch::channel(Progress::new("d".to_owned()));
        let given_up = CancellationToken::new();
        vec![Ordered { name: "d".to_owned(), files: files.to_vec(), progress, given_up }]
    }

    fn share() -> (tempfile::TempDir, Share) {
        let temp = tempfile::tempdir().unwrap();
        let share = Share::new(Folder::open(temp.path()).unwrap());
        (temp, share)
    }

    #[test]
    fn what_is_there_already_takes_no_room_and_what_is_promised_does() {
        let (temp, share) = share();
        let free = share.folder().free_bytes().unwrap();
        let half = free / 2;
        let mut huge = wanted("huge", 1, half);
        let check =
            |file: &WantedFile, promised| measure(&share, &ordered(std::slice::from_ref(file)), promised);
        assert_eq!(check(&huge, 0), Ok(vec![half]));
        let error = check(&huge, free - 1000).unwrap_err();
        assert_eq!((error.needed_bytes, error.name.as_str()), (half, "d"));
        assert!(error.free_bytes < half);
        let there = fs::File::create(temp.path().join("huge")).unwrap();
        there.set_len(half).unwrap(); // sparse: it takes nothing
        assert_eq!(check(&huge, free - 1000), Ok(vec![0]));
        // What makes way stays on the disk as well.
        huge.replace = true;
        assert_eq!(check(&huge, free - 1000).unwrap_err().needed_bytes, half);
    }

    #[test]
    fn sums_that_no_disk_has_do_not_overflow() {
        let (_temp, share) = share();
        let files = [wanted("a", 1, u64::MAX), wanted("b", 2, u64::MAX)];
        assert_eq!(measure(&share, &ordered(&files), u64::MAX).unwrap_err().needed_bytes, u64::MAX);
    }
}
