//! The walk over everything in the folder, through handles, following no link.
//!
//! Files come in the order of their names, so that a caller can merge them with another ordered list without
//! keeping either. What cannot be shared comes too, with the reason. Hidden files are passed over in silence unless
//! they are asked for; `.brigade` always is, and so is what the owner wants ignored: the files that say so are read on
//! the way.

use std::{cmp::Ordering, ops::ControlFlow};

use brigade_core::name::{FileName, NameError};

use super::{
    folder::{Folder, FolderError, PRIVATE},
    ignore::{IGNORE_FILE, Rules},
    stamp::Stamp,
    system::{Dir, Entry, Kind},
};

/// What the walk came upon.
#[derive(Debug)]
pub enum Found {
    /// A folder; what is in it comes next.
    Folder(FileName),
    /// A regular file.
    File(FileName, Stamp),
    /// Something that cannot be shared; the path below the folder, as far as it is text.
    NotShared(String, NotShared),
}

/// Why something in the folder is not shared.
#[derive(Debug, thiserror::Error)]
pub enum NotShared {
    /// Its name breaks the rule.
    #[error("its name cannot be shared: {0}")]
    Name(#[from] NameError),
    /// Its name is not Unicode.
    #[error("its name cannot be shared: it is not valid UTF-8")]
    NotText,
    /// A fetch put it aside.
    #[error("kept aside by a fetch with --replace")]
    KeptAside,
    /// What it says of what to ignore cannot be used, or not all of it.
    #[error("{0}")]
    Patterns(String),
    /// It is neither file nor folder.
    #[error("it is {0}")]
    Kind(Kind),
    /// The system refuses to look at it.
    #[error("{0}")]
    Unreadable(#[from] FolderError),
}

impl Folder {
    /// Visits everything below `below` (everything there is, for `None`) in the order of the names, until it breaks.
    ///
    /// An error is about the folder that the walk begins with; those below are reported as not shared.
    pub(super) fn walk(
        &self,
        below: Option<&FileName>,
        hidden: bool,
        rules: &mut Rules,
        visit: &mut dyn FnMut(Found) -> ControlFlow<()>,
    ) -> Result<(), FolderError> {
        let prefix = below.map_or("", FileName::as_str);
        let dir = self.sub(prefix)?;
        let entries =
            dir.entries().map_err(|error| FolderError::new("list", self.path().join(prefix), error))?;
        rules.begin_walk();
        let mut walk = Walk { folder: self, hidden, rules, visit };
        // Where it was broken off, who broke it off knows.
        if walk.entries(&dir, prefix, entries).is_continue() {
            rules.end_walk(prefix);
        }
        Ok(())
    }
}

/// Whether a fetch that replaced a file kept the old one under this name: it ends with a dot and a number in tildes.
pub(super) fn is_kept_aside(name: &str) -> bool {
    let number = name.strip_suffix('~').and_then(|name| name.rsplit_once(".~")).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit()))
}

struct Walk<'a> {
    folder: &'a Folder,
    hidden: bool,
    rules: &'a mut Rules,
    visit: &'a mut dyn FnMut(Found) -> ControlFlow<()>,
}

