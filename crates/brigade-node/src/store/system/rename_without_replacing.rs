//! Renaming without replacing on Linux, also on file systems without a call for it.
//!
//! There are three methods. The next one is tried if the file system does not know the one before:
//! `RENAME_NOREPLACE`; a hard link, which never replaces, with removing the old name; an empty file with the new name
//! (`O_EXCL`), over which the file is renamed. exFAT and FAT know only the last one.

use std::io;

use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags, linkat, openat, renameat, renameat_with, statat, unlinkat},
    io::Errno,
};

use super::linux_directory::Dir;

/// A method to move a file to a free name in another directory.
type RenameMethod = fn(&Dir, &str, &Dir, &str) -> Result<(), RenameError>;

/// The methods during which no entry has the new name but the file itself.
const ATOMIC_METHODS: [RenameMethod; 2] = [by_flag, by_link];

/// The error of a method.
#[derive(Debug, PartialEq, Eq)]
struct RenameError {
    error: Errno,
    /// Whether the file system may not know the call: then the next method is tried.
    is_unknown: bool,
}

impl Dir {
    /// Moves `from` in this directory to `to_name` in `to`; an existing entry is never replaced. `before_placeholder` is
    /// called before an empty file gets the name, on file systems that need one.
    pub(in crate::store) fn rename_new(
        &self,
        from: &str,
        to: &Self,
        to_name: &str,
        before_placeholder: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        for method in ATOMIC_METHODS {
            let result = method(self, from, to, to_name);
            if !matches!(&result, Err(error) if error.is_unknown) {
                return result.map_err(|error| error.error.into());
            }
        }
        before_placeholder()?;
        over_placeholder(self, from, to, to_name).map_err(|error| error.error.into())
    }

    /// Renames `from` to `to_name`, both in this directory; an existing file of that name is replaced.
    pub(in crate::store) fn rename_over(&self, from: &str, to_name: &str) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to_name)?)
    }
}

impl RenameError {
    const fn fatal(error: Errno) -> Self {
        Self { error, is_unknown: false }
    }
}

impl From<Errno> for RenameError {
    /// File systems without hard links return `EPERM` for one.
    fn from(error: Errno) -> Self {
        let is_unknown =
            matches!(error, Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM | Errno::MLINK);
        Self { error, is_unknown }
    }
}

fn by_flag(dir: &Dir, from: &str, to: &Dir, to_name: &str) -> Result<(), RenameError> {
    Ok(renameat_with(&dir.0, from, &to.0, to_name, RenameFlags::NOREPLACE)?)
}

fn by_link(dir: &Dir, from: &str, to: &Dir, to_name: &str) -> Result<(), RenameError> {
    // In a sticky directory, even the new name could not be removed after a failure.
    if matches!(dir.may_move(from), Ok(false)) {
        return Err(RenameError::fatal(Errno::PERM));
    }
    linkat(&dir.0, from, &to.0, to_name, AtFlags::empty())?;
    old_name_removed(unlinkat(&dir.0, from, AtFlags::empty()), to, to_name)
}

/// If the old name could not be removed, removes the new one. No other method is tried then.
fn old_name_removed(removed: Result<(), Errno>, to: &Dir, to_name: &str) -> Result<(), RenameError> {
    removed.map_err(|error| {
        let _ = unlinkat(&to.0, to_name, AtFlags::empty());
        RenameError::fatal(error)
    })
}

/// Creates an empty file with the name, and renames over it.
fn over_placeholder(dir: &Dir, from: &str, to: &Dir, to_name: &str) -> Result<(), RenameError> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let placeholder = openat(&to.0, to_name, flags, Mode::from_raw_mode(0o600))?;
    let made = rustix::fs::fstat(&placeholder)?;
    let is_ours = || {
        let found = statat(&to.0, to_name, AtFlags::SYMLINK_NOFOLLOW);
        found.is_ok_and(|found| (found.st_dev, found.st_ino, found.st_size) == (made.st_dev, made.st_ino, 0))
    };
    // Another program may have put a file there, or written into this one, in the meantime.
    let renamed = if is_ours() { renameat(&dir.0, from, &to.0, to_name) } else { Err(Errno::EXIST) };
    if renamed.is_err() && is_ours() {
        let _ = unlinkat(&to.0, to_name, AtFlags::empty());
    }
    Ok(renamed?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{ATOMIC_METHODS, Dir, Errno, RenameError, linkat, old_name_removed, over_placeholder};

    #[test]
    fn no_method_replaces_a_file_or_leaves_one() {
        let methods = ATOMIC_METHODS.into_iter().chain([over_placeholder as super::RenameMethod]);
        for (number, method) in methods.enumerate() {
            let temp = tempfile::tempdir().unwrap();
            let dir = Dir::open_root(temp.path()).unwrap();
            fs::write(temp.path().join("old"), "old").unwrap();
            fs::write(temp.path().join("new"), "new").unwrap();
            assert_eq!(method(&dir, "new", &dir, "old"), Err(Errno::EXIST.into()), "method {number}");
            assert_eq!(fs::read(temp.path().join("old")).unwrap(), b"old");
            assert_eq!(method(&dir, "none", &dir, "free"), Err(Errno::NOENT.into()), "method {number}");
            assert!(!temp.path().join("free").exists(), "method {number} left a file");
            method(&dir, "new", &dir, "free").unwrap();
            assert_eq!(fs::read(temp.path().join("free")).unwrap(), b"new");
            assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2, "method {number}");
        }
    }

    #[test]
    fn a_link_whose_old_name_cannot_be_removed_is_taken_back() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_root(temp.path()).unwrap();
        fs::write(temp.path().join("old"), "old").unwrap();
        for error in [Errno::PERM, Errno::ACCESS, Errno::IO] {
            linkat(&dir.0, "old", &dir.0, "new", super::AtFlags::empty()).unwrap();
            let result = old_name_removed(Err(error), &dir, "new");
            assert_eq!(result, Err(RenameError { error, is_unknown: false }), "no other method is tried");
            assert!(!temp.path().join("new").exists(), "{error}");
            assert_eq!(fs::read(temp.path().join("old")).unwrap(), b"old");
        }
    }
}
