//! The words that complete a line of the prompt: commands, options, names and folders, usernames, fetches and shares.
//!
//! There is no shell: a name is completed with its spaces, and gets quotation marks where several words are expected.
//! `shell/completion` finds out the kind of a word of the other commands.

use std::{fs, path::Path, time::Duration};

use brigade_api::client::PeerClient;
use tokio::{runtime::Handle, time::timeout};

use super::{
    arguments::split_words,
    command_names::{COMMANDS, OPTIONS},
};
use crate::{
    command_line::manual::grammar,
    commands::shell::{
        value_source::ValueSource,
        word_kind::{WordKind, completed},
    },
    terminal::line_completion::{CompletedText, LineCompleter},
    text::escape::escape,
};

/// How long a person waits after Tab.
const TIME: Duration = Duration::from_millis(300);

/// The most files of a folder that complete a path.
const FILES: usize = 500;

/// Options of `fetch` at the prompt.
const FETCH_OPTIONS: [&str; 2] = ["--from", "--replace"];

/// Completes the lines of a prompt.
pub(crate) struct PromptCompletion {
    source: ValueSource,
    runtime: Handle,
}

/// The word of a line that is completed.
#[derive(Debug, PartialEq, Eq)]
struct PromptWord {
    /// Where it begins in the line.
    start: usize,
    /// The word without quotation marks.
    typed: String,
    /// The quotation mark that it begins with.
    quotation: Option<char>,
    kind: WordKind,
    /// Whether a word with spaces needs quotation marks.
    needs_quotation: bool,
}

impl PromptCompletion {
    /// The completion for the prompt of this peer. Must be called in a runtime.
    pub(crate) fn new(client: PeerClient) -> Self {
        Self { source: ValueSource::of_peer(client), runtime: Handle::current() }
    }

    /// The texts that may replace the part of `line` between the returned index and `cursor`; none after a while.
    pub(crate) async fn texts(&self, line: &str, cursor: usize) -> (usize, Vec<CompletedText>) {
        let word = word(line.get(..cursor).unwrap_or(line));
        let values = match &word.kind {
            WordKind::OneOf(values) => {
                let begins = values.iter().filter(|(value, _)| value.starts_with(&word.typed));
                begins.map(|(value, _)| value.clone()).collect()
            }
            WordKind::File | WordKind::Folder => paths(&word.typed),
            kind => {
                let found = timeout(TIME, self.source.values(kind, &word.typed)).await.unwrap_or_default();
                found.into_iter().map(|(value, _)| value).collect()
            }
        };
        (word.start, values.iter().map(|value| word.completed(value)).collect())
    }
}

impl LineCompleter for PromptCompletion {
    fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<CompletedText>) {
        self.runtime.block_on(self.texts(line, cursor))
    }
}

impl PromptWord {
    /// The text that replaces the word. A folder is not the end of a word.
    fn completed(&self, value: &str) -> CompletedText {
        let is_open = value.ends_with('/');
        let marks = match self.quotation {
            Some(mark) => Some(mark),
            None if value.starts_with(['\'', '"']) || self.needs_quotation && value.contains(' ') => {
                Some(if value.contains('\'') { '"' } else { '\'' })
            }
            None => None,
        };
        let text = match marks {
            Some(mark) if is_open => format!("{mark}{value}"),
            Some(mark) => format!("{mark}{value}{mark}"),
            None => value.to_owned(),
        };
        CompletedText { shown: escape(value).into_owned(), text }
    }
}

/// The word at the end of `line`.
fn word(line: &str) -> PromptWord {
    let before = line.len() - line.trim_start().len();
    let typed_command = &line[before..];
    let plain = |start: usize, kind| PromptWord {
        start,
        typed: line[start..].to_owned(),
        quotation: None,
        kind,
        needs_quotation: false,
    };
    let Some((command, rest)) = typed_command.split_once(' ') else {
        let commands = COMMANDS.iter().map(|command| ((*command).to_owned(), String::new()));
        return plain(before, WordKind::OneOf(commands.collect()));
    };
    let start = line.len() - rest.len();
    match command {
        "fetch" | "get" => fetch_word(line, start),
        "files" | "ls" => name_word(line, start + rest.len() - rest.trim_start().len()),
        "brigade" => {
            let inside = word(rest);
            PromptWord { start: inside.start + start, ..inside }
        }
        _ if COMMANDS.contains(&command) => command_word(line, start, command),
        _ => plain(line.len(), WordKind::Other),
    }
}

/// The word at the end of the arguments of `fetch`: an option, a username, or the name, which may have spaces.
fn fetch_word(line: &str, mut start: usize) -> PromptWord {
    loop {
        let rest = &line[start..];
        start += rest.len() - rest.trim_start().len();
        let rest = &line[start..];
        let Some((first, behind)) = rest.split_once(' ') else { break };
        match first {
            "--replace" => start = line.len() - behind.len(),
            "--from" => {
                let from = line.len() - behind.trim_start().len();
                let quotation = line[from..].chars().next().filter(|mark| ['\'', '"'].contains(mark));
                let inside = from + quotation.map_or(0, char::len_utf8);
                match line[inside..].find(quotation.unwrap_or(' ')) {
                    Some(end) => start = inside + end + 1,
                    None => return quoted_word(line, from, WordKind::Username, true),
                }
            }
            _ => break,
        }
    }
    let last = line.rfind(' ').map_or(start, |space| space + 1).max(start);
    if line[last..].starts_with("--") {
        let options = FETCH_OPTIONS.iter().map(|option| ((*option).to_owned(), String::new()));
        return quoted_word(line, last, WordKind::OneOf(options.collect()), false);
    }
    name_word(line, start)
}

