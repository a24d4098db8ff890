//! What is known of fetches before they begin: whether all their files can get their names, and whether they fit.
//!
//! What can never land is refused before a byte of it is fetched, all of it at once; so is what cannot fit, on
//! whichever of the file systems below the folder. It runs on a thread that may wait for the disk. A file that has the
//! name with another content is no matter of this: that takes a look at its bytes ([`super::prepare`]).

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use brigade_core::{geometry::Geometry, id::Content, name::FileName, plural};

use super::{
    orders::Ordered,
    prepare::{WantedFile, is_under_name},
};
use crate::store::{
    destination::Destinations,
    folder::{FileSystemId, Folder, Free},
    parts::KeptPart,
    share::Share,
};

/// Files that cannot land which are listed; of more, the number.
const LISTED: usize = 100;

/// Files that are open beside the bytes of a content of several pieces: record, list and name.
const FILES_BESIDE: u64 = 3;

/// Files that a peer keeps in `.brigade/` beside what it receives, and may have to make yet: the index, in three files.
const OWN_FILES: u64 = 3;

/// Contents of several pieces that are received at once, at most.
const AT_ONCE: u64 = super::queue::OPEN_PARTS as u64;

/// What is to be fetched does not fit on the disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no room for {} in {}", called(.name, *.others), .folder.display())]
pub struct NoRoom {
    /// What was to be fetched.
    pub name: String,
    /// How many names were to be fetched with it.
    pub others: usize,
    /// Where to.
    pub folder: PathBuf,
    /// What there is too little of.
    pub lacks: Lacks,
}

/// What there is too little of on a file system: how much is needed beside what is there already, and how much is free and
/// not promised to other fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacks {
    /// Bytes.
    Bytes {
        /// Needed.
        needed: u64,
        /// Free.
        free: u64,
    },
    /// Inodes: the file system cannot hold so many more files.
    Inodes {
        /// Needed.
        needed: u64,
        /// Free.
        free: u64,
    },
}

/// Some of what is to be fetched can never get its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{count} of {} of {} cannot be put into {}", plural::count(*.files, "file"), called(.name, *.others), .folder.display())]
pub struct CannotLand {
    /// What was to be fetched.
    pub name: String,
    /// How many names were to be fetched with it.
    pub others: usize,
    /// Where to.
    pub folder: PathBuf,
    /// The files, and what keeps each from getting its name; the first hundred.
    pub refused: Vec<(FileName, String)>,
    /// How many there are.
    pub count: usize,
    /// Of how many, of all names together.
    pub files: usize,
}

/// All names of a fetch, of which one is `name`.
fn called(name: &str, others: usize) -> String {
    match others {
        0 => format!("\"{name}\""),
        _ => format!("\"{name}\" and {}", plural::count(others, "other name")),
    }
}

/// Why fetches do not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotBegun {
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    #[error(transparent)]
    CannotLand(#[from] CannotLand),
}

/// What a fetch takes on the disk, as it was measured before it began and is counted down since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Needs {
    /// The file system of the folder itself.
    own: FileSystemId,
    /// Bytes that are still to be written.
    bytes: BTreeMap<FileSystemId, u64>,
    /// Files that are to be made.
    files: BTreeMap<FileSystemId, u64>,
    /// Names that are not on the file system of the folder itself.
    elsewhere: BTreeMap<FileName, FileSystemId>,
    /// A folder on each file system.
    places: BTreeMap<FileSystemId, String>,
}

impl Needs {
    /// The file system that a name is on.
    pub(crate) fn file_system_of(&self, name: &FileName) -> FileSystemId {
        self.elsewhere.get(name).copied().unwrap_or(self.own)
    }

    /// A folder on a file system, below the shared one.
    pub(crate) fn place(&self, file_system: FileSystemId) -> String {
        self.places.get(&file_system).cloned().unwrap_or_default()
    }

    /// Bytes that are still to be written to a file system.
    pub(crate) fn bytes_on(&self, file_system: FileSystemId) -> u64 {
        self.bytes.get(&file_system).copied().unwrap_or(0)
    }

