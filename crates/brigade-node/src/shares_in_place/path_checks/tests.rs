//! Paths and names that cannot be shared in place, each with its reason.
//!
//! Names that the rule for names forbids are tested in `brigade-core`.

use std::fs;

use super::{
    CannotShare, CheckedShare, SharedFolders, SharedPath, check, check_again, check_all, check_if_there,
};
use crate::identity::key::SecretKey;

struct Folders {
    temp: tempfile::TempDir,
    others: Vec<CheckedShare>,
}

impl Folders {
    /// The peer's folder `own` with the entry `Taken`, and the share `old` of the folder `old`.
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        for folder in ["own/Taken", "old/below", "new/.brigade", "home/shares/x", "state", "above/old2"] {
            fs::create_dir_all(temp.path().join(folder)).unwrap();
        }
        fs::write(temp.path().join("film"), "").unwrap();
        SecretKey::generate().save(&temp.path().join("state/manager.key")).unwrap();
        let mut folders = Self { temp, others: vec![] };
        folders.others = vec![folders.check("old", None).unwrap()];
        folders
    }

    fn check(&self, path: &str, name: Option<&str>) -> Result<CheckedShare, CannotShare> {
        let wanted =
            SharedPath { path: self.temp.path().join(path), name: name.map(|name| name.parse().unwrap()) };
        let (own, home) = (self.temp.path().join("own"), self.temp.path().join("home"));
        check(&wanted, SharedFolders { own: Some(&own), home: Some(&home), others: &self.others })
    }

    #[track_caller]
    fn refused(&self, path: &str, name: Option<&str>, reason: &str) {
        let error = self.check(path, name).unwrap_err().to_string();
        assert!(error.contains(reason), "{path}: {error}");
    }
}

#[test]
fn a_path_is_shared_under_its_last_component_or_the_given_name() {
    let folders = Folders::new();
    assert_eq!(folders.check("new", None).unwrap().name.as_str(), "new");
    assert_eq!(folders.check("film", Some("Movie")).unwrap().name.as_str(), "Movie");
}

#[test]
fn overlapping_paths_are_refused() {
    let folders = Folders::new();
    folders.refused("old", Some("x"), "it is ");
    folders.refused("old/below", None, "it is in ");
    folders.refused("own/Taken", Some("x"), "it is in ");
    folders.refused("", Some("x"), "BRIGADE_HOME");
    let wanted = [
        SharedPath::new(folders.temp.path().join("above/old2")),
        SharedPath::new(folders.temp.path().join("above")),
    ];
    let error = check_all(&wanted, Some(&folders.temp.path().join("own")), None, false).unwrap_err();
    assert!(error.to_string().contains("it contains "), "{error}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folders.temp.path().join("old"), folders.temp.path().join("link"))
            .unwrap();
        folders.refused("link", Some("x"), "it is ");
    }
}

#[test]
fn names_that_collide_are_refused() {
    let folders = Folders::new();
    folders.refused("new", Some("OLD"), "is shared under this name");
    folders.refused("new", Some("taken"), "has this name");
    for (name, reason) in [("a/b", "one component"), (".x", "hidden"), ("x.~1~", "keeps aside")] {
        folders.refused("new", Some(name), reason);
    }
    fs::create_dir(folders.temp.path().join("a:b")).unwrap();
    folders.refused("a:b", None, "needs another name");
}

#[test]
fn private_files_are_refused() {
    let folders = Folders::new();
    folders.refused("new/.brigade", Some("x"), "secret key of a peer");
    folders.refused("state", None, "of a manager");
    folders.refused("home/shares/x", None, "BRIGADE_HOME");
    folders.refused("missing", None, "not there");
    folders.refused("film/below", None, "not there");
    let error = check_all(&[SharedPath::new("/")], None, None, false).unwrap_err();
    assert!(error.to_string().contains("all files of this machine"), "{error}");
}

#[test]
fn there_are_not_more_than_64() {
    let mut folders = Folders::new();
    folders.others = vec![folders.others[0].clone(); super::SHARES];
    folders.refused("new", None, "no more than 64");
}

#[test]
fn a_path_that_is_not_there_is_compared_with_the_others_and_again_when_it_is_there() {
    let folders = Folders::new();
    let (own, away) = (folders.temp.path().join("own"), folders.temp.path().join("away"));
    let all = SharedFolders { own: Some(&own), home: None, others: &folders.others };
    let check = |path: &str, name: &str| {
        let wanted = SharedPath::new(folders.temp.path().join(path)).named(name.parse().unwrap());
        check_if_there(&wanted, all)
    };
    assert!(check("away", "x").unwrap().path.ends_with("away"));
    let missing = check_all(&[SharedPath::new(&away)], Some(&own), None, false);
    assert!(matches!(missing, Err(CannotShare::Missing { .. })));
    assert_eq!(check_all(&[SharedPath::new(&away)], Some(&own), None, true).unwrap().len(), 1);
    assert!(matches!(check("away", "OLD"), Err(CannotShare::NameOfShare { .. })));
    assert!(matches!(check("away", "taken"), Err(CannotShare::NameInFolder { .. })));
    assert!(matches!(check("old/away", "x"), Err(CannotShare::Overlap { .. })));
    assert!(matches!(check("own/away", "x"), Err(CannotShare::Overlap { .. })));
    let waiting = [CheckedShare { path: away.join("below"), name: "w".parse().unwrap() }];
    let wanted = SharedPath::new(&away).named("x".parse().unwrap());
    let contains = check_if_there(&wanted, SharedFolders { others: &waiting, ..all });
    assert!(matches!(contains, Err(CannotShare::Overlap { .. })));
    check_again(&folders.temp.path().join("new"), all).unwrap();
    #[cfg(unix)]
    {
        // As with a second mount of the same folder.
        std::os::unix::fs::symlink(folders.temp.path().join("old"), &away).unwrap();
        assert!(matches!(check_again(&away, all), Err(CannotShare::Overlap { .. })));
    }
}
