//! Where files are going to land, looked at before a byte of them is fetched: what stands there, on which file system
//! it is, and what would keep a file from getting its name.
//!
//! It is a walk over many names: what is known of the folder that the last one lies in stays at hand. What changes
//! afterwards is seen by the landing itself.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    path::PathBuf,
};

use brigade_core::name::FileName;

use super::{
    folder::{Folder, FolderError, PRIVATE, Stamp, split},
    staging::Nearest,
    system::{Dir, FileSystemId, Kind},
};

/// Names up to this length fit on every file system that says nothing of its bound.
const SURELY_SHORT: usize = 100;

/// Bytes of the longest name of a file in which something is received.
const PART_NAME_BYTES: u64 = 96;

/// What keeps a file from getting its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Something has the name that is not a file.
    #[error("{path} is {kind}")]
    InTheWay {
        /// What is in the way.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// Something is on the way that is not a folder; links are not followed.
    #[error("{path} is {kind}, and a folder of that name is needed")]
    NotAFolder {
        /// What is in the way.
        path: PathBuf,
        /// What it is.
        kind: Kind,
    },
    /// The file system has no names that long.
    #[error("the name {part:?} is too long for the file system at {path}")]
    TooLong {
        /// The part of the name.
        part: String,
        /// Where it was to go.
        path: PathBuf,
    },
    /// Nothing can be made or renamed there.
    #[error("the folder {path} cannot be written to: {why}")]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The file that is in the way may only be moved by its owner.
    #[error("{path} is another user's and may not be kept aside (its folder is sticky)")]
    Sticky {
        /// The file.
        path: PathBuf,
    },
    /// There is no place to receive it.
    #[error("{0}")]
    NoStaging(String),
    /// The system does not let it be looked at.
    #[error("{0}")]
    Unreadable(String),
}

/// What is known of a name before its file is fetched.
#[derive(Debug)]
pub struct Destination {
    /// The regular file that has the name.
    pub found: Option<Stamp>,
    /// The file system that it is on, or will be.
    pub file_system: FileSystemId,
    /// What keeps another file from getting the name.
    pub obstacle: Option<Obstacle>,
}

/// One walk over names of a folder.
#[derive(Debug)]
pub struct Destinations<'a> {
    folder: &'a Folder,
    last: Option<Parent>,
    /// For each file system a folder on it, and why nothing can be received there.
    file_systems: BTreeMap<FileSystemId, (String, Option<Obstacle>)>,
}

/// The folder that the last name lies in.
#[derive(Debug)]
struct Parent {
    path: Option<String>,
    nearest: Result<Nearest, Obstacle>,
    /// Whether it is there itself.
    is_there: bool,
    longest_name: Option<u64>,
    /// Why nothing can be made there.
    obstacle: Option<Obstacle>,
}

impl<'a> Destinations<'a> {
    /// A walk that has not begun.
    pub const fn new(folder: &'a Folder) -> Self {
        Self { folder, last: None, file_systems: BTreeMap::new() }
    }

    /// What a file meets that is to get `name`; where `replace` says so, one that has it is to be kept aside.
    pub fn look(&mut self, name: &FileName, replace: bool) -> Destination {
        let (path, last) = split(name);
        if self.last.as_ref().is_none_or(|parent| parent.path.as_deref() != path) {
            self.last = Some(self.parent(path));
        }
        let own = self.folder.file_system();
        let nothing = |file_system, obstacle| Destination { found: None, file_system, obstacle };
        let Some(parent) = &self.last else { return nothing(own, None) };
        let nearest = match &parent.nearest {
            Ok(nearest) => nearest,
            Err(obstacle) => return nothing(own, Some(obstacle.clone())),
        };
        let path = || self.folder.path_of(name);
        let too_long =
            || parent.too_long(&nearest.dir, last).then(|| Obstacle::too_long(last, self.folder, nearest));
        let found = match parent.is_there {
            true => nearest.dir.status(last.as_ref()),
            false => Err(io::ErrorKind::NotFound.into()),
        };
        let (found, obstacle) = match found {
            Ok(found) if found.kind != Kind::File => {
                (None, Some(Obstacle::InTheWay { path: path(), kind: found.kind }))
            }
            Ok(found) if replace => {
                let sticky = !nearest.dir.may_move(last).unwrap_or(true);
                let sticky = sticky.then(|| Obstacle::Sticky { path: path() });
                (Some(found.stamp), parent.obstacle.clone().or(sticky))
            }
            Ok(found) => (Some(found.stamp), None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (None, parent.obstacle.clone().or_else(too_long))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                (None, Some(Obstacle::too_long(last, self.folder, nearest)))
            }
            Err(error) => {
                let error = FolderError::new("look at", path(), error);
                (None, Some(Obstacle::Unreadable(error.to_string())))
            }
        };
        Destination { found, file_system: nearest.file_system, obstacle }
    }

