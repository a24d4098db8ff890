//! Checks of the folders on the command line, before anything is asked or created: no secret key may lie in a folder
//! that is shared, and nothing is fetched to the private files of Brigade.
//!
//! The keeper of a folder never shares the state of a manager, wherever it is. These checks say so at once.

use std::{
    fs,
    path::{Path, PathBuf, absolute},
};

use brigade_node::{
    peer::{is_manager_folder, is_peer_folder},
    user_account::brigade_home,
};

use crate::{
    failure::{DISK, Failure},
    text::escape::escape,
};

/// The private folder of a peer.
const PRIVATE: &str = ".brigade";

/// Refuses to share `folder` if it has private files of Brigade.
pub(crate) fn check_shared(folder: &Path) -> Result<(), Failure> {
    refusal_to_share(folder, brigade_home().as_deref()).map_or(Ok(()), Err)
}

/// Refuses to fetch into `folder` if it has private files of Brigade.
pub(crate) fn check_destination(folder: &Path) -> Result<(), Failure> {
    refusal_to_fetch(folder, brigade_home().as_deref()).map_or(Ok(()), Err)
}

fn refusal_to_share(folder: &Path, home: Option<&Path>) -> Option<Failure> {
    let path = resolved(folder);
    let reason = reason_inside(&path, home).or_else(|| {
        let home = home?;
        // Hidden folders are not shared: so a home directory may be, with Brigade's files in a hidden folder of it.
        let resolved_home = resolved(home);
        let below = resolved_home.strip_prefix(&path).ok()?;
        let home = home.display();
        (!is_hidden(below))
            .then(|| format!("BRIGADE_HOME ({home}) is in it, for Brigade's own files of this user"))
    })?;
    let message = format!("the folder {} cannot be shared: {reason}", folder.display());
    Some(Failure::new(DISK, message).hint("name another folder with --folder, or move your files to one"))
}

fn refusal_to_fetch(folder: &Path, home: Option<&Path>) -> Option<Failure> {
    let path = resolved(folder);
    let reason = reason_inside(&path, home)?;
    let message = format!("nothing can be fetched into {}: {reason}", folder.display());
    Some(Failure::new(DISK, message).hint("name another folder with --into"))
}

/// Refuses to keep the state of a manager in the private folder of a peer.
pub(crate) fn check_state(state: &Path) -> Result<(), Failure> {
    let path = resolved(state);
    let is_private = |above: &&Path| {
        above.file_name().is_some_and(|name| name.eq_ignore_ascii_case(PRIVATE))
            && above.parent().is_some_and(is_peer_folder)
    };
    let Some(private) = path.ancestors().find(is_private) else { return Ok(()) };
    let message = format!(
        "the state of a manager cannot be in {}: {} has the secret key of a peer, and its other private files",
        state.display(),
        private.display()
    );
    Err(Failure::new(DISK, message).hint("name another folder with --state"))
}

/// Refuses to write a backup of a manager, which has the secret key of the network, where a peer may share it.
pub(crate) fn check_backup(file: &Path) -> Result<(), Failure> {
    let path = resolved(file);
    let Some(shared) = path.ancestors().skip(1).find(|above| may_be_shared(above, &path)) else {
        return Ok(());
    };
    let message = format!(
        "the backup has the secret key of the network, and the folder {}, which a peer or a fetch has used, may be shared",
        shared.display()
    );
    Err(Failure::new(DISK, message).hint("name a file outside of it"))
}

/// Whether `folder` is one that a peer may share, with the path `below` it.
fn may_be_shared(folder: &Path, below: &Path) -> bool {
    is_peer_folder(folder) && below.strip_prefix(folder).is_ok_and(|below| !is_hidden(below))
}

/// Entries of the folder with a manager's state that are looked at. A folder for the state alone has a few; another one
/// may have any number, and a manager starts without a delay.
const STATE_ENTRIES: usize = 1000;

/// The notes for a manager whose `state` is in a folder that a peer may share, or has such a folder in it.
pub(crate) fn state_notes(state: &Path) -> impl Iterator<Item = String> {
    [note_on_folder_above(state), note_on_folder_below(state)].into_iter().flatten()
}

/// The note for a `state` that has the folder of a peer in it. Only the entries of `state` itself are looked at, not
/// the folders below them. A link does not count: the folder to which it leads is elsewhere.
fn note_on_folder_below(state: &Path) -> Option<String> {
    let mut entries = fs::read_dir(state).ok()?.take(STATE_ENTRIES).flatten();
    let is_folder_of_peer = |entry: &fs::DirEntry| {
        entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_peer_folder(&entry.path())
    };
    let folder = entries.find(is_folder_of_peer)?.path();
    let (state, folder) = (state.display().to_string(), folder.display().to_string());
    Some(format!(
        "note: the folder {}, which a peer or a fetch has used, is in the folder with the state of the manager ({}). \
         No peer that is started from now on shares it, and nothing is fetched into it\n\
         hint: name another folder with --state, and move manager.key and members.sqlite there if they exist",
        escape(&folder),
        escape(&state)
    ))
}

/// The note for a `state` in a folder that a peer may share. It is unknown whether one does: a fetch leaves the same
/// files behind, and shares only what it fetched.
fn note_on_folder_above(state: &Path) -> Option<String> {
    let path = resolved(state);
    let shared = path.ancestors().find(|above| may_be_shared(above, &path))?;
    let (state, shared) = (state.display().to_string(), shared.display().to_string());
    Some(format!(
        "note: the state of the manager ({}) is in the folder {}, which a peer or a fetch has used. A peer that shares \
         it leaves out the folder with the manager's key, but shares copies of the key under other names\n\
         hint: name a folder outside with --state, and move the files of an existing state there",
        escape(&state),
        escape(&shared)
    ))
}

