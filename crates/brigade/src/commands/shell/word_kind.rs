//! The kind of a word of a command line that is being typed: a command, an option, a path, a name in the network.
//!
//! The types of the command line decide it. `value_source` has the values of the kinds that only the network knows.

use clap::{Arg, Command as Grammar};

/// The kind of a word that is typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WordKind {
    /// One of these, each with a text that explains it.
    OneOf(Vec<(String, String)>),
    /// The path of a file.
    File,
    /// The path of a folder.
    Folder,
    /// A name in the catalogue.
    SharedName,
    /// The number or the name of a fetch.
    Fetch,
    /// The username of a peer.
    Username,
    /// The name of a share in place.
    ShareName,
    /// Anything else.
    Other,
}

/// A word that is typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CompletedWord {
    pub(crate) kind: WordKind,
    /// The part of the word before the value: `--into=`.
    pub(crate) before: String,
    /// The beginning of the value.
    pub(crate) typed: String,
}

/// The kind of the word `typed` after `words`, the first of which is the program.
pub(crate) fn completed(grammar: &Grammar, words: &[String], typed: &str) -> CompletedWord {
    let whole = |kind| CompletedWord { kind, before: String::new(), typed: typed.to_owned() };
    let named = words.iter().skip(1).position(|word| grammar.find_subcommand(word).is_some());
    let Some(at) = named else {
        return whole(WordKind::OneOf(subcommands(grammar)));
    };
    let Some(command) = grammar.find_subcommand(&words[at + 1]) else { return whole(WordKind::Other) };
    let line = TypedArguments::of(command, &words[at + 2..]);
    if let Some(option) = line.lacks_value {
        return whole(kind_of_value(grammar, option));
    }
    if !line.is_escaped && typed.starts_with('-') {
        let Some((name, value)) = typed.split_once('=') else {
            return whole(WordKind::OneOf(options(command)));
        };
        let kind = option(command, name).map_or(WordKind::Other, |option| kind_of_value(grammar, option));
        return CompletedWord { kind, before: format!("{name}="), typed: value.to_owned() };
    }
    let mut positionals = command.get_positionals().collect::<Vec<_>>();
    positionals.sort_by_key(|argument| argument.get_index());
    let argument = positionals.get(line.positionals).or(positionals.last());
    let Some(argument) = argument else { return whole(WordKind::OneOf(options(command))) };
    let kind = kind_of_value(grammar, argument);
    // The last argument of `prioritize` follows any number of fetches.
    if line.positionals > 0
        && let Some(last) = positionals.last()
        && last.get_id() != argument.get_id()
        && !last.get_possible_values().is_empty()
    {
        return whole(kind_of_value(grammar, last));
    }
    whole(kind)
}

/// The arguments of a command that were typed.
#[derive(Default)]
struct TypedArguments<'a> {
    /// The option that ends them and still needs a value.
    lacks_value: Option<&'a Arg>,
    /// Whether `--` makes options arguments.
    is_escaped: bool,
    positionals: usize,
}

impl<'a> TypedArguments<'a> {
    fn of(command: &'a Grammar, words: &[String]) -> Self {
        let mut line = Self::default();
        for word in words {
            if line.lacks_value.take().is_some() {
                continue;
            }
            match word.as_str() {
                "--" if !line.is_escaped => line.is_escaped = true,
                text if !line.is_escaped && text.starts_with('-') && text.len() > 1 => {
                    let takes_value = |option: &&Arg| option.get_action().takes_values();
                    let needs_word = |option: &&Arg| !option.is_require_equals_set() && !text.contains('=');
                    line.lacks_value = option(command, text).filter(takes_value).filter(needs_word);
                }
                _ => line.positionals += 1,
            }
        }
        line
    }
}

/// The option that a word names.
fn option<'a>(command: &'a Grammar, word: &str) -> Option<&'a Arg> {
    let name = word.split('=').next().unwrap_or_default();
    let is_named = |argument: &&Arg| match name.strip_prefix("--") {
        Some(long) => {
            argument.get_long() == Some(long)
                || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
        }
        None => argument.get_short().is_some_and(|short| name == format!("-{short}")),
    };
    command.get_arguments().find(is_named)
}

