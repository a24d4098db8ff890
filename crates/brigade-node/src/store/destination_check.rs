//! The destination of a file, checked before the fetch: what is there, on which file system it is, and what prevents
//! the file from getting its name.
//!
//! It is made for many names in a row and keeps the folder of the last name open. A change after the check is found
//! when the file gets its name.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    path::PathBuf,
};

use brigade_core::name::FileName;

use self::true_spelling::FolderListings;
use super::{
    file_stamp::Stamp,
    folder::{Folder, FolderError, PRIVATE, split},
    ignore_patterns::manager_state::has_manager_state,
    staging_directories::NearestFolder,
    system::{Dir, FileKind, FileSystemId, FolderEntry},
};

mod true_spelling;

/// Names up to this length are valid on each file system that does not report its limit.
const SURELY_SHORT: usize = 100;

/// Bytes of the longest name of a file with received bytes.
const PART_NAME_BYTES: u64 = 96;

/// What prevents a file from getting its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstacle {
    /// The name belongs to something else than a file.
    #[error("{path} is {kind}")]
    NotAFile {
        /// The path of the entry.
        path: PathBuf,
        /// Its kind.
        kind: FileKind,
    },
    /// An entry above the file is not a folder; links are not followed.
    #[error("{path} is {kind}, and a folder of that name is needed")]
    NotAFolder {
        /// The path of the entry.
        path: PathBuf,
        /// Its kind.
        kind: FileKind,
    },
    /// The file system does not allow names of this length.
    #[error("the name {part:?} is too long for the file system at {path}")]
    TooLong {
        /// The component of the name.
        part: String,
        /// The folder for it.
        path: PathBuf,
    },
    /// No file can be created or renamed there.
    #[error("the folder {path} cannot be written to: {reason}")]
    NotWritable {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        reason: String,
    },
    /// The existing file may only be moved by its owner.
    #[error("{path} belongs to another user and cannot be renamed (its folder is sticky)")]
    Sticky {
        /// The file.
        path: PathBuf,
    },
    /// The folder has the state of a manager; the name is in it or below it.
    #[error(
        "the folder {path} has the secret key of a manager (manager.key), and nothing is fetched into it: choose \
         another folder"
    )]
    ManagerState {
        /// The folder.
        path: PathBuf,
    },
    /// The name is that of a share in place, or below it.
    #[error(
        "{share} is the name of a share in place, into which nothing is fetched: save the file under another name, or unshare {share}"
    )]
    NameOfShare {
        /// The name of the share.
        share: FileName,
    },
    /// There is no directory in which the file could be received.
    #[error("{0}")]
    NoStaging(String),
    /// The system does not allow to look at it.
    #[error("{0}")]
    Unreadable(String),
    /// A limit on open files prevents the check. It does not show what is there.
    #[error("{0}")]
    OpenFiles(String),
}

/// The destination of a file.
#[derive(Debug)]
pub(crate) struct Destination {
    /// The regular file that has the name now.
    pub found: Option<Stamp>,
    /// The file system of the file.
    pub file_system: FileSystemId,
    /// What prevents another file from getting the name.
    pub obstacle: Option<Obstacle>,
}

/// A sequence of checks in a folder.
#[derive(Debug)]
pub(crate) struct Destinations<'a> {
    folder: &'a Folder,
    last: Option<ParentFolder>,
    /// For each file system a folder on it, and the reason if no files can be received there.
    file_systems: BTreeMap<FileSystemId, (String, Option<Obstacle>)>,
    listings: FolderListings,
}

/// The parent folder of the last name.
#[derive(Debug)]
struct ParentFolder {
    path: Option<String>,
    nearest: Result<NearestFolder, Obstacle>,
    /// Whether the folder itself exists.
    is_there: bool,
    longest_name: Option<u64>,
    /// The reason if no file can be created there.
    obstacle: Option<Obstacle>,
}

