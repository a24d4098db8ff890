//! How a received file gets its name: with a rename that replaces nothing.
//!
//! If the caller wants that, an existing file of the name is kept aside first, under the first free one of
//! `NAME.~1~`, `NAME.~2~` and so on, as by `cp --backup=numbered`; likewise a file that is created in between. A file
//! is complete when it gets its name. On a file system with neither such a rename nor hard links (exFAT, FAT) an
//! empty file has the new name of each renamed file for a moment. A record beside the part has the names meanwhile:
//! after a kill, the next session removes the empty file, and gives a file that was kept aside its name back
//! (`interrupted_landing`). A file that cannot be renamed to its folder (a new mount, the quota of a project) is copied.

use std::{fs::File, io};

use brigade_core::name::FileName;

use self::interrupted_landing::LandingRecord;
use super::{
    file_stamp::{Stamp, set_modified, stamp_of, system_time},
    folder::{Folder, FolderError, split},
    staged_file_names::{create_small, next_small_name},
    staging_directories::Staging,
    system::{self, Dir, FileKind},
};

pub(super) mod interrupted_landing;

/// Files of one name that are kept aside.
const KEPT_ASIDE: u32 = 10_000;

/// Attempts for a name that other programs take again and again.
const ATTEMPTS: usize = 8;

/// The name of a received file, and its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Landing {
    /// Its name.
    pub name: FileName,
    /// The time of its last change, in seconds since 1970.
    pub mtime_s: i64,
    /// Whether it is executable.
    pub executable: bool,
    /// Whether an existing file of the name is kept aside; otherwise it is an error.
    pub replace: bool,
}

/// A file that got its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Its stamp.
    pub stamp: Stamp,
    /// The last component of the new path of the file that had the name before.
    pub aside: Option<String>,
}

/// How a file got its name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RenameResult {
    /// The name under which the former file is kept.
    pub(super) aside: Option<String>,
    /// The stamp of the copy, if the file was copied.
    pub(super) copied: Option<Stamp>,
}

impl Landing {
    /// Sets the time and the permissions of an open file, as far as its file system stores them.
    pub(super) fn mark(&self, file: &File) -> io::Result<()> {
        unless_not_kept(system::set_executable(file, self.executable))?;
        self.mark_time(file)
    }

    /// Does the same for a file that was just created, which nobody has the right to execute.
    pub(super) fn mark_new(&self, file: &File) -> io::Result<()> {
        if self.executable { self.mark(file) } else { self.mark_time(file) }
    }

    fn mark_time(&self, file: &File) -> io::Result<()> {
        system_time(self.mtime_s).map_or(Ok(()), |time| unless_not_kept(set_modified(file, time)))
    }
}

/// The result, without the error of a file system that does not store an attribute.
fn unless_not_kept(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if system::is_not_kept(&error) { Ok(()) } else { Err(error) })
}

/// Gives the file `part` in `parts`, which had the stamp when its bytes were verified, its name in `target`. Returns
/// `None`, and gives no name, if the file had to be copied and another program changed it or the copy meanwhile.
pub(super) fn give_name(
    folder: &Folder,
    (parts, part, verified): (&Dir, &str, &Stamp),
    target: &Dir,
    landing: &Landing,
) -> Result<Option<RenameResult>, FolderError> {
    match move_to_name(folder, (parts, part), target, landing) {
        Ok(aside) => Ok(Some(RenameResult { aside, copied: None })),
        Err(error) if is_across_devices(&error) => {
            let beside = folder.staging_in(split(&landing.name).0.unwrap_or_default())?;
            if parts.is_same(&beside.dir) {
                return Err(error); // a copy there could not be renamed either
            }
            copy_to_name(folder, (parts, part, verified), &beside, target, landing)
        }
        Err(error) => Err(error),
    }
}

fn is_across_devices(error: &FolderError) -> bool {
    matches!(error, FolderError::Io { source, .. } if source.kind() == io::ErrorKind::CrossesDevices)
}

/// Copies the file to `beside`, another directory, makes the copy durable and gives it the name. The part is removed
/// at the end. See [`give_name`].
fn copy_to_name(
    folder: &Folder,
    (parts, part, verified): (&Dir, &str, &Stamp),
    beside: &Staging,
    target: &Dir,
    landing: &Landing,
) -> Result<Option<RenameResult>, FolderError> {
    let failed = |error| FolderError::new("copy", beside.path.join(part), error);
    let mut from = parts.open_file(part).map_err(failed)?;
    let copy = next_small_name();
    let mut file = create_small(&beside.dir, &copy, landing.executable).map_err(failed)?;
    let mut write = || {
        io::copy(&mut from, &mut file)?;
        landing.mark(&file)?;
        let ours = stamp_of(&file)?;
        file.sync_all()?;
        let is_unchanged =
            stamp_of(&from)?.is_unchanged_since(verified) && stamp_of(&file)?.is_unchanged_since(&ours);
        Ok(is_unchanged.then_some(ours))
    };
    let named = write().map_err(failed).and_then(|written| {
        let Some(ours) = written else { return Ok(None) };
        let aside = move_to_name(folder, (&beside.dir, &copy), target, landing)?;
        // The rename has changed the ctime. A file that was written to since then is not the received one any more.
        let now = stamp_of(&file).map_err(failed)?;
        Ok(Some(RenameResult { aside, copied: Some(if now.same_bytes(&ours) { now } else { ours }) }))
    });
    let _ = match named {
        Ok(Some(_)) => parts.remove(part), // if it cannot be removed, it is removed later as an old part
        Ok(None) | Err(_) => beside.dir.remove(&copy),
    };
    named
}

