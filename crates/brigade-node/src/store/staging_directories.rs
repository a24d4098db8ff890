//! Where files are received: in `.brigade/parts/`, and for each other file system below the folder in a directory on
//! that file system, so that a rename gives a file its name.
//!
//! Such a directory is `.brigade/parts-NUMBER/` in the highest writable folder of the file system; no name of a
//! shared file leads there. The random number separates the files of two peers of which one has its folder in the
//! other's. `.brigade/places` of the shared folder lists the directories. Empty ones are removed when a peer that
//! fetches ends and when the folder is locked.

use std::{collections::hash_map::RandomState, hash::BuildHasher, io, path::PathBuf};

use brigade_core::name::FileName;

use super::{
    folder::{
        Folder, FolderError, MAX_STAGING_DIRS, PARTS, PRIVATE, STAGING_LIST, STAGING_PREFIX, StagingEntry,
        create_private_dir, read_staging_list, split, write_staging_list,
    },
    system::{Dir, FileSystemId},
};

/// A directory in which files are received.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) dir: Dir,
    /// Its path, for messages.
    pub(super) path: PathBuf,
    pub(super) file_system: FileSystemId,
}

/// The nearest existing folder above a name.
#[derive(Debug)]
pub(super) struct NearestFolder {
    /// Its handle, for looking at entries only.
    pub(super) dir: Dir,
    /// Its path below the shared folder; "" for the shared folder itself.
    pub(super) below: String,
    pub(super) file_system: FileSystemId,
}

impl Folder {
    /// The folder at `path`, or the nearest existing folder above it.
    pub(super) fn nearest(&self, path: Option<&str>) -> Result<NearestFolder, FolderError> {
        let mut below = path.unwrap_or_default();
        let dir = loop {
            if below.is_empty() {
                break self.sub("")?;
            }
            match self.open_path_only(below) {
                Ok(dir) => break dir,
                Err(FolderError::Missing { .. }) => below = below.rsplit_once('/').map_or("", |(up, _)| up),
                Err(error) => return Err(error),
            }
        };
        let failed = |error| FolderError::new("look into", self.path_below(below), error);
        let file_system =
            if below.is_empty() { self.file_system() } else { dir.file_system().map_err(failed)? };
        Ok(NearestFolder { dir, below: below.to_owned(), file_system })
    }

    /// The directory in which the file `name` is received; it is created if it does not exist.
    pub(super) fn staging_for(&self, name: &FileName) -> Result<Staging, FolderError> {
        self.staging_on(&self.nearest(split(name).0)?)
    }

    /// The directory in which the files for a folder, and for the folders below it, are received.
    pub(super) fn staging_on(&self, nearest: &NearestFolder) -> Result<Staging, FolderError> {
        if nearest.file_system == self.file_system() {
            return self.own_staging();
        }
        // From the highest folder of that file system down: a restart finds the same directory again.
        let mut paths: Vec<&str> =
            nearest.below.match_indices('/').map(|(at, _)| &nearest.below[..at]).collect();
        paths.push(&nearest.below);
        let mut first = paths.len();
        while let Some(path) = first.checked_sub(1).map(|before| paths[before]) {
            let file_system = match self.open_path_only(path) {
                Err(error) if error.lacks_open_files() => return Err(error),
                dir => dir.ok().and_then(|dir| dir.file_system().ok()),
            };
            if file_system != Some(nearest.file_system) {
                break;
            }
            first -= 1;
        }
        let mut first_error = None;
        for path in &paths[first..] {
            match self.staging_in(path) {
                Ok(staging) if staging.file_system == nearest.file_system => return Ok(staging),
                Ok(staging) => first_error = first_error.or(Some(other_file_system(staging.path))),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| other_file_system(self.path_below(&nearest.below))))
    }

    /// The directory for files on the file system of the shared folder itself.
    pub(super) fn own_staging(&self) -> Result<Staging, FolderError> {
        let (dir, path) = (self.parts()?, self.parts_path());
        let failed = |error| FolderError::new("look into", self.parts_path(), error);
        let file_system = dir.file_system().map_err(failed)?;
        if file_system == self.file_system() {
            Ok(Staging { dir, path, file_system })
        } else {
            Err(other_file_system(path))
        }
    }

    /// `.brigade/parts/`, which is created if it does not exist.
    fn parts(&self) -> Result<Dir, FolderError> {
        self.check_at_path()?;
        self.keep_private()?;
        self.parts_handle()
    }

    /// The path of `.brigade/parts/`, for messages.
    pub(super) fn parts_path(&self) -> PathBuf {
        self.private_dir().join(PARTS)
    }