/// A name, with all its spaces.
fn name_word(line: &str, start: usize) -> PromptWord {
    quoted_word(line, start, WordKind::SharedName, false)
}

fn quoted_word(line: &str, start: usize, kind: WordKind, needs_quotation: bool) -> PromptWord {
    let text = &line[start..];
    let quotation = text.chars().next().filter(|mark| ['\'', '"'].contains(mark));
    let typed = text.strip_prefix(['\'', '"']).unwrap_or(text).to_owned();
    PromptWord { start, typed, quotation, kind, needs_quotation }
}

/// The word at the end of the arguments of another command, whose words may be in quotation marks.
fn command_word(line: &str, start: usize, command: &str) -> PromptWord {
    let (mut words, last) = split_words(&line[start..]);
    words.insert(0, command.to_owned());
    words.insert(0, "brigade".to_owned());
    let last_start = start + last;
    let typed = quoted_word(line, last_start, WordKind::Other, true);
    let kind = match completed(&grammar(), &words, &typed.typed).kind {
        WordKind::OneOf(values) if typed.typed.starts_with("--") => {
            let is_of_prompt = |(option, _): &(String, String)| OPTIONS.contains(&option.as_str());
            WordKind::OneOf(values.into_iter().filter(is_of_prompt).collect())
        }
        WordKind::OneOf(values) if values.iter().all(|(value, _)| value.starts_with("--")) => WordKind::Other,
        kind => kind,
    };
    PromptWord { kind, ..typed }
}

/// The paths that begin with `typed`; folders have a slash at their end.
fn paths(typed: &str) -> Vec<String> {
    let (folder, beginning) = typed.rsplit_once('/').map_or(("", typed), |(folder, rest)| (folder, rest));
    let shown = if typed.contains('/') { format!("{folder}/") } else { String::new() };
    let read = if shown.is_empty() { Path::new(".") } else { Path::new(&shown) };
    let entries = fs::read_dir(read).into_iter().flatten().flatten().take(FILES);
    let path = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let is_hidden = name.starts_with('.') && !beginning.starts_with('.');
        let slash = if entry.path().is_dir() { "/" } else { "" };
        (name.starts_with(beginning) && !is_hidden).then(|| format!("{shown}{name}{slash}"))
    };
    let mut paths: Vec<String> = entries.filter_map(path).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::{PromptWord, WordKind, word};

    #[track_caller]
    fn check(line: &str, typed: &str, kind: &WordKind) -> PromptWord {
        let found = word(line);
        assert_eq!(found.typed, typed, "{line}");
        if !matches!(kind, WordKind::OneOf(_)) {
            assert_eq!(found.kind, *kind, "{line}");
        }
        found
    }

    fn has(word: &PromptWord, value: &str) -> bool {
        matches!(&word.kind, WordKind::OneOf(values) if values.iter().any(|(one, _)| one == value))
    }

    #[test]
    fn names_are_completed_with_their_spaces() {
        assert_eq!(check("fetch my fi", "my fi", &WordKind::SharedName).start, 6);
        assert_eq!(check("fetch --replace my fi", "my fi", &WordKind::SharedName).start, 16);
        assert_eq!(check("fetch --from 'a b' my fi", "my fi", &WordKind::SharedName).start, 19);
        assert_eq!(check("files films/", "films/", &WordKind::SharedName).start, 6);
        check("fetch --from fi", "fi", &WordKind::Username);
        check("fetch --from \"root@v", "root@v", &WordKind::Username);
        let quoted = check("fetch 'my fi", "my fi", &WordKind::SharedName);
        assert_eq!(quoted.completed("my film.mkv").text, "'my film.mkv'");
        assert_eq!(quoted.completed("my films/").text, "'my films/");
        assert_eq!(word("fetch my").completed("my film.mkv").text, "my film.mkv");
        assert_eq!(word("fetch ").completed("'tis.txt").text, "\"'tis.txt\"");
        assert_eq!(check("brigade fetch fi", "fi", &WordKind::SharedName).start, 14);
    }

    #[test]
    fn commands_and_options_are_completed() {
        let one_of = WordKind::OneOf(vec![]);
        assert!(has(&check("tra", "tra", &one_of), "transfers"));
        assert!(has(&check("fetch x --", "--", &one_of), "--from"));
        assert!(has(&check("pause --", "--", &one_of), "--all"));
        assert!(!has(&check("pause --", "--", &one_of), "--folder"));
        assert!(has(&check("limit u", "u", &one_of), "up"));
        check("pause 'my f", "my f", &WordKind::Fetch);
        assert_eq!(word("pause my").completed("my film").text, "'my film'");
        check("unshare x", "x", &WordKind::ShareName);
        check("share ", "", &WordKind::File);
        check("nothing x", "", &WordKind::Other);
    }
}
