//! What the folder's owner does not want shared: the patterns in `.brigadeignore`, by gitignore's rules.
//!
//! Such a file may stand in the shared folder and in every folder below it; the nearer one wins, and what lies in an
//! ignored folder is ignored whatever a pattern says. The walk reads the files as it comes by them and enters no
//! ignored folder. A file that cannot be read withholds all of its folder: who wrote it wants something kept back.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::{
    stamp::stamp_of,
    system::{Dir, read_at},
};

/// The name of the files that have the patterns.
pub const IGNORE_FILE: &str = ".brigadeignore";

/// Bytes of such a file: hundreds of patterns and what is to be said about them.
const FILE_BYTES: u64 = 64 << 10;

/// Patterns of all such files together: every file of the folder is held against those above it.
const PATTERNS: usize = 4096;

/// Such files together; each has a matcher of its own.
const FILES: usize = 1024;

/// Wrong patterns of one file that are told apart.
const SHOWN: usize = 4;

/// What was written just now may be the half of it: until then the patterns from before hold.
pub(super) const QUIET: Duration = Duration::from_millis(200);

/// How much is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignoring {
    /// Files with patterns.
    pub files: usize,
    /// Patterns in them.
    pub patterns: usize,
    /// Files and folders that the last look at everything passed over because of them.
    pub entries: usize,
}

/// The patterns of all folders.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// By the folder that they are about; "" is the shared one.
    by_folder: BTreeMap<String, Found>,
    walk: u64,
    changed: bool,
    unsettled: bool,
    passed_over: usize,
    ignoring: Ignoring,
}

#[derive(Debug)]
struct Found {
    patterns: Arc<Patterns>,
    /// In which walk they were come upon last.
    walk: u64,
}

/// What one file says.
#[derive(Debug)]
struct Patterns {
    text: Result<Vec<u8>, Unusable>,
    /// None: everything is ignored.
    matcher: Option<Gitignore>,
    count: usize,
    problem: Option<String>,
}

/// Why the patterns of a file cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Unusable {
    #[error("it is no regular file")]
    Kind,
    #[error("it has more than {FILE_BYTES} bytes")]
    Long,
    #[error("there are more than {PATTERNS} patterns, or {FILES} such files, in all")]
    Many,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("its patterns cannot be used together: {0}")]
    Together(String),
}

impl Rules {
    /// Whether something is ignored, or lies in a folder that is.
    pub(super) fn ignores(&self, path: &str, is_folder: bool) -> bool {
        if self.by_folder.is_empty() {
            return false;
        }
        let above = path.match_indices('/').map(|(slash, _)| &path[..slash]);
        above.into_iter().any(|folder| self.ignores_itself(folder, true))
            || self.ignores_itself(path, is_folder)
    }

    /// Whether something is ignored that lies in a folder that is not.
    pub(super) fn ignores_itself(&self, path: &str, is_folder: bool) -> bool {
        let mut folder = path;
        while !self.by_folder.is_empty() && !folder.is_empty() {
            folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
            let Some(found) = self.by_folder.get(folder) else { continue };
            let below = if folder.is_empty() { path } else { &path[folder.len() + 1..] };
            match found.patterns.matcher.as_ref().map(|matcher| matcher.matched(below, is_folder)) {
                None | Some(Match::Ignore(_)) => return true,
                Some(Match::Whitelist(_)) => return false,
                Some(Match::None) => {}
            }
        }
        false
    }

    /// A walk begins.
    pub(super) fn begin_walk(&mut self) {
        self.walk += 1;
        self.passed_over = 0;
    }

    /// The walk came upon something that is ignored.
    pub(super) fn pass_over(&mut self) {
        self.passed_over += 1;
    }

    /// The walk came into `folder`, which has a file of patterns or not; what is wrong with that.
    pub(super) fn enter(&mut self, dir: &Dir, folder: &str, has_file: bool) -> Option<String> {
        let read = if has_file { read(dir) } else { None };
        let Some((text, is_fresh)) = read else {
            self.changed |= self.by_folder.remove(folder).is_some();
            return None;
        };
        let walk = self.walk;
        if let Some(found) = self.by_folder.get_mut(folder) {
            let same = found.patterns.text == text;
            if same || is_fresh {
                self.unsettled |= !same;
                found.walk = walk;
                return found.patterns.problem.clone();
            }
        }
        let others = self.by_folder.iter().filter(|(other, _)| *other != folder);
        let (files, taken) =
            others.fold((0, 0), |(files, taken), (_, found)| (files + 1, taken + found.patterns.count));
        let room = if files < FILES { PATTERNS.saturating_sub(taken) } else { 0 };
        let patterns = Arc::new(Patterns::of(text, room));
        let problem = patterns.problem.clone();
        self.by_folder.insert(folder.to_owned(), Found { patterns, walk });
        self.changed = true;
        self.unsettled |= is_fresh;
        problem
    }