    /// A directory for the files in the folder `below`, inside that folder. It is listed before it is created.
    pub(super) fn staging_in(&self, below: &str) -> Result<Staging, FolderError> {
        let Ok(folder) = below.parse::<FileName>() else { return self.own_staging() };
        self.check_at_path()?;
        let within = self.open_path_only(below)?;
        let private_path = self.path().join(below).join(PRIVATE);
        let mut known = self.staging_list().lock();
        let entries = self.known(&mut known)?;
        let (name, is_new) = self.remember(entries, folder)?;
        let path = private_path.join(&name);
        let created = create_private_dir(&within, PRIVATE, private_path)
            .and_then(|private| create_private_dir(&private, &name, path.clone()));
        if created.is_err() && is_new {
            let _ = within.remove_dir(PRIVATE); // it stays if it has other files in it
            entries.retain(|entry| entry.name != name);
            self.write_staging_list(entries)?;
        }
        drop(known);
        let dir = created?;
        let file_system =
            dir.file_system().map_err(|error| FolderError::new("look into", path.clone(), error))?;
        Ok(Staging { dir, path, file_system })
    }

    /// All existing directories that may have files that are being received.
    pub(super) fn stagings(&self) -> Result<Vec<Staging>, FolderError> {
        let mut found = vec![];
        for StagingEntry { below, name } in self.staging_entries()? {
            let path = format!("{below}/{PRIVATE}/{name}");
            let dir = match self.sub(&path) {
                Ok(dir) => dir,
                Err(error) if error.lacks_open_files() => return Err(error),
                Err(_) => continue, // it is not mounted, or not created yet
            };
            if let Ok(file_system) = dir.file_system() {
                found.push(Staging { dir, path: self.path().join(path), file_system });
            }
        }
        let file_system = self.file_system();
        found.push(Staging { dir: self.parts()?, path: self.parts_path(), file_system });
        Ok(found)
    }

    /// Removes the empty directories on other file systems. Not to be called while files may be received.
    pub(crate) fn remove_empty_staging(&self) -> Result<(), FolderError> {
        let mut known = self.staging_list().lock();
        let entries = self.known(&mut known)?;
        let remaining: Vec<StagingEntry> =
            entries.iter().filter(|entry| !self.remove_staging(entry)).cloned().collect();
        if remaining.len() != entries.len() {
            self.write_staging_list(&remaining)?;
            *entries = remaining;
        }
        Ok(())
    }

    /// Removes the directory of an entry if it is empty. Returns whether it does not exist any more.
    fn remove_staging(&self, entry: &StagingEntry) -> bool {
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let Ok(within) = self.open_path_only(entry.below.as_str()) else { return false };
        let is_gone = match within.sub(PRIVATE) {
            Ok(private) => match private.remove_dir(&entry.name) {
                Ok(()) => true,
                Err(error) => is_missing(&error),
            },
            // The mount point of a file system that is not mounted has no such directory either: that is no proof.
            Err(error) => is_missing(&error) && self.is_mounted(entry.below.as_str(), &within),
        };
        if is_gone {
            let _ = within.remove_dir(PRIVATE); // it stays if it has other files in it
        }
        is_gone
    }

    /// Whether the folder `below` is on another file system than its parent folder.
    fn is_mounted(&self, below: &str, dir: &Dir) -> bool {
        let parent = match below.rsplit_once('/') {
            Some((parent, _)) => {
                self.open_path_only(parent).ok().and_then(|parent| parent.file_system().ok())
            }
            None => Some(self.file_system()),
        };
        dir.file_system().is_ok_and(|own| parent.is_some_and(|parent| parent != own))
    }

    fn staging_entries(&self) -> Result<Vec<StagingEntry>, FolderError> {
        self.known(&mut self.staging_list().lock()).cloned()
    }

