//! Space on the disk: measured before a fetch begins, and waited for if it runs out midway.
//!
//! A fetch that can never land, or cannot fit on one of the file systems below the folder, is refused before a byte of
//! it is fetched. A fetch that finds the disk full, or without an inode for one more file, pauses: it requests no more
//! pieces, keeps and serves the verified ones, and continues by itself when there is space again.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use brigade_core::{backoff::Backoff, geometry::Geometry, id::Content, name::FileName, time::Timestamp};

use super::{
    file_preparation::is_under_name,
    space_needs::{FullDisk, OPEN_PARTS, SpaceNeeds},
};
use crate::{
    fetch_error::{CannotLand, FetchError, MissingSpace, NotEnoughSpace, RefusedFiles},
    fetch_request::FetchId,
    fetch_request::wanted_files::{Resolved, WantedFile},
    store::{
        destination_check::{Destinations, Obstacle},
        folder::{FileSystemId, Folder, FolderError, FreeSpace},
        index::missing_files,
        share::Share,
        stored_parts::{FILES_OF_PART, KeptPart, StoredFiles},
    },
};

/// The pauses of a fetch after the disk was full. They grow if the space that the system reports is not available to
/// the fetch (a quota).
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(16));

/// After so long without a full disk, the next pause is short again.
const WENT_WELL: Duration = Duration::from_secs(30);

/// With so much free space a fetch continues even if it needs more; with less, only if that is enough.
const ENOUGH_BYTES: u64 = 64 << 20;

/// The fetches that wait for space, and the space that is free.
#[derive(Debug, Default)]
pub(crate) struct DiskSpace {
    /// Fetches that wait, or went on after they had waited.
    waits: BTreeMap<FetchId, SpaceWait>,
    /// Whether the disk is being asked at this moment.
    is_checking: bool,
    /// The free space at the last check, on each file system that a fetch waits for.
    free: BTreeMap<FileSystemId, FreeSpace>,
}

/// A fetch that waits for space.
#[derive(Debug, Clone, Copy)]
struct SpaceWait {
    next_check: Timestamp,
    pauses: Backoff,
    /// The file system that is full.
    on: FileSystemId,
    /// Whether it had bytes but no inodes when it was full.
    inodes: bool,
    /// Whether the fetch waits; else it went on at `next_check`.
    waits: bool,
}

impl DiskSpace {
    /// A fetch waits from now on for space on a file system. Whether it did not wait before.
    pub(crate) fn wait(&mut self, job: FetchId, on: FileSystemId, inodes: bool, now: Timestamp) -> bool {
        let last = self.waits.get(&job);
        if last.is_some_and(|last| last.waits) {
            return false;
        }
        let mut pauses = match last {
            Some(last) if now.since(last.next_check) < WENT_WELL => last.pauses,
            _ => PAUSES,
        };
        let next_check = now.after(pauses.next_pause());
        self.waits.insert(job, SpaceWait { next_check, pauses, on, inodes, waits: true });
        self.free.remove(&on); // the space that was free before does not matter
        true
    }

    pub(crate) fn is_waiting(&self, job: FetchId) -> bool {
        self.waits.get(&job).is_some_and(|wait| wait.waits)
    }

    /// The file system that a fetch waits for.
    pub(crate) fn full(&self, job: FetchId) -> Option<FullDisk> {
        let wait = self.waits.get(&job).filter(|wait| wait.waits)?;
        let free = self.free.get(&wait.on);
        Some(FullDisk {
            on: wait.on,
            free_bytes: free.map_or(0, |free| free.bytes),
            inodes: free.map_or(wait.inodes, |free| free.lacks_inodes()),
        })
    }

    /// A fetch has ended.
    pub(crate) fn forget(&mut self, job: FetchId) {
        self.waits.remove(&job);
    }

    /// No fetch waits any more.
    pub(crate) fn forget_all(&mut self) {
        self.waits.clear();
    }

