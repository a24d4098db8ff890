//! Obstacles that are found before a fetch.
//!
//! Other file systems and other users are in the end-to-end tests.

use std::{fs, os::unix::fs::symlink};

use super::{Destinations, FileKind, Folder, Obstacle};
use crate::test_helpers::run_with_few_open_files::run_with_few_open_files;

fn folder() -> (tempfile::TempDir, Folder) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path();
    fs::create_dir_all(path.join("d/e")).unwrap();
    fs::write(path.join("d/file"), "12345").unwrap();
    symlink("d", path.join("link")).unwrap();
    symlink("nowhere", path.join("d/dangling")).unwrap();
    let folder = Folder::open(path).unwrap();
    (temp, folder)
}

#[test]
fn obstacles_are_named() {
    let (_temp, folder) = folder();
    let mut walk = Destinations::new(&folder);
    let mut check = |name: &str, replace, expected: Option<Obstacle>| {
        assert_eq!(walk.check(&name.parse().unwrap(), replace).obstacle, expected, "{name}");
    };
    let not_a_file = |path: &str, kind| Some(Obstacle::NotAFile { path: folder.path().join(path), kind });
    let no_folder = |path: &str, kind| Some(Obstacle::NotAFolder { path: folder.path().join(path), kind });
    for replace in [false, true] {
        check("new", replace, None);
        check("new/below/it", replace, None);
        check("d/e/new", replace, None);
        check("d/file", replace, None);
        check("d/e", replace, not_a_file("d/e", FileKind::Folder));
        check("link", replace, not_a_file("link", FileKind::Link));
        check("d/dangling", replace, not_a_file("d/dangling", FileKind::Link));
        check("link/new", replace, no_folder("link", FileKind::Link));
        check("link/e/new", replace, no_folder("link", FileKind::Link));
        check("d/file/new", replace, no_folder("d/file", FileKind::File));
        check("d/file/new/er", replace, no_folder("d/file", FileKind::File));
    }
    assert_eq!(walk.check(&"d/file".parse().unwrap(), false).found.unwrap().size, 5);
    assert!(!folder.ignores_case());
    assert_eq!(walk.file_systems().count(), 1);
}

/// File systems that ignore case are in the end-to-end tests.
#[cfg(target_os = "linux")]
#[test]
fn a_second_folder_with_the_name_in_capital_letters_shows_that_case_counts() {
    let (temp, folder) = folder();
    folder.private().unwrap();
    assert!(!folder.ignores_case());
    fs::create_dir(temp.path().join(".BRIGADE")).unwrap();
    assert!(!folder.ignores_case());
}

#[test]
fn nothing_is_received_into_the_state_of_a_manager() {
    let (_temp, folder) = folder();
    fs::create_dir_all(folder.path().join("state/sub")).unwrap();
    let key = crate::identity::key::SecretKey::generate();
    key.save(&folder.path().join("state/manager.key")).unwrap();
    let expected = Some(Obstacle::ManagerState { path: folder.path().join("state") });
    let mut walk = Destinations::new(&folder);
    for (name, replace) in [
        ("state/manager.key", true),
        ("state/new", false),
        ("state/new/below", true),
        ("state/sub/new", false),
    ] {
        assert_eq!(walk.check(&name.parse().unwrap(), replace).obstacle, expected, "{name}");
    }
    assert_eq!(walk.check(&"d/new".parse().unwrap(), true).obstacle, None);
    key.save(&folder.path().join("manager.key")).unwrap();
    walk.forget();
    let obstacle = walk.check(&"d/e/new".parse().unwrap(), true).obstacle;
    assert_eq!(obstacle, Some(Obstacle::ManagerState { path: folder.path().to_owned() }));
}

/// The file system of the temporary folder has the common limit of 255 bytes: such a name is valid.
#[test]
fn a_name_at_the_bound_is_no_obstacle() {
    let (_temp, folder) = folder();
    let mut walk = Destinations::new(&folder);
    let longest = "x".repeat(255);
    for name in [longest.clone(), format!("{longest}/{longest}"), format!("d/{longest}/f")] {
        assert_eq!(walk.check(&name.parse().unwrap(), true).obstacle, None, "{name}");
    }
}

#[test]
fn folders_that_have_to_be_made_are_known() {
    let (_temp, folder) = folder();
    let mut walk = Destinations::new(&folder);
    for (name, missing) in [
        ("f", &[][..]),
        ("d/e/f", &[]),
        ("d/e/g/h/f", &["d/e/g", "d/e/g/h"]),
        ("n/f", &["n"]),
        ("link/x/f", &[]),
    ] {
        walk.check(&name.parse().unwrap(), false);
        assert_eq!(walk.missing_folders(), missing, "{name}");
    }
}

#[test]
fn a_file_that_has_its_name_has_no_other_true_name() {
    let (temp, folder) = folder();
    fs::write(temp.path().join("d/FILE"), "54321").unwrap();
    let name = "d/file".parse().unwrap();
    let found = folder.stamp(&name).unwrap();
    assert_eq!(Destinations::new(&folder).true_name(&name, &found), None);
}

#[test]
fn a_limit_on_open_files_is_not_taken_for_something_in_the_way() {
    let (_temp, folder) = folder();
    let test = "store::destination_check::tests::a_limit_on_open_files_is_not_taken_for_something_in_the_way";
    run_with_few_open_files(test, || {
        let destination = Destinations::new(&folder).check(&"d/e/new".parse().unwrap(), false);
        match destination.obstacle {
            None => true,
            Some(Obstacle::OpenFiles(_)) => false,
            Some(other) => panic!("{other:?}"),
        }
    });
}
