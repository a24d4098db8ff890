//! Whether a path may be shared in place under a name, beside the other folders of a peer.
//!
//! Nothing is changed and nothing stays open. A path is compared without links, and on Unix also by the number of its
//! folder, which a second mount of the same file system does not change.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use brigade_core::name::FileName;

use super::{CannotShare, CheckedShare, Overlap, SHARES, SharedPath};
use crate::store::{
    folder::{PRIVATE, canonical_path},
    ignore_patterns::manager_state::{is_manager_folder, may_be_manager_key},
    keeper::is_kept_aside,
};

/// The folders that a new share must not overlap with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedFolders<'a> {
    /// The peer's own folder, which may not exist yet; `None` if it is not known yet.
    pub own: Option<&'a Path>,
    /// The user's own folder of Brigade.
    pub home: Option<&'a Path>,
    /// The other shares in place.
    pub others: &'a [CheckedShare],
}

/// Checks whether a peer could start with these shares in place, as far as that is known now: `folder` is its own
/// folder, and `home` the user's own folder of Brigade. `waits` is that of [`PeerConfig::wait_for_shares`]: with it, a
/// path that is not there or cannot be read is no error.
///
/// [`PeerConfig::wait_for_shares`]: crate::peer::PeerConfig::wait_for_shares
///
/// # Errors
/// The reason why the first of the others cannot be shared.
pub fn check_shares(
    shares: &[SharedPath],
    folder: Option<&Path>,
    home: Option<&Path>,
    waits: bool,
) -> Result<(), CannotShare> {
    check_all(shares, folder, home, waits).map(drop)
}

/// Checks all shares of a configuration, in their order.
pub(crate) fn check_all(
    wanted: &[SharedPath],
    own: Option<&Path>,
    home: Option<&Path>,
    waits: bool,
) -> Result<Vec<CheckedShare>, CannotShare> {
    let mut others = vec![];
    for wanted in wanted {
        let folders = SharedFolders { own, home, others: &others };
        let checked = if waits { check_if_there(wanted, folders) } else { check(wanted, folders) }?;
        others.push(checked);
    }
    Ok(others)
}

/// Checks one share.
pub(crate) fn check(wanted: &SharedPath, folders: SharedFolders<'_>) -> Result<CheckedShare, CannotShare> {
    check_at(existing(&wanted.path)?, wanted, folders)
}

/// Checks one share, which waits for its path if that is not there now or cannot be read: then the names and the paths
/// are compared. [`check_again`] is for the time when the path is there.
pub(crate) fn check_if_there(
    wanted: &SharedPath,
    folders: SharedFolders<'_>,
) -> Result<CheckedShare, CannotShare> {
    let path = match existing(&wanted.path) {
        Err(CannotShare::Missing { .. } | CannotShare::Unreadable { .. }) => resolved(&wanted.path),
        found => found?,
    };
    check_at(path, wanted, folders)
}

/// Checks that the folder or file that is at a path now does not overlap with those that are shared already. A path that
/// was not there when it was compared can lead to the same files as another one.
pub(crate) fn check_again(path: &Path, folders: SharedFolders<'_>) -> Result<(), CannotShare> {
    check_private_files(path, folders.home)?;
    check_overlap(path, folders.own.map(resolved).as_deref(), folders.others)
}

fn check_overlap(path: &Path, own: Option<&Path>, others: &[CheckedShare]) -> Result<(), CannotShare> {
    let others = others.iter().map(|other| other.path.as_path());
    let relation = own.into_iter().chain(others).find_map(|other| overlap(path, other));
    relation.map_or(Ok(()), |relation| Err(CannotShare::Overlap { path: path.to_owned(), relation }))
}

/// Checks everything but that something is at `path`, which is absolute and without links.
fn check_at(
    path: PathBuf,
    wanted: &SharedPath,
    folders: SharedFolders<'_>,
) -> Result<CheckedShare, CannotShare> {
    if folders.others.len() >= SHARES {
        return Err(CannotShare::TooMany);
    }
    let own = folders.own.map(resolved);
    check_private_files(&path, folders.home)?;
    check_overlap(&path, own.as_deref(), folders.others)?;
    let name = name_of(wanted, &path)?;
    let folded = name.folded();
    if let Some(other) = folders.others.iter().find(|other| other.name.folded() == folded) {
        return Err(CannotShare::NameOfShare { path, name, other: other.path.clone() });
    }
    if let Some(other) = own.and_then(|own| entry_with_name(&own, &folded)) {
        return Err(CannotShare::NameInFolder { path, name, other });
    }
    Ok(CheckedShare { path, name })
}

