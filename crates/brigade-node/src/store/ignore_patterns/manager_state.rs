//! Recognising the folder with the state of a manager, which has the manager's secret key: nothing in it is shared.
//!
//! A file counts as the key if it has the name of one and the bytes of one. So other files that happen to have the name
//! are shared. A manager writes its key under a temporary name first; that file counts too, and so does a link with the
//! name of a key, wherever it leads. A copy of a key under another name is not recognised. A fetch receives no file
//! with the name of a key: otherwise another member could withhold a folder of this peer.

use std::path::Path;

use brigade_core::name::FileName;

use crate::store::{
    folder::{Folder, NetworkNames, split},
    system::{Dir, FileKind, FolderEntry, read_at},
};

/// The file of the key.
const KEY: &str = "manager.key";

/// The beginning of the temporary name of the key; the number of the process follows.
const NEW_KEY: &str = "manager.new-";

/// The bytes of an Ed25519 key in PKCS#8 (RFC 8410) before the key itself. Two of them, a length and the version, may
/// have other values.
const KEY_START: [u8; 12] = [0x30, 0x53, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

/// Whether a file with this name may be the key of a manager.
pub(crate) fn may_be_manager_key(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let is_new_key = name
        .split_at_checked(NEW_KEY.len())
        .is_some_and(|(start, number)| start.eq_ignore_ascii_case(NEW_KEY) && is_number(number));
    is_new_key || name.eq_ignore_ascii_case(KEY)
}

/// Whether a folder with these entries has the state of a manager.
pub(in crate::store) fn is_manager_state(dir: &Dir, entries: &[FolderEntry]) -> bool {
    let is_state = |entry: &FolderEntry| {
        let name = entry.name.to_str().filter(|name| may_be_manager_key(name));
        name.is_some_and(|name| is_file_or_link_of_key(dir, name, entry.kind))
    };
    entries.iter().any(is_state)
}

/// Whether the folder `dir` has the state of a manager; the entries are not listed.
pub(in crate::store) fn has_manager_state(dir: &Dir) -> bool {
    dir.status(KEY.as_ref()).is_ok_and(|found| is_file_or_link_of_key(dir, KEY, found.kind))
}

/// Whether an entry with the name of a key counts as one.
fn is_file_or_link_of_key(dir: &Dir, name: &str, kind: FileKind) -> bool {
    match kind {
        FileKind::File => is_key(dir, name),
        kind => kind == FileKind::Link,
    }
}

/// Whether the folder at `path` has the state of a manager.
pub(crate) fn is_manager_folder(path: &Path) -> bool {
    Dir::open_root(path).is_ok_and(|dir| has_manager_state(&dir))
}

/// Whether the file `name` has the bytes of a key. A file that cannot be read counts as one: it may be readable later.
fn is_key(dir: &Dir, name: &str) -> bool {
    let mut bytes = [0; KEY_START.len()];
    let read = dir.open_file(name).and_then(|file| read_at(&file, &mut bytes, 0));
    (bytes[1], bytes[4]) = (KEY_START[1], KEY_START[4]);
    read.map_or_else(|error| error.kind() != std::io::ErrorKind::NotFound, |_| bytes == KEY_START)
}

impl Folder {
    /// Whether a file is the key of a manager.
    pub(in crate::store) fn is_manager_key(&self, name: &FileName) -> bool {
        let (parent, last) = match self.names() {
            NetworkNames::Single { entry, .. } => (None, entry.as_str()),
            _ => split(name),
        };
        may_be_manager_key(last) && self.sub(parent.unwrap_or_default()).is_ok_and(|dir| is_key(&dir, last))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{Dir, has_manager_state, is_manager_state, may_be_manager_key};
    use crate::identity::key::SecretKey;

    #[track_caller]
    fn check(path: &Path, expected: bool) {
        let dir = Dir::open_root(path).unwrap();
        assert_eq!(is_manager_state(&dir, &dir.entries().unwrap()), expected);
    }

    #[test]
    fn the_key_of_a_manager_is_recognised_and_other_files_of_that_name_are_not() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        check(temp.path(), false);
        for (name, is_listed_only) in [("manager.key", false), ("manager.new-7", true)] {
            SecretKey::generate().save(&path("saved")).unwrap();
            fs::rename(path("saved"), path(name)).unwrap();
            check(temp.path(), true);
            assert_eq!(has_manager_state(&Dir::open_root(temp.path()).unwrap()), !is_listed_only);
            fs::write(path(name), "the key to the manager's office is in the drawer").unwrap();
            check(temp.path(), false);
            fs::remove_file(path(name)).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_with_the_name_of_a_key_counts_wherever_it_leads() {
        let temp = tempfile::tempdir().unwrap();
        let link = temp.path().join("manager.key");
        std::os::unix::fs::symlink("elsewhere/key", &link).unwrap();
        check(temp.path(), true);
        assert!(has_manager_state(&Dir::open_root(temp.path()).unwrap()));
        fs::remove_file(&link).unwrap();
        fs::create_dir(&link).unwrap();
        check(temp.path(), false);
    }

    #[test]
    fn only_the_names_of_keys_are_refused() {
        for name in ["manager.key", "Manager.KEY", "manager.new-1", "MANAGER.new-42"] {
            assert!(may_be_manager_key(name), "{name}");
        }
        for name in
            ["manager.new-", "manager.new-ui", "manager.new-1.pdf", "manager.key.txt", "amanager.key", "maß"]
        {
            assert!(!may_be_manager_key(name), "{name}");
        }
    }
}
