//! Mistakes in the command line, the environment and the settings file: the location of each, and what is expected
//! there.
//!
//! All mistakes are printed at once, so that the user need not find them one by one. Their text is escaped: it may come
//! from anywhere.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use unicode_width::UnicodeWidthStr;

use crate::{
    failure::{Failure, LINE_COLUMNS, NOT_FOUND, USAGE},
    terminal::{standard_error::print_error_line, standard_output::print_line},
    text::{escape::escape, shortening::shortened},
};

/// The most mistakes that are printed; of the rest only the number is printed.
const MAX_SHOWN: usize = 20;

/// The most columns of a command line that is printed again: a longer line would be wrapped, and the marks below it
/// would be wrong.
const SHOWN_COLUMNS: usize = 100;

/// The location of a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// The argument of this number, from 1.
    Argument(usize),
    /// A missing argument.
    Missing,
    /// An environment variable.
    Variable(&'static str),
    /// A line and a column of the settings file, from 1.
    Line(PathBuf, usize, usize),
    /// The settings file as a whole.
    File(PathBuf),
}

/// A text that cannot be understood or used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) location: Location,
    /// The mistake, and what is expected instead.
    pub(crate) what: String,
    /// Whether the text is a name that no file can have.
    pub(crate) is_name: bool,
}

impl Mistake {
    pub(crate) fn new(location: Location, what: impl Into<String>) -> Self {
        Self { location, what: what.into(), is_name: false }
    }

    /// The location and the mistake; not escaped.
    pub(super) fn text(&self) -> String {
        let location = match &self.location {
            Location::Argument(number) => format!("argument {number}"),
            Location::Missing => return self.what.clone(),
            Location::Variable(name) => (*name).to_owned(),
            Location::Line(path, line, column) => format!("{}:{line}:{column}", path.display()),
            Location::File(path) => path.display().to_string(),
        };
        format!("{location}: {}", self.what)
    }
}

/// Prints all mistakes, and the command line with marks below them. Returns the exit code. The hint names the help of
/// `command`. With `json`, the object of other failures is printed on standard output.
pub(crate) fn report(mistakes: &[Mistake], line: &[OsString], command: &str, json: bool) -> ExitCode {
    print_error_line(&text(mistakes, line, command));
    let all_names = mistakes.iter().all(|mistake| mistake.is_name);
    let code = if all_names { NOT_FOUND } else { USAGE };
    if json {
        print_line(&failure(mistakes, command, code).event().to_string());
    }
    ExitCode::from(code)
}

/// All mistakes as one failure, for programs.
fn failure(mistakes: &[Mistake], command: &str, code: u8) -> Failure {
    let failure = match mistakes {
        [one] => Failure::new(code, one.text()),
        many => {
            let shown = many.iter().take(MAX_SHOWN).map(Mistake::text);
            let rest = many.len().saturating_sub(MAX_SHOWN);
            let more = (rest > 0).then(|| format!("and {rest} more"));
            Failure::new(code, format!("{} mistakes", many.len())).with_causes(shown.chain(more))
        }
    };
    if arguments(mistakes).is_empty() { failure } else { failure.hint(format!("`{command} --help`")) }
}

/// The mistakes of the command line itself: the number of the argument, if there is one.
fn arguments(mistakes: &[Mistake]) -> Vec<Option<usize>> {
    let of_line = |mistake: &Mistake| match mistake.location {
        Location::Argument(number) => Some(Some(number)),
        Location::Missing => Some(None),
        _ => None,
    };
    mistakes.iter().filter_map(of_line).collect()
}

fn text(mistakes: &[Mistake], line: &[OsString], command: &str) -> String {
    let mut text = match mistakes {
        [one] => format!("error: {}", shown(one)),
        many => {
            let mut text = format!("error: {} mistakes", many.len());
            many.iter().take(MAX_SHOWN).for_each(|mistake| text += &format!("\n  {}", shown(mistake)));
            if many.len() > MAX_SHOWN {
                text += &format!("\n  and {} more", many.len() - MAX_SHOWN);
            }
            text
        }
    };
    let of_line = arguments(mistakes);
    if !of_line.is_empty() {
        let numbers: Vec<usize> = of_line.into_iter().flatten().collect();
        text += &marked(line, &numbers).unwrap_or_default();
        text += &format!("\nhint: `{command} --help`");
    }
    text
}

/// The text of a mistake, escaped; of one that is too long, the middle is omitted.
fn shown(mistake: &Mistake) -> String {
    shortened(&escape(&mistake.text()), LINE_COLUMNS)
}

/// The command line, and below it marks under the arguments with these numbers; `None` if it is too long.
fn marked(line: &[OsString], numbers: &[usize]) -> Option<String> {
    let (mut shown, mut marks) = (String::new(), String::new());
    for (number, argument) in line.iter().enumerate() {
        let argument = match number {
            0 => "brigade".to_owned(),
            _ => quoted(&argument.to_string_lossy()),
        };
        let mark = if numbers.contains(&number) { "^" } else { " " };
        marks += &format!(" {}", mark.repeat(argument.width()));
        shown += &format!(" {argument}");
        if shown.width() > SHOWN_COLUMNS {
            return None;
        }
    }
    let marks = marks.trim_end();
    (!marks.is_empty()).then(|| format!("\n {shown}\n {marks}"))
}

/// The argument in the form in which a user types it.
fn quoted(argument: &str) -> String {
    let argument = escape(argument);
    if argument.is_empty() || argument.contains(' ') {
        format!("'{argument}'")
    } else {
        argument.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Location, Mistake, OsString, SHOWN_COLUMNS, marked, text};

    fn line(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn marks_are_below_the_wrong_arguments() {
        let line = line(&["/usr/bin/brigade", "fetch", "日本 語", "", "a"]);
        let expected = "\n  brigade fetch '日本 語' '' a\n                ^^^^^^^^^ ^^";
        assert_eq!(marked(&line, &[2, 3]).as_deref(), Some(expected));
        assert_eq!(marked(&line, &[]), None);
    }

    #[test]
    fn a_long_line_is_not_shown() {
        assert_eq!(marked(&line(&["brigade", &"a".repeat(SHOWN_COLUMNS)]), &[1]), None);
    }

    #[test]
    fn many_mistakes_are_counted_and_escaped() {
        let mistake = |number| Mistake::new(Location::Argument(number), "a\u{1b}[2J\nb");
        let all: Vec<Mistake> = (1..=25).map(mistake).collect();
        let text = text(&all, &[], "brigade");
        assert_eq!(text.lines().count(), 23);
        assert!(text.starts_with("error: 25 mistakes\n  argument 1: a\\u{1b}[2J\\nb\n"), "{text}");
        assert!(text.contains("\n  and 5 more\nhint: `brigade --help`"), "{text}");
    }
}