/// The reason if `path` is a folder for private files of Brigade.
fn reason_inside(path: &Path, home: Option<&Path>) -> Option<String> {
    let home = home.map(resolved);
    if path.components().any(|part| part.as_os_str().eq_ignore_ascii_case(PRIVATE)) {
        return Some(format!("`{PRIVATE}` has the secret key of a peer, and its other private files"));
    }
    let is_for_managers = || home.as_ref().is_some_and(|home| path.starts_with(home.join("managers")));
    if is_manager_folder(path) || is_for_managers() {
        return Some("it is for the secret key and the members of a manager".to_owned());
    }
    if let Some(state) = path.ancestors().find(|above| is_manager_folder(above)) {
        return Some(format!("{} is for the secret key and the members of a manager", state.display()));
    }
    (home.as_deref() == Some(path))
        .then(|| "it is BRIGADE_HOME, for Brigade's own files of this user".to_owned())
}

/// Whether a path has a component that begins with a dot.
fn is_hidden(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
}

/// The path, absolute and without links; its end may not exist.
fn resolved(path: &Path) -> PathBuf {
    let path = absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let joined = existing.and_then(|(above, real)| Some(real.join(path.strip_prefix(above).ok()?)));
    joined.unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{
        check_backup, check_state, escape, note_on_folder_above, refusal_to_fetch, refusal_to_share,
        state_notes,
    };

    #[test]
    fn folders_with_private_files_are_neither_shared_nor_fetched_into() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        for folder in ["user/home", "user/files", "hides/.state", "state/files"] {
            fs::create_dir_all(path(folder)).unwrap();
        }
        fs::write(path("state/manager.key"), b"\x30\x53\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70").unwrap();
        let check = |folder: &str, home: &str, expected: (bool, bool)| {
            let home = path(home);
            let shared = refusal_to_share(&path(folder), Some(&home)).is_none();
            let fetched = refusal_to_fetch(&path(folder), Some(&home)).is_none();
            assert_eq!((shared, fetched), expected, "{folder}, with the home {home:?}");
        };
        check("user/files", "user/home", (true, true));
        check("user/new", "user/home", (true, true));
        check("user/home", "user/home", (false, false));
        check("user", "user/home", (false, true));
        check("user", "user/not/yet", (false, true));
        check("user/home/managers", "user/home", (false, false));
        check("user/home/managers/7000", "user/home", (false, false));
        check("user/home/files", "user/home", (true, true));
        check("user/files/.brigade", "user/home", (false, false));
        check("user/files/.Brigade/parts", "user/home", (false, false));
        check("hides", "hides/.state/brigade", (true, true));
        check("state", "user/home", (false, false));
        check("state/files", "user/home", (false, false));
        check("state/new/folder", "user/home", (false, false));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("user/home"), path("link")).unwrap();
            check("link", "user/home", (false, false));
            check("user", "link", (false, true));
        }
        assert!(refusal_to_share(&path("user"), None).is_none());
    }

    #[test]
    fn a_manager_with_its_state_in_the_folder_of_a_peer_gets_a_note() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        fs::create_dir_all(path("shared/.brigade")).unwrap();
        assert!(note_on_folder_above(&path("shared/state")).is_none(), "no peer has used it");
        fs::write(path("shared/.brigade/key"), "").unwrap();
        for state in ["shared", "shared/state", "shared/a/b/state"] {
            assert!(note_on_folder_above(&path(state)).is_some(), "{state}");
        }
        for state in ["state", "shared/.hidden/state"] {
            assert!(note_on_folder_above(&path(state)).is_none(), "{state}");
        }
        for (file, expected) in [
            ("shared/saved", false),
            ("shared/a/saved", false),
            ("shared/.hidden/saved", true),
            ("saved", true),
        ] {
            assert_eq!(check_backup(&path(file)).is_ok(), expected, "{file}");
        }
        for (state, expected) in [
            ("shared/.brigade", false),
            ("shared/.brigade/parts", false),
            ("shared/.hidden/state", true),
            (".brigade/managers/12000", true), // BRIGADE_HOME may have this name
        ] {
            assert_eq!(check_state(&path(state)).is_ok(), expected, "{state}");
        }
    }

    #[test]
    fn a_manager_with_the_folder_of_a_peer_in_its_state_gets_a_note() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        let count = |state: &str| state_notes(&path(state)).count();
        fs::create_dir_all(path("state/shared/.brigade")).unwrap();
        assert_eq!([count("new"), count("state")], [0, 0], "no peer has used it");
        fs::write(path("state/shared/.brigade/key"), "").unwrap();
        let notes: Vec<String> = state_notes(&path("state")).collect();
        let shown = escape(&path("state").join("shared").display().to_string()).into_owned();
        assert!(notes.len() == 1 && notes[0].contains(&shown), "{notes:?}");
        // The peer is refused as soon as the manager has its key there.
        assert!(refusal_to_share(&path("state/shared"), None).is_none());
        fs::write(path("state/manager.key"), b"\x30\x53\x02\x01\x01\x30\x05\x06\x03\x2b\x65\x70").unwrap();
        assert!(refusal_to_share(&path("state/shared"), None).is_some());
        assert!(refusal_to_fetch(&path("state/shared"), None).is_some());
    }
}