/// The path without links, if there is a folder or a file that can be read.
fn existing(path: &Path) -> Result<PathBuf, CannotShare> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            CannotShare::Missing { path: path.to_owned() }
        }
        _ => CannotShare::Unreadable { path: path.to_owned(), source },
    };
    let real = canonical_path(path).map_err(failed)?;
    let found = fs::metadata(&real).map_err(failed)?;
    match found.is_dir() {
        true => fs::read_dir(&real).map(drop).map_err(failed)?,
        // A pipe would be waited for.
        false if found.is_file() => File::open(&real).map(drop).map_err(failed)?,
        false => return Err(CannotShare::Kind { path: path.to_owned() }),
    }
    Ok(real)
}

/// Refuses paths with private files of Brigade, and the root of all files.
fn check_private_files(path: &Path, home: Option<&Path>) -> Result<(), CannotShare> {
    let refused = path.to_owned();
    if path.parent().is_none() {
        return Err(CannotShare::WholeMachine { path: refused });
    }
    if path.components().any(|part| part.as_os_str().eq_ignore_ascii_case(PRIVATE)) {
        return Err(CannotShare::Private { path: refused });
    }
    if let Some(state) = path.ancestors().find(|above| is_manager_folder(above)) {
        return Err(CannotShare::ManagerState { path: refused, state: state.to_owned() });
    }
    let Some(home) = home.map(resolved) else { return Ok(()) };
    let is_for_managers = path.starts_with(home.join("managers"));
    if is_for_managers {
        return Err(CannotShare::ManagerState { path: refused, state: home.join("managers") });
    }
    // Hidden folders are not shared: so a home directory may be, with Brigade's files in a hidden folder of it.
    let has_home = home.strip_prefix(path).is_ok_and(|below| !is_hidden(below));
    if has_home || path.starts_with(home.join("shares")) {
        return Err(CannotShare::Home { path: refused, home });
    }
    Ok(())
}

/// The name, which must be one visible component that no other rule reserves.
fn name_of(wanted: &SharedPath, path: &Path) -> Result<FileName, CannotShare> {
    let name = match &wanted.name {
        Some(name) => name.clone(),
        None => {
            let last = path.file_name().unwrap_or_default().to_string_lossy();
            last.parse().map_err(|source| CannotShare::LastComponent { path: path.to_owned(), source })?
        }
    };
    let refused = |reason| Err(CannotShare::Name { name: name.to_string(), reason });
    match () {
        () if name.contains('/') => refused("it has a `/`: use one component"),
        () if name.is_hidden() => refused("it begins with a dot, as hidden files do: give it another name"),
        () if is_kept_aside(&name) => refused("files that a fetch keeps aside end like this"),
        () if may_be_manager_key(&name) => refused("the secret key of a manager has this name"),
        () => Ok(name),
    }
}

/// The entry at the top of the peer's own folder with this name, in upper or lower case.
fn entry_with_name(own: &Path, folded: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(own).ok()?.flatten();
    let has_name = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        name.to_str()
            .and_then(|name| name.parse::<FileName>().ok())
            .is_some_and(|name| name.folded() == folded)
    };
    entries.into_iter().find(has_name).map(|entry| entry.path())
}

/// How two paths without links overlap.
fn overlap(path: &Path, other: &Path) -> Option<Overlap> {
    let (inside, contains) = (is_in(path, other), is_in(other, path));
    match (inside, contains) {
        (true, true) => Some(Overlap::Same(other.to_owned())),
        (true, false) => Some(Overlap::Inside(other.to_owned())),
        (false, true) => Some(Overlap::Contains(other.to_owned())),
        (false, false) => None,
    }
}

fn is_in(path: &Path, folder: &Path) -> bool {
    let number = number_of(folder);
    path.starts_with(folder) || path.ancestors().any(|above| number.is_some() && number_of(above) == number)
}

/// The file system of a file and its number there.
#[cfg(unix)]
fn number_of(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn number_of(_: &Path) -> Option<(u64, u64)> {
    None
}

/// Whether a path has a component that begins with a dot.
fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
}

/// The path, absolute and without links; its end may not exist.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = path.ancestors().find_map(|above| Some((above, canonical_path(above).ok()?)));
    let joined = existing.and_then(|(above, real)| match path.strip_prefix(above).ok()? {
        below if below.as_os_str().is_empty() => Some(real),
        below => Some(real.join(below)),
    });
    joined.unwrap_or(path)
}

#[cfg(test)]
mod tests;
