//! Thousands of files of one piece: written together, made durable together, renamed together.
//!
//! Each file alone would wait for the disk; a batch waits once for all (`syncfs`) and then renames all of them. The
//! bytes were verified before. No file is ever replaced. An interrupted batch leaves files in the directory for
//! received files (`staging_directories`), which the next session removes.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write as _},
};

use brigade_core::{id::Content, name::FileName};

use super::{
    file_stamp::{Stamp, stamp_of},
    folder::{Folder, FolderError, split},
    landing::{Landing, Placed, RenameResult, give_name},
    part_file::PartError,
    staged_file_names::{create_small, next_small_name},
    staging_directories::Staging,
    system::{Dir, FileKind},
};

/// Up to this many files are synced one by one: that does not wait for the writes of other programs.
const SYNC_EACH: usize = 16;

/// The result for one file.
pub(crate) type BatchResult = (FileName, Result<Placed, PartError>);

/// Files that are renamed together. Dropped without [`SmallFileBatch::commit`], it leaves no files.
#[derive(Debug)]
pub(crate) struct SmallFileBatch {
    folder: Folder,
    /// The directories for its files: that of the shared folder first, then one for each other file system.
    stagings: Vec<Staging>,
    /// The index of the directory for the files of a folder.
    by_parent: BTreeMap<String, usize>,
    unnamed: Vec<UnnamedFile>,
    failed: Vec<(FileName, PartError)>,
}

#[derive(Debug)]
struct UnnamedFile {
    landing: Landing,
    part: String,
    /// The index of its directory.
    staging: usize,
    /// Its stamp after it was written: the rename changes only the ctime.
    stamp: Stamp,
}

impl SmallFileBatch {
    /// An empty batch.
    pub(crate) fn new(folder: &Folder) -> Result<Self, PartError> {
        let staging = folder.own_staging().map_err(|error| match error {
            FolderError::Missing { path } => FolderError::Removed { path },
            other => other,
        })?;
        Ok(Self {
            stagings: vec![staging],
            by_parent: BTreeMap::new(),
            folder: folder.clone(),
            unnamed: Vec::new(),
            failed: Vec::new(),
        })
    }

    /// The number of files in the batch.
    pub(crate) fn len(&self) -> usize {
        self.unnamed.len() + self.failed.len()
    }

    /// Writes one file of verified bytes, which may be empty. An error is also in the result of
    /// [`SmallFileBatch::commit`]; after [`PartError::NotEnoughSpace`] adding more is of no use.
    pub(crate) fn add(&mut self, landing: Landing, content: Content, bytes: &[u8]) -> Result<(), &PartError> {
        let part = next_small_name();
        let staging = self.staging_for(&landing.name);
        let written = staging.and_then(|staging| {
            Ok((staging, Self::write(&self.stagings[staging], &part, content, bytes, &landing)?))
        });
        match written {
            Ok((staging, stamp)) => {
                self.unnamed.push(UnnamedFile { landing, part, staging, stamp });
                Ok(())
            }
            Err(error) => {
                self.failed.push((landing.name, error));
                self.failed.last().map_or(Ok(()), |(_, error)| Err(error))
            }
        }
    }

    /// The index of the directory for a name.
    fn staging_for(&mut self, name: &FileName) -> Result<usize, PartError> {
        let Some(parent) = split(name).0 else { return Ok(0) };
        if let Some(known) = self.by_parent.get(parent) {
            return Ok(*known);
        }
        // An obstacle above the file is reported when the file gets its name.
        let Ok(nearest) = self.folder.nearest(Some(parent)) else { return Ok(0) };
        let known = self.stagings.iter().position(|staging| staging.file_system == nearest.file_system);
        let staging = match known {
            Some(known) => known,
            None => {
                self.stagings.push(self.folder.staging_on(&nearest)?);
                self.stagings.len() - 1
            }
        };
        self.by_parent.insert(parent.to_owned(), staging);
        Ok(staging)
    }

    fn write(
        staging: &Staging,
        part: &str,
        content: Content,
        bytes: &[u8],
        landing: &Landing,
    ) -> Result<Stamp, PartError> {
        let parts = &staging.dir;
        if bytes.len() as u64 != content.size {
            let (path, found) = (staging.path.join(part), bytes.len() as u64);
            return Err(PartError::WrongSize { path, found, expected: content.size });
        }
        let write = |mut file: File| {
            file.write_all(bytes)?;
            landing.mark_new(&file)?;
            stamp_of(&file)
        };
        let created = create_small(parts, part, landing.executable);
        let file = created.map_err(|error| failed("make", staging, part, error))?;
        write(file).map_err(|error| {
            let _ = parts.remove(part);
            failed("write to", staging, part, error).into()
        })
    }

