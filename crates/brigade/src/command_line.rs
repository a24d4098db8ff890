//! The command line, read. Where clap stops at the first mistake, here all of them are found: the one that it names
//! is noted and taken out, or put right where it is clear what was meant, and the rest is read again.
//!
//! Mistakes of the settings come into the same report. Where clap's words and its suggestions are good they stay.

use std::{ffi::OsString, process::ExitCode};

use brigade_core::schedule::{Given, LimitPlan};
use clap::{
    ArgMatches, Command as Grammar, CommandFactory, Error, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    args::{AsPeer, Brigade, Command},
    mistakes::{Mistake, Place, report},
    settings::Settings,
};

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
            let command =
                command.map_or("brigade".to_owned(), |known| format!("brigade {}", known.get_name()));
            Err(report(&judged.mistakes, line, &command))
        }
    }
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
        plan.up.given = flags.upload_limit.map(|cap| (cap, Given::Flag)).or(plan.up.given);
        plan.down.given = flags.download_limit.map(|cap| (cap, Given::Flag)).or(plan.down.given);
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
                Some(lacking) => described(&lacking),
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
mod tests {
    use std::ffi::OsString;

    use clap::CommandFactory;

    use super::{Brigade, Judged, Place};

    fn judge(line: &[OsString]) -> Judged {
        Judged::of(&Brigade::command(), line)
    }