fn subcommands(grammar: &Grammar) -> Vec<(String, String)> {
    let shown = grammar.get_subcommands().filter(|command| !command.is_hide_set());
    shown.map(|command| (command.get_name().to_owned(), first_line(command.get_about()))).collect()
}

fn options(command: &Grammar) -> Vec<(String, String)> {
    let of = |argument: &Arg| Some((format!("--{}", argument.get_long()?), first_line(argument.get_help())));
    command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(of).collect()
}

fn first_line(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn kind_of_value(grammar: &Grammar, argument: &Arg) -> WordKind {
    let possible = argument.get_possible_values();
    if !possible.is_empty() && argument.get_action().takes_values() {
        let value = |value: &clap::builder::PossibleValue| {
            (value.get_name().to_owned(), first_line(value.get_help()))
        };
        return WordKind::OneOf(possible.iter().map(value).collect());
    }
    match argument.get_id().as_str() {
        "names" | "prefix" | "name" if argument.get_long().is_none() => WordKind::SharedName,
        "fetches" => WordKind::Fetch,
        "from" => WordKind::Username,
        "share" if argument.get_long().is_none() => WordKind::ShareName,
        "page" => WordKind::OneOf(subcommands(grammar)),
        "into" | "folder" | "state" | "dir" => WordKind::Folder,
        "file" | "path" | "done_file" => WordKind::File,
        _ => WordKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::{WordKind, completed};
    use crate::command_line::manual::grammar;

    /// The kind of the last word of a line whose words have no spaces, or some of the words that it may be.
    #[track_caller]
    fn check(line: &str, expected: &WordKind) {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let typed = words.pop().unwrap();
        let found = completed(&grammar(), &words, &typed).kind;
        match (expected, &found) {
            (WordKind::OneOf(some), WordKind::OneOf(all)) => {
                let has = |word: &str| all.iter().any(|(known, _)| known == word);
                assert!(some.iter().all(|(word, _)| has(word)), "{line}: {found:?}");
            }
            _ => assert_eq!(found, *expected, "{line}"),
        }
    }

    fn one_of(words: &[&str]) -> WordKind {
        WordKind::OneOf(words.iter().map(|word| ((*word).to_owned(), String::new())).collect())
    }

    #[test]
    fn the_kind_of_a_word_follows_from_the_words_before_it() {
        check("brigade ", &one_of(&["peer", "fetch", "transfers", "man"]));
        check("brigade fet", &one_of(&["fetch"]));
        check("brigade fetch ", &WordKind::SharedName);
        check("brigade fetch a b", &WordKind::SharedName);
        check("brigade fetch --in", &one_of(&["--into", "--from", "--json"]));
        check("brigade fetch --into ", &WordKind::Folder);
        check("brigade fetch --into=x", &WordKind::Folder);
        check("brigade fetch --into x --from ", &WordKind::Username);
        check("brigade fetch --wait ", &WordKind::SharedName);
        check("brigade fetch --priority ", &one_of(&["high", "normal", "low"]));
        check("brigade fetch --max ", &WordKind::Other);
        check("brigade fetch a --done-file ", &WordKind::File);
        check("brigade fetch -- -", &WordKind::SharedName);
        check("brigade get x", &WordKind::SharedName);
        check("brigade files ", &WordKind::SharedName);
        check("brigade pause ", &WordKind::Fetch);
        check("brigade pause 1 ", &WordKind::Fetch);
        check("brigade prioritize ", &WordKind::Fetch);
        check("brigade prioritize 1 ", &one_of(&["high", "low"]));
        check("brigade limit ", &one_of(&["up", "down"]));
        check("brigade unshare ", &WordKind::ShareName);
        check("brigade share ", &WordKind::File);
        check("brigade share x --as ", &WordKind::Other);
        check("brigade completions ", &one_of(&["bash", "zsh", "fish"]));
        check("brigade man ", &one_of(&["fetch"]));
        check("brigade peer --manager_host a --folder ", &WordKind::Folder);
        check("brigade stop ", &one_of(&["--manager", "--folder"]));
    }
}