    /// Makes all files durable, then renames them. Returns the result of each, in no order.
    pub(crate) fn commit(mut self) -> Vec<BatchResult> {
        let mut unnamed = std::mem::take(&mut self.unnamed);
        let mut results: Vec<_> = self.failed.drain(..).map(|(name, error)| (name, Err(error))).collect();
        let at_once = match self.sync(&unnamed) {
            Ok(at_once) => at_once,
            Err(error) => {
                // It is not known which of them are on the disk: none is renamed.
                results.extend(
                    unnamed.iter().map(|file| (file.landing.name.clone(), Err(self.not_durable(&error)))),
                );
                self.unnamed = unnamed;
                return results;
            }
        };
        unnamed.sort_unstable_by(|a, b| split(&a.landing.name).cmp(&split(&b.landing.name)));
        let groups: Vec<&[UnnamedFile]> =
            unnamed.chunk_by(|a, b| split(&a.landing.name).0 == split(&b.landing.name).0).collect();
        // For more than a few folders, one call for all of them is cheaper than one for each.
        let each = !at_once || groups.len() <= SYNC_EACH;
        for group in groups {
            self.name_all(group, each, &mut results);
        }
        if !each && let Err(error) = self.sync_everything(&unnamed) {
            for (_, result) in results.iter_mut().filter(|(_, result)| result.is_ok()) {
                *result = Err(self.not_durable(&error));
            }
        }
        results
    }

    fn not_durable(&self, error: &io::Error) -> PartError {
        if error.kind() == io::ErrorKind::NotFound {
            return FolderError::Removed { path: self.folder.parts_path() }.into();
        }
        // With the system's own number: the text for a limit on open files has advice.
        let same = match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        FolderError::new("make durable what is in", self.folder.parts_path(), same).into()
    }

    /// Renames the files of one folder, and makes the names durable if that is done for each folder.
    fn name_all(&self, group: &[UnnamedFile], durable: bool, results: &mut Vec<BatchResult>) {
        let first = results.len();
        let mut target = None;
        for file in group {
            let result = match &target {
                Some(target) => self.name(target, file),
                None => match self.folder.make_parent(&file.landing.name, durable) {
                    Ok(dir) => self.name(target.insert(dir), file),
                    Err(error) => Err(error.into()),
                },
            };
            if result.is_err() {
                self.discard(file);
            }
            results.push((file.landing.name.clone(), result));
        }
        if durable && let Some(Err(error)) = target.map(|target| target.sync()) {
            for (_, result) in results[first..].iter_mut().filter(|(_, result)| result.is_ok()) {
                *result = Err(self.not_durable(&error));
            }
        }
    }

    fn name(&self, target: &Dir, file: &UnnamedFile) -> Result<Placed, PartError> {
        let Staging { dir: parts, path: parts_path, .. } = &self.stagings[file.staging];
        let named = give_name(&self.folder, (parts, &file.part, &file.stamp), target, &file.landing);
        let named = named.map_err(|error| match parts.status(file.part.as_ref()) {
            Err(cause) if error.is_missing() && cause.kind() == io::ErrorKind::NotFound => {
                FolderError::Removed { path: parts_path.clone() }
            }
            _ => error,
        })?;
        let Some(RenameResult { aside, copied }) = named else {
            return Err(PartError::Changed { path: parts_path.join(&file.part) });
        };
        let now = target.status(split(&file.landing.name).1.as_ref());
        let path = || self.folder.path_of(&file.landing.name);
        let now = now.map_err(|error| FolderError::new("look at", path(), error))?;
        if now.kind == FileKind::File && now.stamp.same_bytes(copied.as_ref().unwrap_or(&file.stamp)) {
            Ok(Placed { stamp: now.stamp, aside })
        } else {
            // Another program has created a file of this name at the same moment.
            Err(PartError::Occupied { path: path() })
        }
    }

    fn discard(&self, file: &UnnamedFile) {
        let _ = self.stagings[file.staging].dir.remove(&file.part);
    }

    /// Makes the bytes durable before any name points to them. Returns whether one call did it for all.
    fn sync(&self, files: &[UnnamedFile]) -> io::Result<bool> {
        if files.len() > SYNC_EACH && self.sync_everything(files)? {
            return Ok(true);
        }
        // Windows requires the right to write for this. A file that was removed must not be created: it would be empty.
        let open = |file: &UnnamedFile| self.stagings[file.staging].dir.open_existing(&file.part);
        files.iter().try_for_each(|file| open(file)?.sync_all())?;
        Ok(false)
    }

    /// Syncs the file systems of these files. Returns whether each of them can do that.
    fn sync_everything(&self, files: &[UnnamedFile]) -> io::Result<bool> {
        let mut at_once = true;
        for (number, staging) in self.stagings.iter().enumerate() {
            if files.iter().any(|file| file.staging == number) {
                at_once &= staging.dir.sync_everything()?;
            }
        }
        Ok(at_once)
    }
}

/// The error of an action on the file `part`. A file or directory that is missing was removed meanwhile.
fn failed(action: &'static str, staging: &Staging, part: &str, error: io::Error) -> FolderError {
    match error.kind() {
        io::ErrorKind::NotFound => FolderError::Removed { path: staging.path.clone() },
        _ => FolderError::new(action, staging.path.join(part), error),
    }
}

