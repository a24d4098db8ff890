//! The names that files have taken, and the contents that only one file may deal with at a time.
//!
//! A content is prepared and fetched once, whatever number of names and fetches want it; the other files are deferred,
//! and are made from the first one when it has landed. A name belongs to one file until that has landed or failed.
//! The times at which files landed tell a fetch which files were there before it.

use std::collections::{BTreeMap, BTreeSet};

use brigade_core::{geometry::Geometry, id::Content, name::FileName, time::Timestamp};

use crate::fetch_request::{JobId, wanted_files::WantedFile};

/// Times that are kept whether a fetch needs them or not.
const TIMES: usize = 4096;

/// The names that files have taken, and the contents that only one of them may deal with at a time.
#[derive(Debug, Default)]
pub(crate) struct FileClaims {
    /// Contents of files that are being prepared, or get their names though their fetch was stopped, or whose parts are
    /// being removed: nothing else touches them meanwhile. The value is the fetch for which a file is being prepared, if
    /// that fetch goes on.
    in_preparation: BTreeMap<Content, Option<JobId>>,
    /// The names, without their case, of files that were taken up and have not landed.
    taken_names: BTreeMap<String, FileName>,
    /// Files whose content is dealt with under another name.
    deferred: BTreeMap<Content, Vec<(JobId, WantedFile)>>,
    /// When contents landed; at least those for which a fetch still wants a file.
    landed: BTreeMap<Content, Timestamp>,
    /// When names were given to files; at least those of files that a fetch still wants.
    named: BTreeMap<FileName, Timestamp>,
    /// The number of times from which on those that no fetch needs are forgotten.
    most_times: usize,
}

/// The next files of a fetch.
#[derive(Default)]
pub(crate) struct NextFiles {
    /// Those that are to be prepared.
    pub(crate) files: Vec<WantedFile>,
    /// Those whose name another file has, but for its case, and that name.
    pub(crate) alike: Vec<(WantedFile, FileName)>,
}

/// Whether a content has several pieces.
pub(crate) fn is_large(content: &Content) -> bool {
    Geometry::new(content.size).is_ok_and(|geometry| geometry.count() > 1)
}

impl FileClaims {
    /// Adds a file to the `next` ones, or defers it if its content `is_taken`: dealt with under another name. Whether
    /// it is to be prepared.
    pub(crate) fn take_up(
        &mut self,
        job: JobId,
        file: WantedFile,
        is_taken: bool,
        next: &mut NextFiles,
    ) -> bool {
        if let Err(other) = self.take_name(&file.name) {
            next.alike.push((file, other));
            return false;
        }
        if is_taken {
            self.defer(job, file);
            return false;
        }
        self.prepare(file.content, Some(job));
        next.files.push(file);
        true
    }

    /// Takes the name of a file. If another file has it, but for its case: that file's name.
    fn take_name(&mut self, name: &FileName) -> Result<(), FileName> {
        let folded = name.folded();
        if let Some(other) = self.taken_names.get(&folded).filter(|other| *other != name) {
            return Err(other.clone());
        }
        self.taken_names.insert(folded, name.clone());
        Ok(())
    }

    /// A file has landed or failed, or waits again: others may take its name.
    pub(crate) fn give_back_name(&mut self, name: &FileName) {
        let folded = name.folded();
        if self.taken_names.get(&folded) == Some(name) {
            self.taken_names.remove(&folded);
        }
    }

    /// The file waits until its content has been dealt with under another name.
    fn defer(&mut self, job: JobId, file: WantedFile) {
        self.deferred.entry(file.content).or_default().push((job, file));
    }

    /// The files that were deferred for a content; they are not any more.
    pub(crate) fn take_deferred(&mut self, content: &Content) -> Vec<(JobId, WantedFile)> {
        self.deferred.remove(content).unwrap_or_default()
    }

    /// The number of files of a fetch that are deferred because another fetch prepares their contents, or fetches them
    /// by `fetched_by`.
    pub(crate) fn deferred_for_others(
        &self,
        job: JobId,
        fetched_by: impl Fn(&Content) -> Option<JobId>,
    ) -> u64 {
        let is_of_other = |content: &Content| {
            let owner = fetched_by(content).or_else(|| self.in_preparation.get(content).copied().flatten());
            owner.is_some_and(|owner| owner != job)
        };
        let deferred = self.deferred.iter().filter(|(content, _)| is_of_other(content));
        deferred.flat_map(|(_, files)| files).filter(|(id, _)| *id == job).count() as u64
    }

    /// A file has landed.
    pub(crate) fn landed(&mut self, file: &WantedFile, now: Timestamp) {
        self.landed.insert(file.content, now);
        self.named(&file.name, now);
    }

    /// A file has its name now.
    pub(crate) fn named(&mut self, name: &FileName, now: Timestamp) {
        self.named.insert(name.clone(), now);
    }

    /// When a content landed, if a fetch has wanted it since.
    pub(crate) fn landed_at(&self, content: &Content) -> Option<Timestamp> {
        self.landed.get(content).copied()
    }

    /// When a file got its name, if a fetch has wanted it since.
    pub(crate) fn named_at(&self, name: &FileName) -> Option<Timestamp> {
        self.named.get(name).copied()
    }