    /// The walk over everything below `folder` ("" for all there is) has come upon all files with patterns.
    pub(super) fn end_walk(&mut self, folder: &str) {
        let before = self.by_folder.len();
        let is_below = |other: &str| {
            folder.is_empty()
                || other.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.by_folder.retain(|other, found| found.walk == self.walk || !is_below(other));
        self.changed |= before != self.by_folder.len();
        self.ignoring.files = self.by_folder.len();
        self.ignoring.patterns = self.by_folder.values().map(|found| found.patterns.count).sum();
        if folder.is_empty() {
            self.ignoring.entries = self.passed_over;
        }
    }

    /// Whether the patterns have changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether a file of patterns was written just now, and should be looked at again.
    pub(super) fn take_unsettled(&mut self) -> bool {
        std::mem::take(&mut self.unsettled)
    }

    /// How much is ignored.
    pub(super) fn ignoring(&self) -> Ignoring {
        self.ignoring
    }
}

/// What the file of patterns in a folder says, and whether it was written just now; nothing where there is none.
fn read(dir: &Dir) -> Option<(Result<Vec<u8>, Unusable>, bool)> {
    let unreadable = |error: io::Error| {
        (error.kind() != io::ErrorKind::NotFound)
            .then(|| (Err(Unusable::Unreadable(error.to_string())), false))
    };
    let file = match dir.open_file(IGNORE_FILE) {
        Ok(file) => file,
        Err(error) => return unreadable(error),
    };
    let stamp = match (file.metadata(), stamp_of(&file)) {
        (Ok(metadata), _) if !metadata.is_file() => return Some((Err(Unusable::Kind), false)),
        (Ok(_), Ok(stamp)) => stamp,
        (Err(error), _) | (_, Err(error)) => return unreadable(error),
    };
    // One from the future is not: it would be waited for until then.
    let now = SystemTime::now();
    let is_fresh = stamp.quiet_for(now) < QUIET && stamp.quiet_for(now + QUIET) > Duration::ZERO;
    if stamp.size > FILE_BYTES {
        return Some((Err(Unusable::Long), is_fresh));
    }
    let mut text = vec![0; usize::try_from(stamp.size).unwrap_or(0)];
    match read_at(&file, &mut text, 0) {
        Ok(read) => text.truncate(read),
        Err(error) => return unreadable(error),
    }
    Some((Ok(text), is_fresh))
}

impl Patterns {
    /// Reads `text`, which may have `room` patterns at most.
    fn of(text: Result<Vec<u8>, Unusable>, room: usize) -> Self {
        let bytes = match &text {
            Ok(bytes) => bytes,
            Err(why) => return Self { problem: Some(withheld(why)), text, matcher: None, count: 0 },
        };
        let mut builder = GitignoreBuilder::new("");
        builder.allow_unclosed_class(false);
        let (mut wrong, mut lines) = (vec![], 0);
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            lines += usize::from(!line.is_empty() && !line.starts_with(b"#"));
            if lines > room {
                let problem = Some(withheld(&Unusable::Many));
                return Self { text, matcher: None, count: 0, problem };
            }
            let added = match std::str::from_utf8(line) {
                Ok(line) if line.contains("//") && !line.starts_with('#') => {
                    Err("it has an empty part".to_owned())
                }
                Ok(line) => builder
                    .add_line(None, &as_git_reads_it(line))
                    .map(drop)
                    .map_err(|error| error.to_string()),
                Err(_) => Err("it is not valid UTF-8".to_owned()),
            };
            if let Err(why) = added {
                wrong.push(format!("line {} is not a pattern: {why}", at + 1));
            }
        }
        let count = lines - wrong.len();
        match builder.build() {
            Ok(matcher) => Self { text, matcher: Some(matcher), count, problem: told(&wrong) },
            Err(error) => {
                let problem = Some(withheld(&Unusable::Together(error.to_string())));
                Self { text, matcher: None, count: 0, problem }
            }
        }
    }
}

fn withheld(why: &Unusable) -> String {
    format!("{why}; so nothing in its folder is shared")
}

fn told(wrong: &[String]) -> Option<String> {
    let more = wrong.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    let shown = wrong[..wrong.len() - more].join("; ");
    (!wrong.is_empty()).then(|| format!("{shown}{rest}; its other patterns hold"))
}