    /// The mistakes of a line whose words have no spaces: the number of the argument (0 for what is missing), and a
    /// part of what is said of it.
    #[track_caller]
    fn check(line: &str, expected: &[(usize, &str)]) {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let judged = judge(&words);
        let found: Vec<(usize, String)> = judged
            .mistakes
            .iter()
            .map(|mistake| match mistake.place {
                Place::Argument(number) => (number, mistake.what.clone()),
                _ => (0, mistake.what.clone()),
            })
            .collect();
        let same = |((number, what), (at, part)): (&(usize, String), &(usize, &str))| {
            number == at && what.contains(part)
        };
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(same), "{line}: {found:?}");
    }

    #[test]
    fn right_lines_have_no_mistakes() {
        for line in [
            "brigade peer",
            "brigade peer --max 3 --upload-limit=off --headless --username a",
            "brigade fetch a b/ c@abcd d*: --into /tmp -- -e",
            "brigade files --manager_port 0",
        ] {
            check(line, &[]);
            assert!(judge(&line.split(' ').map(Into::into).collect::<Vec<_>>()).matches.is_some(), "{line}");
        }
    }

    #[test]
    fn wrong_values_are_all_found() {
        check(
            "brigade peer --max 0 --upload-limit 10XB --frobnicate",
            &[
                (3, "a number from 1 to 100000"),
                (5, "a rate like 10MB"),
                (6, "unexpected argument '--frobnicate'"),
            ],
        );
        check(
            "brigade peer --max=0 --port -1 --manager_port=x --username a/b",
            &[(2, "'0' for '--max <COUNT>'"), (4, "'-1'"), (5, "'x' for '--manager-port"), (7, "'a/b'")],
        );
        check("brigade completions bush", &[(2, "possible values: 'bash'")]);
        check("brigade peer --headless=yes --max 0", &[(2, "takes no value 'yes'"), (4, "'0'")]);
    }

    #[test]
    fn an_option_without_its_value_is_one_mistake() {
        check("brigade peer --max", &[(2, "a value is wanted for '--max <COUNT>'")]);
        check("brigade peer --max --headless --username a --port 5", &[(2, "a value is wanted for '--max")]);
        check(
            "brigade peer --upload-limit -1MB --max 0",
            &[(3, "a value is wanted for '--upload"), (5, "'0'")],
        );
    }

    #[test]
    fn unknown_options_take_what_may_be_their_values_with_them() {
        check("brigade peer --frobnicate 3 --max 0", &[(2, "--frobnicate"), (5, "'0'")]);
        check("brigade fetch --frobnicate film.mkv", &[(2, "--frobnicate")]);
        check("brigade peer --frobnicate=3 4", &[(2, "--frobnicate"), (3, "'4'")]);
        check("brigade peer -x -y", &[(2, "'-x'"), (3, "'-y'")]);
        check("brigade --frobnicate", &[(1, "--frobnicate")]);
    }

    #[test]
    fn what_was_meant_is_offered_and_read_on_from() {
        check(
            "brigade fecth --max 0 a:b",
            &[
                (1, "a similar subcommand exists: 'fetch'"),
                (3, "'0'"),
                (4, "'a:b' cannot be the name of a file"),
            ],
        );
        check(
            "brigade peer --upload-limt 10XB --maxx=0",
            &[(2, "a similar argument exists: '--upload-limit'"), (3, "'10XB'"), (4, "'--max'"), (4, "'0'")],
        );
        check("brigade peer --max 3 --maxx 4", &[(4, "a similar argument exists: '--max'")]);
        check("brigade xyzzy --max 0", &[(1, "unrecognized subcommand 'xyzzy'")]);
    }

    #[test]
    fn what_is_missing_too_much_or_twice_is_found() {
        check("brigade fetch --max 0", &[(3, "'0'"), (0, "<NAME>... is missing")]);
        check("brigade files a b c --max 1", &[(3, "'b'"), (4, "'c'"), (5, "--max")]);
        check(
            "brigade peer extra --max 1 --port 0 --max 2",
            &[(2, "'extra'"), (7, "'--max <COUNT>' is given more")],
        );
        check("brigade peer --headless --headless", &[(3, "more than once")]);
    }

    #[test]
    fn names_that_cannot_be_are_all_found() {
        check("brigade fetch a ../b c:d e/ f//g", &[(3, "'../b'"), (4, "'c:d'"), (6, "'f//g'")]);
        check("brigade fetch a:", &[(2, "'a:' cannot be the name of a file")]);
        let same = ["brigade", "fetch", "a:", "b", "a:"].map(OsString::from);
        assert_eq!(judge(&same).mistakes.iter().filter(|mistake| mistake.is_name).count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_not_utf8_is_found() {
        use std::os::unix::ffi::OsStringExt;
        let wrong = OsString::from_vec(vec![0xff]);
        let line = |wrong: &OsString| {
            let words = ["brigade", "peer", "--host", "", "--max", "0"].map(OsString::from);
            let mut words = Vec::from(words);
            words[3] = wrong.clone();
            words
        };
        let judged = judge(&line(&wrong));
        let places: Vec<_> = judged.mistakes.iter().map(|mistake| mistake.place.clone()).collect();
        assert_eq!(places, [Place::Argument(3), Place::Argument(5)], "{:?}", judged.mistakes);
        // A path may be any bytes.
        let folder = ["brigade".into(), "peer".into(), "--folder".into(), wrong];
        assert!(judge(&folder).mistakes.is_empty());
    }

    #[test]
    fn help_and_the_version_are_shown() {
        for line in [
            "brigade",
            "brigade --help",
            "brigade --version",
            "brigade peer --help --max 0",
            "brigade help peer",
        ] {
            let judged = judge(&line.split(' ').map(Into::into).collect::<Vec<_>>());
            assert!(judged.shown.is_some() && judged.mistakes.is_empty(), "{line}");
        }
        check("brigade peer --max 0 --help", &[(3, "'0'")]);
    }

    /// There are no options that exclude each other yet; where there are, both are named.
    #[test]
    fn options_that_exclude_each_other_are_found() {
        let option = |name: &'static str| clap::Arg::new(name).long(name).value_name("X");
        let grammar = clap::Command::new("brigade").arg(option("a").conflicts_with("b")).arg(option("b"));
        let line = ["brigade", "--c", "--a", "1", "--b", "2"].map(OsString::from);
        let judged = Judged::of(&grammar, &line);
        let found: Vec<_> =
            judged.mistakes.iter().map(|one| (one.place.clone(), one.what.as_str())).collect();
        let [unknown, conflict] = &found[..] else { panic!("{found:?}") };
        assert_eq!(unknown.0, Place::Argument(1));
        let (place, what) = conflict;
        assert!(matches!(place, Place::Argument(2 | 4)), "{place:?}");
        assert!(
            what.contains("cannot be used with") && what.contains("'--a <X>'") && what.contains("'--b <X>'")
        );
    }

    /// Whatever is typed: what clap takes has no mistakes, what it refuses has some, each with a place in the line.
    #[test]
    fn every_line_is_judged_as_clap_would() {
        const WORDS: [&str; 24] = [
            "peer",
            "fetch",
            "files",
            "manager",
            "help",
            "--max",
            "--max=3",
            "--max=x",
            "--port",
            "0",
            "-1",
            "x/..",
            "--headless",
            "--headles",
            "--upload-limit",
            "10MB",
            "off",
            "--",
            "-h",
            "--json",
            "film.mkv",
            "",
            "=",
            "-x=1",
        ];
        let mut random = 1_u64;
        for _ in 0..400 {
            let mut next = |below: u64| {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                usize::try_from((random >> 33) % below).unwrap()
            };
            let mut line = vec![OsString::from("brigade"), WORDS[next(4)].into()];
            line.extend((0..next(7)).map(|_| OsString::from(WORDS[next(24)])));
            let taken = Brigade::command().try_get_matches_from(&line);
            let judged = judge(&line);
            match taken {
                Ok(_) => assert!(judged.mistakes.is_empty() && judged.matches.is_some(), "{line:?}"),
                Err(error) if !error.use_stderr() => assert!(judged.shown.is_some(), "{line:?}"),
                Err(_) => assert!(judged.shown.is_some() == judged.mistakes.is_empty(), "{line:?}"),
            }
            for mistake in &judged.mistakes {
                let is_there = match mistake.place {
                    Place::Argument(number) => (1..line.len()).contains(&number),
                    _ => mistake.what.contains("is missing"),
                };
                assert!(is_there, "{line:?}: {mistake:?}");
            }
        }
    }

    #[test]
    fn many_names_with_many_mistakes_take_no_time() {
        let mut words = vec!["brigade".into(), "fetch".into()];
        words.extend((0..5000).map(|number| OsString::from(if number % 20 == 0 { "a:" } else { "a" })));
        assert_eq!(judge(&words).mistakes.len(), super::ROUNDS);
    }
}
