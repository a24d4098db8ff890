//! Backups in files and states in folders: what is refused, and what a killed process leaves.
//!
//! `manager/tests/restoring.rs` starts a manager in a restored folder.

use std::{fs, path::Path};

use brigade_core::{id::PeerKey, manager::Binding};
use rusqlite::Connection;

use super::{
    MemberDatabase, RestoreError, RestoredKeyError, STATE_FILE, SecretKey, StateCopy, StateCopyError,
    draft_of, place_database, restore, take_restored_key,
};
use crate::manager::{
    member_database::StoredMember,
    state_copy::{BackupError, back_up},
};

fn members() -> Vec<StoredMember> {
    let member = |name: &str, number, last_seen_s| StoredMember {
        username: name.to_owned(),
        key: PeerKey([number; 32]),
        since_s: 7,
        last_seen_s,
    };
    vec![member("water_user", 2, None), member("fire_user", 1, Some(9)), member("Zoë", 1, Some(-1))]
}

/// A folder with a backup in the file `backup`, and its key.
fn folder_with_backup() -> (tempfile::TempDir, SecretKey) {
    let folder = tempfile::tempdir().unwrap();
    let key = SecretKey::generate();
    let summary = back_up(key.clone(), members(), &folder.path().join("backup")).unwrap();
    assert_eq!((summary.key, summary.members), (key.public(), 3));
    (folder, key)
}

/// Whether the folder has a whole state, as a manager finds it.
#[track_caller]
fn check_state(state: &Path, key: &SecretKey) {
    let (database, bindings) = MemberDatabase::open(&state.join(STATE_FILE.members)).unwrap();
    take_restored_key(&database, state).unwrap();
    assert!(take_restored_key(&database, state).unwrap().is_none(), "the key is still in the database");
    assert_eq!(SecretKey::load(&state.join(STATE_FILE.key)).unwrap().unwrap().public(), key.public());
    let expected = members()
        .into_iter()
        .map(|member| Binding { username: member.username.parse().unwrap(), key: member.key });
    assert_eq!(bindings, expected.collect::<Vec<_>>());
    drop(database);
    let bytes = fs::read(state.join(STATE_FILE.members)).unwrap();
    let secret = key.pkcs8();
    assert!(!bytes.windows(secret.len()).any(|window| window == secret), "the key is still in a free page");
}

#[test]
fn a_backup_is_a_private_file_with_the_whole_state() {
    let (folder, key) = folder_with_backup();
    let file = folder.path().join("backup");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777,
        0o600
    );
    let copy = StateCopy::read(&file).unwrap();
    assert_eq!((copy.key.public(), copy.members), (key.public(), members()));
    let before = fs::read(&file).unwrap();
    let refused = back_up(key.clone(), vec![], &file);
    assert!(matches!(refused, Err(BackupError::Exists { .. })), "{refused:?}");
    assert_eq!(fs::read(&file).unwrap(), before);
    let refused = back_up(key, vec![], &folder.path().join("missing/backup"));
    assert!(matches!(refused, Err(BackupError::Copy(StateCopyError::File { .. }))), "{refused:?}");
}

#[test]
fn a_restored_folder_has_the_state_and_nothing_else() {
    let (folder, key) = folder_with_backup();
    let state = folder.path().join("new/state");
    restore(&folder.path().join("backup"), &state).unwrap();
    let mut names: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [STATE_FILE.key, STATE_FILE.members]);
    check_state(&state, &key);
}

#[test]
fn a_folder_with_a_state_is_refused_and_stays_as_it_is() {
    let (folder, _) = folder_with_backup();
    let (backup, state) = (folder.path().join("backup"), folder.path().join("state"));
    fs::create_dir(&state).unwrap();
    for name in [STATE_FILE.key, STATE_FILE.members, "members.sqlite-wal"] {
        fs::write(state.join(name), "of somebody").unwrap();
        let refused = restore(&backup, &state);
        assert!(matches!(refused, Err(RestoreError::HasState { .. })), "{refused:?}");
        assert_eq!(fs::read(state.join(name)).unwrap(), b"of somebody");
        fs::remove_file(state.join(name)).unwrap();
    }
    let (running, _) = MemberDatabase::open(&state.join(STATE_FILE.members)).unwrap();
    let refused = restore(&backup, &state);
    assert!(matches!(refused, Err(RestoreError::InUse { .. })), "{refused:?}");
    drop(running);
    let refused = restore(&backup, &state);
    assert!(matches!(refused, Err(RestoreError::HasState { .. })), "{refused:?}");
    let refused = restore(&backup, &backup.join("below a file"));
    assert!(matches!(refused, Err(RestoreError::Folder { .. })), "{refused:?}");
}

