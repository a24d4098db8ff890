//! Names that are free or taken, files that are kept aside, and renames that fail.
//!
//! Errors that only some file systems return are injected.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::symlink,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::{
    Folder, FolderError, Landing, Stamp, aside_name, copy_to_name, fault_injection, give_name, stamp_of,
};
use crate::store::stored_parts::remove_leftovers;

fn landing(name: &str, replace: bool) -> Landing {
    Landing { name: name.parse().unwrap(), mtime_s: 0, executable: false, replace }
}

/// A folder with a file `new` that a test renames.
fn folder() -> (tempfile::TempDir, Folder) {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("new"), "new").unwrap();
    let folder = Folder::open(temp.path()).unwrap();
    (temp, folder)
}

fn name(folder: &Folder, landing: &Landing) -> Result<Option<String>, FolderError> {
    let root = folder.sub("").unwrap();
    let verified = stamp(&folder.path().join("new"));
    give_name(folder, (&root, "new", &verified), &root, landing).map(|named| named.unwrap().aside)
}

fn stamp(path: &Path) -> Stamp {
    stamp_of(&fs::File::open(path).unwrap()).unwrap()
}

#[test]
fn a_long_name_is_shortened_for_its_number() {
    let (temp, folder) = folder();
    let long = "é".repeat(127) + "x";
    fs::write(temp.path().join(&long), "old").unwrap();
    let aside = name(&folder, &landing(&long, true)).unwrap().unwrap();
    assert_eq!(aside, "é".repeat(124) + ".~1~");
    assert_eq!(fs::read(temp.path().join(&aside)).unwrap(), b"old");
    assert_eq!(fs::read(temp.path().join(&long)).unwrap(), b"new");
    assert_eq!(aside_name("ab", 10, true), "ab.~10~");
}

#[test]
fn a_copy_gets_the_name_if_a_rename_cannot() {
    let (temp, folder) = folder();
    fs::create_dir(temp.path().join("d")).unwrap();
    fs::write(temp.path().join("d/taken"), "mine").unwrap();
    let (root, target) = (folder.sub("").unwrap(), folder.sub("d").unwrap());
    let beside = folder.staging_in("d").unwrap();
    let verified = stamp(&temp.path().join("new"));
    let copy =
        |landing: Landing| copy_to_name(&folder, (&root, "new", &verified), &beside, &target, &landing);
    let refused = copy(landing("d/taken", false));
    assert!(matches!(refused, Err(FolderError::Occupied { .. })), "{refused:?}");
    assert_eq!(fs::read(temp.path().join("new")).unwrap(), b"new");
    let named = copy(landing("d/f", false)).unwrap().unwrap();
    assert_eq!(named.copied, Some(folder.stamp(&"d/f".parse().unwrap()).unwrap()));
    assert_eq!(fs::read(temp.path().join("d/f")).unwrap(), b"new");
    assert!(!temp.path().join("new").exists());
    folder.remove_empty_staging().unwrap();
    assert!(!temp.path().join("d/.brigade").exists(), "nothing is left of the copy");
}

#[test]
fn an_existing_file_stays_unless_replace_is_set() {
    let (temp, folder) = folder();
    fs::write(temp.path().join("f"), "old").unwrap();
    fs::write(temp.path().join("f.~1~"), "older").unwrap();
    assert!(matches!(name(&folder, &landing("f", false)), Err(FolderError::Occupied { .. })));
    assert_eq!(fs::read(temp.path().join("f")).unwrap(), b"old");
    assert_eq!(name(&folder, &landing("f", true)).unwrap().as_deref(), Some("f.~2~"));
    for (file, bytes) in [("f", "new"), ("f.~1~", "older"), ("f.~2~", "old")] {
        assert_eq!(fs::read_to_string(temp.path().join(file)).unwrap(), bytes, "{file}");
    }
}

