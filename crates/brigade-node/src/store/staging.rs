//! Where files are received: in `.brigade/parts/`, and for each other file system below the folder in a directory like
//! it there, so that a file gets its name by a rename.
//!
//! That directory is `.brigade/parts-NUMBER/` in the highest folder of the file system that can be written to; no name
//! of a shared file leads there. The random number keeps apart what two peers whose folders lie in each other receive.
//! `.brigade/places` of the shared folder lists them. They are removed, where they are empty, when
//! a peer that fetches ends and when the folder is locked.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    io::{self, Read, Write},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use brigade_core::name::FileName;

use super::{
    folder::{Folder, FolderError, PRIVATE, split},
    system::{Dir, FileSystemId},
};

/// The file that lists the places, in the private folder.
const PLACES: &str = "places";

/// The next list, until it is written.
const NEW_PLACES: &str = "places.new";

/// How the directory of a place is called, before its number.
const PREFIX: &str = "parts-";

/// Other file systems below a folder that are listed: far more than anybody mounts, and the list stays short.
const MOST_PLACES: usize = 256;

/// Bytes of the list that are read: as many places with the longest names.
const LIST_BYTES: u64 = 512 << 10;

/// A directory in which files are received.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) dir: Dir,
    /// For messages.
    pub(super) path: PathBuf,
    pub(super) file_system: FileSystemId,
}

/// The folder on the way to a name that is there already.
#[derive(Debug)]
pub(super) struct Nearest {
    /// To look from.
    pub(super) dir: Dir,
    /// Its path below the shared folder; "" for that one itself.
    pub(super) below: String,
    pub(super) file_system: FileSystemId,
}

/// The places of a folder, once they were read.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Option<Vec<Place>>>);

/// A directory of ours on another file system.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// The folder whose private folder it is in, below the shared one.
    below: FileName,
    name: String,
}