#[test]
fn only_a_whole_backup_of_a_known_format_is_restored() {
    let (folder, key) = folder_with_backup();
    let (backup, state) = (folder.path().join("backup"), folder.path().join("state"));
    let check = |expected: fn(&StateCopyError) -> bool| {
        let Err(RestoreError::Copy(error)) = restore(&backup, &state) else { panic!("it was restored") };
        assert!(expected(&error), "{error:?}");
        assert!(!state.exists(), "nothing is left");
    };
    let change = |sql: &str| Connection::open(&backup).unwrap().execute_batch(sql).unwrap();
    let whole = fs::read(&backup).unwrap();
    for sql in [
        "UPDATE members SET since_s = 8 WHERE username = 'Zoë'",
        "UPDATE members SET last_seen_s = NULL",
        "DELETE FROM members WHERE username = 'water_user'",
        "UPDATE backup SET key = zeroblob(83)",
        "UPDATE backup SET created_s = created_s + 1",
        "UPDATE backup SET checksum = zeroblob(31)",
    ] {
        change(sql);
        check(|error| matches!(error, StateCopyError::Damaged { .. }));
        fs::write(&backup, &whole).unwrap();
    }
    change("UPDATE backup SET format = 2");
    check(|error| matches!(error, StateCopyError::TooNew { found: 2, .. }));
    fs::write(&backup, &whole[..whole.len() / 2]).unwrap();
    check(|error| matches!(error, StateCopyError::Damaged { .. }));
    for text in ["", "a text that is no database, but long enough to be looked at; and so on, and so on"] {
        fs::write(&backup, text).unwrap();
        check(|error| matches!(error, StateCopyError::NotACopy { .. }));
    }
    fs::remove_file(&backup).unwrap();
    check(|error| matches!(error, StateCopyError::File { .. }));
    fs::create_dir(&backup).unwrap();
    check(|error| matches!(error, StateCopyError::NotACopy { .. }));
    fs::remove_dir(&backup).unwrap();
    drop(MemberDatabase::open(&backup).unwrap());
    check(|error| matches!(error, StateCopyError::NotACopy { .. }));

    // Whatever byte is wrong, the restored state is right or nothing is restored.
    for at in (0..whole.len()).step_by(61) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&backup, damaged).unwrap();
        if restore(&backup, &state).is_ok() {
            check_state(&state, &key);
            fs::remove_dir_all(&state).unwrap();
        }
        assert!(!state.exists());
    }
}

#[test]
fn a_killed_restore_leaves_no_state_or_one_that_the_next_start_finishes() {
    let (folder, key) = folder_with_backup();
    let (backup, state) = (folder.path().join("backup"), folder.path().join("state"));
    let copy = StateCopy::read(&backup).unwrap();
    let members = state.join(STATE_FILE.members);
    // Before the rename: the folder counts as one without a state.
    fs::create_dir(&state).unwrap();
    copy.write(&draft_of(&members), &members).unwrap();
    restore(&backup, &state).unwrap();
    check_state(&state, &key);
    fs::remove_dir_all(&state).unwrap();
    // After it, and then when the key has its file.
    for has_key in [false, true] {
        fs::create_dir(&state).unwrap();
        place_database(&copy, &state).unwrap();
        if has_key {
            key.save(&state.join(STATE_FILE.key)).unwrap();
        }
        let again = restore(&backup, &state);
        assert!(matches!(again, Err(RestoreError::HasState { .. })), "{again:?}");
        check_state(&state, &key);
        fs::remove_dir_all(&state).unwrap();
    }
}

#[test]
fn a_key_of_another_manager_is_not_used_with_restored_members() {
    let (folder, _) = folder_with_backup();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    place_database(&StateCopy::read(&folder.path().join("backup")).unwrap(), &state).unwrap();
    SecretKey::generate().save(&state.join(STATE_FILE.key)).unwrap();
    let (database, _) = MemberDatabase::open(&state.join(STATE_FILE.members)).unwrap();
    let refused = take_restored_key(&database, &state);
    assert!(matches!(refused, Err(RestoredKeyError::OtherKey { .. })), "{:?}", refused.err());
}

#[test]
fn a_full_disk_is_told_from_other_errors() {
    let path = Path::new("backup");
    let full = StateCopyError::of_file(path, std::io::ErrorKind::StorageFull.into());
    assert!(RestoreError::Copy(full).is_disk_full());
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
    let full = StateCopyError::of_database(path, rusqlite::Error::SqliteFailure(code, None));
    assert!(BackupError::Copy(full).is_disk_full());
    let other = StateCopyError::of_file(path, std::io::ErrorKind::PermissionDenied.into());
    assert!(!BackupError::Copy(other).is_disk_full());
}
