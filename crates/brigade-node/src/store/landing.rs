//! How a received file gets its name: a rename that replaces nothing.
//!
//! Where that is wanted, a file that has the name already is kept aside first, under the first free one of `NAME.~1~`,
//! `NAME.~2~` and so on, as `cp --backup=numbered` spells them. At no moment is a file there that is not whole, and
//! whatever somebody puts under the name in between is kept aside as well. What was received on another file system
//! after all (a mount that came meanwhile, a project's quota) is copied to the one of the name first.

use std::{fs::File, io};

use brigade_core::name::FileName;

use super::{
    folder::{Folder, FolderError, Stamp, split},
    stamp::system_time,
    system::{self, Dir, Kind},
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

/// How a file got its name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    /// Under which name the file is kept that had it.
    pub(super) aside: Option<String>,
    /// Where it had to be copied, what the copy is.
    pub(super) copied: Option<Stamp>,
}

impl Landing {
    /// Gives an open file the time and the rights that it is to have, as far as its file system keeps such things.
    pub(super) fn mark(&self, file: &File) -> io::Result<()> {
        let kept = |result: io::Result<()>| match result {
            Err(error) if !system::is_not_kept(&error) => Err(error),
            _ => Ok(()),
        };
        kept(system::set_executable(file, self.executable))?;
        system_time(self.mtime_s).map_or(Ok(()), |time| kept(file.set_modified(time)))
    }
}

/// Gives the file `part` in `parts` its name in `target`.
pub(super) fn give_name(
    folder: &Folder,
    (parts, part): (&Dir, &str),
    target: &Dir,
    landing: &Landing,
) -> Result<Named, FolderError> {
    match move_to_name(folder, (parts, part), target, landing) {
        Ok(aside) => Ok(Named { aside, copied: None }),
        Err(FolderError::Io { source, .. }) if source.kind() == io::ErrorKind::CrossesDevices => {
            copy_to_name(folder, (parts, part), target, landing)
        }
        Err(error) => Err(error),
    }
}

/// The same by way of a copy in the very folder of the name, which is durable before it gets it.
fn copy_to_name(
    folder: &Folder,
    (parts, part): (&Dir, &str),
    target: &Dir,
    landing: &Landing,
) -> Result<Named, FolderError> {
    let beside = folder.staging_in(split(&landing.name).0.unwrap_or_default())?;
    let failed = |error| FolderError::new("copy", beside.path.join(part), error);
    let copy = || {
        match beside.dir.remove(part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = beside.dir.create_new(part, landing.executable)?;
        io::copy(&mut parts.open_file(part)?, &mut file)?;
        landing.mark(&file)?;
        file.sync_all()?;
        Ok(file)
    };
    let named = copy().map_err(failed).and_then(|file| {
        let aside = move_to_name(folder, (&beside.dir, part), target, landing)?;
        Ok(Named { aside, copied: Some(super::stamp::stamp_of(&file).map_err(failed)?) })
    });
    match named {
        Ok(_) => {
            let _ = parts.remove(part); // what stays is removed when it was left alone for long
        }
        Err(_) => {
            let _ = beside.dir.remove(part);
        }
    }
    named
}

/// Renames the file `part` in `parts` to its name in `target`; under which one the file is kept that had it.
fn move_to_name(
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
    let mut shorter = false;
    let mut numbers = 1..=KEPT_ASIDE;
    let mut next = numbers.next();
    while let Some(number) = next {
        let aside = aside_name(name, number, shorter);
        match target.rename_new(name, target, &aside) {
            Err(error) if error.kind() == io::ErrorKind::InvalidFilename && !shorter => {
                shorter = true;
                continue;
            }
            Ok(()) => return Ok(Some(aside)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => next = numbers.next(),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{KEPT_ASIDE} older files of that name are there already")))
}

/// `NAME.~1~`; where that is too long for the file system, without as many of the last characters of the name.
fn aside_name(name: &str, number: u32, shorter: bool) -> String {
    let suffix = format!(".~{number}~");
    let cut = if shorter { name.char_indices().rev().nth(suffix.len() - 1) } else { None };
    format!("{}{suffix}", cut.map_or(name, |(at, _)| &name[..at]))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::{Folder, FolderError, Landing, aside_name, copy_to_name, give_name};

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
        give_name(folder, (&root, "new"), &root, landing).map(|named| named.aside)
    }

    #[test]
    fn a_name_without_room_for_its_number_is_kept_aside_under_a_shorter_one() {
        let (temp, folder) = folder();
        let long = "é".repeat(127) + "x";
        fs::write(temp.path().join(&long), "old").unwrap();
        let aside = name(&folder, &landing(&long, true)).unwrap().unwrap();
        assert_eq!(aside, "é".repeat(124) + ".~1~");
        assert_eq!(fs::read(temp.path().join(&aside)).unwrap(), b"old");
        assert_eq!(fs::read(temp.path().join(&long)).unwrap(), b"new");
        assert_eq!(aside_name("ab", 10, true), "ab.~10~");
    }

    #[test]
    fn a_copy_gets_the_name_where_a_rename_cannot() {
        let (temp, folder) = folder();
        fs::create_dir(temp.path().join("d")).unwrap();
        fs::write(temp.path().join("d/taken"), "mine").unwrap();
        let (root, target) = (folder.sub("").unwrap(), folder.sub("d").unwrap());
        let copy = |landing: Landing| copy_to_name(&folder, (&root, "new"), &target, &landing);
        let refused = copy(landing("d/taken", false));
        assert!(matches!(refused, Err(FolderError::Occupied { .. })), "{refused:?}");
        assert_eq!(fs::read(temp.path().join("new")).unwrap(), b"new");
        let named = copy(landing("d/f", false)).unwrap();
        assert_eq!(named.copied, Some(folder.stamp(&"d/f".parse().unwrap()).unwrap()));
        assert_eq!(fs::read(temp.path().join("d/f")).unwrap(), b"new");
        assert!(!temp.path().join("new").exists());
        folder.remove_empty_places().unwrap();
        assert!(!temp.path().join("d/.brigade").exists(), "nothing is left of the copy");
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
