//! The command line, read. Where clap stops at the first mistake, here all of them are found: the one that it names
//! is noted and taken out, or put right where it is clear what was meant, and the rest is read again.
//!
//! Mistakes of the settings come into the same report. Where clap's words and its suggestions are good they stay.

pub(crate) mod args;
pub(crate) mod hints;
pub(crate) mod mistakes;

use std::{ffi::OsString, process::ExitCode};

use brigade_core::schedule::{LimitPlan, OptionSource};
use clap::{
    ArgMatches, Command as Grammar, CommandFactory, Error, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use self::{
    args::{AsPeer, Brigade, Command},
    mistakes::{Mistake, Place, report},
};
use crate::settings::Settings;

/// How often a line is read again at most: more mistakes are not looked for.
const ROUNDS: usize = 50;

/// What is to be done, and under which limits.
pub(crate) struct Start {
    pub(crate) args: Brigade,
    pub(crate) limits: LimitPlan,
}

/// Reads `line`, which begins with the program's name. An error is the exit code once everything was said, which is
/// none where help was asked for.
pub(crate) fn read(line: &[OsString]) -> Result<Start, ExitCode> {
    let (settings, of_settings) = Settings::load();
    let grammar = settings.in_force(Brigade::command());
    let mut judged = Judged::of(&grammar, line);
    if let Some(shown) = judged.shown {
        let _ = shown.print(); // whoever asked may have gone
        return Err(u8::try_from(shown.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from));
    }
    let args = judged.matches.as_ref().and_then(|matches| Brigade::from_arg_matches(matches).ok());
    if args.as_ref().is_some_and(|args| lacks_a_username(args, &judged.given_wrongly)) {
        let what = "--headless needs --username <USERNAME>, or one from the settings: nobody is asked";
        judged.mistakes.push(Mistake::new(Place::Missing, what));
    }
    let command = grammar.find_subcommand(judged.command.as_deref().unwrap_or_default());
    if command.is_none_or(|command| Settings::matter_for(command.get_name())) {
        judged.mistakes.extend(of_settings);
    }
    match args {
        Some(args) if judged.mistakes.is_empty() => {
            let limits = limits(&args, settings.limits);
            Ok(Start { args, limits })
        }
        _ => {
            let json = wants_json(command, line);
            let command =
                command.map_or("brigade".to_owned(), |known| format!("brigade {}", known.get_name()));
            Err(report(&judged.mistakes, line, &command, json))
        }
    }
}

/// Whether `line` asks for JSON, however wrong the rest of it is, and `command`, where it is known, can give it.
fn wants_json(command: Option<&Grammar>, line: &[OsString]) -> bool {
    let mut options = line.iter().skip(1).take_while(|word| *word != "--");
    let can_give = |command: &Grammar| command.get_arguments().any(|argument| argument.get_id() == "json");
    options.any(|word| word == "--json") && command.is_none_or(can_give)
}

fn lacks_a_username(args: &Brigade, given_wrongly: &[String]) -> bool {
    let Command::Peer(peer) = &args.command else { return false };
    let tried = given_wrongly.iter().any(|argument| argument.starts_with("--username "));
    peer.headless && peer.peer.username.is_none() && !tried
}

/// What is given as a flag stands above what the settings say.
fn limits(args: &Brigade, mut plan: LimitPlan) -> LimitPlan {
    let flags: Option<&AsPeer> = match &args.command {
        Command::Peer(args) => Some(&args.peer),
        Command::Fetch(args) => Some(&args.peer),
        _ => None,
    };
    if let Some(flags) = flags {
        plan.up.given = flags.upload_limit.map(|cap| (cap, OptionSource::Flag)).or(plan.up.given);
        plan.down.given = flags.download_limit.map(|cap| (cap, OptionSource::Flag)).or(plan.down.given);
    }
    plan
}

/// A command line, as far as it could be understood.
#[derive(Default)]
struct Judged {
    /// What it says without its mistakes, if that is a command.
    matches: Option<ArgMatches>,
    mistakes: Vec<Mistake>,
    /// What is shown instead of doing anything: help, or the version.
    shown: Option<Error>,
    /// The command that it names.
    command: Option<String>,
    /// Options and arguments that are there with values that are wrong, in clap's words: they are not missing.
    given_wrongly: Vec<String>,
}

/// An argument that is still looked at.
#[derive(Clone)]
struct Word {
    text: OsString,
    number: usize,
    /// It stands for one that was not understood, and that it is near to.
    is_guess: bool,
    /// It follows an option that was not understood, and may be its value.
    may_be_value: bool,
}

/// Whether two errors are about the same thing.
type Signature = (ErrorKind, [Option<ContextValue>; 3]);

impl Judged {
    fn of(grammar: &Grammar, line: &[OsString]) -> Self {
        let word = |(number, text): (usize, &OsString)| Word {
            text: text.clone(),
            number,
            is_guess: false,
            may_be_value: false,
        };
        let mut words: Vec<Word> = line.iter().enumerate().map(word).collect();
        let mut judged = Self::default();
        for _ in 0..ROUNDS {
            match parse(grammar, &words) {
                Ok(matches) => {
                    judged.command = matches.subcommand_name().map(str::to_owned);
                    judged.matches = Some(matches);
                    break;
                }
                Err(error) => {
                    if !judged.note(grammar, error, &mut words) {
                        break;
                    }
                }
            }
        }
        // Where it was never understood, the first word that is a command's name.
        let names = |word: &Word| word.text.to_str().and_then(|text| grammar.find_subcommand(text));
        let named = words.iter().skip(1).find_map(names).map(|command| command.get_name().to_owned());
        judged.command = judged.command.or(named);
        judged.mistakes.sort_by_key(|mistake| match mistake.place {
            Place::Argument(number) => number,
            _ => usize::MAX,
        });
        judged
    }

    /// Notes one error, and takes what it is about out of `words`; false where nothing more can be found out.
    fn note(&mut self, grammar: &Grammar, error: Error, words: &mut Vec<Word>) -> bool {
        match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayVersion => {
                self.shown = self.mistakes.is_empty().then_some(error);
                return false;
            }
            ErrorKind::MissingRequiredArgument => {
                let missing = strings(&error, ContextKind::InvalidArg);
                let missing = missing.into_iter().filter(|argument| !self.given_wrongly.contains(argument));
                let mistake = |argument| Mistake::new(Place::Missing, format!("{argument} is missing"));
                self.mistakes.extend(missing.map(mistake));
                return false;
            }
            _ => {}
        }
        let Some(at) = locate(grammar, words, &error) else {
            self.mistakes.push(Mistake::new(Place::Missing, described(&error)));
            return false;
        };
        let word = &words[at];
        let is_value_of = (at > 0 && !starts_with(&word.text, "--"))
            .then(|| parse(grammar, &words[..at]).err().filter(lacks_a_value))
            .flatten();
        let is_value = is_value_of.is_some();
        let is_ours = match error.kind() {
            ErrorKind::UnknownArgument => word.may_be_value,
            ErrorKind::ArgumentConflict => word.is_guess || is_value && words[at - 1].is_guess,
            _ => false,
        };
        if !is_ours {
            let what = match is_value_of.filter(|_| error.kind() == ErrorKind::UnknownArgument) {
                // It looks like an option, and cannot be the value that is wanted here.
                Some(lacking) => {
                    let negative = negative_value(grammar, &words[..=at]);
                    described(&negative.unwrap_or(lacking))
                }
                None => described(&error),
            };
            let is_name = error.kind() == ErrorKind::ValueValidation && argument(&error) == "<NAME>...";
            let is_option = is_value && error.kind() == ErrorKind::ArgumentConflict;
            let place = Place::Argument(if is_option { words[at - 1].number } else { word.number });
            self.mistakes.push(Mistake { is_name, ..Mistake::new(place, what) });
        }
        self.given_wrongly.push(argument(&error));
        if let Some(guess) = guess(&error).filter(|_| !word.is_guess) {
            let value = word.text.to_string_lossy().split_once('=').map(|(_, value)| format!("={value}"));
            let text = format!("{guess}{}", value.unwrap_or_default());
            words[at] = Word { text: text.into(), is_guess: true, ..words[at].clone() };
            return true;
        }
        if error.kind() == ErrorKind::InvalidSubcommand {
            return false; // what follows depends on it
        }
        let is_option = starts_with(&word.text, "-") && !word.text.to_string_lossy().contains('=');
        if error.kind() == ErrorKind::UnknownArgument && is_option && !is_value {
            let next = words.get_mut(at + 1).filter(|next| !starts_with(&next.text, "-"));
            next.into_iter().for_each(|next| next.may_be_value = true);
        }
        // A value that is there and empty is none to clap; it goes with its option.
        let is_empty = lacks_a_value(&error) && words.get(at + 1).is_some_and(|next| next.text.is_empty());
        words.drain(if is_value { at - 1..=at } else { at..=at + usize::from(is_empty) });
        true
    }
}

