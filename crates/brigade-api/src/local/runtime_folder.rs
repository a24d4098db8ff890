//! The folders where local sockets are: made for this user only, and refused if another user could change them.
//!
//! A server uses the first one that it can use. A client looks into all of them, in the same order.

#[cfg(unix)]
use std::{collections::BTreeSet, os::unix::fs::MetadataExt};
use std::{
    env, io,
    path::{Path, PathBuf},
};

/// The name of the folder of all sockets, in the runtime directory of a user or of the system.
const NAME: &str = "brigade";

/// Bytes that the path of a socket may have on every system; one byte ends it.
#[cfg(unix)]
const SOCKET_PATH_BYTES: usize = 103;

/// Bytes of the longest name in the folder: `manager-`, the digits, and `.socket`.
#[cfg(unix)]
const NAME_BYTES: usize = 40;

/// Why no folder can have a socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// No folder is known, or all paths are too long.
    #[error("no folder for a local socket is known: the paths in XDG_RUNTIME_DIR and TMPDIR may be too long")]
    NoFolder,
    /// It cannot be made or read.
    #[error("making the folder {} for a local socket", .path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// It belongs to another user, or another user may write to it.
    #[error(
        "the folder {} for a local socket belongs to another account, or other accounts may open it", .path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
}

/// The folder in which a server makes its socket: the first one that it can use.
///
/// # Errors
/// The error of the last folder that was tried.
pub fn server_folder() -> Result<PathBuf, FolderError> {
    let mut error = FolderError::NoFolder;
    for (path, is_given) in server_candidates() {
        match usable(&path, is_given) {
            Ok(()) => return Ok(path),
            Err(reason) => {
                tracing::debug!(%reason, "a folder cannot have the local socket");
                error = reason;
            }
        }
    }
    Err(error)
}

/// The folders where sockets may be, in the order of a search. One that another user made in a folder that all may write
/// to is left out: a false program could wait there.
#[cfg(unix)]
pub(super) fn client_folders() -> Vec<PathBuf> {
    let candidates = server_candidates().into_iter().map(|(path, _)| path);
    let mut folders: Vec<PathBuf> = candidates.filter(|path| is_private(path)).collect();
    // Only root can make folders in `/run`.
    folders.push(Path::new("/run").join(NAME));
    // A service manager may have given each program a folder of its own in one of these.
    let below = folders.iter().flat_map(|folder| folders_in(folder)).collect::<Vec<_>>();
    folders.extend(below);
    let mut seen = BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
}

/// The folder of the records of this user.
#[cfg(windows)]
pub(super) fn client_folders() -> Vec<PathBuf> {
    server_candidates().into_iter().map(|(path, _)| path).collect()
}

/// Whether other accounts may write.
#[cfg(unix)]
const WRITABLE: u32 = 0o022;

/// The most folders of one folder that are looked into.
#[cfg(unix)]
const FOLDERS_LISTED: usize = 256;

#[cfg(unix)]
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().take(FOLDERS_LISTED);
    entries
        .filter(|entry| entry.metadata().is_ok_and(|found| found.is_dir() && found.mode() & WRITABLE == 0))
        .map(|entry| entry.path())
        .collect()
}

/// The value of a variable, if it is an absolute path.
fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The folders that a server may use, and whether a service manager made the folder.
#[cfg(unix)]
fn server_candidates() -> Vec<(PathBuf, bool)> {
    let uid = rustix::process::getuid().as_raw();
    let mut candidates = vec![];
    // systemd gives several folders with colons between them.
    let given = env::var_os("RUNTIME_DIRECTORY").map(|paths| env::split_paths(&paths).next());
    candidates.extend(given.flatten().filter(|path| path.is_absolute()).map(|path| (path, true)));
    let of_user = [absolute("XDG_RUNTIME_DIR"), Some(PathBuf::from(format!("/run/user/{uid}")))];
    candidates.extend(
        of_user.into_iter().flatten().filter(|path| is_own(path)).map(|path| (path.join(NAME), false)),
    );
    let temporary = [absolute("TMPDIR"), Some(PathBuf::from("/tmp"))];
    candidates
        .extend(temporary.into_iter().flatten().map(|path| (path.join(format!("{NAME}-{uid}")), false)));
    candidates.retain(|(path, _)| path.as_os_str().len() + NAME_BYTES <= SOCKET_PATH_BYTES);
    candidates
}

/// Windows has no folder of sockets: only the records are there.
#[cfg(windows)]
fn server_candidates() -> Vec<(PathBuf, bool)> {
    let local = absolute("LOCALAPPDATA").or_else(|| env::home_dir().filter(|home| home.is_absolute()));
    local.map(|local| (local.join(NAME).join("run"), false)).into_iter().collect()
}

/// Whether it is a folder of this account, not a link, into which no other account can write.
#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    let uid = rustix::process::getuid().as_raw();
    std::fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && found.uid() == uid && found.mode() & WRITABLE == 0)
}

#[cfg(unix)]
fn is_own(path: &Path) -> bool {
    let uid = rustix::process::getuid().as_raw();
    std::fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

/// Makes the folder if it does not exist, and checks that other users can neither change it nor, unless a service
/// manager made it, open it.
#[cfg(unix)]
pub(super) fn usable(path: &Path, is_given: bool) -> Result<(), FolderError> {
    use std::{fs, os::unix::fs::DirBuilderExt};
    let failed = |source| FolderError::Io { path: path.to_owned(), source };
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    // Not through a link: another user may have made it.
    let found = fs::symlink_metadata(path).map_err(failed)?;
    let uid = rustix::process::getuid().as_raw();
    let open = if is_given { WRITABLE } else { 0o077 };
    let is_usable = found.is_dir() && found.uid() == uid && found.mode() & open == 0;
    if is_usable { Ok(()) } else { Err(FolderError::Foreign { path: path.to_owned() }) }
}

/// The folder is below that of the user, which other users cannot open.
#[cfg(windows)]
pub(super) fn usable(path: &Path, _is_given: bool) -> Result<(), FolderError> {
    std::fs::create_dir_all(path).map_err(|source| FolderError::Io { path: path.to_owned(), source })
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{FolderError, is_private, usable};

    #[test]
    fn a_client_uses_no_folder_that_others_can_write_to_or_have_linked() {
        let temp = tempfile::tempdir().unwrap();
        let (path, link) = (temp.path().join("brigade-1"), temp.path().join("brigade-2"));
        usable(&path, false).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(is_private(&path) && !is_private(&link));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        assert!(!is_private(&path));
    }

    #[test]
    fn a_folder_that_others_may_open_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("brigade-1");
        usable(&path, false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        usable(&path, false).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(usable(&path, false), Err(FolderError::Foreign { .. })));
        usable(&path, true).expect("a service manager makes it so");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o775)).unwrap();
        assert!(usable(&path, true).is_err());
        let link = temp.path().join("brigade-2");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(usable(&link, true).is_err());
    }
}