    /// The folders that have to be made for the name that was looked at last: their paths below the shared one.
    pub fn missing_folders(&self) -> Vec<String> {
        let Some(Parent { path: Some(path), nearest: Ok(nearest), .. }) = &self.last else { return vec![] };
        let from = nearest.below.len();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.filter(|end| *end > from).map(|end| path[..end].to_owned()).collect()
    }

    /// The walk was held up: what it knows may not be so any more.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// A folder on each file system that was come upon, below the shared one.
    pub fn file_systems(&self) -> impl Iterator<Item = (FileSystemId, &str)> {
        self.file_systems.iter().map(|(file_system, (below, _))| (*file_system, below.as_str()))
    }

    fn parent(&mut self, path: Option<&str>) -> Parent {
        let nearest = self.folder.nearest(path).map_err(|error| self.explain(path, &error));
        let mut parent = Parent {
            path: path.map(str::to_owned),
            nearest,
            is_there: false,
            longest_name: None,
            obstacle: None,
        };
        if let Ok(nearest) = &parent.nearest {
            parent.is_there = nearest.below == path.unwrap_or_default();
            parent.longest_name = nearest.dir.longest_name();
            let missing = path.unwrap_or_default()[nearest.below.len()..].split('/');
            let mut too_long = missing
                .filter(|part| parent.too_long(&nearest.dir, part))
                .map(|part| Obstacle::too_long(part, self.folder, nearest));
            let too_long = too_long.next_back();
            parent.obstacle = not_writable(self.folder, nearest)
                .or(too_long)
                .or_else(|| receive(self.folder, &mut self.file_systems, nearest));
        }
        parent
    }

    /// What is in the way of the folder at `path`.
    fn explain(&self, path: Option<&str>, error: &FolderError) -> Obstacle {
        if error.lacks_open_files() {
            return Obstacle::Unreadable(error.to_string()); // it is not known what is there
        }
        let path = path.unwrap_or_default();
        let mut ways: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        ways.push(path);
        for way in ways {
            let Ok(name) = way.parse::<FileName>() else { break };
            match self.folder.look(&name) {
                Ok(found) if found.kind == Kind::Folder => {}
                Ok(found) => {
                    return Obstacle::NotAFolder { path: self.folder.path_of(&name), kind: found.kind };
                }
                Err(error) if error.is_missing() => break,
                Err(error) => return Obstacle::Unreadable(error.to_string()),
            }
        }
        Obstacle::Unreadable(error.to_string())
    }
}

