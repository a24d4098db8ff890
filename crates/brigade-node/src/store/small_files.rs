//! Thousands of files of one piece: written together, made durable together, named together.
//!
//! A file of its own costs a wait for the disk; a batch costs one for all (`syncfs`), and then gives all names. The
//! bytes were verified before they come here. Nothing is ever replaced, and a batch that is cut off leaves files where they
//! were received (`staging`) that the next session's lock clears away.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Write as _},
    sync::atomic::{AtomicU64, Ordering},
};

use brigade_core::{id::Content, name::FileName};

use super::{
    folder::{Folder, FolderError, Stamp, split, stamp_of},
    landing::{Landing, Named, Placed, give_name},
    part_file::PartError,
    staging::Staging,
    system::{Dir, Kind},
};

/// Up to this many files are made durable one by one: other programs' writes are then not waited for.
const SYNC_EACH: usize = 16;

const ENDING: &str = ".small";

/// Counts the files of this process: two batches never choose one name.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// How it went with one file.
pub type Landed = (FileName, Result<Placed, PartError>);

/// Files that land together. Dropped without [`Batch::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Batch {
    folder: Folder,
    /// Where its files are received: that of the folder itself first, then one for each other file system.
    stagings: Vec<Staging>,
    /// Which of them is for the files of a folder.
    by_parent: BTreeMap<String, usize>,
    waiting: Vec<Waiting>,
    failed: Vec<(FileName, PartError)>,
}

#[derive(Debug)]
struct Waiting {
    landing: Landing,
    part: String,
    /// Which staging directory it is in.
    staging: usize,
    /// Of the file as it was written: its name changes nothing of it but the ctime.
    stamp: Stamp,
}

impl Batch {
    /// An empty batch.
    pub fn new(folder: &Folder) -> Result<Self, PartError> {
        Ok(Self {
            stagings: vec![folder.own_staging()?],
            by_parent: BTreeMap::new(),
            folder: folder.clone(),
            waiting: Vec::new(),
            failed: Vec::new(),
        })
    }

    /// How many files are in it.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.failed.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes one file of verified bytes, none at all for the empty content. What goes wrong stands in the answer of
    /// [`Batch::commit`] too; after [`PartError::NoRoom`] there is no use in adding more.
    pub fn add(&mut self, landing: Landing, content: Content, bytes: &[u8]) -> Result<(), &PartError> {
        let part = next_name();
        let staging = self.staging_for(&landing.name);
        let written = staging.and_then(|staging| {
            Ok((staging, Self::write(&self.stagings[staging], &part, content, bytes, &landing)?))
        });
        match written {
            Ok((staging, stamp)) => {
                self.waiting.push(Waiting { landing, part, staging, stamp });
                Ok(())
            }
            Err(error) => {
                self.failed.push((landing.name, error));
                self.failed.last().map_or(Ok(()), |(_, error)| Err(error))
            }
        }
    }

    /// Which staging directory is for a name.
    fn staging_for(&mut self, name: &FileName) -> Result<usize, PartError> {
        let Some(parent) = split(name).0 else { return Ok(0) };
        if let Some(known) = self.by_parent.get(parent) {
            return Ok(*known);
        }
        // What is in the way of the folder is told when the file is to get its name.
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
        let (parts, path) = (&staging.dir, staging.path.join(part));
        if bytes.len() as u64 != content.size {
            return Err(PartError::WrongSize { path, found: bytes.len() as u64, expected: content.size });
        }
        let write = |mut file: File| {
            file.write_all(bytes)?;
            landing.mark(&file)?;
            stamp_of(&file)
        };
        let created = create_new(parts, part, landing.executable);
        let file = created.map_err(|error| FolderError::new("make", path.clone(), error))?;
        write(file).map_err(|error| {
            let _ = parts.remove(part);
            FolderError::new("write to", path, error).into()
        })
    }

