//! What is seen before a fetch of what would keep its files from landing.
//!
//! Other file systems and other users are in the end-to-end tests.

use std::{fs, os::unix::fs::symlink};

use super::{Destinations, Folder, Kind, Obstacle, spelling};

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
fn what_is_in_the_way_is_named() {
    let (_temp, folder) = folder();
    let mut walk = Destinations::new(&folder);
    let mut check = |name: &str, replace, expected: Option<Obstacle>| {
        assert_eq!(walk.look(&name.parse().unwrap(), replace).obstacle, expected, "{name}");
    };
    let in_the_way = |path: &str, kind| Some(Obstacle::InTheWay { path: folder.path().join(path), kind });
    let no_folder = |path: &str, kind| Some(Obstacle::NotAFolder { path: folder.path().join(path), kind });
    for replace in [false, true] {
        check("new", replace, None);
        check("new/below/it", replace, None);
        check("d/e/new", replace, None);
        check("d/file", replace, None);
        check("d/e", replace, in_the_way("d/e", Kind::Folder));
        check("link", replace, in_the_way("link", Kind::Link));
        check("d/dangling", replace, in_the_way("d/dangling", Kind::Link));
        check("link/new", replace, no_folder("link", Kind::Link));
        check("link/e/new", replace, no_folder("link", Kind::Link));
        check("d/file/new", replace, no_folder("d/file", Kind::File));
        check("d/file/new/er", replace, no_folder("d/file", Kind::File));
    }
    assert_eq!(walk.look(&"d/file".parse().unwrap(), false).found.unwrap().size, 5);
    assert!(!folder.ignores_case());
    assert_eq!(walk.file_systems().count(), 1);
}

/// A directory of a shorter limit than most; `/proc` has none, so a name at the bound of the rule is tried here.
#[test]
fn a_name_at_the_bound_is_no_obstacle() {
    let (_temp, folder) = folder();
    let mut walk = Destinations::new(&folder);
    let longest = "x".repeat(255);
    for name in [longest.clone(), format!("{longest}/{longest}"), format!("d/{longest}/f")] {
        assert_eq!(walk.look(&name.parse().unwrap(), true).obstacle, None, "{name}");
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
        walk.look(&name.parse().unwrap(), false);
        assert_eq!(walk.missing_folders(), missing, "{name}");
    }
}

/// Whole fetches onto a file system that ignores case are in the end-to-end tests.
#[test]
fn the_true_spelling_of_a_name_is_found() {
    let check = |part: &str, names: &[&str], expected: Option<&str>| {
        assert_eq!(spelling(part, names.iter().copied()).as_deref(), expected, "{part}");
    };
    check("film", &["Film", "other"], Some("Film"));
    check("film", &["FILM", "film"], Some("film"));
    check("ä", &["Ä"], Some("Ä"));
    check("film", &["films"], None);
    let (_temp, folder) = folder();
    let name = "d/file".parse().unwrap();
    assert_eq!(folder.spelt_otherwise(&name, &folder.stamp(&name).unwrap()), None);
}
