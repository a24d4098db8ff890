//! The names that files have taken, and the contents that only one file may deal with at a time.
//!
//! A content is prepared and fetched once, whatever number of names and fetches want it; the other files are deferred,
//! and are made from the first one when it has landed. A name belongs to the fetches that have taken it, in the same
//! spelling, until each of them has given it back: when its file has landed or failed. The times at which files landed
//! tell a fetch which files were there before it.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use brigade_core::{geometry::Geometry, id::Content, name::FileName, time::Timestamp};

use crate::fetch_request::{FetchId, wanted_files::WantedFile};

/// Times that are kept whether a fetch needs them or not.
const TIMES: usize = 4096;

/// The names that files have taken, and the contents that only one of them may deal with at a time.
#[derive(Debug, Default)]
pub(crate) struct FileClaims {
    /// Contents that nothing else touches.
    locks: HashMap<Content, ContentLock>,
    /// The names, without their case, of files that were taken up and have not landed.
    taken_names: HashMap<String, TakenName>,
    /// Files whose content is dealt with under another name.
    deferred: BTreeMap<Content, Vec<(FetchId, WantedFile)>>,
    /// When contents landed; at least those for which a fetch still wants a file.
    landed: HashMap<Content, Timestamp>,
    /// When names were given to files; at least those of files that a fetch still wants.
    named: HashMap<FileName, Timestamp>,
    /// The number of times from which on those that no fetch needs are forgotten.
    most_times: usize,
}

/// The lock of a content.
#[derive(Debug)]
struct ContentLock {
    /// The fetch for which it is, if for any that goes on.
    owner: Option<FetchId>,
    /// Whether the part of the content may be open: a file is being prepared, or gets its name though its fetch was
    /// stopped.
    may_be_open: bool,
}