impl Places {
    /// The lock is held while the list is read and written too, which happens once for each file system.
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Folder {
    /// The folder at `path`, or the nearest one that leads to it and is there.
    pub(super) fn nearest(&self, path: Option<&str>) -> Result<Nearest, FolderError> {
        let mut below = path.unwrap_or_default();
        let dir = loop {
            if below.is_empty() {
                break self.sub("")?;
            }
            match self.place(below) {
                Ok(dir) => break dir,
                Err(FolderError::Missing { .. }) => below = below.rsplit_once('/').map_or("", |(up, _)| up),
                Err(error) => return Err(error),
            }
        };
        let failed = |error| FolderError::new("look into", self.path_below(below), error);
        let file_system =
            if below.is_empty() { self.file_system() } else { dir.file_system().map_err(failed)? };
        Ok(Nearest { dir, below: below.to_owned(), file_system })
    }

    /// Where the file `name` is received; made where it is not there.
    pub(super) fn staging_for(&self, name: &FileName) -> Result<Staging, FolderError> {
        self.staging_on(&self.nearest(split(name).0)?)
    }

    /// Where files are received that land in a folder, or below it.
    pub(super) fn staging_on(&self, nearest: &Nearest) -> Result<Staging, FolderError> {
        if nearest.file_system == self.file_system() {
            return self.own_staging();
        }
        // From the highest folder of that file system down: the same one is found again after a restart.
        let mut ways: Vec<&str> =
            nearest.below.match_indices('/').map(|(at, _)| &nearest.below[..at]).collect();
        ways.push(&nearest.below);
        let mut first = ways.len();
        while let Some(way) = first.checked_sub(1).map(|before| ways[before]) {
            let file_system = match self.place(way) {
                Err(error) if error.lacks_open_files() => return Err(error),
                dir => dir.ok().and_then(|dir| dir.file_system().ok()),
            };
            if file_system != Some(nearest.file_system) {
                break;
            }
            first -= 1;
        }
        let mut why = None;
        for way in &ways[first..] {
            match self.staging_in(way) {
                Ok(staging) if staging.file_system == nearest.file_system => return Ok(staging),
                Ok(staging) => why = why.or(Some(elsewhere(staging.path))),
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(why.unwrap_or_else(|| elsewhere(self.path_below(&nearest.below))))
    }

    /// The directory for what lands on the file system of the folder itself.
    pub(super) fn own_staging(&self) -> Result<Staging, FolderError> {
        let (dir, path) = (self.parts()?, self.parts_path());
        let failed = |error| FolderError::new("look into", self.parts_path(), error);
        let file_system = dir.file_system().map_err(failed)?;
        if file_system == self.file_system() {
            Ok(Staging { dir, path, file_system })
        } else {
            Err(elsewhere(path))
        }
    }

    /// A directory for what lands in the very folder `below`. It is listed before any of it is made.
    pub(super) fn staging_in(&self, below: &str) -> Result<Staging, FolderError> {
        let Ok(place) = below.parse::<FileName>() else { return self.own_staging() };
        self.check_place()?;
        let within = self.place(below)?;
        let private_path = self.path().join(below).join(PRIVATE);
        let mut known = self.0.places.lock();
        let places = self.known(&mut known)?;
        let (name, is_new) = self.remember(places, place)?;
        let path = private_path.join(&name);
        let made = self
            .make_private_dir(&within, PRIVATE, private_path)
            .and_then(|private| self.make_private_dir(&private, &name, path.clone()));
        if made.is_err() && is_new {
            let _ = within.remove_dir(PRIVATE); // where something else is in it, it stays
            places.retain(|place| place.name != name);
            self.write_places(places)?;
        }
        drop(known);
        let dir = made?;
        let file_system =
            dir.file_system().map_err(|error| FolderError::new("look into", path.clone(), error))?;
        Ok(Staging { dir, path, file_system })
    }

    /// All directories in which something may lie that is being received, as far as they are there.
    pub(super) fn stagings(&self) -> Result<Vec<Staging>, FolderError> {
        let mut found = vec![];
        for Place { below, name } in self.places()? {
            let way = format!("{below}/{PRIVATE}/{name}");
            let dir = match self.sub(&way) {
                Ok(dir) => dir,
                Err(error) if error.lacks_open_files() => return Err(error),
                Err(_) => continue, // it is not mounted, or not made yet
            };
            if let Ok(file_system) = dir.file_system() {
                found.push(Staging { dir, path: self.path().join(way), file_system });
            }
        }
        let file_system = self.file_system();
        found.push(Staging { dir: self.parts()?, path: self.parts_path(), file_system });
        Ok(found)
    }

    /// Removes the directories on other file systems that are empty. Not while something may be received.
    pub fn remove_empty_places(&self) -> Result<(), FolderError> {
        let mut known = self.0.places.lock();
        let places = self.known(&mut known)?;
        let left: Vec<Place> = places.iter().filter(|place| !self.remove_place(place)).cloned().collect();
        if left.len() != places.len() {
            self.write_places(&left)?;
            *places = left;
        }
        Ok(())
    }

    /// Removes the directory of a place where it is empty; whether it is gone.
    fn remove_place(&self, place: &Place) -> bool {
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let Ok(within) = self.place(place.below.as_str()) else { return false };
        let is_gone = match within.sub(PRIVATE) {
            Ok(private) => match private.remove_dir(&place.name) {
                Ok(()) => true,
                Err(error) => is_missing(&error),
            },
            // Below a file system that is not mounted there is nothing either: only what is mounted tells.
            Err(error) => is_missing(&error) && self.is_mounted(place.below.as_str(), &within),
        };
        if is_gone {
            let _ = within.remove_dir(PRIVATE); // where something else is in it, it stays
        }
        is_gone
    }

    /// Whether the folder at `below` is on another file system than the one that it is in.
    fn is_mounted(&self, below: &str, dir: &Dir) -> bool {
        let parent = match below.rsplit_once('/') {
            Some((parent, _)) => self.place(parent).ok().and_then(|parent| parent.file_system().ok()),
            None => Some(self.file_system()),
        };
        dir.file_system().is_ok_and(|own| parent.is_some_and(|parent| parent != own))
    }

    fn places(&self) -> Result<Vec<Place>, FolderError> {
        self.known(&mut self.0.places.lock()).cloned()
    }

    /// The list under its lock, read where it was not yet.
    fn known<'a>(&self, known: &'a mut Option<Vec<Place>>) -> Result<&'a mut Vec<Place>, FolderError> {
        match known {
            Some(places) => Ok(places),
            None => Ok(known.insert(self.read_places()?)),
        }
    }

    /// The name of the directory in the folder `below`, and whether it was listed just now.
    fn remember(&self, places: &mut Vec<Place>, below: FileName) -> Result<(String, bool), FolderError> {
        if let Some(place) = places.iter().find(|place| place.below == below) {
            return Ok((place.name.clone(), false));
        }
        let mut longer = places.clone();
        if longer.len() >= MOST_PLACES {
            let is_there = |place: &Place| match self.place(&format!("{}/{PRIVATE}", place.below)) {
                Ok(_) => true,
                Err(error) => error.lacks_open_files(), // then nobody knows
            };
            longer.retain(is_there);
        }
        if longer.len() >= MOST_PLACES {
            let error = io::Error::other(format!("there are {MOST_PLACES} such places already"));
            return Err(FolderError::new("receive files in", self.path().join(below.as_str()), error));
        }
        let name = format!("{PREFIX}{:016x}", RandomState::new().hash_one(&below));
        longer.push(Place { below, name: name.clone() });
        self.write_places(&longer)?;
        *places = longer;
        Ok((name, true))
    }

    /// Writes the list again that is known, after the one on the disk was removed.
    pub(super) fn write_known_places(&self) -> Result<(), FolderError> {
        let known = self.0.places.lock();
        match known.as_ref().filter(|places| !places.is_empty()) {
            Some(places) => self.write_places(places),
            None => Ok(()),
        }
    }

    fn read_places(&self) -> Result<Vec<Place>, FolderError> {
        let failed = |error| FolderError::new("read", self.private_dir().join(PLACES), error);
        let file = match self.private_handle()?.open_file(PLACES) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = vec![];
        file.take(LIST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().filter_map(Place::parse).take(MOST_PLACES).collect())
    }

    /// Replaces the list: a crash leaves the old one or the new one.
    fn write_places(&self, places: &[Place]) -> Result<(), FolderError> {
        let write = |private: Dir| {
            let mut file = private.open_or_create(NEW_PLACES)?;
            let text: String =
                places.iter().map(|place| format!("{} {}\n", place.name, place.below)).collect();
            file.set_len(0)?;
            file.write_all(text.as_bytes())?;
            file.sync_data()?;
            drop(file);
            private.rename_over(NEW_PLACES, PLACES)?;
            private.sync()
        };
        let failed = |error| FolderError::new("write", self.private_dir().join(PLACES), error);
        write(self.private_handle()?).map_err(failed)
    }
}

impl Place {
    fn parse(line: &str) -> Option<Self> {
        let (name, below) = line.split_once(' ')?;
        let number = name.strip_prefix(PREFIX)?;
        let is_ours = number.len() == 16 && number.bytes().all(|digit| digit.is_ascii_hexdigit());
        let below = below.parse().ok()?;
        is_ours.then(|| Self { below, name: name.to_owned() })
    }
}

/// Nothing can be received in `path` and renamed from there.
fn elsewhere(path: PathBuf) -> FolderError {
    FolderError::new(
        "receive files in",
        path,
        io::Error::other("it is on another file system than the target"),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Folder, Place};

    #[test]
    fn a_place_is_found_again_and_goes_when_it_is_empty() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("d/e")).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let first = folder.staging_in("d/e").unwrap().path;
        assert!(first.starts_with(folder.path().join("d/e/.brigade")), "{first:?}");
        fs::write(first.join("x"), "x").unwrap();
        let again = Folder::open(temp.path()).unwrap();
        assert_eq!(again.staging_in("d/e").unwrap().path, first);
        assert_eq!(again.stagings().unwrap().len(), 2);
        again.remove_empty_places().unwrap();
        assert!(first.join("x").exists());
        fs::remove_file(first.join("x")).unwrap();
        again.remove_empty_places().unwrap();
        assert!(!temp.path().join("d/e/.brigade").exists());
        assert_eq!(Folder::open(temp.path()).unwrap().stagings().unwrap().len(), 1);
    }

    #[test]
    fn what_a_cut_off_start_left_of_a_place_goes_and_what_may_be_elsewhere_stays_listed() {
        let temp = tempfile::tempdir().unwrap();
        for name in ["begun", "unmounted"] {
            fs::create_dir(temp.path().join(name)).unwrap();
            let folder = Folder::open(temp.path()).unwrap();
            let path = folder.staging_in(name).unwrap().path;
            fs::remove_dir(&path).unwrap(); // it was listed, and is not made yet
        }
        fs::remove_dir(temp.path().join("unmounted/.brigade")).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        folder.remove_empty_places().unwrap();
        assert!(!temp.path().join("begun/.brigade").exists());
        let listed = |folder: &Folder| {
            let places = folder.places().unwrap();
            places.iter().map(|place| place.below.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(listed(&folder), ["unmounted"]);
        assert_eq!(listed(&Folder::open(temp.path()).unwrap()), ["unmounted"]);
        assert!(!temp.path().join(".brigade/places.new").exists());
    }

    #[test]
    fn a_place_that_cannot_be_made_is_not_listed() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("d")).unwrap();
        fs::write(temp.path().join("d/.brigade"), "a file").unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        folder.staging_in("d").unwrap_err();
        assert_eq!(folder.places().unwrap(), []);
        assert_eq!(Folder::open(temp.path()).unwrap().places().unwrap(), []);
    }

    #[test]
    fn only_lines_that_are_ours_are_believed() {
        assert!(Place::parse("parts-0123456789abcdef d/e").is_some());
        for line in ["", "parts-0123456789abcdef", "parts-0123456789abcdef ../x", "parts-0123 d", "key d"] {
            assert_eq!(Place::parse(line), None, "{line:?}");
        }
    }
}
