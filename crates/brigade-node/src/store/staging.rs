//! Where files are received: in `.brigade/parts/`, and for each other file system below the folder in a directory like
//! it there, so that a file gets its name by a rename.
//!
//! That directory is `.brigade/parts-NUMBER/` in the highest folder of the file system that can be written to; no name
//! of a shared file leads there. The random number keeps apart what two peers whose folders lie in each other receive.
//! `.brigade/places` of the shared folder lists them. They are removed when they are empty and nothing is fetched.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    io::{self, Read, Seek, SeekFrom, Write},
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
        let is_there = |way: &&&str| {
            let file_system = self.place(way).ok().and_then(|dir| dir.file_system().ok());
            file_system == Some(nearest.file_system)
        };
        let first = ways.len() - ways.iter().rev().take_while(is_there).count();
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

    /// A directory for what lands in the very folder `below`.
    pub(super) fn staging_in(&self, below: &str) -> Result<Staging, FolderError> {
        let Ok(place) = below.parse::<FileName>() else { return self.own_staging() };
        self.check_place()?;
        let within = self.place(below)?;
        let private_path = self.path().join(below).join(PRIVATE);
        let private = self.make_private_dir(&within, PRIVATE, private_path.clone())?;
        let name = self.remember(place)?;
        let path = private_path.join(&name);
        let dir = self.make_private_dir(&private, &name, path.clone())?;
        let file_system =
            dir.file_system().map_err(|error| FolderError::new("look into", path.clone(), error))?;
        Ok(Staging { dir, path, file_system })
    }

    /// All directories in which something may lie that is being received, as far as they are there.
    pub(super) fn stagings(&self) -> Result<Vec<Staging>, FolderError> {
        let mut found = vec![];
        for Place { below, name } in self.places()? {
            let way = format!("{below}/{PRIVATE}/{name}");
            if let Ok(dir) = self.sub(&way)
                && let Ok(file_system) = dir.file_system()
            {
                found.push(Staging { dir, path: self.path().join(way), file_system });
            }
        }
        let file_system = self.file_system();
        found.push(Staging { dir: self.parts()?, path: self.parts_path(), file_system });
        Ok(found)
    }

    /// Removes the directories on other file systems that are empty. Not while something may be received.
    pub fn remove_empty_places(&self) -> Result<(), FolderError> {
        let mut left = vec![];
        for place in self.places()? {
            let private = self.sub(&format!("{}/{PRIVATE}", place.below));
            match private.map(|private| private.remove_dir(&place.name)) {
                Ok(Ok(())) => {
                    if let Ok(within) = self.place(place.below.as_str()) {
                        let _ = within.remove_dir(PRIVATE); // where something else is in it, it stays
                    }
                }
                _ => left.push(place),
            }
        }
        let mut known = self.0.places.lock();
        if known.as_ref().is_none_or(|known| known.len() != left.len()) {
            self.write_places(&left)?;
            *known = Some(left);
        }
        Ok(())
    }

    fn places(&self) -> Result<Vec<Place>, FolderError> {
        let mut known = self.0.places.lock();
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let read = self.read_places()?;
        Ok(known.insert(read).clone())
    }

    /// The name of the directory in the folder `below`; where it is a new one, it is listed before it is made.
    fn remember(&self, below: FileName) -> Result<String, FolderError> {
        let mut known = self.0.places.lock();
        let mut places = match &*known {
            Some(places) => places.clone(),
            None => self.read_places()?,
        };
        if let Some(place) = places.iter().find(|place| place.below == below) {
            return Ok(place.name.clone());
        }
        if places.len() >= MOST_PLACES {
            places.retain(|place| self.place(&format!("{}/{PRIVATE}", place.below)).is_ok());
        }
        if places.len() >= MOST_PLACES {
            let error = io::Error::other(format!("there are {MOST_PLACES} such places already"));
            return Err(FolderError::new("receive files in", self.path().join(below.as_str()), error));
        }
        let name = format!("{PREFIX}{:016x}", RandomState::new().hash_one(&below));
        places.push(Place { below, name: name.clone() });
        self.write_places(&places)?;
        *known = Some(places);
        Ok(name)
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

    fn write_places(&self, places: &[Place]) -> Result<(), FolderError> {
        let write = |private: Dir| {
            let mut file = private.open_or_create(PLACES)?;
            let text: String =
                places.iter().map(|place| format!("{} {}\n", place.name, place.below)).collect();
            file.seek(SeekFrom::Start(0))?;
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)?;
            file.sync_data()
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
    fn only_lines_that_are_ours_are_believed() {
        assert!(Place::parse("parts-0123456789abcdef d/e").is_some());
        for line in ["", "parts-0123456789abcdef", "parts-0123456789abcdef ../x", "parts-0123 d", "key d"] {
            assert_eq!(Place::parse(line), None, "{line:?}");
        }
    }
}
