//! Taking up the files of a fetch: which may be looked through next, and what is begun once they were.
//!
//! A content is dealt with by one at a time, whatever number of names and fetches want it; the others wait and are
//! made from what the first one brought. How many are open at once is bounded by what a process may open.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use brigade_core::{
    bitfield::Bitfield,
    content::PieceList,
    download::{DownloadId, Event},
    geometry::Geometry,
    id::Content,
    limits,
};
use tokio::sync::mpsc;

use super::{
    job::{Job, JobId},
    jobs::How,
    orders::Prepared,
    owner::Fetches,
    prepare::{Decision, PrepareError, WantedFile},
    progress::Why,
};
use crate::{
    clock,
    peer::{
        session::SessionCommand as Command,
        swarm::fetching::{Fetching, Kind},
    },
    store::{destination::Destinations, part_file::PartError},
};

/// Contents that are fetched at once; the files of a larger fetch wait their turn.
const ACTIVE_CONTENTS: usize = 4096;

/// Contents of several pieces that are fetched at once: each has three open files.
pub(crate) const OPEN_PARTS: usize = 64;

/// Files that are looked through in one job before they are fetched.
const PREPARED_TOGETHER: usize = 512;

/// Jobs that look files through at once.
const PREPARING: usize = 2;

/// Files that are being looked through. The owner hears of all of them, however that ends: it counts how many looks
/// go on, and which contents they are about.
struct Look {
    job: JobId,
    left: VecDeque<WantedFile>,
    seen: Vec<(WantedFile, Result<Decision, PrepareError>)>,
    prepared: mpsc::Sender<Prepared>,
}

impl Look {
    fn run(mut self, mut decide: impl FnMut(&WantedFile) -> Result<Decision, PrepareError>) {
        while let Some(wanted) = self.left.front() {
            let decision = decide(wanted);
            let wanted = self.left.pop_front();
            self.seen.extend(wanted.map(|wanted| (wanted, decision)));
        }
    }
}

impl Drop for Look {
    /// Files are left only where a look panicked, or where the runtime shuts down before it began.
    fn drop(&mut self) {
        let left = self.left.drain(..).map(|wanted| (wanted, Err(PrepareError::CutOff)));
        let mut files = std::mem::take(&mut self.seen);
        files.extend(left);
        // There is always room: there are fewer looks at once than the channel holds.
        let _ = self.prepared.try_send(Prepared { job: self.job, files });
    }
}

impl Fetches {
    /// Has files looked through, as long as there is room to fetch them.
    pub(crate) fn prepare_more(&mut self) {
        while self.preparing < PREPARING && self.fetching.len() < ACTIVE_CONTENTS {
            // Fetches take turns, so that a large one does not keep a small one waiting.
            let next = self.jobs.iter_mut().filter(|(_, job)| job.may_look());
            let Some((id, job)) = next.min_by_key(|(_, job)| job.turns) else { return };
            job.turns += 1;
            let id = *id;
            let files = self.next_files(id);
            if files.is_empty() {
                self.settle_job(id);
                if self.jobs.get(&id).is_some_and(Job::may_look) {
                    return; // the next one is long, and as many as may be are open
                }
                continue;
            }
            let (folder, share) = (self.folder.clone(), self.share.clone());
            let prepared = self.prepared.clone();
            self.preparing += 1;
            let look = Look { job: id, left: files.into(), seen: vec![], prepared };
            tokio::task::spawn_blocking(move || {
                let mut walk = Destinations::new(&folder);
                look.run(|wanted| super::prepare::prepare(&folder, &share, &mut walk, wanted));
            });
        }
    }

    /// The next files of a fetch that may be looked through. One whose content is being dealt with under another name
    /// waits for that; one whose name another has, but for its case, fails.
    fn next_files(&mut self, id: JobId) -> Vec<WantedFile> {
        let is_long =
            |content: &Content| Geometry::new(content.size).is_ok_and(|geometry| geometry.count() > 1);
        let mut long = self.in_preparation.iter().filter(|content| is_long(content)).count()
            + self.fetching.values().filter(|fetching| matches!(fetching.kind, Kind::Large { .. })).count();
        let mut files = vec![];
        while files.len() < PREPARED_TOGETHER {
            let Some(job) = self.jobs.get_mut(&id) else { break };
            let Some(next) = job.next_file() else { break };
            let waits =
                self.in_preparation.contains(&next.content) || self.by_content.contains_key(&next.content);
            if !waits && is_long(&next.content) && long >= OPEN_PARTS {
                break;
            }
            let Some(next) = job.take_next_file() else { break };
            let other = self.taken_names.get(&next.name.folded()).filter(|other| **other != next.name);
            if let Some(other) = other.cloned() {
                job.was_seen(next.content);
                let error = PrepareError::Alike { name: next.name.clone(), other };
                self.file_failed(id, next.content, next.name, Why::Disk, error.to_string());
                continue;
            }
            self.taken_names.insert(next.name.folded(), next.name.clone());
            if waits {
                job.was_seen(next.content);
                self.deferred.entry(next.content).or_default().push((id, next));
                continue;
            }
            long += usize::from(is_long(&next.content));
            self.in_preparation.insert(next.content);
            files.push(next);
        }
        files
    }