    /// The file systems to check now, if any. A new one is checked at once, so that the free space can be shown.
    pub(crate) fn check(&mut self, now: Timestamp) -> Vec<(FetchId, FileSystemId)> {
        if self.is_checking {
            return vec![];
        }
        let is_due =
            |wait: &SpaceWait| wait.waits && (wait.next_check <= now || !self.free.contains_key(&wait.on));
        let due = self.waits.iter().filter(|(_, wait)| is_due(wait));
        let due: Vec<(FetchId, FileSystemId)> = due.map(|(job, wait)| (*job, wait.on)).collect();
        self.is_checking = !due.is_empty();
        due
    }

    /// So much is free. Returns the fetches that have enough space and continue.
    pub(crate) fn checked(
        &mut self,
        free: Vec<(FileSystemId, FreeSpace)>,
        now: Timestamp,
        needed: impl Fn(FetchId, FileSystemId) -> u64,
    ) -> Vec<FetchId> {
        self.is_checking = false;
        let mut left: BTreeMap<FileSystemId, FreeSpace> = free.into_iter().collect();
        self.free.extend(&left);
        let mut going_on = vec![];
        for (job, wait) in self.waits.iter_mut().filter(|(_, wait)| wait.waits && wait.next_check <= now) {
            let Some(left) = left.get_mut(&wait.on) else { continue };
            let needed = needed(*job, wait.on).clamp(1, ENOUGH_BYTES);
            if needed <= left.bytes && left.files > 0 {
                left.bytes -= needed;
                (wait.waits, wait.next_check) = (false, now);
                going_on.push(*job);
            } else {
                wait.next_check = now.after(wait.pauses.last_pause());
            }
        }
        going_on
    }
}

/// The number of files that cannot land and are listed; more are only counted.
const LISTED: usize = 100;

/// How often the free space is measured again while the files of the index are being created or removed.
const MEASUREMENTS: usize = 4;

/// The space that each of these fetches needs beside its `kept` parts, if all their files can land and fit beside the
/// bytes that are `promised` to other fetches.
pub(crate) fn measure(
    share: &Share,
    fetches: &[&Resolved],
    kept: &[KeptPart],
    promised: &BTreeMap<FileSystemId, u64>,
) -> Result<Vec<SpaceNeeds>, FetchError> {
    let folder = share.folder();
    // The peer's own folder may have been removed just now: then it is made again before anything is received there.
    if folder.keep_private().and_then(|_| folder.check_at_path()).is_err() {
        return Ok(vec![SpaceNeeds::default(); fetches.len()]); // each file fails when it is prepared
    }
    let wanted = WantedNames::new(fetches, folder.ignores_case());
    let mut measuring = SpaceMeasurement {
        share,
        walk: Destinations::new(folder),
        begun: kept
            .iter()
            .flat_map(|part| part.stored.iter().map(|stored| ((part.content, stored.file_system), *stored)))
            .collect(),
        folders: HashSet::new(),
        parts: BTreeMap::new(),
        refused: vec![],
        count: 0,
        lacks_open_files: false,
    };
    let mut needs: Vec<SpaceNeeds> = fetches.iter().map(|fetch| measuring.fetch(fetch, &wanted)).collect();
    if let Some(first) = needs.first_mut() {
        measuring.add_files_of_parts(first); // only the sum of all fetches is compared with the free inodes
    }
    let SpaceMeasurement { walk, refused, count, lacks_open_files, .. } = measuring;
    let name = fetches.first().map_or_else(String::new, |first| first.name.clone());
    let others = fetches.len().saturating_sub(1);
    if count > 0 {
        let files = fetches.iter().map(|fetch| fetch.files.len()).sum();
        let folder = folder.path().to_owned();
        return Err(CannotLand { name, others, folder, refused, count, files, lacks_open_files }.into());
    }
    let has_others = walk.file_systems().any(|(file_system, _)| file_system != folder.file_system());
    for (file_system, below) in walk.file_systems() {
        let (free, own_files) = match file_system == folder.file_system() {
            true => measure_own(folder, has_others),
            false => (folder.free(below), 0),
        };
        // If the system does not say, the fetch waits when the disk is full.
        let free = (free.unwrap_or(FreeSpace::UNKNOWN), own_files);
        check_space(folder, (&name, others), (file_system, below), &needs, promised, free)?;
        for needs in &mut needs {
            needs.set_folder(file_system, below);
        }
    }
    Ok(needs)
}

