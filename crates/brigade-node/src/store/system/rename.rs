//! Renaming without replacing on Linux, on file systems that have no call for it too.
//!
//! Three ways are tried, each where the one before is not known to the file system: `RENAME_NOREPLACE`; a hard link,
//! which never replaces, and removing the old name; an empty file that takes the name first (`O_EXCL`) and is then
//! renamed over. exFAT and FAT know the last one alone.

use std::io;

use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, statat, unlinkat},
    io::Errno,
};

use super::linux::Dir;

/// A way to move a name of one directory to a free name of another.
type Way = fn(&Dir, &str, &Dir, &str) -> Result<(), Refused>;

/// Why a way leads nowhere.
#[derive(Debug, PartialEq, Eq)]
struct Refused {
    error: Errno,
    /// Whether the file system may have no such call: then the next way is tried.
    is_unknown: bool,
}

const WAYS: [Way; 3] = [by_flag, by_link, over_placeholder];

impl Dir {
    /// Moves `from` in this directory to `to_name` in `to`; what stands there is never replaced.
    pub(in crate::store) fn rename_new(&self, from: &str, to: &Self, to_name: &str) -> io::Result<()> {
        let mut result = Ok(());
        for way in WAYS {
            result = way(self, from, to, to_name);
            if !matches!(&result, Err(refused) if refused.is_unknown) {
                break;
            }
        }
        result.map_err(|refused| refused.error.into())
    }

    /// Renames `from` to `to_name`, both in this directory; a file that has that name is replaced.
    pub(in crate::store) fn rename_over(&self, from: &str, to_name: &str) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to_name)?)
    }
}

impl Refused {
    const fn for_good(error: Errno) -> Self {
        Self { error, is_unknown: false }
    }
}

impl From<Errno> for Refused {
    /// `EPERM` is what file systems say of hard links that they do not have.
    fn from(error: Errno) -> Self {
        let is_unknown =
            matches!(error, Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM | Errno::MLINK);
        Self { error, is_unknown }
    }
}

fn by_flag(dir: &Dir, from: &str, to: &Dir, to_name: &str) -> Result<(), Refused> {
    Ok(renameat_with(&dir.0, from, &to.0, to_name, RenameFlags::NOREPLACE)?)
}

fn by_link(dir: &Dir, from: &str, to: &Dir, to_name: &str) -> Result<(), Refused> {
    // In a sticky directory not even the new name could be removed again.
    if matches!(dir.may_move(from), Ok(false)) {
        return Err(Refused::for_good(Errno::PERM));
    }
    linkat(&dir.0, from, &to.0, to_name, AtFlags::empty())?;
    old_name_removed(unlinkat(&dir.0, from, AtFlags::empty()), to, to_name)
}

/// Where the old name stays, the new one is taken back, and no other way is tried.
fn old_name_removed(removed: Result<(), Errno>, to: &Dir, to_name: &str) -> Result<(), Refused> {
    removed.map_err(|error| {
        let _ = unlinkat(&to.0, to_name, AtFlags::empty());
        Refused::for_good(error)
    })
}

/// The name is taken by an empty file for the moment between two calls.
fn over_placeholder(dir: &Dir, from: &str, to: &Dir, to_name: &str) -> Result<(), Refused> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let placeholder = openat(&to.0, to_name, flags, Mode::from_raw_mode(0o600))?;
    let made = rustix::fs::fstat(&placeholder)?;
    let is_ours = || {
        let there = statat(&to.0, to_name, AtFlags::SYMLINK_NOFOLLOW);
        there.is_ok_and(|there| (there.st_dev, there.st_ino, there.st_size) == (made.st_dev, made.st_ino, 0))
    };
    // Somebody may have put another file there, or written into this one, in the very instant.
    let renamed = if is_ours() { renameat(&dir.0, from, &to.0, to_name) } else { Err(Errno::EXIST) };
    if renamed.is_err() && is_ours() {
        let _ = unlinkat(&to.0, to_name, AtFlags::empty());
    }
    Ok(renamed?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Dir, Errno, Refused, WAYS, linkat, old_name_removed};

    #[test]
    fn no_way_replaces_and_none_leaves_anything_behind() {
        for (number, way) in WAYS.iter().enumerate() {
            let temp = tempfile::tempdir().unwrap();
            let dir = Dir::open_root(temp.path()).unwrap();
            fs::write(temp.path().join("old"), "old").unwrap();
            fs::write(temp.path().join("new"), "new").unwrap();
            assert_eq!(way(&dir, "new", &dir, "old"), Err(Errno::EXIST.into()), "way {number}");
            assert_eq!(fs::read(temp.path().join("old")).unwrap(), b"old");
            assert_eq!(way(&dir, "none", &dir, "free"), Err(Errno::NOENT.into()), "way {number}");
            assert!(!temp.path().join("free").exists(), "way {number} left something behind");
            way(&dir, "new", &dir, "free").unwrap();
            assert_eq!(fs::read(temp.path().join("free")).unwrap(), b"new");
            assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2, "way {number}");
        }
    }

    #[test]
    fn a_link_whose_old_name_cannot_be_removed_is_taken_back() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(temp.path()).unwrap();
        fs::write(temp.path().join("old"), "old").unwrap();
        for error in [Errno::PERM, Errno::ACCESS, Errno::IO] {
            linkat(&dir.0, "old", &dir.0, "new", super::AtFlags::empty()).unwrap();
            let refused = old_name_removed(Err(error), &dir, "new");
            assert_eq!(refused, Err(Refused { error, is_unknown: false }), "no other way is tried");
            assert!(!temp.path().join("new").exists(), "{error}");
            assert_eq!(fs::read(temp.path().join("old")).unwrap(), b"old");
        }
    }
}