impl<'a> Destinations<'a> {
    /// A new sequence.
    pub(crate) fn new(folder: &'a Folder) -> Self {
        Self { folder, last: None, file_systems: BTreeMap::new(), listings: FolderListings::default() }
    }

    /// Checks the destination of a file with this name. With `replace`, an existing file is to be kept aside.
    pub(crate) fn check(&mut self, name: &FileName, replace: bool) -> Destination {
        if let Some(share) = self.folder.withheld_by(name) {
            let obstacle = Some(Obstacle::NameOfShare { share });
            return Destination { found: None, file_system: self.folder.file_system(), obstacle };
        }
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
            Ok(found) if found.kind != FileKind::File => {
                (None, Some(Obstacle::NotAFile { path: path(), kind: found.kind }))
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
            // Then the folder is the reason, and all files in it have the same one.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let error = FolderError::of_own("look into", self.folder.path_below(&nearest.below), error);
                (None, Some(Obstacle::Unreadable(error.to_string())))
            }
            Err(error) => {
                let error = FolderError::new("look at", path(), error);
                (None, Some(Obstacle::of_error(&error, Obstacle::Unreadable)))
            }
        };
        Destination { found, file_system: nearest.file_system, obstacle }
    }

    /// The folders that are still to be created for the last name: their paths below the shared folder.
    pub(crate) fn missing_folders(&self) -> Vec<String> {
        let Some(ParentFolder { path: Some(path), nearest: Ok(nearest), .. }) = &self.last else {
            return vec![];
        };
        let from = nearest.below.len();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.filter(|end| *end > from).map(|end| path[..end].to_owned()).collect()
    }

    /// Forgets the folder of the last name. To be called after a pause, in which it may have changed.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    /// The true name of the file `found` under `name`, if the file system ignores case and the file has another
    /// spelling. `None` if it has exactly this name, or if its name cannot be found out.
    pub(crate) fn true_name(&mut self, name: &FileName, found: &Stamp) -> Option<FileName> {
        self.listings.true_name(self.folder, name, found)
    }

    /// A folder on each file system of the names so far, below the shared folder.
    pub(crate) fn file_systems(&self) -> impl Iterator<Item = (FileSystemId, &str)> {
        self.file_systems.iter().map(|(file_system, (below, _))| (*file_system, below.as_str()))
    }

    fn parent(&mut self, path: Option<&str>) -> ParentFolder {
        let nearest = self.folder.nearest(path).map_err(|error| self.explain(path, &error));
        let mut parent = ParentFolder {
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
            parent.obstacle = manager_state(self.folder, nearest)
                .or_else(|| not_writable(self.folder, nearest))
                .or(too_long)
                .or_else(|| receive(self.folder, &mut self.file_systems, nearest));
        }
        parent
    }

    /// The obstacle on the path to a folder that could not be opened.
    fn explain(&self, path: Option<&str>, error: &FolderError) -> Obstacle {
        if error.lacks_open_files() {
            return Obstacle::OpenFiles(error.to_string());
        }
        let path = path.unwrap_or_default();
        let mut paths: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
        paths.push(path);
        for path in paths {
            let Ok(name) = path.parse::<FileName>() else { break };
            match self.folder.status(&name) {
                Ok(found) if found.kind == FileKind::Folder => {}
                Ok(found) => {
                    return Obstacle::NotAFolder { path: self.folder.path_of(&name), kind: found.kind };
                }
                Err(error) if error.is_missing() => break,
                Err(error) => return Obstacle::of_error(&error, Obstacle::Unreadable),
            }
        }
        Obstacle::Unreadable(error.to_string())
    }
}