/// Git knows no alternatives in braces, the matcher does: they are made to stand for themselves. And three stars mean
/// to git what two mean.
fn as_git_reads_it(line: &str) -> String {
    let (mut text, mut in_class, mut stars) = (String::with_capacity(line.len()), false, 0);
    let mut chars = line.chars();
    while let Some(next) = chars.next() {
        stars = if next == '*' && !in_class { stars + 1 } else { 0 };
        match next {
            '*' if stars > 2 => continue,
            '\\' if !in_class => {
                text.push(next);
                text.extend(chars.next());
                continue;
            }
            '{' | '}' if !in_class => text.push('\\'),
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        text.push(next);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, ops::ControlFlow, process::Command};

    use super::{FILE_BYTES, IGNORE_FILE, PATTERNS, Rules};
    use crate::store::{
        folder::{Folder, Found},
        system::Dir,
    };

    /// The rules of these folders ("" for the shared one), each with its lines.
    fn rules(files: &[(&str, &str)]) -> (Rules, Vec<String>) {
        let temp = tempfile::tempdir().unwrap();
        let (mut rules, mut problems) = (Rules::default(), vec![]);
        for (folder, lines) in files {
            fs::write(temp.path().join(IGNORE_FILE), lines).unwrap();
            problems.extend(rules.enter(&Dir::open_root(temp.path()).unwrap(), folder, true));
        }
        (rules, problems)
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], ignored: &[&str], shared: &[&str]) {
        let (rules, problems) = rules(files);
        assert!(problems.is_empty(), "{problems:?}");
        let ignores = |path: &str| rules.ignores(path.trim_end_matches('/'), path.ends_with('/'));
        for path in ignored {
            assert!(ignores(path), "{path} is shared, by {files:?}");
        }
        for path in shared {
            assert!(!ignores(path), "{path} is ignored, by {files:?}");
        }
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git() {
        check(
            &[("", "*.tmp\n# *.txt\n\n!keep.tmp")],
            &["a.tmp", "d/e/a.tmp"],
            &["a.txt", "keep.tmp", "d/keep.tmp"],
        );
        check(&[("", "/top\nd/x")], &["top", "top/below", "d/x"], &["d/top", "e/d/x", "x"]);
        check(&[("", "build/")], &["build/", "build/x", "a/build/x"], &["build", "a/build"]);
        check(&[("", "**/x\na/**/b\nc/**")], &["x", "d/x", "a/b", "a/1/2/b", "c/1"], &["c/", "b", "a/"]);
        check(&[("", "\\#a\n\\!b\nc\\ \nd  ")], &["#a", "!b", "c ", "d"], &["c"]);
        check(&[("", "a{b,c}\n[{]x\n***/y/z")], &["a{b,c}", "{x", "d/y/z"], &["ab", "ac"]);
        check(&[("", "\u{feff}first\r\nsecond\r\n")], &["first", "second"], &[]);
    }

    #[test]
    fn the_nearer_file_wins_and_an_ignored_folder_stays_so() {
        let files = [("", "*.log\ncache/"), ("d", "!*.log\n/own"), ("d/e", "*.log")];
        check(
            &files,
            &["a.log", "d/own", "d/e/a.log", "cache/x"],
            &["d/a.log", "own", "d/e/own", "d/f/a.log"],
        );
        check(&[("", "d/\n!d/x"), ("d", "!*")], &["d/", "d/x"], &["x"]);
    }

    /// Random patterns, held against git itself. (Without git there is nothing to hold them against.)
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
        // What two stars within a part mean to git depends on the letters before them: nobody writes that.
        let is_odd = |pattern: &str| {
            let parts = pattern.trim_start_matches('!').trim_end().split('/');
            parts.filter(|part| part.contains("**")).any(|part| part.bytes().any(|byte| byte != b'*'))
        };
        for round in 0..300 {
            let mut written = vec![];
            for place in ["", "d/", "e/d/"] {
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
                fs::write(root.join(format!("{place}{IGNORE_FILE}")), &lines).unwrap();
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
                    Found::File(name, _) => found.push(name.to_string()),
                    Found::NotShared(..) | Found::Folder(_) => {}
                }
                ControlFlow::Continue(())
            };
            folder.walk(None, false, &mut Rules::default(), &mut visit).unwrap();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "round {round}: {written:?}");
        }
    }

    #[test]
    fn a_wrong_line_is_named_and_the_others_hold() {
        let (rules, problems) = rules(&[("", "*.a\n[z\n*.b\n")]);
        assert!(rules.ignores("x.a", false) && rules.ignores("x.b", false) && !rules.ignores("[z", false));
        assert!(problems[0].starts_with("line 2 is not a pattern: "), "{problems:?}");
    }

    #[test]
    fn what_cannot_be_read_withholds_its_folder() {
        let long = "#".repeat(usize::try_from(FILE_BYTES).unwrap() + 1);
        let many = "x\n".repeat(PATTERNS + 1);
        for text in [&long, &many] {
            let (rules, problems) = rules(&[("d", text)]);
            assert!(rules.ignores("d/x", false) && !rules.ignores("x", false) && !rules.ignores("d", true));
            assert!(problems[0].ends_with("nothing in its folder is shared"), "{problems:?}");
        }
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join(IGNORE_FILE)).unwrap();
        let mut rules = Rules::default();
        assert!(rules.enter(&Dir::open_root(temp.path()).unwrap(), "", true).is_some());
        assert!(rules.ignores("x", false));
    }
}