    /// Forgets the times that no fetch needs, once there are many: neither `waiting` files nor those that were taken up
    /// have these names and contents.
    pub(crate) fn forget_unneeded_times<'a>(&mut self, waiting: impl Iterator<Item = &'a WantedFile>) {
        if self.landed.len().max(self.named.len()) <= self.most_times.max(TIMES) {
            return;
        }
        let deferred = self.deferred.values().flatten().map(|(_, file)| &file.name);
        let mut names: BTreeSet<&FileName> = self.taken_names.values().chain(deferred).collect();
        let in_use = self.in_preparation.keys().chain(self.deferred.keys());
        let mut contents: BTreeSet<Content> = in_use.copied().collect();
        for file in waiting {
            names.insert(&file.name);
            contents.insert(file.content);
        }
        self.landed.retain(|content, _| contents.contains(content));
        self.named.retain(|name, _| names.contains(name));
        self.most_times = 2 * self.landed.len().max(self.named.len());
    }

    /// Nothing else touches this content from now on; the file is prepared for this fetch, if for any.
    pub(crate) fn prepare(&mut self, content: Content, job: Option<JobId>) {
        self.in_preparation.insert(content, job);
    }

    /// A fetch has ended. Its files that are being prepared are still not touched.
    pub(crate) fn fetch_ended(&mut self, job: JobId) {
        self.in_preparation.values_mut().filter(|owner| **owner == Some(job)).for_each(|owner| *owner = None);
    }

    pub(crate) fn prepared(&mut self, content: &Content) {
        self.in_preparation.remove(content);
    }

    pub(crate) fn is_prepared(&self, content: &Content) -> bool {
        self.in_preparation.contains_key(content)
    }

    /// Whether a file is prepared or deferred for this content.
    pub(crate) fn is_in_use(&self, content: &Content) -> bool {
        self.is_prepared(content) || self.deferred.contains_key(content)
    }

    /// The number of contents of several pieces that are being prepared.
    pub(crate) fn large_in_preparation(&self) -> usize {
        self.in_preparation.keys().filter(|content| is_large(content)).count()
    }
}

#[cfg(test)]
mod tests {
    use brigade_core::id::ContentId;

    use super::{Content, FileClaims, JobId, TIMES, Timestamp, WantedFile, is_large};

    fn file(name: &str, size: u64) -> WantedFile {
        let content = Content { id: ContentId([7; 32]), size };
        WantedFile::new(name.parse().unwrap(), content)
    }

    #[test]
    fn a_name_belongs_to_one_file_whatever_its_case() {
        let mut claims = FileClaims::default();
        let (film, other) = (file("film", 1).name, file("Film", 1).name);
        claims.take_name(&film).unwrap();
        claims.take_name(&film).unwrap();
        assert_eq!(claims.take_name(&other), Err(film.clone()));
        claims.give_back_name(&other);
        assert!(claims.take_name(&other).is_err(), "it was never taken");
        claims.give_back_name(&film);
        claims.take_name(&other).unwrap();
    }

    /// Many files land while one fetch waits for long.
    #[test]
    fn times_that_no_fetch_needs_are_forgotten() {
        let mut claims = FileClaims::default();
        let (waiting, taken, now) = (file("waiting", 1), file("taken", 1), Timestamp::default());
        claims.take_name(&taken.name).unwrap();
        claims.named(&taken.name, now);
        claims.landed(&waiting, now);
        for number in 0..3 * TIMES {
            let size = u64::try_from(number).unwrap() + 2;
            claims.landed(&file(&format!("file{number}"), size), now);
            claims.forget_unneeded_times([&waiting].into_iter());
        }
        assert!(claims.named.len() <= TIMES && claims.landed.len() <= TIMES);
        assert_eq!((claims.named_at(&taken.name), claims.named_at(&waiting.name)), (Some(now), Some(now)));
        assert_eq!(claims.landed_at(&waiting.content), Some(now));
    }

    #[test]
    fn a_content_is_dealt_with_once() {
        let mut claims = FileClaims::default();
        let (film, copy) = (file("film", 1 << 30), file("copy", 1 << 30));
        assert!(is_large(&film.content) && !is_large(&file("small", 10).content));
        claims.prepare(film.content, Some(JobId(2)));
        assert!(claims.is_prepared(&copy.content));
        assert_eq!(claims.large_in_preparation(), 1);
        claims.defer(JobId(1), copy.clone());
        claims.defer(JobId(2), copy.clone());
        let deferred = |claims: &FileClaims, fetched_by: Option<JobId>| {
            [1, 2].map(|job| claims.deferred_for_others(JobId(job), |_| fetched_by))
        };
        assert_eq!(deferred(&claims, None), [1, 0], "the second fetch prepares the content");
        claims.fetch_ended(JobId(2));
        assert_eq!(deferred(&claims, None), [0, 0], "no fetch prepares it");
        claims.prepared(&film.content);
        assert_eq!(deferred(&claims, Some(JobId(1))), [0, 1], "the first fetch fetches it");
        assert!(claims.is_in_use(&film.content) && !claims.is_prepared(&film.content));
        assert_eq!(claims.take_deferred(&film.content), [(JobId(1), copy.clone()), (JobId(2), copy)]);
        assert!(!claims.is_in_use(&film.content));
    }
}