/// Renames the file `part` in `parts` to its name in `target`. Returns the name under which the former file is kept.
fn move_to_name(
    folder: &Folder,
    (parts, part): (&Dir, &str),
    target: &Dir,
    landing: &Landing,
) -> Result<Option<String>, FolderError> {
    let last = split(&landing.name).1;
    let mut aside = None;
    let mut record = LandingRecord::new((parts, part), &landing.name);
    let moved = try_to_move(folder, (parts, part), target, landing, (&mut record, &mut aside));
    match (&moved, &aside) {
        (Ok(()), Some(aside)) => {
            tracing::info!(name = landing.name.as_str(), aside, "a file was kept aside for another one");
        }
        (Ok(()), None) => {}
        (Err(_), _) if put_back(target, aside.as_deref(), last, &mut record) => {}
        (Err(_), _) => return moved.map(|()| aside), // the next start puts it back, by the record
    }
    record.remove();
    moved.map(|()| aside)
}

/// Renames the file. `aside` is set, on failure too, to the name under which the last file of the name is kept.
fn try_to_move(
    folder: &Folder,
    (parts, part): (&Dir, &str),
    target: &Dir,
    landing: &Landing,
    (record, aside): (&mut LandingRecord<'_>, &mut Option<String>),
) -> Result<(), FolderError> {
    let last = split(&landing.name).1;
    let failed = |action| move |error| FolderError::new(action, folder.path_of(&landing.name), error);
    for _ in 0..ATTEMPTS {
        let note = || check_free(target, last).and_then(|()| record.write(aside.as_deref()));
        match rename_new((parts, part), (target, last), note) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && landing.replace => {
                let kept = set_aside(target, last, record).map_err(failed("keep aside"))?;
                *aside = kept.or(aside.take());
            }
            result => return result.map_err(failed("make")),
        }
    }
    Err(FolderError::Occupied { path: folder.path_of(&landing.name) })
}

/// All renames of this module.
fn rename_new(
    (from, name): (&Dir, &str),
    (to, to_name): (&Dir, &str),
    before_placeholder: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    #[cfg(all(test, unix))]
    fault_injection::before_rename(name, to_name)?;
    from.rename_new(name, to, to_name, before_placeholder)
}

/// Fails if there is an entry of this name: no record is written for its sake, because it may be an empty file.
fn check_free(dir: &Dir, name: &str) -> io::Result<()> {
    match dir.status(name.as_ref()) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Gives a file that was kept aside its name back, unless the name is taken. For a rename that failed.
fn put_back(target: &Dir, aside: Option<&str>, name: &str, record: &mut LandingRecord<'_>) -> bool {
    let Some(aside) = aside else { return true };
    let note = || check_free(target, name).and_then(|()| record.write(Some(aside)));
    let Err(error) = rename_new((target, aside), (target, name), note) else { return true };
    tracing::warn!(name, aside, %error, "a file was kept aside, and could not be given its name back");
    error.kind() == io::ErrorKind::AlreadyExists
}

/// Keeps the regular file `name` aside. Returns its new name, or `None` if there is no such file any more. The record
/// has the new name on every file system: after a kill, the next session gives the file its name back.
fn set_aside(target: &Dir, name: &str, record: &mut LandingRecord<'_>) -> io::Result<Option<String>> {
    match target.status(name.as_ref()) {
        Ok(status) if status.kind == FileKind::File => {}
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()), // a folder or a link is never moved
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut shorter = false;
    let mut numbers = 1..=KEPT_ASIDE;
    let mut next = numbers.next();
    while let Some(number) = next {
        let aside = aside_name(name, number, shorter);
        let mut note = || check_free(target, &aside).and_then(|()| record.write(Some(&aside)));
        let renamed = match note() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Only a rename that needs an empty file fails without a record, for example on a full disk.
            _ => rename_new((target, name), (target, &aside), note),
        };
        match renamed {
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

/// `NAME.~1~`; with `shorter` without as many of the last characters of the name, if the file system's limit requires
/// it.
fn aside_name(name: &str, number: u32, shorter: bool) -> String {
    let suffix = format!(".~{number}~");
    let cut = if shorter { name.char_indices().rev().nth(suffix.len() - 1) } else { None };
    format!("{}{suffix}", cut.map_or(name, |(at, _)| &name[..at]))
}

#[cfg(all(test, unix))]
mod fault_injection;

#[cfg(test)]
#[cfg(unix)]
mod tests;