/// A taken name, and the fetches that have it.
#[derive(Debug)]
struct TakenName {
    name: FileName,
    owner: FetchId,
    /// Mostly there are none.
    other_owners: Vec<FetchId>,
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
        job: FetchId,
        file: WantedFile,
        is_taken: bool,
        next: &mut NextFiles,
    ) -> bool {
        if let Err(other) = self.take_name(job, &file.name) {
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

    /// Takes the name of a file for a fetch. If another file has it, but for its case: that file's name.
    fn take_name(&mut self, job: FetchId, name: &FileName) -> Result<(), FileName> {
        match self.taken_names.entry(name.folded()) {
            Entry::Vacant(entry) => {
                entry.insert(TakenName { name: name.clone(), owner: job, other_owners: vec![] });
            }
            Entry::Occupied(mut entry) => {
                let taken = entry.get_mut();
                if taken.name != *name {
                    return Err(taken.name.clone());
                }
                if taken.owner != job && !taken.other_owners.contains(&job) {
                    taken.other_owners.push(job);
                }
            }
        }
        Ok(())
    }

    /// A file of a fetch has landed or failed, or waits again: others may take its name, unless another fetch has it
    /// too. Nothing changes if the fetch does not have the name.
    pub(crate) fn give_back_name(&mut self, job: FetchId, name: &FileName) {
        let Entry::Occupied(mut entry) = self.taken_names.entry(name.folded()) else { return };
        let taken = entry.get_mut();
        if taken.name != *name {
            return;
        }
        taken.other_owners.retain(|other| *other != job);
        if taken.owner == job {
            match taken.other_owners.pop() {
                Some(other) => taken.owner = other,
                None => drop(entry.remove()),
            }
        }
    }

    /// The file waits until its content has been dealt with under another name.
    fn defer(&mut self, job: FetchId, file: WantedFile) {
        self.deferred.entry(file.content).or_default().push((job, file));
    }

    /// The files that were deferred for a content; they are not any more.
    pub(crate) fn take_deferred(&mut self, content: &Content) -> Vec<(FetchId, WantedFile)> {
        self.deferred.remove(content).unwrap_or_default()
    }

    /// Whether files of other fetches than `job` are deferred for a content.
    pub(crate) fn is_deferred_by_others(&self, content: &Content, job: FetchId) -> bool {
        self.deferred.get(content).is_some_and(|files| files.iter().any(|(id, _)| *id != job))
    }

    /// The number of files of a fetch that are deferred because another fetch prepares their contents, or fetches them
    /// by `fetched_by`.
    pub(crate) fn deferred_for_others(
        &self,
        job: FetchId,
        fetched_by: impl Fn(&Content) -> Option<FetchId>,
    ) -> u64 {
        let is_of_other = |content: &Content| {
            let owner = fetched_by(content).or_else(|| self.locks.get(content)?.owner);
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
        let taken = self.taken_names.values().map(|taken| &taken.name);
        let mut names: BTreeSet<&FileName> = taken.chain(deferred).collect();
        let in_use = self.locks.keys().chain(self.deferred.keys());
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
    pub(crate) fn prepare(&mut self, content: Content, job: Option<FetchId>) {
        self.locks.insert(content, ContentLock { owner: job, may_be_open: true });
    }

    /// Nothing else touches this content from now on, and its part is not open: it is being removed, or a fetch waits
    /// before it uses the part.
    pub(crate) fn lock(&mut self, content: Content, job: Option<FetchId>) {
        self.locks.insert(content, ContentLock { owner: job, may_be_open: false });
    }

    /// Locks those of `contents` that no fetch uses: that are neither active nor locked, and that no `waiting` or
    /// deferred file has. Returns them.
    pub(crate) fn lock_unused<'a>(
        &mut self,
        mut contents: Vec<Content>,
        is_active: impl Fn(&Content) -> bool,
        waiting: impl Iterator<Item = &'a WantedFile>,
    ) -> Vec<Content> {
        contents.retain(|content| !is_active(content) && !self.is_in_use(content));
        if contents.is_empty() {
            return contents; // mostly: then the files that wait are not looked at
        }
        let unused: BTreeSet<Content> = contents.iter().copied().collect();
        let waiting = waiting.map(|file| file.content);
        let waiting: BTreeSet<Content> = waiting.filter(|content| unused.contains(content)).collect();
        contents.retain(|content| !waiting.contains(content));
        contents.iter().for_each(|content| self.lock(*content, None));
        contents
    }

    /// A fetch has ended. Its files that are being prepared are still not touched; its deferred ones are forgotten, and
    /// give back their names.
    pub(crate) fn fetch_ended(&mut self, job: FetchId) {
        let of_it = self.locks.values_mut().filter(|lock| lock.owner == Some(job));
        of_it.for_each(|lock| lock.owner = None);
        let mut names = vec![];
        self.deferred.retain(|_, files| {
            let of_it = files.extract_if(.., |(id, _)| *id == job);
            names.extend(of_it.map(|(_, file)| file.name));
            !files.is_empty()
        });
        names.iter().for_each(|name| self.give_back_name(job, name));
    }

    /// A content is not locked any more.
    pub(crate) fn prepared(&mut self, content: &Content) {
        self.locks.remove(content);
    }

    /// Whether a content is locked.
    pub(crate) fn is_prepared(&self, content: &Content) -> bool {
        self.locks.contains_key(content)
    }

    /// Whether a content is locked, or a file is deferred for it.
    pub(crate) fn is_in_use(&self, content: &Content) -> bool {
        self.is_prepared(content) || self.deferred.contains_key(content)
    }

    /// The number of locked contents of several pieces whose parts may be open.
    pub(crate) fn open_parts(&self) -> usize {
        self.locks.iter().filter(|(content, lock)| lock.may_be_open && is_large(content)).count()
    }
}

#[cfg(test)]
mod tests {
    use brigade_core::id::ContentId;

    use super::{Content, FetchId, FileClaims, TIMES, Timestamp, WantedFile, is_large};

    fn file(name: &str, size: u64) -> WantedFile {
        let content = Content { id: ContentId([7; 32]), size };
        WantedFile::new(name.parse().unwrap(), content)
    }

    #[test]
    fn a_name_belongs_to_one_file_whatever_its_case() {
        let mut claims = FileClaims::default();
        let (film, other, job) = (file("film", 1).name, file("Film", 1).name, FetchId(1));
        claims.take_name(job, &film).unwrap();
        claims.take_name(job, &film).unwrap();
        assert_eq!(claims.take_name(job, &other), Err(film.clone()));
        claims.give_back_name(job, &other);
        assert!(claims.take_name(job, &other).is_err(), "it was never taken");
        claims.give_back_name(job, &film);
        claims.take_name(job, &other).unwrap();
    }

    #[test]
    fn only_a_fetch_that_has_a_name_gives_it_back() {
        let mut claims = FileClaims::default();
        let (film, other) = (file("film", 1).name, file("Film", 1).name);
        let [first, second, third] = [1, 2, 3].map(FetchId);
        for job in [first, second] {
            claims.take_name(job, &film).unwrap();
        }
        for job in [third, first, first] {
            claims.give_back_name(job, &film);
            assert_eq!(claims.take_name(third, &other), Err(film.clone()), "after {job:?}");
        }
        claims.give_back_name(second, &film);
        claims.take_name(third, &other).unwrap();
    }

    /// Many files land while one fetch waits for long.
    #[test]
    fn times_that_no_fetch_needs_are_forgotten() {
        let mut claims = FileClaims::default();
        let (waiting, taken, now) = (file("waiting", 1), file("taken", 1), Timestamp::default());
        claims.take_name(FetchId(1), &taken.name).unwrap();
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
        claims.prepare(film.content, Some(FetchId(3)));
        assert!(claims.is_prepared(&copy.content));
        assert_eq!(claims.open_parts(), 1);
        claims.lock(Content { size: 2 << 30, ..film.content }, Some(FetchId(3)));
        assert_eq!(claims.open_parts(), 1, "the other part is not open");
        claims.defer(FetchId(1), copy.clone());
        claims.defer(FetchId(2), copy.clone());
        let deferred = |claims: &FileClaims, fetched_by: Option<FetchId>| {
            [1, 2].map(|job| claims.deferred_for_others(FetchId(job), |_| fetched_by))
        };
        assert_eq!(deferred(&claims, None), [1, 1], "a third fetch prepares the content");
        claims.fetch_ended(FetchId(3));
        assert_eq!(deferred(&claims, None), [0, 0], "no fetch prepares it");
        claims.prepared(&film.content);
        assert_eq!(deferred(&claims, Some(FetchId(1))), [0, 1], "the first fetch fetches it");
        assert!(claims.is_in_use(&film.content) && !claims.is_prepared(&film.content));
        assert_eq!(claims.take_deferred(&film.content), [(FetchId(1), copy.clone()), (FetchId(2), copy)]);
        assert!(!claims.is_in_use(&film.content));
    }

    #[test]
    fn a_fetch_that_ends_forgets_its_deferred_files_and_gives_back_their_names() {
        let mut claims = FileClaims::default();
        let (copy, other) = (file("copy", 1 << 30), file("Copy", 1 << 29));
        claims.take_name(FetchId(1), &copy.name).unwrap();
        claims.defer(FetchId(1), copy.clone());
        assert!(claims.take_name(FetchId(2), &other.name).is_err(), "the first fetch has the name");
        claims.fetch_ended(FetchId(1));
        assert!(!claims.is_in_use(&copy.content));
        claims.take_name(FetchId(2), &other.name).unwrap();
    }
}