/// Whether everything fits on one file system.
fn check_space(
    folder: &Folder,
    (name, others): (&str, usize),
    (file_system, below): (FileSystemId, &str),
    needs: &[SpaceNeeds],
    promised: &BTreeMap<FileSystemId, u64>,
    (free, own_files): (FreeSpace, u64),
) -> Result<(), NotEnoughSpace> {
    let sum = |of: fn(&SpaceNeeds, FileSystemId) -> u64| {
        needs.iter().map(|needs| of(needs, file_system)).fold(0, u64::saturating_add)
    };
    let promised = promised.get(&file_system).copied().unwrap_or(0);
    let (bytes, free_bytes) = (sum(SpaceNeeds::bytes_on), free.bytes.saturating_sub(promised));
    let files = match sum(SpaceNeeds::files_on) {
        0 => 0,
        files => files.saturating_add(own_files),
    };
    let missing = match () {
        () if bytes > 0 && bytes > free_bytes => MissingSpace::Bytes { needed: bytes, free: free_bytes },
        () if files > free.files => MissingSpace::Inodes { needed: files, free: free.files },
        () => return Ok(()),
    };
    Err(NotEnoughSpace { name: name.to_owned(), others, folder: folder.path_below(below), missing })
}

/// The free space of the folder's own file system, and the files that may have to be created in `.brigade/` beside the
/// part files, at one time:
///
/// - the files of the index that do not exist. The keeper may create them at this moment, and both numbers must be true
///   at the same time: if that number has changed meanwhile, the space is measured again;
/// - if files are received on other file systems, the next list of the directories there, which is written beside the
///   list that it then replaces.
///
/// The directories for received files exist by now, on each file system: the check of the destinations created them.
fn measure_own(folder: &Folder, has_others: bool) -> (Result<FreeSpace, FolderError>, u64) {
    let private = folder.private_dir();
    let mut missing = missing_files(&private);
    let mut free = folder.free("");
    for _ in 1..MEASUREMENTS {
        let before = std::mem::replace(&mut missing, missing_files(&private));
        if before == missing {
            break;
        }
        free = folder.free("");
    }
    (free, missing + u64::from(has_others))
}

struct SpaceMeasurement<'a> {
    share: &'a Share,
    walk: Destinations<'a>,
    /// The files of kept parts.
    begun: BTreeMap<(Content, FileSystemId), StoredFiles>,
    /// Folders that have to be made; each is counted once.
    folders: HashSet<String>,
    /// The contents of several pieces, and the files beside the bytes of each that have to be created. A content has one
    /// part at a time on a file system, whatever number of names and fetches want it.
    parts: BTreeMap<(FileSystemId, Content), u64>,
    refused: Vec<RefusedFiles>,
    count: usize,
    lacks_open_files: bool,
}

