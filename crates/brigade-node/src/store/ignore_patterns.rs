//! Files that are not shared: those that the patterns in `.brigadeignore` ignore, by the rules of `.gitignore`, and all
//! files in a folder with the state of a manager.
//!
//! The shared folder and each folder below it may have such a file. The nearest one decides, and all entries of an
//! ignored folder are ignored. The walk reads the files when it enters their folders; it enters no ignored folder. If
//! such a file cannot be read, nothing in its folder is shared: its author wants something kept private.

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
    file_stamp::stamp_of,
    system::{Dir, read_at},
};

pub(crate) mod manager_state;

/// The name of the files with patterns.
pub(crate) const IGNORE_FILE: &str = ".brigadeignore";

/// Bytes of such a file: enough for hundreds of patterns with comments.
const FILE_BYTES: u64 = 64 << 10;

/// Patterns of all such files together: each file of the folder is compared with those above it.
const PATTERNS: usize = 4096;

/// Such files together; each has its own matcher.
const FILES: usize = 1024;

/// Invalid patterns of one file that are reported one by one.
const SHOWN: usize = 4;

/// A file that was written a moment ago may be incomplete: until then its former patterns are used.
pub(super) const QUIET: Duration = Duration::from_millis(200);

/// The numbers of files with patterns, of patterns, and of ignored entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IgnoredCounts {
    /// Files with patterns.
    pub files: usize,
    /// Patterns in them.
    pub patterns: usize,
    /// Files and folders that the last scan of the whole folder ignored.
    pub entries: usize,
}

/// The patterns of all folders.
#[derive(Debug, Default)]
pub(super) struct IgnoreRules {
    /// By the folder that has the file; "" is the shared one.
    by_folder: BTreeMap<String, FolderPatterns>,
    walk: u64,
    changed: bool,
    unsettled: bool,
    ignored_entries: usize,
    counts: IgnoredCounts,
}

#[derive(Debug)]
struct FolderPatterns {
    patterns: Arc<FilePatterns>,
    /// The walk that last found the file.
    walk: u64,
}

/// The patterns of one file.
#[derive(Debug)]
struct FilePatterns {
    text: Result<Vec<u8>, IgnoreFileError>,
    /// `None`: all entries are ignored.
    matcher: Option<Gitignore>,
    count: usize,
    problem: Option<String>,
}

/// The error when the patterns of a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum IgnoreFileError {
    #[error(
        "it has the secret key of a manager (manager.key), so nothing in it is shared; keep the folder of the manager's \
         --state outside the shared folder"
    )]
    ManagerState,
    #[error("it is not a regular file")]
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

impl IgnoreRules {
    /// Whether an entry is ignored, or is in an ignored folder.
    pub(super) fn ignores(&self, path: &str, is_folder: bool) -> bool {
        if self.by_folder.is_empty() {
            return false;
        }
        let above = path.match_indices('/').map(|(slash, _)| &path[..slash]);
        above.into_iter().any(|folder| self.ignores_itself(folder, true))
            || self.ignores_itself(path, is_folder)
    }

    /// Whether an entry is ignored whose parent folder is not.
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
        self.ignored_entries = 0;
    }

    /// Counts an ignored entry of the walk.
    pub(super) fn count_ignored(&mut self) {
        self.ignored_entries += 1;
    }

    /// The walk enters `folder`, which has a file with patterns or not, and is the state of a manager or not. Returns the
    /// problem of that file, or of the folder.
    pub(super) fn enter(
        &mut self,
        dir: &Dir,
        folder: &str,
        has_file: bool,
        is_manager_state: bool,
    ) -> Option<String> {
        let read = match (is_manager_state, has_file) {
            (true, _) => Some((Err(IgnoreFileError::ManagerState), false)),
            (false, true) => read(dir),
            (false, false) => None,
        };
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
        let max_patterns = if files < FILES { PATTERNS.saturating_sub(taken) } else { 0 };
        let patterns = Arc::new(FilePatterns::of(text, max_patterns));
        let problem = patterns.problem.clone();
        self.by_folder.insert(folder.to_owned(), FolderPatterns { patterns, walk });
        self.changed = true;
        self.unsettled |= is_fresh;
        problem
    }

    /// The walk has found all files with patterns below `folder` ("" for the whole folder).
    pub(super) fn end_walk(&mut self, folder: &str) {
        let before = self.by_folder.len();
        let is_below = |other: &str| {
            folder.is_empty()
                || other.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.by_folder.retain(|other, found| found.walk == self.walk || !is_below(other));
        self.changed |= before != self.by_folder.len();
        let has_file = |found: &&FolderPatterns| found.patterns.text != Err(IgnoreFileError::ManagerState);
        self.counts.files = self.by_folder.values().filter(has_file).count();
        self.counts.patterns = self.by_folder.values().map(|found| found.patterns.count).sum();
        if folder.is_empty() {
            self.counts.entries = self.ignored_entries;
        }
    }

    /// Whether the patterns have changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Whether a file with patterns was written a moment ago and must be read again; reset by the call.
    pub(super) fn take_unsettled(&mut self) -> bool {
        std::mem::take(&mut self.unsettled)
    }

    /// The numbers.
    pub(super) fn counts(&self) -> IgnoredCounts {
        self.counts
    }
}