fn parse(grammar: &Grammar, words: &[Word]) -> Result<ArgMatches, Error> {
    grammar.clone().try_get_matches_from(words.iter().map(|word| &word.text))
}

/// The index of the word that `error` is about: the last one of the shortest beginning of the line that has it.
fn locate(grammar: &Grammar, words: &[Word], error: &Error) -> Option<usize> {
    let wanted = signature(error);
    let has = |count: usize| parse(grammar, &words[..count]).is_err_and(|error| signature(&error) == wanted);
    // An option at the very end of a beginning lacks its value only if it still does with the next word.
    let has = |count: usize| has(count) && (!lacks_a_value(error) || count == words.len() || has(count + 1));
    if !has(words.len()) {
        return None;
    }
    let (mut without, mut with) = (0, words.len());
    while without + 1 < with {
        let middle = usize::midpoint(without, with);
        if has(middle) { with = middle } else { without = middle }
    }
    // Nobody gives the program's own name wrongly.
    with.checked_sub(1).filter(|index| *index > 0)
}

fn signature(error: &Error) -> Signature {
    let kinds = [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand];
    (error.kind(), kinds.map(|kind| error.get(kind).cloned()))
}

fn lacks_a_value(error: &Error) -> bool {
    error.kind() == ErrorKind::InvalidValue
        && string(error, ContextKind::InvalidValue).is_none_or(str::is_empty)
}

