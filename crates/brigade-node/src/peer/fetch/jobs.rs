//! The fetches that people asked for, file by file: what starts, what lands, what fails, and when all is done.
//!
//! All of it runs in the owner's task, and waits for nothing; the loop is in [`super::owner`], what one
//! fetch is in [`super::job`], the numbers that people see in [`super::progress`].

use std::sync::Arc;

use brigade_core::{
    bitfield::Bitfield,
    content::PieceList,
    download::{DownloadId, Event, HolderId},
    geometry::PieceIndex,
    id::Content,
    name::FileName,
};

use super::{
    job::{Job, JobId, pieces},
    owner::Fetches,
    prepare::WantedFile,
    progress::{State, Why},
};
use crate::{
    clock,
    peer::{
        session::SessionCommand as Command,
        swarm::{
            connection::Wanted,
            fetching::{Fetching, Kind},
            intake::Received,
            partial::Part,
            writer::{Landed, Outcome, Sink},
        },
    },
    store::{folder::FolderError, keeper, part_file::PartError, stamp::Stamp},
};

/// How a file is here that was not fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It has been under its name.
    WasHere,
    /// It was copied from another one with the same content.
    Copied,
}

impl Fetches {
    /// A file is under its name without having been fetched.
    pub(crate) fn here(&mut self, job: JobId, wanted: &WantedFile, landed: Option<keeper::Landed>, how: How) {
        if let Some(landed) = landed {
            self.lines.receiving.tell_keeper(vec![landed]);
        }
        self.taken_names.remove(&wanted.name.folded());
        self.not_wanted_any_more(&wanted.name, &wanted.content);
        let landed = self.landed.get(&wanted.content).copied();
        let Some(job) = self.jobs.get_mut(&job) else { return };
        let (bytes, pieces) = (wanted.content.size, pieces(wanted.content));
        match how {
            How::WasHere => {
                job.accounts.already(bytes, pieces);
                job.accounts.progress.files_already += 1;
            }
            // The other file came while this fetch went on, mostly by the same fetch.
            How::Copied if landed.is_some_and(|landed| landed >= job.accounts.began()) => {
                job.accounts.copied(bytes, pieces);
            }
            How::Copied => job.accounts.already(bytes, pieces),
        }
        if how == How::Copied {
            job.takes_no_more(&wanted.name, bytes);
        }
        job.done();
    }

