//! `.brigade/` that is removed, in part or whole, and restored.
//!
//! What the keeper and fetches do then is tested with them.

use std::{fs, path::Path};

use super::{FolderError, PrivateState, ProtectedFiles};
use crate::store::folder::Folder;

/// A file with a word.
#[derive(Debug)]
struct TestFile(&'static str);

impl ProtectedFiles for TestFile {
    fn exist(&self, private: &Path) -> bool {
        private.join("word").exists()
    }

    fn are_foreign(&self, private: &Path) -> bool {
        fs::read_to_string(private.join("word")).is_ok_and(|word| word != self.0)
    }

    fn restore(&self, private: &Path, _: bool) -> Result<(), FolderError> {
        match fs::read_to_string(private.join("word")) {
            Ok(word) if word != self.0 => Err(FolderError::Taken { path: private.to_owned() }),
            _ => {
                fs::write(private.join("word"), self.0).unwrap();
                Ok(())
            }
        }
    }
}

fn running(path: &Path) -> Folder {
    let folder = Folder::open(path).unwrap();
    folder.lock().unwrap();
    fs::write(path.join(".brigade/word"), "mine").unwrap();
    folder.protect(Box::new(TestFile("mine")));
    folder
}

#[test]
fn a_removed_private_folder_is_restored_and_locked() {
    let temp = tempfile::tempdir().unwrap();
    let private = temp.path().join(".brigade");
    let folder = running(temp.path());
    let is_locked = || matches!(Folder::open(temp.path()).unwrap().lock(), Err(FolderError::InUse { .. }));
    for recreated in 1..=2 {
        fs::remove_dir_all(&private).unwrap();
        assert_eq!(folder.keep_private().unwrap(), PrivateState { recreated, ..PrivateState::default() });
        assert!(is_locked());
        assert_eq!(fs::read_to_string(private.join("word")).unwrap(), "mine");
        folder.own_staging().unwrap();
    }
    // A moved folder counts as removed.
    fs::rename(&private, temp.path().join("elsewhere")).unwrap();
    folder.own_staging().unwrap();
    assert!(is_locked());
    let state = folder.keep_private().unwrap();
    assert_eq!(state, PrivateState { recreated: 3, ..PrivateState::default() });
}

#[test]
fn a_removed_part_of_the_private_folder_is_restored_and_counted() {
    let temp = tempfile::tempdir().unwrap();
    let private = temp.path().join(".brigade");
    let folder = running(temp.path());
    folder.own_staging().unwrap();
    let mut expected = PrivateState::default();
    let check = |expected: PrivateState| {
        assert_eq!(folder.keep_private().unwrap(), expected);
        assert_eq!(folder.keep_private().unwrap(), expected, "it is counted once");
        assert_eq!(fs::read_to_string(private.join("word")).unwrap(), "mine");
        let other = Folder::open(temp.path()).unwrap().lock();
        assert!(matches!(other, Err(FolderError::InUse { .. })), "{other:?}");
    };
    check(expected);
    fs::remove_file(private.join("word")).unwrap();
    expected.protected = 1;
    check(expected);
    fs::remove_file(private.join("lock")).unwrap();
    expected.lock = 1;
    check(expected);
    fs::remove_dir(private.join("parts")).unwrap();
    expected.parts = 1;
    check(expected);
    folder.own_staging().unwrap();
    // Another directory at its path is not the one with the received files.
    fs::rename(private.join("parts"), temp.path().join("elsewhere")).unwrap();
    fs::create_dir(private.join("parts")).unwrap();
    expected.parts = 2;
    check(expected);
    for name in ["word", "lock"] {
        fs::remove_file(private.join(name)).unwrap();
    }
    (expected.protected, expected.lock) = (2, 2);
    check(expected);
}

#[test]
fn a_removed_or_replaced_index_is_counted() {
    let temp = tempfile::tempdir().unwrap();
    let private = temp.path().join(".brigade");
    let folder = running(temp.path());
    let index = private.join("index.db");
    folder.keep_private().unwrap(); // there is no index yet
    let open = || {
        let file = fs::File::create(&index).unwrap();
        folder.remember_index().unwrap();
        file
    };
    let first = open();
    folder.own_staging().unwrap();
    assert_eq!(folder.keep_private().unwrap(), PrivateState::default());
    fs::remove_file(&index).unwrap();
    for _ in 0..2 {
        assert_eq!(folder.keep_private().unwrap(), PrivateState { index: 1, ..PrivateState::default() });
    }
    let second = open();
    fs::remove_file(&index).unwrap();
    fs::write(&index, "another one").unwrap();
    assert_eq!(folder.keep_private().unwrap(), PrivateState { index: 2, ..PrivateState::default() });
    drop((first, second));
    // All entries at once, while the directory stays.
    let third = open();
    for name in ["index.db", "lock", "word"] {
        fs::remove_file(private.join(name)).unwrap();
    }
    fs::remove_dir(private.join("parts")).unwrap();
    let expected = PrivateState { recreated: 0, lock: 1, protected: 1, parts: 1, index: 3 };
    assert_eq!(folder.keep_private().unwrap(), expected);
    drop(third);
}

#[test]
fn a_session_that_took_the_folder_keeps_it_and_its_key() {
    let temp = tempfile::tempdir().unwrap();
    let private = temp.path().join(".brigade");
    let first = running(temp.path());
    fs::remove_dir_all(&private).unwrap();
    let second = Folder::open(temp.path()).unwrap();
    second.lock().unwrap();
    let is_taken = |looked: Result<PrivateState, FolderError>| {
        matches!(looked, Err(FolderError::Taken { .. }))
            && matches!(first.check_at_path(), Err(FolderError::Taken { .. }))
            && first.own_staging().is_err()
    };
    assert!(is_taken(first.keep_private()));
    fs::write(private.join("word"), "theirs").unwrap();
    drop(second);
    assert!(is_taken(first.keep_private()), "the other one left its own");
    assert!(!first.is_own());
    assert_eq!(fs::read_to_string(private.join("word")).unwrap(), "theirs");
    Folder::open(temp.path()).unwrap().lock().unwrap();
    // Without that folder the first session has it again.
    fs::remove_dir_all(&private).unwrap();
    first.keep_private().unwrap();
    first.check_at_path().unwrap();
}

/// As when the folder of another session is exchanged by hand for this session's own.
#[test]
fn a_session_that_has_its_own_private_folder_again_uses_it() {
    let temp = tempfile::tempdir().unwrap();
    let (private, aside) = (temp.path().join(".brigade"), temp.path().join("aside"));
    let folder = running(temp.path());
    fs::rename(&private, &aside).unwrap();
    fs::create_dir(&private).unwrap();
    fs::write(private.join("word"), "theirs").unwrap();
    assert!(matches!(folder.keep_private(), Err(FolderError::Taken { .. })));
    assert!(folder.check_at_path().is_err());
    fs::remove_dir_all(&private).unwrap();
    fs::rename(&aside, &private).unwrap();
    assert_eq!(folder.keep_private().unwrap(), PrivateState::default());
    folder.check_at_path().unwrap();
    folder.own_staging().unwrap();
}

#[test]
fn an_obstacle_is_reported_and_stays() {
    let temp = tempfile::tempdir().unwrap();
    let private = temp.path().join(".brigade");
    let folder = running(temp.path());
    fs::remove_dir_all(&private).unwrap();
    fs::write(&private, "a file").unwrap();
    assert!(matches!(folder.keep_private(), Err(FolderError::NotAFolder { .. })));
    folder.check_at_path().unwrap();
    fs::remove_file(&private).unwrap();
    std::os::unix::fs::symlink(temp.path(), &private).unwrap();
    assert!(matches!(folder.keep_private(), Err(FolderError::Link { .. })));
    fs::remove_file(&private).unwrap();
    folder.keep_private().unwrap();
}
