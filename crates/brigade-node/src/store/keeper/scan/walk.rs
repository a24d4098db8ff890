//! The walk over all entries of the folder, through handles, without following links.
//!
//! Files are in the order of their names, so that the caller can merge them with another ordered list without storing
//! either. Entries that cannot be shared are reported with the reason. Hidden files are skipped unless they are
//! wanted; `.brigade` and ignored entries are always skipped. The walk reads the files with ignore patterns on its
//! way.

use std::{cmp::Ordering, io, ops::ControlFlow};

use brigade_core::name::{FileName, NameError};

use crate::store::{
    file_stamp::Stamp,
    folder::{Folder, FolderError, NetworkNames, PRIVATE},
    ignore_patterns::{IGNORE_FILE, IgnoreRules, manager_state::is_manager_state},
    system::{Dir, FileKind, FolderEntry},
};

/// An entry that the walk found.
#[derive(Debug)]
pub(crate) enum WalkEntry {
    /// A folder; its entries follow.
    Folder(FileName),
    /// A regular file.
    File(FileName, Stamp),
    /// An entry that cannot be shared: its path below the folder (as text, with replacement characters), and the
    /// reason.
    NotShared(String, NotShared),
}

/// The reason why an entry is not shared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotShared {
    /// Its name is not allowed.
    #[error("its name cannot be shared: {0}")]
    Name(#[from] NameError),
    /// Its name is not UTF-8.
    #[error("its name cannot be shared: it is not valid UTF-8")]
    NotText,
    /// A fetch kept it aside.
    #[error("kept aside by a fetch with --replace")]
    KeptAside,
    /// Its name is that of a share in place, or below it.
    #[error("the files of the share {0} have this name: rename it, or unshare {0}")]
    Withheld(FileName),
    /// It is a file with ignore patterns, and some of them cannot be used; or the folder with the state of a manager.
    #[error("{0}")]
    Patterns(String),
    /// It is neither a file nor a folder.
    #[error("it is {0}")]
    Kind(FileKind),
    /// The system does not allow to look at it.
    #[error("{0}")]
    Unreadable(#[from] FolderError),
}

impl Folder {
    /// Visits all entries below `below` (of the whole folder for `None`) in the order of the names, until `visit`
    /// breaks.
    ///
    /// Fails only if the first folder cannot be listed; other folders that cannot be listed are reported as not
    /// shared.
    pub(in crate::store) fn walk(
        &self,
        below: Option<&FileName>,
        hidden: bool,
        rules: &mut IgnoreRules,
        visit: &mut dyn FnMut(WalkEntry) -> ControlFlow<()>,
    ) -> Result<(), FolderError> {
        if let NetworkNames::Single { name, entry } = self.names() {
            return self.walk_single(name, entry, visit);
        }
        let prefix = below.map_or(self.names().base(), FileName::as_str);
        let dir = self.sub(prefix)?;
        let entries =
            dir.entries().map_err(|error| FolderError::new("list", self.path_below(prefix), error))?;
        rules.begin_walk();
        let mut walk = Walker { folder: self, hidden, rules, visit };
        // A walk that `visit` has interrupted did not see all files with patterns.
        if walk.entries(&dir, prefix, entries).is_continue() {
            rules.end_walk(below.map_or("", FileName::as_str));
        }
        Ok(())
    }

    /// Visits the only entry that is shared.
    fn walk_single(
        &self,
        name: &FileName,
        entry: &str,
        visit: &mut dyn FnMut(WalkEntry) -> ControlFlow<()>,
    ) -> Result<(), FolderError> {
        let _ = match self.sub("")?.status(entry.as_ref()) {
            Ok(status) if status.kind != FileKind::File => {
                visit(WalkEntry::NotShared(name.to_string(), NotShared::Kind(status.kind)))
            }
            Ok(_) if self.is_manager_key(name) => {
                let reason = NotShared::Patterns("it is the secret key of a manager".to_owned());
                visit(WalkEntry::NotShared(name.to_string(), reason))
            }
            Ok(status) => visit(WalkEntry::File(name.clone(), status.stamp)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => ControlFlow::Continue(()),
            Err(error) => {
                let error = FolderError::new("look at", self.path_of(name), error);
                visit(WalkEntry::NotShared(name.to_string(), error.into()))
            }
        };
        Ok(())
    }
}

/// Whether the name is that of a file that a fetch kept aside: it ends with a dot and a number in tildes.
pub(crate) fn is_kept_aside(name: &str) -> bool {
    let number = name.strip_suffix('~').and_then(|name| name.rsplit_once(".~")).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

struct Walker<'a> {
    folder: &'a Folder,
    hidden: bool,
    rules: &'a mut IgnoreRules,
    visit: &'a mut dyn FnMut(WalkEntry) -> ControlFlow<()>,
}

impl Walker<'_> {
    /// The depth is limited by the number of components that a name may have.
    fn entries(&mut self, dir: &Dir, prefix: &str, mut entries: Vec<FolderEntry>) -> ControlFlow<()> {
        entries.sort_unstable_by(in_order_of_names);
        let below = |text: &str| if prefix.is_empty() { text.to_owned() } else { format!("{prefix}/{text}") };
        let has_patterns = entries.iter().any(|entry| entry.name == IGNORE_FILE);
        let is_state = is_manager_state(dir, &entries);
        if let Some(reason) = self.rules.enter(dir, prefix, has_patterns, is_state) {
            let path = match (is_state, prefix) {
                (false, _) => below(IGNORE_FILE),
                (true, "") => ".".to_owned(),
                (true, folder) => folder.to_owned(),
            };
            (self.visit)(WalkEntry::NotShared(path, NotShared::Patterns(reason)))?;
        }
        if is_state {
            return ControlFlow::Continue(());
        }
        for entry in entries {
            if self.is_skipped(&entry) {
                continue;
            }
            let path = below(&entry.name.to_string_lossy());
            if self.rules.ignores_itself(&path, entry.kind == FileKind::Folder) {
                self.rules.count_ignored();
                continue;
            }
            if prefix.is_empty()
                && let Some(share) = self.folder.withheld_by(&path)
            {
                (self.visit)(WalkEntry::NotShared(path, NotShared::Withheld(share)))?;
                continue;
            }
            match self.name(&entry, &path) {
                Ok(name) if entry.kind == FileKind::Folder => self.folder(dir, &entry, name)?,
                Ok(name) => self.file(dir, &entry, name)?,
                Err(reason) => (self.visit)(WalkEntry::NotShared(path, reason))?,
            }
        }
        ControlFlow::Continue(())
    }

    fn is_skipped(&self, entry: &FolderEntry) -> bool {
        let name = entry.name.as_encoded_bytes();
        name.eq_ignore_ascii_case(PRIVATE.as_bytes())
            || name == IGNORE_FILE.as_bytes()
            || (!self.hidden && name.starts_with(b"."))
    }

    fn name(&self, entry: &FolderEntry, path: &str) -> Result<FileName, NotShared> {
        match entry.kind {
            FileKind::File | FileKind::Folder if entry.name.to_str().is_none() => Err(NotShared::NotText),
            FileKind::File if is_kept_aside(path) => Err(NotShared::KeptAside),
            FileKind::File | FileKind::Folder => Ok(path.parse::<FileName>()?),
            other => Err(NotShared::Kind(other)),
        }
    }

    fn file(&mut self, dir: &Dir, entry: &FolderEntry, name: FileName) -> ControlFlow<()> {
        match dir.status(&entry.name) {
            Ok(status) if status.kind == FileKind::File => (self.visit)(WalkEntry::File(name, status.stamp)),
            Ok(status) => (self.visit)(WalkEntry::NotShared(name.to_string(), NotShared::Kind(status.kind))),
            Err(error) => {
                let error = FolderError::new("look at", self.folder.path_of(&name), error);
                if error.is_missing() { ControlFlow::Continue(()) } else { self.unreadable(&name, error) }
            }
        }
    }

    fn folder(&mut self, dir: &Dir, entry: &FolderEntry, name: FileName) -> ControlFlow<()> {
        // The folder is reported before it is listed: so the caller can watch it before, and misses no change.
        (self.visit)(WalkEntry::Folder(name.clone()))?;
        let opened = entry
            .name
            .to_str()
            .map_or_else(|| Err(std::io::ErrorKind::NotFound.into()), |part| dir.sub(part));
        match opened.and_then(|sub| Ok((sub.entries()?, sub))) {
            Ok((entries, sub)) => self.entries(&sub, name.as_str(), entries),
            Err(error) => {
                let error = FolderError::new("list", self.folder.path_of(&name), error);
                if error.is_missing() { ControlFlow::Continue(()) } else { self.unreadable(&name, error) }
            }
        }
    }

    fn unreadable(&mut self, name: &FileName, error: FolderError) -> ControlFlow<()> {
        (self.visit)(WalkEntry::NotShared(name.to_string(), error.into()))
    }
}

/// Compares as the whole names do: the entries of the folder `a` are after `a.b`, because `/` is after `.`.
fn in_order_of_names(a: &FolderEntry, b: &FolderEntry) -> Ordering {
    let (left, right) = (a.name.as_encoded_bytes(), b.name.as_encoded_bytes());
    let common = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    let next = |name: &[u8], entry: &FolderEntry| match name.get(common) {
        None if entry.kind == FileKind::Folder => Some(b'/'),
        other => other.copied(),
    };
    next(left, a).cmp(&next(right, b))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{
        fs,
        ops::ControlFlow,
        os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
        path::Path,
        process::Command,
    };

    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    use super::{Folder, IGNORE_FILE, IgnoreRules, WalkEntry, is_kept_aside};

    fn walked(path: &Path) -> (Vec<String>, Vec<(String, String)>) {
        let (mut files, mut unshared) = (Vec::new(), Vec::new());
        let mut visit = |found| {
            match found {
                WalkEntry::File(name, _) => files.push(name.to_string()),
                WalkEntry::NotShared(path, reason) => unshared.push((path, reason.to_string())),
                WalkEntry::Folder(_) => {}
            }
            ControlFlow::Continue(())
        };
        Folder::open(path).unwrap().walk(None, false, &mut IgnoreRules::default(), &mut visit).unwrap();
        (files, unshared)
    }

    #[test]
    fn unshared_entries_are_reported_with_the_reason() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "").unwrap();
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path();
        for dir in ["sub", ".git", ".brigade", "bad:dir"] {
            fs::create_dir(path.join(dir)).unwrap();
            fs::write(path.join(dir).join("file"), "").unwrap();
        }
        fs::write(path.join(".hidden"), "").unwrap();
        fs::write(path.join("nul"), "").unwrap();
        fs::write(path.join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
        symlink(outside.path(), path.join("link")).unwrap();
        let _socket = UnixListener::bind(path.join("socket")).unwrap();
        let (files, unshared) = walked(path);
        assert_eq!(files, ["sub/file"]);
        let what: Vec<_> = unshared.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(what, ["bad:dir", "link", "nul", "socket", "\u{fffd}"]);
        assert!(unshared[1].1.contains("a link") && unshared[3].1.contains("a socket"), "{unshared:?}");
    }

    #[test]
    fn ignored_folders_are_not_entered_or_reported() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path();
        for file in ["a/keep", "a/x.tmp", "b/deep/file", "b/.brigadeignore", "c.~1~", "d.~~"] {
            fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
            fs::write(path.join(file), "").unwrap();
        }
        symlink("a", path.join("link.tmp")).unwrap();
        fs::write(path.join(".brigadeignore"), "*.tmp\nb/\n").unwrap();
        fs::write(path.join("a/.brigadeignore"), "[\n").unwrap();
        let (files, unshared) = walked(path);
        assert_eq!(files, ["a/keep", "d.~~"]);
        let what: Vec<_> = unshared.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(what, ["a/.brigadeignore", "c.~1~"]);
    }

    /// Compares random patterns with git, if there is one.
    #[test]
    fn git_ignores_the_same() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        let git = |arguments: &[&str]| Command::new("git").args(arguments).current_dir(root).output();
        if !git(&["init", "-q"]).is_ok_and(|made| made.status.success()) {
            let required = std::env::var_os("BRIGADE_REQUIRE_ALL").is_some_and(|all| all == "1");
            assert!(!required, "git is not there");
            return;
        }
        for file in [
            "a", "b", "ab", "x.a", "{a}", "d/a", "d/b", "d/x.a", "d/ab/a", "d/ab/b", "e/d/a", "e/d/x.a",
            "e/b/c/d",
        ] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        let folder = Folder::open(root).unwrap();
        let mut chance = 1_u64;
        let mut below = |bound: u64| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((chance >> 33) % bound).unwrap()
        };
        // For git, two stars within a component depend on the letters before them; such patterns are left out.
        let is_odd = |pattern: &str| {
            let parts = pattern.trim_start_matches('!').trim_end().split('/');
            parts.filter(|part| part.contains("**")).any(|part| part.bytes().any(|byte| byte != b'*'))
        };
        for round in 0..300 {
            let mut written = vec![];
            for folder in ["", "d/", "e/d/"] {
                let mut lines = String::new();
                for _ in 0..below(4) {
                    let mut pattern = String::new();
                    for _ in 0..=below(5) {
                        let parts = [
                            "a", "b", "d", "e", "ab", "x", ".", "*", "**", "?", "/", "/", "!", "[ab]",
                            "[!a]", "{a}", "\\a",
                        ];
                        pattern.push_str(parts[below(17)]);
                    }
                    pattern.push_str(["", "/", " ", "\r"][below(4)]);
                    if !is_odd(&pattern) {
                        lines.push_str(&pattern);
                        lines.push('\n');
                    }
                }
                fs::write(root.join(format!("{folder}{IGNORE_FILE}")), &lines).unwrap();
                written.push(lines);
            }
            let listed =
                git(&["ls-files", "--others", "--exclude-per-directory", IGNORE_FILE]).unwrap().stdout;
            let mut expected: Vec<_> =
                String::from_utf8(listed).unwrap().lines().map(str::to_owned).collect();
            expected.retain(|name| !name.ends_with(IGNORE_FILE));
            let mut found = vec![];
            let mut visit = |one| {
                match one {
                    WalkEntry::File(name, _) => found.push(name.to_string()),
                    WalkEntry::NotShared(..) | WalkEntry::Folder(_) => {}
                }
                ControlFlow::Continue(())
            };
            folder.walk(None, false, &mut IgnoreRules::default(), &mut visit).unwrap();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "round {round}: {written:?}");
        }
    }

    #[test]
    fn files_that_were_kept_aside_have_a_known_ending() {
        for name in ["a.~1~", "d/film.mkv.~23~", ".~0~"] {
            assert!(is_kept_aside(name), "{name}");
        }
        for name in ["a", "a~", "a.~~", "a.~x~", "a.~1", "a~1~", "a.~1~.txt", "a.~1~/b"] {
            assert!(!is_kept_aside(name), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn files_are_visited_in_the_order_of_their_names(
            names in proptest::collection::btree_set("[a.b-]{1,3}x(/[a.b-]{1,3}x){0,2}", 1..30)
        ) {
            let temp = tempfile::tempdir().unwrap();
            for name in &names {
                let path = temp.path().join(name);
                // One name may need a folder where another one has a file: then the first one stays.
                if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.exists() {
                    fs::write(path, "").unwrap();
                }
            }
            let (files, _) = walked(temp.path());
            let mut sorted = files.clone();
            sorted.sort_unstable();
            prop_assert_eq!(files, sorted);
        }
    }
}