    /// Files that waited for a content are looked at again.
    pub(crate) fn release(&mut self, content: &Content) {
        for (job, wanted) in self.deferred.remove(content).unwrap_or_default() {
            match self.jobs.get_mut(&job) {
                Some(job) => job.wait(wanted, false),
                None => drop(self.taken_names.remove(&wanted.name.folded())),
            }
        }
    }

    /// Counts a content of one piece out; where it was the last one, no batch of small files waits for more.
    pub(crate) fn forget_small(&mut self, fetching: &Fetching) {
        if matches!(fetching.kind, Kind::Small(_)) {
            self.small -= 1;
            if self.small == 0 {
                self.lines.receiving.awaited().store(0, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn prepared(&mut self, prepared: Prepared) {
        self.preparing -= 1;
        let mut watched = vec![];
        for (wanted, decision) in prepared.files {
            let content = wanted.content;
            self.in_preparation.remove(&content);
            if let Some(job) = self.jobs.get_mut(&prepared.job) {
                job.was_seen(content);
            }
            match decision {
                Ok(Decision::Here(landed)) => self.here(prepared.job, &wanted, landed, How::WasHere),
                Ok(Decision::Made(landed, aside)) => {
                    if let Some((job, aside)) = self.jobs.get_mut(&prepared.job).zip(aside) {
                        job.accounts.progress.kept_aside(wanted.name.clone(), aside);
                    }
                    self.here(prepared.job, &wanted, Some(landed), How::Copied);
                }
                Ok(Decision::Small) => {
                    let kind = Kind::Small(Arc::new(vec![wanted.landing()]));
                    watched.extend(self.start(prepared.job, wanted, kind, None, Bitfield::none(1)));
                }
                Ok(Decision::Large { file, list, have }) => {
                    let landing = wanted.landing();
                    let kind = Kind::Large { file, part: None, landing };
                    watched.extend(self.start(prepared.job, wanted, kind, list, have));
                }
                Err(PrepareError::Part(PartError::NoRoom { inodes, .. })) => {
                    self.pause(prepared.job, &wanted.name, inodes);
                    self.try_again(prepared.job, content, wanted.landing(), (0, 0));
                }
                Err(error) => {
                    self.file_failed(prepared.job, content, wanted.name, error.why(), error.to_string());
                }
            }
            if !self.by_content.contains_key(&content) {
                self.release(&content);
            }
        }
        for page in watched.chunks(limits::WATCH_CONTENTS) {
            self.for_session.push_back(Command::Watch(page.to_vec()));
        }
        self.prepare_more();
        self.settle_job(prepared.job);
    }

    /// Starts to fetch a content; the content, where the manager is to be asked about it.
    fn start(
        &mut self,
        job: JobId,
        wanted: WantedFile,
        kind: Kind,
        list: Option<Arc<PieceList>>,
        have: Bitfield,
    ) -> Option<Content> {
        let content = wanted.content;
        let geometry = Geometry::new(content.size).ok()?; // it was prepared
        let Some(fetch) = self.jobs.get_mut(&job) else {
            self.taken_names.remove(&wanted.name.folded()); // it was given up meanwhile
            return None;
        };
        let done = fetch.started(&wanted, &have, &geometry);
        self.kept.forget(&content);
        self.last_download += 1;
        let download = DownloadId(self.last_download);
        if matches!(kind, Kind::Small(_)) {
            self.small += 1;
            self.lines.receiving.awaited().fetch_add(1, Ordering::Relaxed);
        }
        let fetching = Fetching::new(content, geometry, job, kind, done);
        self.fetching.insert(download, fetching);
        self.by_content.insert(content, download);
        if let Some(list) = &list {
            self.serve_part(download, list.clone(), have.clone());
        }
        self.downloads.handle(clock::now(), Event::Start { download, content, list, have });
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brigade_core::id::{Content, ContentId};

    use super::{Decision, JobId, Look, PrepareError, WantedFile, mpsc};

    #[tokio::test]
    async fn a_look_that_panics_is_told_of_like_any_other() {
        let (prepared, mut told) = mpsc::channel(1);
        let wanted = |name: &str| WantedFile {
            name: name.parse().unwrap(),
            content: Content { id: ContentId::EMPTY, size: 0 },
            mtime_s: 0,
            executable: false,
            replace: false,
        };
        let left = ["good", "bad", "late"].map(wanted);
        let look = Look { job: JobId(7), left: left.into(), seen: vec![], prepared };
        let run = tokio::task::spawn_blocking(move || {
            look.run(|wanted| match wanted.name.as_str() {
                "good" => Ok(Decision::Small),
                _ => panic!("as this test wants it"),
            });
        });
        assert!(run.await.unwrap_err().is_panic());
        let told = tokio::time::timeout(Duration::from_secs(20), told.recv()).await.unwrap().unwrap();
        assert_eq!(told.job, JobId(7));
        let [(_, Ok(Decision::Small)), (bad, Err(PrepareError::CutOff)), (_, Err(PrepareError::CutOff))] =
            &told.files[..]
        else {
            panic!("{told:?}");
        };
        assert_eq!(bad.name.as_str(), "bad");
    }
}