/// What is wrong with the last of `words` as the value of the option before it, where it begins as a negative number does:
/// clap takes it for an option unless it is a number and nothing else.
fn negative_value(grammar: &Grammar, words: &[Word]) -> Option<Error> {
    let [before @ .., option, value] = words else { return None };
    let is_negative = value.text.to_str()?.strip_prefix('-')?.starts_with(|c: char| c.is_ascii_digit());
    let mut joined = option.text.clone();
    joined.push("=");
    joined.push(&value.text);
    let joined = Word { text: joined, ..option.clone() };
    let read = parse(grammar, &[before, &[joined]].concat());
    read.err().filter(|error| is_negative && error.kind() == ErrorKind::ValueValidation)
}

/// What was probably meant, if there is one such thing.
fn guess(error: &Error) -> Option<String> {
    let kind = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::SuggestedArg,
        ErrorKind::InvalidSubcommand => ContextKind::SuggestedSubcommand,
        _ => return None,
    };
    match strings(error, kind).as_slice() {
        [one] => one.split_whitespace().next().map(str::to_owned),
        _ => None,
    }
}

/// What is wrong and what is wanted, on one line.
fn described(error: &Error) -> String {
    let argument = argument(error);
    let value = string(error, ContextKind::InvalidValue).unwrap_or_default();
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let mut text = match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => format!("a value is wanted for '{argument}'"),
        ErrorKind::InvalidValue => format!("invalid value '{value}' for '{argument}'"),
        ErrorKind::ValueValidation if argument == "<NAME>..." => {
            format!("'{value}' cannot be the name of a file: {source}")
        }
        ErrorKind::ValueValidation => format!("invalid value '{value}' for '{argument}': {source}"),
        ErrorKind::UnknownArgument => format!("unexpected argument '{argument}'"),
        ErrorKind::InvalidSubcommand => {
            let command = string(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            format!("unrecognized subcommand '{command}'")
        }
        ErrorKind::TooManyValues => format!("'{argument}' takes no value '{value}'"),
        ErrorKind::ArgumentConflict => {
            let others = strings(error, ContextKind::PriorArg);
            let others: Vec<&String> = others.iter().filter(|other| **other != argument).collect();
            match others.as_slice() {
                [] => format!("'{argument}' is given more than once"),
                [other, ..] => format!("'{argument}' cannot be used with '{other}'"),
            }
        }
        ErrorKind::InvalidUtf8 => "it is not UTF-8".to_owned(),
        kind => kind.as_str().unwrap_or("it is not understood").to_owned(),
    };
    for (kind, what) in [
        (ContextKind::ValidValue, "possible values"),
        (ContextKind::SuggestedSubcommand, "a similar subcommand exists"),
        (ContextKind::SuggestedArg, "a similar argument exists"),
        (ContextKind::SuggestedValue, "a similar value exists"),
    ] {
        let suggested: Vec<String> = strings(error, kind).iter().map(|one| format!("'{one}'")).collect();
        if !suggested.is_empty() {
            text += &format!("; {what}: {}", suggested.join(", "));
        }
    }
    strings(error, ContextKind::Suggested).iter().for_each(|tip| text += &format!("; {tip}"));
    text
}

/// The option or argument that an error is about, as its usage has it; empty where it is about none.
fn argument(error: &Error) -> String {
    string(error, ContextKind::InvalidArg).unwrap_or_default().to_owned()
}

fn string(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

fn strings(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        _ => vec![],
    }
}

fn starts_with(text: &OsString, beginning: &str) -> bool {
    text.as_encoded_bytes().starts_with(beginning.as_bytes())
}

#[cfg(test)]
mod tests;