impl SpaceMeasurement<'_> {
    fn refuse(&mut self, name: &FileName, reason: String) {
        self.count += 1;
        let is_room = self.refused.len() < LISTED;
        match self.refused.last_mut() {
            Some(last) if last.reason == reason => last.count += 1,
            _ if is_room => self.refused.push(RefusedFiles { first: name.clone(), count: 1, reason }),
            _ => {}
        }
    }

    fn fetch(&mut self, fetch: &Resolved, wanted: &WantedNames<'_>) -> SpaceNeeds {
        let own = self.share.folder().file_system();
        let mut needs = SpaceNeeds::new(own);
        for file in &fetch.files {
            let WantedFile { name, content, replace, .. } = file;
            if let Some(reason) = wanted.conflict_with_same_name(file) {
                self.refuse(name, reason);
                continue;
            }
            if self.share.by_name(name).is_some_and(|shared| shared.content == *content) {
                continue;
            }
            let destination = self.walk.check(name, *replace);
            // A file that cannot be kept aside is no obstacle if it is the wanted one: only its bytes tell.
            let has_size = destination.found.is_some_and(|found| found.size == content.size);
            let may_be_wanted = destination.obstacle.is_some() && has_size;
            match destination.found {
                // Most likely the wanted file, or one that stays.
                Some(_) if !replace => continue,
                Some(_) if may_be_wanted && is_under_name(self.share.folder(), file) => continue,
                // A file that is kept aside stays on the disk.
                _ => {}
            }
            self.lacks_open_files |= matches!(destination.obstacle, Some(Obstacle::OpenFiles(_)));
            let obstacle = destination.obstacle.map(|obstacle| obstacle.to_string());
            if let Some(reason) = obstacle.or_else(|| wanted.conflict_with_folder(name)) {
                self.refuse(name, reason);
                continue;
            }
            let folders = self.walk.missing_folders().into_iter();
            let folders = folders.filter(|folder| self.folders.insert(folder.clone())).count();
            // A part is used for one file; the others with the same content are copies.
            let begun = self.begun.remove(&(*content, destination.file_system));
            let has_bytes = u64::from(begun.is_some());
            needs.add_files(destination.file_system, folders as u64 + 1 - has_bytes);
            let begun_bytes = begun.map_or(0, |begun| begun.bytes);
            needs.add(file, destination.file_system, content.size.saturating_sub(begun_bytes));
            if Geometry::new(content.size).is_ok_and(|geometry| geometry.count() > 1) {
                let created = FILES_OF_PART - begun.map_or(1, |begun| begun.files.clamp(1, FILES_OF_PART));
                self.parts.entry((destination.file_system, *content)).or_insert(created);
            }
        }
        needs
    }

    /// Adds the files of parts beside their bytes. They are removed when the content has landed, and only so many
    /// contents are received at one time.
    fn add_files_of_parts(&self, needs: &mut SpaceNeeds) {
        let mut beside: BTreeMap<FileSystemId, Vec<u64>> = BTreeMap::new();
        for ((file_system, _), created) in &self.parts {
            beside.entry(*file_system).or_default().push(*created);
        }
        for (file_system, mut created) in beside {
            created.sort_unstable_by(|a, b| b.cmp(a));
            needs.add_files(file_system, created.iter().take(OPEN_PARTS).sum());
        }
    }
}

/// All wanted names, to find one that is wanted twice, or as a file and as a folder.
struct WantedNames<'a> {
    /// The first file of each name.
    files: HashMap<String, &'a WantedFile>,
    ignores_case: bool,
}

impl<'a> WantedNames<'a> {
    fn new(fetches: &[&'a Resolved], ignores_case: bool) -> Self {
        let mut names = Self { files: HashMap::new(), ignores_case };
        for file in fetches.iter().flat_map(|fetch| &fetch.files) {
            let key = names.key(file.name.as_str());
            names.files.entry(key).or_insert(file);
        }
        names
    }

    fn key(&self, name: &str) -> String {
        if self.ignores_case { name.to_lowercase() } else { name.to_owned() }
    }

    /// The reason if an earlier file needs the name, for another content or with other capital letters.
    fn conflict_with_same_name(&self, file: &WantedFile) -> Option<String> {
        let first = self.files.get(&self.key(file.name.as_str()))?;
        if first.name != file.name {
            return Some(format!(
                "{} is wanted too, and this file system ignores capital letters",
                first.name
            ));
        }
        (first.content != file.content).then(|| {
            let id = first.content.id.short();
            format!("another content of it ({id}) is wanted too: fetch one of them into another folder")
        })
    }

    /// The reason if a name is wanted as a file, and has to be a folder for this one.
    fn conflict_with_folder(&self, name: &FileName) -> Option<String> {
        let name = name.as_str();
        let mut folders = name.match_indices('/').map(|(at, _)| &name[..at]);
        let other = folders.find(|folder| self.files.contains_key(&self.key(folder)))?;
        Some(format!("{other} is wanted too, as a file, and a folder of that name is needed"))
    }
}

#[cfg(test)]
mod tests;