    /// Makes all files durable, then gives them their names; says of each how it went, in no order.
    pub fn commit(mut self) -> Vec<Landed> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut results: Vec<_> = self.failed.drain(..).map(|(name, error)| (name, Err(error))).collect();
        let at_once = match self.sync(&waiting) {
            Ok(at_once) => at_once,
            Err(error) => {
                // Not one of them is known to be on the disk: none gets its name.
                results.extend(
                    waiting.iter().map(|file| (file.landing.name.clone(), Err(self.not_durable(&error)))),
                );
                self.waiting = waiting;
                return results;
            }
        };
        waiting.sort_unstable_by(|a, b| split(&a.landing.name).cmp(&split(&b.landing.name)));
        let groups: Vec<&[Waiting]> =
            waiting.chunk_by(|a, b| split(&a.landing.name).0 == split(&b.landing.name).0).collect();
        // Beyond a few folders, one call for all of them is less than one for each.
        let each = !at_once || groups.len() <= SYNC_EACH;
        for group in groups {
            self.name_all(group, each, &mut results);
        }
        if !each && let Err(error) = self.sync_everything(&waiting) {
            for (_, result) in results.iter_mut().filter(|(_, result)| result.is_ok()) {
                *result = Err(self.not_durable(&error));
            }
        }
        results
    }

    fn not_durable(&self, error: &io::Error) -> PartError {
        let same = io::Error::new(error.kind(), error.to_string());
        FolderError::new("make durable what is in", self.folder.parts_path(), same).into()
    }

    /// Gives names to files of one folder, and makes the names durable if that is to be done for each folder.
    fn name_all(&self, group: &[Waiting], durable: bool, results: &mut Vec<Landed>) {
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

    fn name(&self, target: &Dir, file: &Waiting) -> Result<Placed, PartError> {
        let path = self.folder.path_of(&file.landing.name);
        let parts = &self.stagings[file.staging].dir;
        let Named { aside, copied } = give_name(&self.folder, (parts, &file.part), target, &file.landing)?;
        let now = target.status(split(&file.landing.name).1.as_ref());
        let now = now.map_err(|error| FolderError::new("look at", path.clone(), error))?;
        if now.kind == Kind::File && now.stamp.same_bytes(copied.as_ref().unwrap_or(&file.stamp)) {
            Ok(Placed { stamp: now.stamp, aside })
        } else {
            // Someone put another file there in the very instant.
            Err(PartError::Occupied { path })
        }
    }

    fn discard(&self, file: &Waiting) {
        let _ = self.stagings[file.staging].dir.remove(&file.part);
    }

    /// Makes the bytes durable, before any name points to them; whether that was done for all at once.
    fn sync(&self, files: &[Waiting]) -> io::Result<bool> {
        if files.len() > SYNC_EACH && self.sync_everything(files)? {
            return Ok(true);
        }
        // Windows wants the right to write for this.
        let open = |file: &Waiting| self.stagings[file.staging].dir.open_or_create(&file.part);
        files.iter().try_for_each(|file| open(file)?.sync_all())?;
        Ok(false)
    }

    /// Makes all durable that is on the file systems of these files; whether that can be done on each of them.
    fn sync_everything(&self, files: &[Waiting]) -> io::Result<bool> {
        let mut at_once = true;
        for (number, staging) in self.stagings.iter().enumerate() {
            if files.iter().any(|file| file.staging == number) {
                at_once &= staging.dir.sync_everything()?;
            }
        }
        Ok(at_once)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for file in &self.waiting {
            self.discard(file);
        }
    }
}

/// A name that no other file of this process has.
fn next_name() -> String {
    format!("{:x}{ENDING}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn create_new(dir: &Dir, name: &str, executable: bool) -> io::Result<File> {
    match dir.create_new(name, executable) {
        // Left by a session that was cut off while nobody held the lock.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            dir.remove(name).and_then(|()| dir.create_new(name, executable))
        }
        created => created,
    }
}

/// A new file where files are received, and its name. One that is left there is cleared away like those of a batch.
pub(super) fn create(dir: &Dir, executable: bool) -> io::Result<(String, File)> {
    let name = next_name();
    let file = create_new(dir, &name, executable)?;
    Ok((name, file))
}

/// Whether a file has a name that is given here alone.
pub(super) fn is_ours(name: &str) -> bool {
    let number = name.strip_suffix(ENDING);
    number.is_some_and(|number| u64::from_str_radix(number, 16).is_ok_and(|n| format!("{n:x}") == number))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use brigade_core::{
        id::{Content, ContentId},
        name::FileName,
    };

    use super::{Batch, Folder, Landing, PartError};

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
        let mut batch = Batch::new(&folder).unwrap();
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

    #[test]
    fn a_batch_that_is_dropped_or_cut_off_leaves_nothing() {
        let (temp, folder) = folder();
        let mut batch = Batch::new(&folder).unwrap();
        batch.add(landing("a"), content(b"1"), b"1").unwrap();
        let mut cut_off = Batch::new(&folder).unwrap();
        cut_off.add(landing("b"), content(b"2"), b"2").unwrap();
        drop(batch);
        std::mem::forget(cut_off);
        assert_eq!(fs::read_dir(folder.parts_path()).unwrap().count(), 1);
        let _lock = folder.lock().unwrap();
        assert_eq!(fs::read_dir(folder.parts_path()).unwrap().count(), 0);
        assert!(!temp.path().join("a").exists() && !temp.path().join("b").exists());
    }
}
