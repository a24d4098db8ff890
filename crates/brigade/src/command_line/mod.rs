//! Reads the command line. clap stops at the first mistake; this module finds all of them: it notes the mistake,
//! removes or corrects the argument, and reads the rest again.
//!
//! Mistakes of the settings are in the same report. Good texts and suggestions of clap are kept.

pub(crate) mod args;
mod clap_errors;
pub(crate) mod effective_options;
pub(crate) mod given_options;
pub(crate) mod manual;
pub(crate) mod mistakes;
pub(crate) mod settings_rereading;
pub(crate) mod typed_command;
pub(crate) mod value_parsers;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use brigade_core::limit_plan::LimitPlan;
use clap::{
    ArgMatches, Command as Grammar, Error, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use self::{
    args::{Brigade, Command},
    clap_errors::{argument, described, is_same, string, strings},
    effective_options::EffectiveOptions,
    given_options::{GivenOptions, wants_json},
    mistakes::{Location, Mistake, report},
};
use crate::{
    settings::Settings,
    terminal::standard_output::{all_written, record_write},
};

/// The most times a line is read: after that, no more mistakes are searched for.
const ROUNDS: usize = 50;

/// The command to run, its limits, and the values of its options.
pub(crate) struct Invocation {
    pub(crate) args: Brigade,
    pub(crate) limits: LimitPlan,
    pub(crate) options: EffectiveOptions,
    /// The options that the command line itself has, and not the settings.
    pub(crate) given: GivenOptions,
}

/// Reads `line`, which begins with the program's name. The error is the exit code after all mistakes were printed; it
/// is 0 if help was printed.
pub(crate) fn read(line: &[OsString]) -> Result<Invocation, ExitCode> {
    let (settings, of_settings) = Settings::load();
    let grammar = settings.with_defaults(manual::grammar());
    let mut parsed = ParsedLine::of(&grammar, line);
    if let Some(shown) = parsed.shown {
        let printed = shown.print().and_then(|()| io::stdout().flush());
        let code = u8::try_from(shown.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        if shown.use_stderr() {
            return Err(code);
        }
        record_write(printed);
        return Err(all_written(code));
    }
    let args = parsed.matches.as_ref().and_then(|matches| Brigade::from_arg_matches(matches).ok());
    if args.as_ref().is_some_and(|args| is_missing_username(args, &parsed.wrong_values)) {
        let what = "--headless needs --username <USERNAME>, or one from the settings: it has no prompt";
        parsed.mistakes.push(Mistake::new(Location::Missing, what));
    }
    let command = grammar.find_subcommand(parsed.command.as_deref().unwrap_or_default());
    if command.is_none_or(|command| Settings::are_used_by(command.get_name())) {
        parsed.mistakes.extend(of_settings);
    }
    match args {
        Some(mut args) if parsed.mistakes.is_empty() => {
            let limits = settings.limits_for(&args);
            settings.add_shares(&mut args);
            let given = GivenOptions::of(&grammar, parsed.matches.as_ref())
                .with_manager_of_settings(settings.name_manager());
            let options = EffectiveOptions::of(parsed.matches.as_ref(), &limits);
            Ok(Invocation { args, limits, options, given })
        }
        _ => {
            let json = wants_json(command, line);
            let command =
                command.map_or("brigade".to_owned(), |known| format!("brigade {}", known.get_name()));
            Err(report(&parsed.mistakes, line, &command, json))
        }
    }
}

fn is_missing_username(args: &Brigade, wrong_values: &[String]) -> bool {
    let Command::Peer(peer) = &args.command else { return false };
    let tried = wrong_values.iter().any(|argument| argument.starts_with("--username "));
    peer.headless && peer.peer.username.is_none() && !tried
}

/// A command line that was read, with its mistakes.
#[derive(Default)]
struct ParsedLine {
    /// The line without its mistakes, if that is a command.
    matches: Option<ArgMatches>,
    mistakes: Vec<Mistake>,
    /// Help or the version, if that is to be printed instead of running a command.
    shown: Option<Error>,
    /// The command that it names.
    command: Option<String>,
    /// Options and arguments with wrong values, in the form that clap prints: they are not missing.
    wrong_values: Vec<String>,
}

/// An argument that is not read yet.
#[derive(Clone)]
struct PendingArgument {
    text: OsString,
    number: usize,
    /// It replaces an argument that was not understood and is similar to it, or that is not UTF-8.
    is_guess: bool,
    /// It follows an option that was not understood, and may be the value of it.
    may_be_value: bool,
}

impl PendingArgument {
    fn is_guessed_option(&self) -> bool {
        self.is_guess && starts_with(&self.text, "-")
    }
}

/// Two errors with an equal identity are about the same mistake.
type ErrorIdentity = (ErrorKind, [Option<ContextValue>; 3]);

impl ParsedLine {
    fn of(grammar: &Grammar, line: &[OsString]) -> Self {
        let word = |(number, text): (usize, &OsString)| PendingArgument {
            text: text.clone(),
            number,
            is_guess: false,
            may_be_value: false,
        };
        let mut words: Vec<PendingArgument> = line.iter().enumerate().map(word).collect();
        let mut parsed = Self::default();
        for _ in 0..ROUNDS {
            match parse(grammar, &words) {
                Ok(matches) => {
                    parsed.command = matches.subcommand_name().map(str::to_owned);
                    parsed.matches = Some(matches);
                    break;
                }
                Err(error) => {
                    if !parsed.note(grammar, error, &mut words) {
                        break;
                    }
                }
            }
        }
        // If the line was never understood: the first argument that is the name of a command.
        let names =
            |word: &PendingArgument| word.text.to_str().and_then(|text| grammar.find_subcommand(text));
        let named = words.iter().skip(1).find_map(names).map(|command| command.get_name().to_owned());
        parsed.command = parsed.command.or(named);
        parsed.mistakes.sort_by_key(|mistake| match mistake.location {
            Location::Argument(number) => number,
            _ => usize::MAX,
        });
        parsed
    }

    /// Notes one error, and removes its argument from `words`. Returns false if no more mistakes can be found.
    fn note(&mut self, grammar: &Grammar, error: Error, words: &mut Vec<PendingArgument>) -> bool {
        match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayVersion => {
                self.shown = self.mistakes.is_empty().then_some(error);
                return false;
            }
            // It may be what follows a guessed option: without the guess it may be there.
            ErrorKind::MissingRequiredArgument if words.iter().any(PendingArgument::is_guessed_option) => {
                words.retain(|word| !word.is_guessed_option());
                return true;
            }
            ErrorKind::MissingRequiredArgument => {
                let missing = strings(&error, ContextKind::InvalidArg);
                let is_wrong = |argument: &String| self.wrong_values.iter().any(|one| is_same(one, argument));
                let missing = missing.into_iter().filter(|argument| !is_wrong(argument));
                let mistake = |argument| Mistake::new(Location::Missing, format!("{argument} is missing"));
                self.mistakes.extend(missing.map(mistake));
                return false;
            }
            _ => {}
        }
        let Some(at) = locate(grammar, words, &error) else {
            self.mistakes.push(Mistake::new(Location::Missing, described(&error)));
            return false;
        };
        let word = &words[at];
        let is_value_of = (at > 0 && !starts_with(&word.text, "--"))
            .then(|| parse(grammar, &words[..at]).err().filter(is_missing_value))
            .flatten();
        let is_value = is_value_of.is_some();
        let is_unreadable =
            word.is_guess && word.text.to_string_lossy().contains(char::REPLACEMENT_CHARACTER);
        let is_ours = match error.kind() {
            _ if is_unreadable => true,
            ErrorKind::UnknownArgument => word.may_be_value,
            ErrorKind::ArgumentConflict => word.is_guess || is_value && words[at - 1].is_guess,
            ErrorKind::InvalidValue => word.is_guess && is_missing_value(&error),
            _ => false,
        };
        if !is_ours {
            let what = match is_value_of.filter(|_| error.kind() == ErrorKind::UnknownArgument) {
                // It looks like an option, and cannot be the expected value.
                Some(lacking) => {
                    let negative = negative_value(grammar, &words[..=at]);
                    described(&negative.unwrap_or(lacking))
                }
                None => described(&error),
            };
            let is_name = error.kind() == ErrorKind::ValueValidation && argument(&error) == "<NAME>...";
            let is_option = is_value && error.kind() == ErrorKind::ArgumentConflict;
            let location = Location::Argument(if is_option { words[at - 1].number } else { word.number });
            self.mistakes.push(Mistake { is_name, ..Mistake::new(location, what) });
            self.mistakes.extend(unread_value(grammar, &words[..=at], &error));
        }
        self.wrong_values.push(argument(&error));
        if let Some(text) = guess(&error, &word.text).filter(|_| !word.is_guess) {
            words[at] = PendingArgument { text: text.into(), is_guess: true, ..words[at].clone() };
            return true;
        }
        if error.kind() == ErrorKind::InvalidSubcommand {
            return false; // the rest of the line depends on it
        }
        let is_option = starts_with(&word.text, "-") && !word.text.to_string_lossy().contains('=');
        if error.kind() == ErrorKind::UnknownArgument && is_option && !is_value {
            let next = words.get_mut(at + 1).filter(|next| !starts_with(&next.text, "-"));
            next.into_iter().for_each(|next| next.may_be_value = true);
        }
        // clap treats an empty value as a missing one; it is removed with its option.
        let is_empty = is_missing_value(&error) && words.get(at + 1).is_some_and(|next| next.text.is_empty());
        words.drain(if is_value { at - 1..=at } else { at..=at + usize::from(is_empty) });
        true
    }
}

fn parse(grammar: &Grammar, words: &[PendingArgument]) -> Result<ArgMatches, Error> {
    grammar.clone().try_get_matches_from(words.iter().map(|word| &word.text))
}

/// The index of the argument that `error` is about: the last one of the shortest beginning of the line that has the
/// error.
fn locate(grammar: &Grammar, words: &[PendingArgument], error: &Error) -> Option<usize> {
    let wanted = identity(error);
    let has = |count: usize| parse(grammar, &words[..count]).is_err_and(|error| identity(&error) == wanted);
    // An option at the end of a beginning lacks its value only if it still lacks it with the next argument.
    let has =
        |count: usize| has(count) && (!is_missing_value(error) || count == words.len() || has(count + 1));
    if !has(words.len()) {
        return None;
    }
    let (mut without, mut with) = (0, words.len());
    while without + 1 < with {
        let middle = usize::midpoint(without, with);
        if has(middle) { with = middle } else { without = middle }
    }
    // The program's own name is never wrong.
    with.checked_sub(1).filter(|index| *index > 0)
}

fn identity(error: &Error) -> ErrorIdentity {
    let kinds = [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand];
    (error.kind(), kinds.map(|kind| error.get(kind).cloned()))
}

fn is_missing_value(error: &Error) -> bool {
    error.kind() == ErrorKind::InvalidValue
        && string(error, ContextKind::InvalidValue).is_none_or(str::is_empty)
}

/// The error for the last of `words` as the value of the option before it, if it begins like a negative number: clap
/// treats it as an option unless it is only a number.
fn negative_value(grammar: &Grammar, words: &[PendingArgument]) -> Option<Error> {
    let [before @ .., option, value] = words else { return None };
    let is_negative = value.text.to_str()?.strip_prefix('-')?.starts_with(|c: char| c.is_ascii_digit());
    let mut joined = option.text.clone();
    joined.push("=");
    joined.push(&value.text);
    let joined = PendingArgument { text: joined, ..option.clone() };
    let read = parse(grammar, &[before, &[joined]].concat());
    read.err().filter(|error| is_negative && error.kind() == ErrorKind::ValueValidation)
}

/// The mistake in the value of an option that is given more than once, the last of `words`: clap does not check it.
fn unread_value(grammar: &Grammar, words: &[PendingArgument], error: &Error) -> Option<Mistake> {
    let [program, .., last] = words else { return None };
    let is_command = |word: &&PendingArgument| {
        word.text.to_str().is_some_and(|text| grammar.find_subcommand(text).is_some())
    };
    let command = words.iter().skip(1).find(is_command)?;
    let option = &words[words.len() - if starts_with(&last.text, "--") { 1 } else { 2 }..];
    let alone = [&[program.clone(), command.clone()], option].concat();
    let wrong = parse(grammar, &alone).err().filter(|wrong| wrong.kind() == ErrorKind::ValueValidation)?;
    (error.kind() == ErrorKind::ArgumentConflict)
        .then(|| Mistake::new(Location::Argument(last.number), described(&wrong)))
}

/// The argument to read instead of `word`: the suggestion of clap, if there is exactly one. An argument that is not UTF-8
/// keeps its place, so that it is not missing; its wrong bytes are replaced. So does one of several possible values, so
/// that the next argument is not taken for it.
fn guess(error: &Error, word: &OsString) -> Option<String> {
    let word = word.to_string_lossy();
    let kind = match error.kind() {
        ErrorKind::InvalidUtf8 => return Some(word.into_owned()),
        ErrorKind::InvalidValue if !argument(error).starts_with('-') => {
            return strings(error, ContextKind::ValidValue).into_iter().next();
        }
        ErrorKind::UnknownArgument => ContextKind::SuggestedArg,
        ErrorKind::InvalidSubcommand => ContextKind::SuggestedSubcommand,
        _ => return None,
    };
    let value = word.split_once('=').map_or_else(String::new, |(_, value)| format!("={value}"));
    match strings(error, kind).as_slice() {
        [one] => one.split_whitespace().next().map(|guess| format!("{guess}{value}")),
        _ => None,
    }
}

fn starts_with(text: &OsString, beginning: &str) -> bool {
    text.as_encoded_bytes().starts_with(beginning.as_bytes())
}

#[cfg(test)]
mod tests;
