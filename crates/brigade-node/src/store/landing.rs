//! How a received file gets its name: a rename that replaces nothing.
//!
//! Where that is wanted, a file that has the name already is kept aside first, under the first free one of `NAME.~1~`,
//! `NAME.~2~` and so on, as `cp --backup=numbered` spells them. At no moment is a file there that is not whole, and
//! whatever somebody puts under the name in between is kept aside as well.

use std::io;

use brigade_core::name::FileName;

use super::{
    folder::{Folder, FolderError, Stamp, split},
    system::{Dir, Kind},
};

/// Files under one name that are kept aside.
const KEPT_ASIDE: u32 = 10_000;

/// How often a name is tried that somebody else takes again and again.
const ATTEMPTS: usize = 8;

/// The name that a file is to get, and what it is to look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// Its name.
    pub name: FileName,
    /// When it was last written, in seconds since 1970.
    pub mtime_s: i64,
    /// Whether it is executable.
    pub executable: bool,
    /// Whether a file that has the name is kept aside; else that is an error.
    pub replace: bool,
}

/// A file that got its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// What it is now.
    pub stamp: Stamp,
    /// Where the file is now that had the name before: the last component of its path.
    pub aside: Option<String>,
}

/// Gives the file `part` in `parts` its name in `target`; under which one the file is kept that had it.
pub(super) fn give_name(
    folder: &Folder,
    (parts, part): (&Dir, &str),
    target: &Dir,
    landing: &Landing,
) -> Result<Option<String>, FolderError> {
    let last = split(&landing.name).1;
    let failed = |action| move |error| FolderError::new(action, folder.path_of(&landing.name), error);
    let mut aside = None;
    for _ in 0..ATTEMPTS {
        match parts.rename_new(part, target, last) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && landing.replace => {
                let kept = set_aside(target, last).map_err(failed("keep aside"))?;
                aside = kept.or(aside);
            }
            Err(error) => {
                put_back(target, aside.as_deref(), last);
                return Err(failed("make")(error));
            }
            Ok(()) => {
                if let Some(aside) = &aside {
                    tracing::info!(
                        name = landing.name.as_str(),
                        aside,
                        "a file was kept aside for another one"
                    );
                }
                return Ok(aside);
            }
        }
    }
    Err(FolderError::Occupied { path: folder.path_of(&landing.name) })
}

/// A file that made way for one that did not come gets its name back, unless something else has it by now.
fn put_back(target: &Dir, aside: Option<&str>, name: &str) {
    if let Some(aside) = aside
        && let Err(error) = target.rename_new(aside, target, name)
    {
        tracing::warn!(name, aside, %error, "a file was kept aside, and could not be given its name back");
    }
}

/// Moves the regular file `name` out of the way; where to, or `None` where it was gone by itself.
fn set_aside(target: &Dir, name: &str) -> io::Result<Option<String>> {
    match target.status(name.as_ref()) {
        Ok(status) if status.kind == Kind::File => {}
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()), // a folder or a link is not ours to move
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    for number in 1..=KEPT_ASIDE {
        let aside = format!("{name}.~{number}~");
        match target.rename_new(name, target, &aside) {
            Ok(()) => return Ok(Some(aside)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{KEPT_ASIDE} older files of that name are there already")))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{Folder, FolderError, Landing, give_name};

    fn landing(name: &str, replace: bool) -> Landing {
        Landing { name: name.parse().unwrap(), mtime_s: 0, executable: false, replace }
    }

    /// A folder with a file `new` that is to get a name.
    fn folder() -> (tempfile::TempDir, Folder) {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("new"), "new").unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        (temp, folder)
    }

    fn name(folder: &Folder, landing: &Landing) -> Result<Option<String>, FolderError> {
        let root = folder.sub("").unwrap();
        give_name(folder, (&root, "new"), &root, landing)
    }

    #[test]
    fn what_has_the_name_is_left_alone_unless_it_is_to_make_room() {
        let (temp, folder) = folder();
        fs::write(temp.path().join("f"), "old").unwrap();
        fs::write(temp.path().join("f.~1~"), "older").unwrap();
        assert!(matches!(name(&folder, &landing("f", false)), Err(FolderError::Occupied { .. })));
        assert_eq!(fs::read(temp.path().join("f")).unwrap(), b"old");
        assert_eq!(name(&folder, &landing("f", true)).unwrap().as_deref(), Some("f.~2~"));
        for (file, bytes) in [("f", "new"), ("f.~1~", "older"), ("f.~2~", "old")] {
            assert_eq!(fs::read_to_string(temp.path().join(file)).unwrap(), bytes, "{file}");
        }
    }

    #[test]
    fn nothing_is_kept_aside_where_nothing_was() {
        let (temp, folder) = folder();
        assert_eq!(name(&folder, &landing("f", true)).unwrap(), None);
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn folders_and_links_stay_where_they_are() {
        let (temp, folder) = folder();
        fs::create_dir(temp.path().join("d")).unwrap();
        symlink("new", temp.path().join("l")).unwrap();
        for taken in ["d", "l"] {
            let refused = name(&folder, &landing(taken, true));
            assert!(matches!(refused, Err(FolderError::Occupied { .. })), "{refused:?}");
        }
        assert!(temp.path().join("new").exists());
    }
}