#[test]
fn a_free_name_keeps_nothing_aside() {
    let (temp, folder) = folder();
    assert_eq!(name(&folder, &landing("f", true)).unwrap(), None);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[test]
fn folders_and_links_stay_where_they_are() {
    let (temp, folder) = folder();
    fs::create_dir(temp.path().join("d")).unwrap();
    symlink("new", temp.path().join("l")).unwrap();
    for taken in ["d", "l"] {
        let refused = name(&folder, &landing(taken, true));
        assert!(matches!(refused, Err(FolderError::Occupied { .. })), "{refused:?}");
    }
    assert!(temp.path().join("new").exists());
}

/// The error of a rename to another file system, and of one into a directory of another project's quota.
fn across_devices() -> io::Error {
    io::ErrorKind::CrossesDevices.into()
}

#[test]
fn a_part_stays_if_its_copy_would_be_in_the_same_directory() {
    let (temp, folder) = folder();
    let staging = folder.own_staging().unwrap();
    fs::write(staging.path.join("x.part"), "whole").unwrap();
    fs::write(temp.path().join("f"), "old").unwrap();
    let root = folder.sub("").unwrap();
    for (name, replace) in [("free", false), ("f", true)] {
        let injected =
            fault_injection::set(|from, _| if from == "x.part" { Err(across_devices()) } else { Ok(()) });
        let verified = stamp(&staging.path.join("x.part"));
        let part = (&staging.dir, "x.part", &verified);
        let refused = give_name(&folder, part, &root, &landing(name, replace));
        drop(injected);
        assert!(
            matches!(&refused, Err(FolderError::Io { source, .. }) if source.kind() == across_devices().kind()),
            "{refused:?}"
        );
        assert_eq!(fs::read(staging.path.join("x.part")).unwrap(), b"whole");
        assert_eq!(fs::read_dir(&staging.path).unwrap().count(), 1, "there is no copy");
    }
    assert_eq!(fs::read(temp.path().join("f")).unwrap(), b"old");
}

#[test]
fn a_rename_that_crosses_devices_is_made_by_a_copy_on_the_other_side() {
    let (temp, folder) = folder();
    fs::create_dir(temp.path().join("d")).unwrap();
    let staging = folder.own_staging().unwrap();
    fs::write(staging.path.join("x.part"), "whole").unwrap();
    let target = folder.sub("d").unwrap();
    let _injected =
        fault_injection::set(|from, _| if from == "x.part" { Err(across_devices()) } else { Ok(()) });
    let part = (&staging.dir, "x.part", &stamp(&staging.path.join("x.part")));
    let named = give_name(&folder, part, &target, &landing("d/f", false)).unwrap().unwrap();
    assert!(named.copied.is_some());
    assert_eq!(fs::read(temp.path().join("d/f")).unwrap(), b"whole");
    assert!(!staging.path.join("x.part").exists());
}

#[test]
fn a_part_that_another_program_changes_before_it_is_copied_gets_no_name() {
    let (temp, folder) = folder();
    fs::create_dir(temp.path().join("d")).unwrap();
    let staging = folder.own_staging().unwrap();
    let path = staging.path.join("x.part");
    fs::write(&path, "whole").unwrap();
    let target = folder.sub("d").unwrap();
    let part = (&staging.dir, "x.part", &stamp(&path));
    let _injected = fault_injection::set({
        let path = path.clone();
        move |from, _| {
            if from != "x.part" {
                return Ok(());
            }
            // As long as the write shows in no time: some file systems have those of the last tick of the clock.
            let before = stamp(&path);
            while stamp(&path) == before {
                fs::OpenOptions::new().write(true).open(&path)?.write_all(b"wrong")?;
            }
            Err(across_devices())
        }
    });
    assert_eq!(give_name(&folder, part, &target, &landing("d/f", false)).unwrap(), None);
    assert!(!temp.path().join("d/f").exists());
    assert_eq!(fs::read(&path).unwrap(), b"wrong", "its pieces are hashed again");
    folder.remove_empty_staging().unwrap();
    assert!(!temp.path().join("d/.brigade").exists(), "nothing is left of the copy");
}

/// A panic ends a landing as a kill does: nothing is put back. The empty files are those of a file system without a
/// rename that replaces nothing.
#[test]
fn a_start_after_a_kill_gives_the_old_file_its_name_back() {
    for (killed_before, empty) in
        [("f", None), ("f", Some("f.~2~")), ("0.small", None), ("0.small", Some("f"))]
    {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::open(temp.path()).unwrap();
        let _lock = folder.lock().unwrap();
        let staging = folder.own_staging().unwrap();
        let part = staging.path.join("0.small");
        for (path, bytes) in
            [(&part, "new"), (&temp.path().join("f"), "old"), (&temp.path().join("f.~1~"), "older")]
        {
            fs::write(path, bytes).unwrap();
        }
        let root = temp.path().to_owned();
        let injected = fault_injection::set(move |from, _| {
            // The first time, the old file still has the name.
            if from != killed_before || from == "0.small" && root.join("f").exists() {
                return Ok(());
            }
            if let Some(empty) = empty {
                fs::write(root.join(empty), "").unwrap();
            }
            panic!("the session is killed");
        });
        let (target, verified) = (folder.sub("").unwrap(), stamp(&part));
        let killed = catch_unwind(AssertUnwindSafe(|| {
            give_name(&folder, (&staging.dir, "0.small", &verified), &target, &landing("f", true))
        }));
        drop(injected);
        assert!(killed.is_err(), "it was not killed before the rename of {killed_before}");
        remove_leftovers(&folder).unwrap();
        for (name, bytes) in [("f", "old"), ("f.~1~", "older")] {
            let found = fs::read_to_string(temp.path().join(name)).unwrap();
            assert_eq!(found, bytes, "{name}, killed before the rename of {killed_before}, {empty:?}");
        }
        assert!(
            !temp.path().join("f.~2~").exists(),
            "killed before the rename of {killed_before}, {empty:?}"
        );
        assert_eq!(fs::read_dir(&staging.path).unwrap().count(), 0);
    }
}

#[test]
fn a_file_kept_aside_gets_its_name_back_after_each_failure() {
    // Each time the name is taken again; or it is free, and the existing file cannot be kept aside.
    for fails_aside in [false, true] {
        let (temp, folder) = folder();
        let path = temp.path().join("f");
        fs::write(&path, "old").unwrap();
        let mut asides = 0;
        let injected = fault_injection::set(move |from, _| {
            if from == "f" {
                asides += 1;
                if fails_aside && asides == 2 {
                    fs::remove_file(&path).unwrap(); // another program removes it again
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
            } else if from == "new" && asides > 0 {
                fs::write(&path, "another").unwrap();
            }
            Ok(())
        });
        let refused = name(&folder, &landing("f", true));
        drop(injected);
        assert!(refused.is_err(), "{refused:?}");
        let expected = if fails_aside { "old" } else { "another" };
        assert_eq!(fs::read_to_string(temp.path().join("f")).unwrap(), expected);
        assert_eq!(fs::read(temp.path().join("new")).unwrap(), b"new");
        assert!(!fails_aside || !temp.path().join("f.~1~").exists());
    }
}
