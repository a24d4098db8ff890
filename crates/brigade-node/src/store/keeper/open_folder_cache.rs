//! Looking up many names in a row: most are in the same folder as the name before.
//!
//! It keeps the folder of the last name open, or remembers that there is none. It may miss a change in that folder in
//! the meantime, so it is for a short sequence of names; later events, or the landing itself, correct the result.

use std::io;

use brigade_core::name::FileName;

use crate::store::{
    file_stamp::Stamp,
    folder::{Folder, FolderError, split},
    system::{Dir, EntryStatus},
};

/// A sequence of lookups.
#[derive(Debug)]
pub(crate) struct OpenFolderCache<'a> {
    folder: &'a Folder,
    /// The folder of the last lookup, below the shared one; no handle if it does not exist.
    last: Option<(String, Option<Dir>)>,
}

impl<'a> OpenFolderCache<'a> {
    /// A new sequence.
    pub(crate) const fn new(folder: &'a Folder) -> Self {
        Self { folder, last: None }
    }

    /// The status of the entry `name`, of any kind.
    pub(crate) fn status(&mut self, name: &FileName) -> Result<EntryStatus, FolderError> {
        let (Some(parent), last) = split(name) else { return self.folder.status(name) };
        if self.last.as_ref().is_none_or(|(path, _)| path != parent) {
            let dir = match self.folder.open_path_only(parent) {
                Ok(dir) => Some(dir),
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(error),
            };
            self.last = Some((parent.to_owned(), dir));
        }
        let failed = |error| FolderError::new("look at", self.folder.path_of(name), error);
        match &self.last {
            Some((_, Some(dir))) => dir.status(last.as_ref()).map_err(failed),
            _ => Err(failed(io::ErrorKind::NotFound.into())),
        }
    }

    /// The stamp of the regular file `name`.
    pub(crate) fn stamp(&mut self, name: &FileName) -> Result<Stamp, FolderError> {
        let found = self.status(name)?;
        self.folder.regular(name, found)
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{Folder, FolderError, OpenFolderCache};

    #[test]
    fn cached_lookups_return_the_same_as_single_ones() {
        let temp = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("f"), "not ours").unwrap();
        for path in ["a/b", "c"] {
            fs::create_dir_all(temp.path().join(path)).unwrap();
        }
        for file in ["top", "a/f", "a/b/f", "a/g", "c/f"] {
            fs::write(temp.path().join(file), file).unwrap();
        }
        symlink(outside.path(), temp.path().join("out")).unwrap();
        symlink(temp.path().join("top"), temp.path().join("a/link")).unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let mut lookup = OpenFolderCache::new(&folder);
        let names = [
            "top",
            "a/f",
            "a/g",
            "a/none",
            "a/b/f",
            "a/f",
            "none/f",
            "none/g",
            "none/below/f",
            "out/f",
            "a/link",
            "a/f/below",
            "a/b",
            "c/f",
            "out/f",
        ];
        for name in names {
            let name = name.parse().unwrap();
            match (lookup.stamp(&name), folder.stamp(&name)) {
                (Ok(cached), Ok(single)) => assert_eq!(cached, single),
                (Err(cached), Err(single)) => {
                    assert_eq!(cached.is_missing(), single.is_missing(), "{cached} {single}");
                    let are_links = [&cached, &single].map(|error| matches!(error, FolderError::Link { .. }));
                    assert_eq!(are_links[0], are_links[1], "{cached} {single}");
                }
                (cached, single) => panic!("{name}: {cached:?}, {single:?}"),
            }
        }
    }
}