    /// A file cannot be had.
    pub(crate) fn file_failed(
        &mut self,
        id: JobId,
        content: Content,
        name: FileName,
        why: Why,
        error: String,
    ) {
        let folded = name.folded();
        if self.taken_names.get(&folded) == Some(&name) {
            self.taken_names.remove(&folded);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.takes_no_more(&name, content.size);
        job.failed(name, why, error);
    }

    pub(crate) fn count_stored(&mut self, holder: HolderId, download: DownloadId, piece: PieceIndex) {
        let Some(fetching) = self.fetching.get_mut(&download) else { return };
        let bytes = u64::from(fetching.geometry.length(piece));
        fetching.counts(bytes, 1);
        if let Some(job) = self.jobs.get_mut(&fetching.job) {
            job.accounts.stored(holder, bytes);
            if let Some(name) = fetching.any_name() {
                job.takes_no_more(name, bytes);
            }
        }
    }

    pub(crate) fn request(
        &mut self,
        holder: HolderId,
        download: DownloadId,
        piece: PieceIndex,
        offer: Option<u32>,
    ) {
        let Some(expected) = self.downloads.expected(download, piece) else { return };
        let Some(fetching) = self.fetching.get(&download) else { return };
        let sink = match &fetching.kind {
            Kind::Small(landings) => Sink::Small(landings.clone()),
            Kind::Large { part: Some(part), .. } => Sink::Part(part.part().clone()),
            Kind::Large { part: None, .. } => return,
        };
        let (content, bytes) = (fetching.content, fetching.geometry.length(piece));
        let Some(job) = self.jobs.get(&fetching.job) else { return };
        let (alone, received) = (false, Received::new(job.accounts.intake.clone()));
        let wanted = Wanted { download, content, piece, offer, bytes, expected, sink, alone, received };
        self.links.request(holder, wanted);
    }

    /// Too few of those that the manager named are of any use: it is asked for others.
    pub(crate) fn more_holders(&mut self, download: DownloadId) {
        let Some(fetching) = self.fetching.get_mut(&download) else { return };
        fetching.asked_again += 1;
        let again = fetching.asked_again;
        self.for_session.push_back(Command::WatchOthers(fetching.content, again));
    }

    pub(crate) fn list_known(&mut self, download: DownloadId, list: Arc<PieceList>) {
        let Some(Fetching { kind: Kind::Large { file, .. }, geometry, .. }) = self.fetching.get(&download)
        else {
            return;
        };
        let (file, kept) = (file.clone(), list.clone());
        let have = Bitfield::none(geometry.count());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = file.save_list(&kept) {
                tracing::warn!(%error, "a piece list was not kept: it will be fetched again after a restart");
            }
        });
        self.serve_part(download, list, have);
    }

    /// Lets others have what is here of a content, from now on.
    pub(crate) fn serve_part(&mut self, download: DownloadId, list: Arc<PieceList>, have: Bitfield) {
        let Some(fetching) = self.fetching.get_mut(&download) else { return };
        let Kind::Large { file, part, .. } = &mut fetching.kind else { return };
        // Also where nothing of it is here yet: those who fetch it find each other before there is anything to pass on.
        fetching.held = true;
        self.for_session.push_back(Command::Hold(fetching.content));
        *part = Some(self.parts.begin(Part::new(fetching.content, list, file.clone(), have)));
    }

    pub(crate) fn starved(&mut self, download: DownloadId, starved: bool) {
        let Some(fetching) = self.fetching.get_mut(&download) else { return };
        if fetching.starved != starved {
            fetching.starved = starved;
            if let Some(job) = self.jobs.get_mut(&fetching.job) {
                job.starved = if starved { job.starved + 1 } else { job.starved - 1 };
            }
        }
    }

    /// Every piece of a content is written. Small ones get their names with others; a long one gets it now.
    pub(crate) fn finished(&mut self, download: DownloadId) {
        let Some(fetching) = self.fetching.get_mut(&download) else { return };
        fetching.finishing = true;
        let Kind::Large { file, part, landing } = &fetching.kind else { return };
        let (file, landing, content) = (file.clone(), landing.clone(), fetching.content);
        let part = part.as_ref().map(|owner| owner.part().clone());
        let (folder, receiving) = (self.folder.clone(), self.lines.receiving.clone());
        tokio::task::spawn_blocking(move || {
            // From its name on the file is its user's: what is served of the part is served only while nobody wrote to it.
            let placed =
                file.finish_as(&folder, &landing, |stamp| part.iter().for_each(|part| part.named(stamp)));
            let list = part.map(|part| part.list.clone());
            receiving.landed(vec![(Landed { download, content, name: landing.name, placed }, list)]);
        });
    }

    pub(crate) fn outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::NotWritten { download, error } => {
                // A piece that came twice may find its file closed already.
                let Some(fetching) = self.fetching.get(&download).filter(|fetching| !fetching.finishing)
                else {
                    return;
                };
                match error {
                    PartError::NoRoom { inodes, .. } => {
                        let (job, name) = (fetching.job, fetching.first_name());
                        name.iter().for_each(|name| self.pause(job, name, inodes));
                    }
                    error => self.give_up(download, Why::Disk, &error.to_string()),
                }
            }
            Outcome::Landed(landed) => {
                for landed in landed {
                    self.landed(landed);
                }
                self.prepare_more();
            }
        }
    }

    fn landed(&mut self, landed: Landed) {
        let Landed { download, content, name, placed } = landed;
        if self.given_up.remove(&download) {
            // Another fetch may have taken the name up since: it stays taken.
            self.in_preparation.remove(&content);
            return self.release(&content);
        }
        let Some(fetching) = self.fetching.get_mut(&download) else { return };
        fetching.finishing = false;
        let (landings, done) = (fetching.landings(), fetching.done());
        self.taken_names.remove(&name.folded());
        let ended = self.end_download(download, placed.as_ref().ok().map(|placed| placed.stamp));
        // The same content under other names is made from this file.
        self.release(&content);
        let Some(id) = ended else { return };
        match placed {
            Ok(placed) => {
                self.not_wanted_any_more(&name, &content);
                self.landed.insert(content, clock::now());
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.done();
                    placed
                        .aside
                        .into_iter()
                        .for_each(|aside| job.accounts.progress.kept_aside(name.clone(), aside));
                }
            }
            Err(PartError::NoRoom { inodes, .. }) => {
                self.pause(id, &name, inodes);
                landings.into_iter().for_each(|landing| self.try_again(id, content, landing, done));
            }
            Err(error) => {
                let could_make_room = landings.iter().any(|landing| !landing.replace);
                let why = match error {
                    PartError::Occupied { .. } if could_make_room => Why::Occupied,
                    _ => Why::Disk,
                };
                self.file_failed(id, content, name, why, error.to_string());
            }
        }
        self.settle_job(id);
    }

    /// A content cannot be had, or not be written.
    pub(crate) fn give_up(&mut self, download: DownloadId, why: Why, error: &str) {
        let Some(fetching) = self.fetching.get(&download) else { return };
        let names = fetching.names();
        let content = fetching.content;
        self.downloads.handle(clock::now(), Event::Forget { download });
        let Some(job) = self.end_download(download, None) else { return };
        for name in names {
            self.file_failed(job, content, name, why, error.to_owned());
        }
        for (job, wanted) in self.deferred.remove(&content).unwrap_or_default() {
            self.file_failed(job, content, wanted.name, why, error.to_owned());
            self.settle_job(job);
        }
        self.settle_job(job);
    }

    /// Nothing can be written: what waits to be looked through fails by itself.
    pub(crate) fn give_up_all(&mut self, error: &str) {
        let downloads: Vec<DownloadId> = self.fetching.keys().copied().collect();
        for download in downloads {
            self.give_up(download, Why::Disk, error);
        }
        // What waits for room waits no more: it is looked through, and fails there.
        self.jobs.values_mut().for_each(Job::wait_no_more);
        self.prepare_more();
    }

    /// Where our own folder was removed, long contents are given up: what was received of them has lost its name.
    pub(crate) fn look_at_private(&mut self) {
        let state = self.folder.private_state();
        if std::mem::replace(&mut self.private, state) == state {
            return;
        }
        let is_long =
            |fetching: &Fetching| matches!(fetching.kind, Kind::Large { .. }) && !fetching.finishing;
        let long = self.fetching.iter().filter(|(_, fetching)| is_long(fetching));
        for download in long.map(|(download, _)| *download).collect::<Vec<_>>() {
            let path = self.folder.private_dir();
            self.give_up(download, Why::Disk, &FolderError::Removed { path }.to_string());
        }
        self.prepare_more();
    }

    /// Takes a content out of what is being fetched; the fetch that it belonged to. Where it has landed, as what.
    ///
    /// One that is getting its name at this moment gets it: nobody else touches its part before that is over.
    pub(crate) fn end_download(&mut self, download: DownloadId, landed: Option<Stamp>) -> Option<JobId> {
        let fetching = self.fetching.remove(&download)?;
        if let (Kind::Large { part: Some(part), .. }, Some(stamp)) = (&fetching.kind, landed) {
            part.landed(stamp);
        }
        self.forget_small(&fetching);
        if landed.is_none() && matches!(fetching.kind, Kind::Large { .. }) {
            self.kept.look_again(); // what is there of it stays
        }
        self.by_content.remove(&fetching.content);
        if fetching.finishing {
            self.in_preparation.insert(fetching.content);
            self.given_up.insert(download);
        }
        self.for_session.push_back(Command::Unwatch(vec![fetching.content]));
        if fetching.held {
            self.for_session.push_back(Command::Unhold(fetching.content));
        }
        // Whatever became of it, its part is served no more; what landed the share has by now, if it is to be shared.
        let job = self.jobs.get_mut(&fetching.job)?;
        job.active -= 1;
        job.starved -= u64::from(fetching.starved);
        Some(fetching.job)
    }

    /// Ends a fetch that has nothing left to do.
    pub(crate) fn settle_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.is_over()) else { return };
        let progress = &mut job.accounts.progress;
        progress.state = if progress.failed == 0 { State::Done } else { State::Failed };
        let (links, twice) = (&self.links, self.downloads.fetched_twice_bytes());
        job.show(clock::now(), twice, &self.room, |holder| links.name_of(holder));
        self.jobs.remove(&id);
        self.forget_landed();
    }

    /// What landed matters to the fetches that went on meanwhile.
    fn forget_landed(&mut self) {
        if self.jobs.is_empty() {
            self.landed.clear();
        }
    }

    /// Ends a fetch that was given up. What was verified of it is kept.
    pub(crate) fn stop_job(&mut self, id: JobId) {
        let of_job =
            |(download, fetching): (&DownloadId, &Fetching)| (fetching.job == id).then_some(*download);
        let downloads: Vec<DownloadId> = self.fetching.iter().filter_map(of_job).collect();
        for download in downloads {
            self.downloads.handle(clock::now(), Event::Forget { download });
            let Some(fetching) = self.fetching.get(&download) else { continue };
            let (content, names) = (fetching.content, fetching.names());
            names.iter().for_each(|name| drop(self.taken_names.remove(&name.folded())));
            self.end_download(download, None);
            // Another fetch that waits for the same content takes it over; where it is getting its name, after that.
            self.release(&content);
        }
        if let Some(mut job) = self.jobs.remove(&id) {
            job.accounts.progress.state = State::Stopped;
            let links = &self.links;
            let twice = self.downloads.fetched_twice_bytes();
            job.show(clock::now(), twice, &self.room, |holder| links.name_of(holder));
        }
        self.forget_landed();
        self.prepare_more();
    }
}

#[cfg(test)]
mod tests;