impl Folder {
    /// Whether the file system ignores case, tested with the name of `.brigade`.
    pub(crate) fn ignores_case(&self) -> bool {
        let upper = PRIVATE.to_uppercase();
        let Ok(root) = self.sub("") else { return false };
        let (Ok(ours), Ok(other)) = (root.status(PRIVATE.as_ref()), root.status(upper.as_ref())) else {
            return false;
        };
        let is_same = ours.stamp.inode == other.stamp.inode && ours.stamp.device == other.stamp.device;
        // In user space (FUSE) each spelling may have another inode, but only one of them is listed.
        let is_listed = |entry: &FolderEntry| entry.name == *PRIVATE || entry.name == *upper;
        is_same
            || root.entries().is_ok_and(|entries| entries.iter().filter(|one| is_listed(one)).count() == 1)
    }
}

impl ParentFolder {
    /// Whether the file system of `dir` does not allow names of the length of `part`.
    fn too_long(&self, dir: &Dir, part: &str) -> bool {
        let is_refused =
            || dir.status(part.as_ref()).is_err_and(|error| error.kind() == io::ErrorKind::InvalidFilename);
        self.longest_name.is_some_and(|most| part.len() as u64 > most)
            || part.len() > SURELY_SHORT && is_refused()
    }
}

impl Obstacle {
    /// The obstacle for an error: `other`, unless a limit on open files is the cause.
    fn of_error(error: &FolderError, other: fn(String) -> Self) -> Self {
        let kind: fn(String) -> Self = if error.lacks_open_files() { Self::OpenFiles } else { other };
        kind(error.to_string())
    }

    fn too_long(part: &str, folder: &Folder, nearest: &NearestFolder) -> Self {
        Self::TooLong { part: part.to_owned(), path: folder.path_below(&nearest.below) }
    }
}

/// The state of a manager, if a folder is one or is in one.
fn manager_state(folder: &Folder, nearest: &NearestFolder) -> Option<Obstacle> {
    let below = nearest.below.as_str();
    let is_state = |above: &&str| {
        let dir = match *above {
            "" => folder.sub(""),
            above => folder.open_path_only(above),
        };
        dir.is_ok_and(|dir| has_manager_state(&dir))
    };
    let ends = below.match_indices('/').map(|(at, _)| at).chain([below.len()]);
    let state = [""].into_iter().chain(ends.map(|end| &below[..end])).find(is_state)?;
    Some(Obstacle::ManagerState { path: folder.path_below(state) })
}

/// The reason if no file can be created in a folder.
fn not_writable(folder: &Folder, nearest: &NearestFolder) -> Option<Obstacle> {
    let read_only = match nearest.dir.is_read_only() {
        Ok(true) => Some("Read-only file system".to_owned()),
        _ => None,
    };
    let reason = read_only.or_else(|| nearest.dir.may_be_written().err().map(|error| error.to_string()))?;
    Some(Obstacle::NotWritable { path: folder.path_below(&nearest.below), reason })
}

/// Creates the directory for received files on the file system of a folder. Returns the reason if that fails.
fn receive(
    folder: &Folder,
    file_systems: &mut BTreeMap<FileSystemId, (String, Option<Obstacle>)>,
    nearest: &NearestFolder,
) -> Option<Obstacle> {
    let entry = match file_systems.entry(nearest.file_system) {
        Entry::Occupied(known) => return known.get().1.clone(),
        Entry::Vacant(entry) => entry,
    };
    let obstacle = match folder.staging_on(nearest) {
        Ok(staging) if staging.dir.longest_name().is_some_and(|most| most < PART_NAME_BYTES) => {
            Some(Obstacle::NoStaging(format!(
                "names of {PART_NAME_BYTES} bytes are needed in {}",
                staging.path.display()
            )))
        }
        // A disk that has failed may report it only when something is written.
        Ok(staging) => staging.dir.touch().err().map(|error| {
            Obstacle::of_error(&FolderError::new("write into", staging.path, error), Obstacle::NoStaging)
        }),
        Err(error) => Some(Obstacle::of_error(&error, Obstacle::NoStaging)),
    };
    entry.insert((nearest.below.clone(), obstacle.clone()));
    obstacle
}

#[cfg(unix)]
#[cfg(test)]
mod tests;