    /// So many bytes are written, or never will be.
    pub(crate) fn less(&mut self, name: &FileName, bytes: u64) {
        let left = self.bytes.entry(self.file_system_of(name)).or_default();
        *left = left.saturating_sub(bytes);
    }

    /// So many bytes are not there after all.
    pub(crate) fn more(&mut self, name: &FileName, bytes: u64) {
        let left = self.bytes.entry(self.file_system_of(name)).or_default();
        *left = left.saturating_add(bytes);
    }

    /// Bytes that are still to be written, by file system.
    pub(crate) fn bytes(&self) -> impl Iterator<Item = (FileSystemId, u64)> {
        self.bytes.iter().map(|(file_system, bytes)| (*file_system, *bytes))
    }

    fn add(&mut self, file: &WantedFile, file_system: FileSystemId, bytes: u64) {
        if file_system != self.own {
            self.elsewhere.insert(file.name.clone(), file_system);
        }
        let sum = self.bytes.entry(file_system).or_default();
        *sum = sum.saturating_add(bytes);
        *self.files.entry(file_system).or_default() += 1;
    }
}

/// What each of these fetches takes beside what is `kept` of it, if all their files can land and fit beside the bytes that
/// are `promised` to other fetches.
pub(crate) fn measure(
    share: &Share,
    fetches: &[Ordered],
    kept: &[KeptPart],
    promised: &BTreeMap<FileSystemId, u64>,
) -> Result<Vec<Needs>, NotBegun> {
    let folder = share.folder();
    // It may have been removed just now: then it is made anew before anything is received there.
    if folder.keep_private().and_then(|_| folder.check_place()).is_err() {
        return Ok(vec![Needs::default(); fetches.len()]); // each file says so when it is looked through
    }
    let wanted = Names::of(folder, fetches);
    let mut measuring = Measuring {
        share,
        walk: Destinations::new(folder),
        begun: kept
            .iter()
            .flat_map(|part| part.bytes.iter().map(|(on, bytes)| ((part.content, *on), *bytes)))
            .collect(),
        folders: HashSet::new(),
        refused: vec![],
        count: 0,
    };
    let mut needs: Vec<Needs> = fetches.iter().map(|fetch| measuring.fetch(fetch, &wanted)).collect();
    let Measuring { walk, refused, count, .. } = measuring;
    let name = fetches.first().map_or_else(String::new, |first| first.name.clone());
    let others = fetches.len().saturating_sub(1);
    if count > 0 {
        let files = fetches.iter().map(|fetch| fetch.files.len()).sum();
        let folder = folder.path().to_owned();
        return Err(CannotLand { name, others, folder, refused, count, files }.into());
    }
    for (file_system, place) in walk.file_systems() {
        check_room(folder, (&name, others), (file_system, place), &needs, promised)?;
        for needs in &mut needs {
            needs.places.insert(file_system, place.to_owned());
        }
    }
    Ok(needs)
}

/// Whether everything fits on one file system.
fn check_room(
    folder: &Folder,
    (name, others): (&str, usize),
    (file_system, place): (FileSystemId, &str),
    needs: &[Needs],
    promised: &BTreeMap<FileSystemId, u64>,
) -> Result<(), NoRoom> {
    let sum = |of: fn(&Needs) -> &BTreeMap<FileSystemId, u64>| {
        let each = needs.iter().filter_map(|needs| of(needs).get(&file_system).copied());
        each.fold(0, u64::saturating_add)
    };
    // Where the system does not say, running full on the way is soon enough.
    let free = folder.free(place).unwrap_or(Free::UNKNOWN);
    let promised = promised.get(&file_system).copied().unwrap_or(0);
    let (bytes, free_bytes) = (sum(|needs| &needs.bytes), free.bytes.saturating_sub(promised));
    let own = if file_system == folder.file_system() { OWN_FILES } else { 0 };
    let files = match sum(|needs| &needs.files) {
        0 => 0,
        files => files.saturating_add(own),
    };
    let lacks = match () {
        () if bytes > 0 && bytes > free_bytes => Lacks::Bytes { needed: bytes, free: free_bytes },
        () if files > free.files => Lacks::Inodes { needed: files, free: free.files },
        () => return Ok(()),
    };
    Err(NoRoom { name: name.to_owned(), others, folder: folder.path_below(place), lacks })
}

