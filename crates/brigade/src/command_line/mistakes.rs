//! Mistakes of a command line, of the environment and of the settings file: where each is, and what is wanted there.
//!
//! They are gathered and told all at once, so that nobody has to find them one by one. What is shown of them is
//! escaped: a line may hold what was copied from anywhere.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use unicode_width::UnicodeWidthStr;

use crate::{
    exit::{Failure, NOT_FOUND, USAGE},
    terminal::{escape::escape, output::say},
};

/// Mistakes that are told; of more, only how many there are.
const TOLD: usize = 20;

/// Columns of a command line that is shown again; a longer one would be broken, and the marks below it be wrong.
const SHOWN_COLUMNS: usize = 100;

/// Where a mistake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The argument of this number, from 1.
    Argument(usize),
    /// Something that is not there.
    Missing,
    /// An environment variable.
    Variable(&'static str),
    /// A line and a column of the settings file, from 1.
    Line(PathBuf, usize, usize),
    /// The settings file as a whole.
    File(PathBuf),
}

/// Something that cannot be understood or used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) place: Place,
    /// What is wrong, and what is wanted instead.
    pub(crate) what: String,
    /// Whether it is a name that no file can have.
    pub(crate) is_name: bool,
}

impl Mistake {
    pub(crate) fn new(place: Place, what: impl Into<String>) -> Self {
        Self { place, what: what.into(), is_name: false }
    }

    /// Where it is and what it is; nothing in it is escaped.
    fn text(&self) -> String {
        let place = match &self.place {
            Place::Argument(number) => format!("argument {number}"),
            Place::Missing => return self.what.clone(),
            Place::Variable(name) => (*name).to_owned(),
            Place::Line(path, line, column) => format!("{}:{line}:{column}", path.display()),
            Place::File(path) => path.display().to_string(),
        };
        format!("{place}: {}", self.what)
    }
}

/// Prints all of them, and the command line with marks below what is wrong; the exit code. `command` is whose help has
/// more. With `json`, standard output gets the object that other failures have.
#[allow(clippy::print_stderr)]
pub(crate) fn report(mistakes: &[Mistake], line: &[OsString], command: &str, json: bool) -> ExitCode {
    eprintln!("{}", text(mistakes, line, command));
    let all_names = mistakes.iter().all(|mistake| mistake.is_name);
    let code = if all_names { NOT_FOUND } else { USAGE };
    if json {
        say(&failure(mistakes, command, code).event().to_string());
    }
    ExitCode::from(code)
}

/// All of them as one failure, for programs.
fn failure(mistakes: &[Mistake], command: &str, code: u8) -> Failure {
    let failure = match mistakes {
        [one] => Failure::new(code, one.text()),
        many => {
            let told = many.iter().take(TOLD).map(Mistake::text);
            let rest = many.len().saturating_sub(TOLD);
            let more = (rest > 0).then(|| format!("and {rest} more"));
            Failure::new(code, format!("{} mistakes", many.len())).because(told.chain(more))
        }
    };
    if arguments(mistakes).is_empty() { failure } else { failure.hint(format!("`{command} --help`")) }
}

/// The mistakes of the command line itself: the argument's number, where there is one.
fn arguments(mistakes: &[Mistake]) -> Vec<Option<usize>> {
    let of_line = |mistake: &Mistake| match mistake.place {
        Place::Argument(number) => Some(Some(number)),
        Place::Missing => Some(None),
        _ => None,
    };
    mistakes.iter().filter_map(of_line).collect()
}

fn text(mistakes: &[Mistake], line: &[OsString], command: &str) -> String {
    let mut text = match mistakes {
        [one] => format!("error: {}", escape(&one.text())),
        many => {
            let mut text = format!("error: {} mistakes", many.len());
            many.iter().take(TOLD).for_each(|mistake| text += &format!("\n  {}", escape(&mistake.text())));
            if many.len() > TOLD {
                text += &format!("\n  and {} more", many.len() - TOLD);
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

/// The command line, and below it marks under the arguments of these numbers; `None` where that would not fit.
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

/// As it would be typed.
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
    use super::{Mistake, OsString, Place, SHOWN_COLUMNS, marked, text};

    fn line(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn marks_stand_under_what_is_wrong() {
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
        let mistake = |number| Mistake::new(Place::Argument(number), "a\u{1b}[2J\nb");
        let all: Vec<Mistake> = (1..=25).map(mistake).collect();
        let text = text(&all, &[], "brigade");
        assert_eq!(text.lines().count(), 23);
        assert!(text.starts_with("error: 25 mistakes\n  argument 1: a\\u{1b}[2J\\nb\n"), "{text}");
        assert!(text.contains("\n  and 5 more\nhint: `brigade --help`"), "{text}");
    }
}