impl Drop for SmallFileBatch {
    fn drop(&mut self) {
        for file in &self.unnamed {
            self.discard(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use brigade_core::{
        id::{Content, ContentId},
        name::FileName,
    };

    use super::{Folder, Landing, PartError, SmallFileBatch};

    fn content(bytes: &[u8]) -> Content {
        Content { id: ContentId(*blake3::hash(bytes).as_bytes()), size: bytes.len() as u64 }
    }

    fn folder() -> (tempfile::TempDir, Folder) {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        (temp, folder)
    }

    fn landing(name: &str) -> Landing {
        Landing { name: name.parse().unwrap(), mtime_s: 0, executable: false, replace: false }
    }

    fn name(number: usize) -> FileName {
        format!("d{}/e/f{number}", number % 20).parse().unwrap()
    }

    #[test]
    fn many_files_land_together_and_one_that_is_taken_does_not() {
        let (temp, folder) = folder();
        fs::create_dir_all(temp.path().join("d3/e")).unwrap();
        fs::write(temp.path().join("d3/e/f3"), "mine").unwrap();
        fs::write(temp.path().join("d7"), "a file where a folder should be").unwrap();
        let mut batch = SmallFileBatch::new(&folder).unwrap();
        for number in 0..100 {
            let bytes = vec![7; number];
            let executable = number % 2 == 0;
            let landing = Landing { name: name(number), mtime_s: 1000, executable, replace: false };
            batch.add(landing, content(&bytes), &bytes).unwrap();
        }
        assert!(batch.add(landing("wrong"), content(b"1"), b"12").is_err());
        assert_eq!(batch.len(), 101);
        let results: BTreeMap<_, _> = batch.commit().into_iter().collect();
        assert_eq!(results.len(), 101);
        assert!(matches!(results[&name(3)], Err(PartError::Occupied { .. })));
        assert!(matches!(results["wrong"], Err(PartError::WrongSize { .. })));
        assert_eq!(fs::read(temp.path().join("d3/e/f3")).unwrap(), b"mine");
        for number in (0..100).filter(|number| *number != 3) {
            let result = &results[&name(number)];
            if number % 20 == 7 {
                assert!(matches!(result, Err(PartError::Folder(_))), "{result:?}");
                continue;
            }
            let stamp = &result.as_ref().unwrap().stamp;
            assert_eq!(*stamp, folder.stamp(&name(number)).unwrap());
            assert_eq!((stamp.size, stamp.mtime_s()), (number as u64, 1000));
            assert_eq!(stamp.executable, number % 2 == 0 && cfg!(unix));
        }
        assert_eq!(fs::read_dir(folder.parts_path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn files_that_were_removed_before_they_have_their_names_are_reported() {
        let is_removed = |result: &Result<super::Placed, PartError>| {
            matches!(result, Err(PartError::Folder(super::FolderError::Removed { .. })))
        };
        // The second number is more than are synced one by one.
        for count in [3, 20] {
            for keep_directory in [false, true] {
                let (temp, folder) = folder();
                let parts = folder.parts_path();
                let mut batch = SmallFileBatch::new(&folder).unwrap();
                let names: Vec<String> = (0..count).map(|number| format!("f{number}")).collect();
                for name in &names {
                    batch.add(landing(name), content(b"1"), b"1").unwrap();
                }
                fs::remove_dir_all(&parts).unwrap();
                if keep_directory {
                    fs::create_dir(&parts).unwrap();
                }
                let added = batch.add(landing("late"), content(b"1"), b"1").map_err(ToString::to_string);
                assert!(added.unwrap_err().contains("was removed while this peer runs"));
                let results = batch.commit();
                assert_eq!(results.len(), count + 1);
                assert!(results.iter().all(|(_, result)| is_removed(result)), "{results:?}");
                assert!(names.iter().all(|name| !temp.path().join(name).exists()));
            }
        }
        // The directory stays, and one file in it is removed.
        let (temp, folder) = folder();
        let mut batch = SmallFileBatch::new(&folder).unwrap();
        batch.add(landing("a"), content(b"1"), b"1").unwrap();
        for entry in fs::read_dir(folder.parts_path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let results = batch.commit();
        assert!(is_removed(&results[0].1), "{results:?}");
        assert!(!temp.path().join("a").exists());
    }

    #[test]
    fn a_batch_that_is_dropped_or_cut_off_leaves_nothing() {
        let (temp, folder) = folder();
        let mut batch = SmallFileBatch::new(&folder).unwrap();
        batch.add(landing("a"), content(b"1"), b"1").unwrap();
        let mut cut_off = SmallFileBatch::new(&folder).unwrap();
        cut_off.add(landing("b"), content(b"2"), b"2").unwrap();
        drop(batch);
        std::mem::forget(cut_off);
        assert_eq!(fs::read_dir(folder.parts_path()).unwrap().count(), 1);
        let _lock = folder.lock().unwrap();
        crate::store::stored_parts::remove_leftovers(&folder).unwrap();
        assert_eq!(fs::read_dir(folder.parts_path()).unwrap().count(), 0);
        assert!(!temp.path().join("a").exists() && !temp.path().join("b").exists());
    }
}
