//! Looking at many names one after the other: most lie in the same folder as the one before.
//!
//! The folder that the last name lies in stays at hand, or that there is none. What changes there in the meantime may
//! be missed; so this is for one short walk, by somebody whom later news or the landing itself puts right.

use std::io;

use brigade_core::name::FileName;

use crate::store::{
    folder::{Folder, FolderError, Stamp, split},
    system::{Dir, Status},
};

/// One walk over names of a folder.
#[derive(Debug)]
pub(crate) struct Looking<'a> {
    folder: &'a Folder,
    /// The folder that was looked into last, below the shared one; no handle where it is not there.
    last: Option<(String, Option<Dir>)>,
}

impl<'a> Looking<'a> {
    /// A walk that has not begun.
    pub(crate) const fn new(folder: &'a Folder) -> Self {
        Self { folder, last: None }
    }

    /// What stands under `name`, of whatever kind.
    pub(crate) fn look(&mut self, name: &FileName) -> Result<Status, FolderError> {
        let (Some(parent), last) = split(name) else { return self.folder.look(name) };
        if self.last.as_ref().is_none_or(|(path, _)| path != parent) {
            let dir = match self.folder.place(parent) {
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

    /// The regular file that stands under `name`.
    pub(crate) fn stamp(&mut self, name: &FileName) -> Result<Stamp, FolderError> {
        let found = self.look(name)?;
        self.folder.regular(name, found)
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{Folder, FolderError, Looking};

    #[test]
    fn a_walk_sees_what_a_look_at_each_name_sees() {
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
        let mut walk = Looking::new(&folder);
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
            match (walk.stamp(&name), folder.stamp(&name)) {
                (Ok(walked), Ok(looked)) => assert_eq!(walked, looked),
                (Err(walked), Err(looked)) => {
                    assert_eq!(walked.is_missing(), looked.is_missing(), "{walked} {looked}");
                    let are_links = [&walked, &looked].map(|error| matches!(error, FolderError::Link { .. }));
                    assert_eq!(are_links[0], are_links[1], "{walked} {looked}");
                }
                (walked, looked) => panic!("{name}: {walked:?}, {looked:?}"),
            }
        }
    }
}