impl Folder {
    /// The true name of the file `found` under `name` where it is spelt otherwise: on a file system that ignores case.
    /// `None` where it has that very name, or where it cannot be said.
    pub(crate) fn spelt_otherwise(&self, name: &FileName, found: &Stamp) -> Option<FileName> {
        // Folders are listed only where a file like it is found in other letters.
        let [upper, lower] = [name.to_uppercase(), name.to_lowercase()];
        let variant: FileName =
            [upper, lower].into_iter().find(|text| text != name.as_str())?.parse().ok()?;
        // Not by its number: in user space (FUSE) one file may have another number under each spelling.
        if self.look(&variant).ok()?.stamp.size != found.size {
            return None;
        }
        let mut true_name = String::new();
        for part in name.components() {
            let entries = self.sub(&true_name).and_then(|dir| {
                dir.entries().map_err(|error| FolderError::new("list", self.path_below(&true_name), error))
            });
            let spelt = spelling(part, entries.ok()?.iter().filter_map(|entry| entry.name.to_str()))?;
            let slash = if true_name.is_empty() { "" } else { "/" };
            true_name = format!("{true_name}{slash}{spelt}");
        }
        (true_name != name.as_str()).then(|| true_name.parse().ok()).flatten()
    }

    /// Whether names that differ only in capital letters are one name here, as far as our own folder tells.
    pub fn ignores_case(&self) -> bool {
        let look = |name: &str| {
            self.sub("").and_then(|root| {
                root.status(name.as_ref())
                    .map_err(|error| FolderError::new("look at", self.path().join(name), error))
            })
        };
        match (look(PRIVATE), look(&PRIVATE.to_uppercase())) {
            (Ok(ours), Ok(other)) => {
                ours.stamp.inode == other.stamp.inode && ours.stamp.device == other.stamp.device
            }
            _ => false,
        }
    }
}

impl Parent {
    /// Whether the file system of `dir` has no names as long as `part`.
    fn too_long(&self, dir: &Dir, part: &str) -> bool {
        let is_refused =
            || dir.status(part.as_ref()).is_err_and(|error| error.kind() == io::ErrorKind::InvalidFilename);
        self.longest_name.is_some_and(|most| part.len() as u64 > most)
            || part.len() > SURELY_SHORT && is_refused()
    }
}

impl Obstacle {
    fn too_long(part: &str, folder: &Folder, nearest: &Nearest) -> Self {
        Self::TooLong { part: part.to_owned(), path: folder.path_below(&nearest.below) }
    }
}

/// How `part` is spelt among the names of a folder.
fn spelling<'a>(part: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let folded = part.parse::<FileName>().ok()?.folded();
    let mut alike = None;
    for name in names {
        if name == part {
            return Some(part.to_owned());
        }
        let is_alike = name.parse::<FileName>().is_ok_and(|name| name.folded() == folded);
        if is_alike {
            alike = Some(name.to_owned());
        }
    }
    alike
}

/// Why nothing can be made in a folder.
fn not_writable(folder: &Folder, nearest: &Nearest) -> Option<Obstacle> {
    let read_only = match nearest.dir.is_read_only() {
        Ok(true) => Some("Read-only file system".to_owned()),
        _ => None,
    };
    let why = read_only.or_else(|| nearest.dir.may_be_written().err().map(|error| error.to_string()))?;
    Some(Obstacle::NotWritable { path: folder.path_below(&nearest.below), why })
}

/// Makes the directory in which files are received that land on the file system of a folder; why that cannot be done.
fn receive(
    folder: &Folder,
    file_systems: &mut BTreeMap<FileSystemId, (String, Option<Obstacle>)>,
    nearest: &Nearest,
) -> Option<Obstacle> {
    let place = match file_systems.entry(nearest.file_system) {
        Entry::Occupied(known) => return known.get().1.clone(),
        Entry::Vacant(place) => place,
    };
    let obstacle = match folder.staging_on(nearest) {
        Ok(staging) if staging.dir.longest_name().is_some_and(|most| most < PART_NAME_BYTES) => {
            Some(Obstacle::NoStaging(format!(
                "names of {PART_NAME_BYTES} bytes are needed in {}",
                staging.path.display()
            )))
        }
        // A disk that has failed may say so only to those who write to it.
        Ok(staging) => staging.dir.touch().err().map(|error| {
            Obstacle::NoStaging(FolderError::new("write into", staging.path, error).to_string())
        }),
        Err(error) => Some(Obstacle::NoStaging(error.to_string())),
    };
    place.insert((nearest.below.clone(), obstacle.clone()));
    obstacle
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