impl Walk<'_> {
    /// As deep as names may have components, since what lies deeper has no name.
    fn entries(&mut self, dir: &Dir, prefix: &str, mut entries: Vec<Entry>) -> ControlFlow<()> {
        entries.sort_unstable_by(in_order_of_names);
        let below = |text: &str| if prefix.is_empty() { text.to_owned() } else { format!("{prefix}/{text}") };
        let has_patterns = entries.iter().any(|entry| entry.name == IGNORE_FILE);
        if let Some(why) = self.rules.enter(dir, prefix, has_patterns) {
            (self.visit)(Found::NotShared(below(IGNORE_FILE), NotShared::Patterns(why)))?;
        }
        for entry in entries {
            if self.passes_over(&entry) {
                continue;
            }
            let path = below(&entry.name.to_string_lossy());
            if self.rules.ignores_itself(&path, entry.kind == Kind::Folder) {
                self.rules.pass_over();
                continue;
            }
            match self.name(&entry, &path) {
                Ok(name) if entry.kind == Kind::Folder => self.folder(dir, &entry, name)?,
                Ok(name) => self.file(dir, &entry, name)?,
                Err(why) => (self.visit)(Found::NotShared(path, why))?,
            }
        }
        ControlFlow::Continue(())
    }

    fn passes_over(&self, entry: &Entry) -> bool {
        let name = entry.name.as_encoded_bytes();
        name.eq_ignore_ascii_case(PRIVATE.as_bytes())
            || name == IGNORE_FILE.as_bytes()
            || (!self.hidden && name.starts_with(b"."))
    }

    fn name(&self, entry: &Entry, path: &str) -> Result<FileName, NotShared> {
        match entry.kind {
            Kind::File | Kind::Folder if entry.name.to_str().is_none() => Err(NotShared::NotText),
            Kind::File if is_kept_aside(path) => Err(NotShared::KeptAside),
            Kind::File | Kind::Folder => Ok(path.parse::<FileName>()?),
            other => Err(NotShared::Kind(other)),
        }
    }

    fn file(&mut self, dir: &Dir, entry: &Entry, name: FileName) -> ControlFlow<()> {
        match dir.status(&entry.name) {
            Ok(status) if status.kind == Kind::File => (self.visit)(Found::File(name, status.stamp)),
            Ok(status) => (self.visit)(Found::NotShared(name.to_string(), NotShared::Kind(status.kind))),
            Err(error) => {
                let error = FolderError::new("look at", self.folder.path_of(&name), error);
                if error.is_missing() { ControlFlow::Continue(()) } else { self.unreadable(&name, error) }
            }
        }
    }

    fn folder(&mut self, dir: &Dir, entry: &Entry, name: FileName) -> ControlFlow<()> {
        // First the news of it, then what is in it: who sets a watch on it meanwhile misses nothing.
        (self.visit)(Found::Folder(name.clone()))?;
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
        (self.visit)(Found::NotShared(name.to_string(), error.into()))
    }
}

/// As the whole names compare: what is in the folder `a` stands after `a.b`, because `/` stands after `.`.
fn in_order_of_names(a: &Entry, b: &Entry) -> Ordering {
    let (left, right) = (a.name.as_encoded_bytes(), b.name.as_encoded_bytes());
    let common = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    let next = |name: &[u8], entry: &Entry| match name.get(common) {
        None if entry.kind == Kind::Folder => Some(b'/'),
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
    };

    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    use super::{Folder, Found, Rules, is_kept_aside};

    fn walked(path: &Path) -> (Vec<String>, Vec<(String, String)>) {
        let (mut files, mut others) = (Vec::new(), Vec::new());
        let mut visit = |found| {
            match found {
                Found::File(name, _) => files.push(name.to_string()),
                Found::NotShared(path, why) => others.push((path, why.to_string())),
                Found::Folder(_) => {}
            }
            ControlFlow::Continue(())
        };
        Folder::open(path).unwrap().walk(None, false, &mut Rules::default(), &mut visit).unwrap();
        (files, others)
    }

    #[test]
    fn what_cannot_be_shared_is_named_with_its_reason() {
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
        let (files, others) = walked(path);
        assert_eq!(files, ["sub/file"]);
        let what: Vec<_> = others.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(what, ["bad:dir", "link", "nul", "socket", "\u{fffd}"]);
        assert!(others[1].1.contains("a link") && others[3].1.contains("a socket"), "{others:?}");
    }

    #[test]
    fn what_is_ignored_is_neither_entered_nor_named() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path();
        for file in ["a/keep", "a/x.tmp", "b/deep/file", "b/.brigadeignore", "c.~1~", "d.~~"] {
            fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
            fs::write(path.join(file), "").unwrap();
        }
        symlink("a", path.join("link.tmp")).unwrap();
        fs::write(path.join(".brigadeignore"), "*.tmp\nb/\n").unwrap();
        fs::write(path.join("a/.brigadeignore"), "[\n").unwrap();
        let (files, others) = walked(path);
        assert_eq!(files, ["a/keep", "d.~~"]);
        let what: Vec<_> = others.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(what, ["a/.brigadeignore", "c.~1~"]);
    }

    #[test]
    fn versions_that_were_kept_aside_are_known_by_their_ending() {
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
        fn files_come_in_the_order_of_their_names(
            names in proptest::collection::btree_set("[a.b-]{1,3}x(/[a.b-]{1,3}x){0,2}", 1..30)
        ) {
            let temp = tempfile::tempdir().unwrap();
            for name in &names {
                let path = temp.path().join(name);
                // A file may stand where another name needs a folder: then the one that came first stays.
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