struct Measuring<'a> {
    share: &'a Share,
    walk: Destinations<'a>,
    /// What is there of contents that were begun, in bytes.
    begun: BTreeMap<(Content, FileSystemId), u64>,
    /// Folders that have to be made, each of which is counted once.
    folders: HashSet<String>,
    refused: Vec<(FileName, String)>,
    count: usize,
}

impl Measuring<'_> {
    fn fetch(&mut self, fetch: &Ordered, wanted: &Names) -> Needs {
        let own = self.share.folder().file_system();
        let mut needs = Needs { own, ..Needs::default() };
        let mut long: BTreeMap<FileSystemId, u64> = BTreeMap::new();
        for file in &fetch.files {
            let WantedFile { name, content, replace, .. } = file;
            if self.share.by_name(name).is_some_and(|shared| shared.content == *content) {
                continue;
            }
            let there = self.walk.look(name, *replace);
            let same_size = there.found.is_some_and(|found| found.size == content.size);
            match there.found {
                // Most likely the very file, or one that is in the way.
                Some(_) if !replace => continue,
                Some(_) if same_size && there.obstacle.is_none() => {
                    needs.add(file, there.file_system, content.size); // what makes way stays on the disk as well
                    continue;
                }
                // What cannot make way need not where it is the very file: only its bytes tell.
                Some(_) if same_size && is_under_name(self.share.folder(), file) => continue,
                _ => {}
            }
            let obstacle = there.obstacle.map(|obstacle| obstacle.to_string());
            if let Some(why) = obstacle.or_else(|| wanted.in_the_way_of(name)) {
                self.count += 1;
                if self.refused.len() < LISTED {
                    self.refused.push((name.clone(), why));
                }
                continue;
            }
            let folders = self.walk.missing_folders().into_iter();
            let folders = folders.filter(|folder| self.folders.insert(folder.clone())).count();
            *needs.files.entry(there.file_system).or_default() += folders as u64;
            // A part is of use for one file; others of the same content are copies.
            let begun = self.begun.remove(&(*content, there.file_system)).unwrap_or(0);
            needs.add(file, there.file_system, content.size.saturating_sub(begun));
            if Geometry::new(content.size).is_ok_and(|geometry| geometry.count() > 1) {
                *long.entry(there.file_system).or_default() += 1;
            }
        }
        for (file_system, long) in long {
            *needs.files.entry(file_system).or_default() += long.min(AT_ONCE) * FILES_BESIDE;
        }
        needs
    }
}

/// The names that are wanted together, so that none is wanted both as a file and as a folder.
struct Names {
    known: HashSet<String>,
    ignores_case: bool,
}

impl Names {
    fn of(folder: &Folder, fetches: &[Ordered]) -> Self {
        let mut names = Self { known: HashSet::new(), ignores_case: folder.ignores_case() };
        let files = fetches.iter().flat_map(|fetch| &fetch.files);
        names.known = files.map(|file| names.key(file.name.as_str())).collect();
        names
    }

    fn key(&self, name: &str) -> String {
        if self.ignores_case { name.to_lowercase() } else { name.to_owned() }
    }

    /// What is wanted as a file, and would have to be a folder for this one.
    fn in_the_way_of(&self, name: &FileName) -> Option<String> {
        let name = name.as_str();
        let mut ways = name.match_indices('/').map(|(at, _)| &name[..at]);
        let other = ways.find(|way| self.known.contains(&self.key(way)))?;
        Some(format!("{other} is wanted too, as a file, and a folder of that name is needed"))
    }
}

#[cfg(test)]
mod tests;
