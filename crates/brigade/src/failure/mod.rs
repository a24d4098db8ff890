//! Errors for people and scripts: the error, its causes, a hint, and an exit code.
//!
//! `docs/operating.md` lists the codes. Everything is written to standard error, and escaped: a cause may contain text
//! from another machine.

use std::{error::Error, io, process::ExitCode};

pub(crate) use brigade_api::problem::{DISK, FAILED, NOT_FOUND, REFUSED, TIMED_OUT, USAGE, kind};
use brigade_api::problem::{Problem, ProblemBody};
use brigade_node::{
    error::{FolderError, KeyError, ListenError},
    manager::ManagerError,
    peer::{
        AskError, CannotLand, CannotShare, FetchError, JoinError, NotEnoughSpace, PeerError, ReachError,
        ResolveError,
    },
};
use serde_json::{Map, Value, json};

use crate::{
    terminal::standard_error::{has_json_records, log_records::LogLevel, print_record},
    text::{escape::escape, shortening::shortened},
};

/// The most columns of a line of an error: more than the longest path has, and less than an argument may have.
pub(crate) const LINE_COLUMNS: usize = 5000;

/// SIGHUP ended the program: 128 plus the number of the signal, as in shells. Only Linux has a handler of it.
#[cfg(target_os = "linux")]
pub(crate) const HUNG_UP: u8 = 129;
/// Ctrl-C (SIGINT) ended the program.
pub(crate) const INTERRUPTED: u8 = 130;
/// SIGTERM ended the program.
pub(crate) const TERMINATED: u8 = 143;

/// An error for the user: a [`Problem`] that this program prints.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code: that of the problem, or of a signal.
    pub(crate) code: u8,
    problem: Problem,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Problem::new(code, message).into()
    }

    /// An error without a special exit code.
    pub(crate) fn other(doing: &str, error: &(dyn Error + 'static)) -> Self {
        Problem::other(doing, error).into()
    }

    /// An error of reading standard input. A line that cannot be a command or an answer is a mistake of its writer.
    pub(crate) fn of_input(error: &io::Error) -> Self {
        let problem = Problem::other("reading standard input", error);
        let is_mistake = error.kind() == io::ErrorKind::InvalidData;
        if is_mistake { problem.with_code(USAGE).into() } else { problem.into() }
    }

    /// An error with its causes.
    pub(crate) fn of(code: u8, error: &(dyn Error + 'static)) -> Self {
        Problem::of(code, error).into()
    }

    /// Sets what the user can do, unless that is known for certain already.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { problem: self.problem.with_hint(hint), ..self }
    }

    /// Adds `more` to the hint.
    pub(crate) fn add_hint(self, more: &str) -> Self {
        Self { problem: self.problem.add_hint(more), ..self }
    }

    /// Adds causes.
    pub(crate) fn with_causes(self, causes: impl Iterator<Item = String>) -> Self {
        Self { problem: self.problem.with_causes(causes), ..self }
    }

    /// Prints it and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        self.print();
        ExitCode::from(self.code)
    }

    /// Prints it to standard error, as a record if records are written there.
    pub(crate) fn print(&self) {
        let Value::Object(mut fields) = self.json() else { return };
        let error = fields.remove("error").unwrap_or_default();
        match error.as_str().filter(|_| has_json_records()) {
            Some(error) => print_record(LogLevel::Error, error, &fields),
            None => print_record(LogLevel::Error, &self.text(), &Map::new()),
        }
    }

    /// The error and its causes on one line, escaped, without the hint.
    pub(crate) fn summary(&self) -> String {
        let parts = self
            .problem
            .message()
            .lines()
            .chain(self.problem.causes().iter().flat_map(|cause| cause.lines()));
        let parts: Vec<String> = parts.map(|line| escape_lines(line.trim())).collect();
        parts.join(": ")
    }

    /// The hint, escaped.
    pub(crate) fn hint_text(&self) -> Option<String> {
        self.problem.hint().map(escape_lines)
    }

    /// The failure as JSON, for programs; escaped only by the rules of JSON. No text has a line break: further lines of
    /// the message become the first causes.
    pub(crate) fn json(&self) -> Value {
        let ProblemBody { code, kind, error, causes, hint, .. } = self.problem.clone().into();
        json!({ "code": code, "kind": kind, "error": error, "causes": causes, "hint": hint })
    }

    /// Like [`Self::json`], as an event.
    pub(crate) fn event(&self) -> Value {
        let mut event = self.json();
        event["event"] = "failure".into();
        event
    }

    /// The failure as text, on several lines.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("error: {}", escape_lines(self.problem.message()));
        for cause in self.problem.causes() {
            text += &format!("\n  because: {}", escape_lines(cause));
        }
        if let Some(hint) = self.problem.hint() {
            text += &format!("\nhint: {}", escape_lines(hint));
        }
        text
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { code: problem.code(), problem }
    }
}

/// Errors that are problems are failures too: `?` turns them into one.
macro_rules! failures {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Problem::from(error).into()
            }
        })+
    };
}

failures! {
    AskError, CannotLand, CannotShare, FetchError, FolderError, JoinError, KeyError, ListenError, ManagerError, NotEnoughSpace,
    PeerError, ReachError, ResolveError, brigade_api::client::ClientError, brigade_api::local::FindError,
}

/// The lines of `text`, escaped; of one that is too long, the middle is omitted.
fn escape_lines(text: &str) -> String {
    text.split('\n').map(|line| shortened(&escape(line), LINE_COLUMNS)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Failure, NOT_FOUND};

    #[cfg(unix)]
    #[test]
    fn a_limit_on_open_files_is_the_failure_whatever_it_prevented() {
        use brigade_node::error::FolderError;

        use brigade_api::problem::UNREACHED;

        use super::DISK;
        let error = std::io::Error::from(rustix::io::Errno::MFILE);
        for failure in [Failure::other("starting", &error), Failure::of(UNREACHED, &error)] {
            assert!(failure.code == DISK && failure.text().contains("ulimit -n"), "{}", failure.text());
        }
        let failure =
            Failure::from(FolderError::Io { action: "open", path: "film.bin".into(), source: error });
        let text = failure.text();
        for once in ["ulimit -n", "oo many open files"] {
            assert_eq!(text.matches(once).count(), 1, "{text}");
        }
    }

    #[test]
    fn texts_for_programs_have_no_line_breaks() {
        let failure = Failure::new(NOT_FOUND, "another key\n  expected: a\n  found:    b")
            .hint("one\ntwo")
            .with_causes(std::iter::once("first\nsecond".to_owned()));
        let event = failure.event();
        assert_eq!((&event["event"], &event["error"]), (&"failure".into(), &"another key".into()));
        let causes = ["expected: a", "found:    b", "first", "second"];
        assert_eq!(event["causes"], serde_json::json!(causes));
        assert_eq!(event["hint"], "one two");
        assert!(failure.text().contains("another key\n  expected: a\n"), "{}", failure.text());
        let long = Failure::new(NOT_FOUND, format!("{:?} is not shared", "x".repeat(20_000))).text();
        assert!(long.len() < 5100 && long.ends_with("xxx\" is not shared"), "{}", long.len());
    }
}