    /// The entries of the locked list, which is read now if it was not read yet.
    fn known<'a>(
        &self,
        known: &'a mut Option<Vec<StagingEntry>>,
    ) -> Result<&'a mut Vec<StagingEntry>, FolderError> {
        match known {
            Some(entries) => Ok(entries),
            None => {
                let failed =
                    |error| FolderError::of_own("read", self.private_dir().join(STAGING_LIST), error);
                Ok(known.insert(read_staging_list(&self.private_handle()?).map_err(failed)?))
            }
        }
    }

    /// The name of the directory in the folder `below`, and whether this call has added it to the list.
    fn remember(
        &self,
        entries: &mut Vec<StagingEntry>,
        below: FileName,
    ) -> Result<(String, bool), FolderError> {
        if let Some(entry) = entries.iter().find(|entry| entry.below == below) {
            return Ok((entry.name.clone(), false));
        }
        let mut extended = entries.clone();
        if extended.len() >= MAX_STAGING_DIRS {
            let exists =
                |entry: &StagingEntry| match self.open_path_only(&format!("{}/{PRIVATE}", entry.below)) {
                    Ok(_) => true,
                    Err(error) => error.lacks_open_files(), // then it is not known
                };
            extended.retain(exists);
        }
        if extended.len() >= MAX_STAGING_DIRS {
            let error = io::Error::other(format!("there are {MAX_STAGING_DIRS} such folders already"));
            return Err(FolderError::new("receive files in", self.path().join(below.as_str()), error));
        }
        let name = format!("{STAGING_PREFIX}{:016x}", RandomState::new().hash_one(&below));
        extended.push(StagingEntry { below, name: name.clone() });
        self.write_staging_list(&extended)?;
        *entries = extended;
        Ok((name, true))
    }

    fn write_staging_list(&self, entries: &[StagingEntry]) -> Result<(), FolderError> {
        let failed = |error| FolderError::new("write", self.private_dir().join(STAGING_LIST), error);
        write_staging_list(&self.private_handle()?, entries).map_err(failed)
    }
}

/// The error for a directory from which a rename cannot reach the target.
fn other_file_system(path: PathBuf) -> FolderError {
    FolderError::new(
        "receive files in",
        path,
        io::Error::other("it is on another file system than the target"),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Folder;
    #[cfg(unix)]
    use crate::test_helpers::run_with_few_open_files::run_with_few_open_files;

    #[test]
    fn a_directory_is_found_again_and_removed_when_it_is_empty() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("d/e")).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let first = folder.staging_in("d/e").unwrap().path;
        assert!(first.starts_with(folder.path().join("d/e/.brigade")), "{first:?}");
        fs::write(first.join("x"), "x").unwrap();
        let again = Folder::open(temp.path()).unwrap();
        assert_eq!(again.staging_in("d/e").unwrap().path, first);
        assert_eq!(again.stagings().unwrap().len(), 2);
        again.remove_empty_staging().unwrap();
        assert!(first.join("x").exists());
        fs::remove_file(first.join("x")).unwrap();
        again.remove_empty_staging().unwrap();
        assert!(!temp.path().join("d/e/.brigade").exists());
        assert_eq!(Folder::open(temp.path()).unwrap().stagings().unwrap().len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn no_directory_is_overlooked_when_too_few_files_can_be_opened() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("d/e")).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        folder.staging_in("d").unwrap();
        folder.staging_in("d/e").unwrap();
        let test =
            "store::staging_directories::tests::no_directory_is_overlooked_when_too_few_files_can_be_opened";
        run_with_few_open_files(test, || {
            match Folder::open(temp.path()).and_then(|folder| folder.stagings()) {
                Ok(stagings) => {
                    assert_eq!(stagings.len(), 3);
                    true
                }
                Err(error) => {
                    assert!(error.lacks_open_files(), "{error}");
                    false
                }
            }
        });
    }

    #[test]
    fn leftovers_of_a_start_are_removed_and_unmounted_ones_stay_listed() {
        let temp = tempfile::tempdir().unwrap();
        for name in ["begun", "unmounted"] {
            fs::create_dir(temp.path().join(name)).unwrap();
            let folder = Folder::open(temp.path()).unwrap();
            let path = folder.staging_in(name).unwrap().path;
            fs::remove_dir(&path).unwrap(); // it is listed, and not created yet
        }
        fs::remove_dir(temp.path().join("unmounted/.brigade")).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        folder.remove_empty_staging().unwrap();
        assert!(!temp.path().join("begun/.brigade").exists());
        let listed = |folder: &Folder| {
            let entries = folder.staging_entries().unwrap();
            entries.iter().map(|entry| entry.below.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(listed(&folder), ["unmounted"]);
        assert_eq!(listed(&Folder::open(temp.path()).unwrap()), ["unmounted"]);
        assert!(!temp.path().join(".brigade/places.new").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_created_is_not_listed() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("d")).unwrap();
        fs::write(temp.path().join("d/.brigade"), "a file").unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        folder.staging_in("d").unwrap_err();
        assert_eq!(folder.staging_entries().unwrap(), []);
        assert_eq!(Folder::open(temp.path()).unwrap().staging_entries().unwrap(), []);
    }
}
