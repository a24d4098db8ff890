//! How a received file gets its name: a rename that replaces nothing.
//!
//! Where that is wanted, a file that has the name already is kept aside first, under the first free one of `NAME.~1~`,
//! `NAME.~2~` and so on, as `cp --backup=numbered` spells them. A file that is put there in between is kept aside as
//! well. A file is whole when it gets its name; but where the file system has neither a rename that replaces nothing nor
//! hard links (exFAT, FAT), an empty file has the name for an instant before, and a power cut in it leaves that one.
//! What a rename cannot move after all (a mount that was made meanwhile, a project's quota) is copied first.

use std::{fs::File, io};

use brigade_core::name::FileName;

use super::{
    folder::{Folder, FolderError, Stamp, split},
    small_files,
    staging::Staging,
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
        Err(error) if is_across_devices(&error) => {
            let beside = folder.staging_in(split(&landing.name).0.unwrap_or_default())?;
            if parts.is_same(&beside.dir) {
                return Err(error); // a copy there could not be renamed either
            }
            copy_to_name(folder, (parts, part), &beside, target, landing)
        }
        Err(error) => Err(error),
    }
}

fn is_across_devices(error: &FolderError) -> bool {
    matches!(error, FolderError::Io { source, .. } if source.kind() == io::ErrorKind::CrossesDevices)
}

/// The same by way of a copy in `beside`, another directory, which is durable before it gets the name. Until then the
/// part stays.
fn copy_to_name(
    folder: &Folder,
    (parts, part): (&Dir, &str),
    beside: &Staging,
    target: &Dir,
    landing: &Landing,
) -> Result<Named, FolderError> {
    let failed = |error| FolderError::new("copy", beside.path.join(part), error);
    let mut from = parts.open_file(part).map_err(failed)?;
    let (copy, mut file) = small_files::create(&beside.dir, landing.executable).map_err(failed)?;
    let mut write = || {
        io::copy(&mut from, &mut file)?;
        landing.mark(&file)?;
        file.sync_all()?;
        super::stamp::stamp_of(&file)
    };
    let written = write().map_err(failed);
    let named = written.and_then(|_| move_to_name(folder, (&beside.dir, &copy), target, landing));
    // Its ctime is another one since it has its name.
    let named = named
        .and_then(|aside| Ok(Named { aside, copied: Some(super::stamp::stamp_of(&file).map_err(failed)?) }));
    let _ = match named {
        Ok(_) => parts.remove(part), // what stays is removed when it was left alone for long
        Err(_) => beside.dir.remove(&copy),
    };
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
    let mut aside = None;
    let moved = try_to_move(folder, (parts, part), target, landing, &mut aside);
    match (&moved, &aside) {
        (Ok(()), Some(aside)) => {
            tracing::info!(name = landing.name.as_str(), aside, "a file was kept aside for another one");
        }
        (Ok(()), None) => {}
        (Err(_), _) => put_back(target, aside.as_deref(), last),
    }
    moved.map(|()| aside)
}

/// Renames the file; `aside` says, on failure too, under which name the file is kept that had its name last.
fn try_to_move(
    folder: &Folder,
    (parts, part): (&Dir, &str),
    target: &Dir,
    landing: &Landing,
    aside: &mut Option<String>,
) -> Result<(), FolderError> {
    let last = split(&landing.name).1;
    let failed = |action| move |error| FolderError::new(action, folder.path_of(&landing.name), error);
    for _ in 0..ATTEMPTS {
        match rename_new((parts, part), (target, last)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && landing.replace => {
                let kept = set_aside(target, last).map_err(failed("keep aside"))?;
                *aside = kept.or(aside.take());
            }
            result => return result.map_err(failed("make")),
        }
    }
    Err(FolderError::Occupied { path: folder.path_of(&landing.name) })
}

/// Every rename of this module.
fn rename_new((from, name): (&Dir, &str), (to, to_name): (&Dir, &str)) -> io::Result<()> {
    #[cfg(test)]
    injected::before_rename(name, to_name)?;
    from.rename_new(name, to, to_name)
}

/// A file that made way for one that did not come gets its name back, unless something else has it by now.
fn put_back(target: &Dir, aside: Option<&str>, name: &str) {
    if let Some(aside) = aside
        && let Err(error) = rename_new((target, aside), (target, name))
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
        match rename_new((target, name), (target, &aside)) {
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

#[cfg(test)]
mod injected;

#[cfg(unix)]
#[cfg(test)]
mod tests;
