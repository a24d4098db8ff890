//! `brigade complete`: the words that complete a command line.
//!
//! `word_kind` finds out from the command line's own types which kind of word is typed; `value_source` asks the running
//! peer or the manager for names, fetches and usernames, within a second. Without an answer there are no words, and no
//! error.

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::{Command as Grammar, FromArgMatches};
use clap_complete::Shell;
use tokio::time::timeout;

use super::{
    shell_words::{self, TypedWord},
    value_source::ValueSource,
    word_kind::{CompletedWord, WordKind, completed},
};
use crate::{
    command_line::{
        args::{CatalogueSource, CompleteArgs},
        manual::grammar,
    },
    settings::Settings,
    terminal::standard_output::print_line,
};

/// How long the program may take: a person has pressed Tab.
const TIME: Duration = Duration::from_secs(1);

/// Prints the kind of the words on the first line, and then the words: for bash as they are typed there, for other
/// shells with a text behind a tab.
pub(crate) async fn run(args: CompleteArgs) -> ExitCode {
    let words: Vec<String> = args.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (before, last, typed_in_bash) = match args.shell {
        Shell::Bash => {
            let (line, part) =
                (words.first().map_or("", String::as_str), words.get(1).map_or("", String::as_str));
            let (before, last) = shell_words::read(line, part);
            (before, last.text.clone(), Some(last))
        }
        _ => {
            let (last, before) =
                words.split_last().map_or((String::new(), &[][..]), |(last, before)| (last.clone(), before));
            (before.to_vec(), last, None)
        }
    };
    let (settings, _) = Settings::load();
    let grammar = settings.with_defaults(grammar());
    let word = completed(&grammar, &before, &last);
    let kind = match word.kind {
        WordKind::File => "files",
        WordKind::Folder => "folders",
        _ => "values",
    };
    print_line(kind);
    let values = timeout(TIME, values(&grammar, &before, &word)).await.unwrap_or_default();
    for (value, text) in values {
        if let Some(line) = line(args.shell, &word, typed_in_bash.as_ref(), &value, &text) {
            print_line(&line);
        }
    }
    ExitCode::SUCCESS
}

/// A word as its shell takes it.
fn line(
    shell: Shell,
    word: &CompletedWord,
    in_bash: Option<&TypedWord>,
    value: &str,
    text: &str,
) -> Option<String> {
    if value.contains(['\n', '\t']) {
        return None;
    }
    let whole = format!("{}{value}", word.before);
    match (in_bash, shell) {
        (Some(typed), _) => typed.replacement(&whole),
        // The script takes the option off the word.
        (None, Shell::Zsh) => Some(with_text(value, text)),
        (None, _) => Some(with_text(&whole, text)),
    }
}

fn with_text(value: &str, text: &str) -> String {
    if text.is_empty() { value.to_owned() } else { format!("{value}\t{text}") }
}

/// The values that begin as the word does, each with a text.
async fn values(grammar: &Grammar, before: &[String], word: &CompletedWord) -> Vec<(String, String)> {
    if let WordKind::OneOf(values) = &word.kind {
        return values.iter().filter(|(value, _)| value.starts_with(&word.typed)).cloned().collect();
    }
    let (source, names_manager) = source(grammar, before);
    ValueSource::new(source, names_manager).values(&word.kind, &word.typed).await
}

/// The options of the line that name a peer or a manager, and whether they name a manager; other options do not matter.
fn source(grammar: &Grammar, before: &[String]) -> (CatalogueSource, bool) {
    const OPTIONS: [&str; 4] = ["--folder", "--manager-host", "--manager-port", "--manager-key"];
    let mut kept = vec!["brigade".to_owned(), "files".to_owned()];
    let mut words = before.iter();
    while let Some(word) = words.next() {
        let long = word.replace('_', "-");
        let name = long.split('=').next().unwrap_or_default();
        if !OPTIONS.contains(&name) {
            continue;
        }
        kept.push(word.clone());
        if !word.contains('=') {
            kept.extend(words.next().cloned());
        }
    }
    let names_manager = kept.iter().any(|word| word.replace('_', "-").starts_with("--manager-"));
    let parsed = grammar.clone().try_get_matches_from(kept.iter().map(OsString::from));
    let parsed = parsed.or_else(|_| grammar.clone().try_get_matches_from(["brigade", "files"]));
    let source = parsed.ok().and_then(|matches| {
        let (_, matches) = matches.subcommand()?;
        CatalogueSource::from_arg_matches(matches).ok()
    });
    (source.unwrap_or_default(), names_manager)
}