/// The text of the file with patterns in a folder, and whether it was written a moment ago; `None` if there is no
/// such file.
fn read(dir: &Dir) -> Option<(Result<Vec<u8>, IgnoreFileError>, bool)> {
    let unreadable = |error: io::Error| {
        (error.kind() != io::ErrorKind::NotFound)
            .then(|| (Err(IgnoreFileError::Unreadable(error.to_string())), false))
    };
    let file = match dir.open_file(IGNORE_FILE) {
        Ok(file) => file,
        Err(error) => return unreadable(error),
    };
    let stamp = match (file.metadata(), stamp_of(&file)) {
        (Ok(metadata), _) if !metadata.is_file() => return Some((Err(IgnoreFileError::Kind), false)),
        (Ok(_), Ok(stamp)) => stamp,
        (Err(error), _) | (_, Err(error)) => return unreadable(error),
    };
    // A time in the future does not count: it would take too long until then.
    let now = SystemTime::now();
    let is_fresh = stamp.quiet_for(now) < QUIET && stamp.quiet_for(now + QUIET) > Duration::ZERO;
    if stamp.size > FILE_BYTES {
        return Some((Err(IgnoreFileError::Long), is_fresh));
    }
    let mut text = vec![0; usize::try_from(stamp.size).unwrap_or(0)];
    match read_at(&file, &mut text, 0) {
        Ok(read) => text.truncate(read),
        Err(error) => return unreadable(error),
    }
    Some((Ok(text), is_fresh))
}

impl FilePatterns {
    /// Parses `text`, which may have at most `max_patterns` patterns.
    fn of(text: Result<Vec<u8>, IgnoreFileError>, max_patterns: usize) -> Self {
        let bytes = match &text {
            Ok(bytes) => bytes,
            Err(error) => return Self { problem: Some(withheld(error)), text, matcher: None, count: 0 },
        };
        let mut builder = GitignoreBuilder::new("");
        builder.allow_unclosed_class(false);
        let (mut wrong, mut lines) = (vec![], 0);
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            lines += usize::from(!line.is_empty() && !line.starts_with(b"#"));
            if lines > max_patterns {
                let problem = Some(withheld(&IgnoreFileError::Many));
                return Self { text, matcher: None, count: 0, problem };
            }
            let added = match std::str::from_utf8(line) {
                Ok(line) if line.contains("//") && !line.starts_with('#') => {
                    Err("it has an empty part".to_owned())
                }
                Ok(line) => builder
                    .add_line(None, &to_matcher_syntax(line))
                    .map(drop)
                    .map_err(|error| error.to_string()),
                Err(_) => Err("it is not valid UTF-8".to_owned()),
            };
            if let Err(error) = added {
                wrong.push(format!("line {} is not a pattern: {error}", at + 1));
            }
        }
        let count = lines - wrong.len();
        match builder.build() {
            Ok(matcher) => Self { text, matcher: Some(matcher), count, problem: problem_of(&wrong) },
            Err(error) => {
                let problem = Some(withheld(&IgnoreFileError::Together(error.to_string())));
                Self { text, matcher: None, count: 0, problem }
            }
        }
    }
}

fn withheld(error: &IgnoreFileError) -> String {
    match error {
        IgnoreFileError::ManagerState => error.to_string(),
        _ => format!("{error}; nothing in its folder is shared"),
    }
}

fn problem_of(wrong: &[String]) -> Option<String> {
    let more = wrong.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!("; and {more} more") } else { String::new() };
    let shown = wrong[..wrong.len() - more].join("; ");
    (!wrong.is_empty()).then(|| format!("{shown}{rest}; its other patterns are used"))
}

/// Translates a pattern of git for the matcher. Git has no alternatives in braces, so the braces are escaped. For git
/// three stars mean the same as two.
fn to_matcher_syntax(line: &str) -> String {
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
    use std::fs;

    use super::{FILE_BYTES, IGNORE_FILE, IgnoreRules, PATTERNS};
    use crate::store::system::Dir;

    /// The rules of these folders ("" for the shared one) with the lines of their files, and the problems.
    fn rules(files: &[(&str, &str)]) -> (IgnoreRules, Vec<String>) {
        let temp = tempfile::tempdir().unwrap();
        let (mut rules, mut problems) = (IgnoreRules::default(), vec![]);
        for (folder, lines) in files {
            fs::write(temp.path().join(IGNORE_FILE), lines).unwrap();
            problems.extend(rules.enter(&Dir::open_root(temp.path()).unwrap(), folder, true, false));
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
    fn patterns_work_as_in_git() {
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

    #[test]
    fn an_invalid_line_is_reported_and_the_others_are_used() {
        let (rules, problems) = rules(&[("", "*.a\n[z\n*.b\n")]);
        assert!(rules.ignores("x.a", false) && rules.ignores("x.b", false) && !rules.ignores("[z", false));
        assert!(problems[0].starts_with("line 2 is not a pattern: "), "{problems:?}");
    }

    #[test]
    fn an_unreadable_ignore_file_withholds_its_folder() {
        let long = "#".repeat(usize::try_from(FILE_BYTES).unwrap() + 1);
        let many = "x\n".repeat(PATTERNS + 1);
        for text in [&long, &many] {
            let (rules, problems) = rules(&[("d", text)]);
            assert!(rules.ignores("d/x", false) && !rules.ignores("x", false) && !rules.ignores("d", true));
            assert!(problems[0].ends_with("nothing in its folder is shared"), "{problems:?}");
        }
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join(IGNORE_FILE)).unwrap();
        let mut rules = IgnoreRules::default();
        assert!(rules.enter(&Dir::open_root(temp.path()).unwrap(), "", true, false).is_some());
        assert!(rules.ignores("x", false));
    }
}
