//! What went wrong, as people and scripts see it: the error, its causes, a hint, and an exit code.
//!
//! The codes are listed in `docs/operating.md`. Everything goes to standard error, escaped: a cause may hold what
//! another machine sent.

mod disk;
mod errors;

use std::{error::Error, process::ExitCode};

use brigade_node::error::OpenFilesLimit;
use serde_json::{Value, json};

use crate::terminal::escape::escape;

/// It failed for a reason that is none of those below.
pub(crate) const FAILED: u8 = 1;
/// The command line, or a setting, is wrong.
pub(crate) const USAGE: u8 = 2;
/// The manager cannot be reached.
pub(crate) const UNREACHED: u8 = 3;
/// Refused: another key, a full network, a name that is taken.
pub(crate) const REFUSED: u8 = 4;
/// The name is not there, cannot be a name, or has several contents.
pub(crate) const NOT_FOUND: u8 = 5;
/// The disk.
pub(crate) const DISK: u8 = 6;

/// An error on its way to the person who has to do something about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    /// Whether the hint stays, whatever else seems to be the matter.
    is_sure: bool,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: vec![], hint: None, is_sure: false }
    }

    /// An error that nothing more is known about.
    pub(crate) fn other(doing: &str, error: &dyn Error) -> Self {
        Self { causes: causes(error), ..Self::new(FAILED, format!("{doing}: {error}")) }.told(error)
    }

    /// An error with its causes.
    pub(crate) fn of(code: u8, error: &dyn Error) -> Self {
        Self { causes: causes(error), ..Self::new(code, error.to_string()) }.told(error)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if !self.is_sure {
            self.hint = Some(hint.into());
        }
        self
    }

    /// Where a bound on open files is at the bottom of it, that is the hint.
    fn told(mut self, error: &dyn Error) -> Self {
        let mut next = error.source();
        while let Some(cause) = next {
            if let Some(bound) = cause.downcast_ref().and_then(OpenFilesLimit::of_error) {
                self.hint = Some(bound.advice().to_owned());
                self.is_sure = true;
            }
            next = cause.source();
        }
        self
    }

    /// With `more` behind the hint that there may be.
    pub(crate) fn hint_too(mut self, more: &str) -> Self {
        self.hint = Some(self.hint.map_or_else(|| more.to_owned(), |hint| format!("{hint}\n{more}")));
        self
    }

    /// With these causes below the error.
    pub(crate) fn because(mut self, causes: impl Iterator<Item = String>) -> Self {
        self.causes.extend(causes);
        self
    }

    /// Prints it; the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        self.print();
        ExitCode::from(self.code)
    }

    /// Prints it to standard error, for a prompt that goes on.
    #[allow(clippy::print_stderr)]
    pub(crate) fn print(&self) {
        eprintln!("{}", self.text());
    }

    /// All of it, for programs; nothing in it is escaped but by the rules of JSON. No text in it has a line break: what
    /// people see on lines of their own below the error are the first causes.
    pub(crate) fn json(&self) -> Value {
        let mut lines = self.message.lines().map(str::trim);
        let error = lines.next().unwrap_or_default();
        let causes: Vec<&str> = lines.chain(self.causes.iter().flat_map(|cause| cause.lines())).collect();
        let hint = self.hint.as_ref().map(|hint| hint.lines().collect::<Vec<_>>().join(" "));
        json!({ "code": self.code, "kind": kind(self.code), "error": error, "causes": causes, "hint": hint })
    }

    /// As [`Self::json`], on a line of its own among other events.
    pub(crate) fn event(&self) -> Value {
        let mut event = self.json();
        event["event"] = "failure".into();
        event
    }

    /// All of it, on several lines.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("error: {}", escape_lines(&self.message));
        for cause in &self.causes {
            text += &format!("\n  because: {}", escape_lines(cause));
        }
        if let Some(hint) = &self.hint {
            text += &format!("\nhint: {}", escape_lines(hint));
        }
        text
    }
}

/// The word for an exit code.
pub(crate) fn kind(code: u8) -> &'static str {
    match code {
        USAGE => "usage",
        UNREACHED => "unreached",
        REFUSED => "refused",
        NOT_FOUND => "not_found",
        DISK => "disk",
        130 | 143 => "ended_by_signal",
        _ => "failed",
    }
}

/// The chain of causes below an error, without those that its own text repeats.
fn causes(error: &dyn Error) -> Vec<String> {
    let mut chain: Vec<String> = vec![];
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !last.contains(&text) {
            chain.push(text.clone());
        }
        last = text;
        next = cause.source();
    }
    chain
}

fn escape_lines(text: &str) -> String {
    text.split('\n').map(|line| escape(line).into_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Failure, NOT_FOUND};

    #[test]
    fn texts_for_programs_have_no_line_breaks() {
        let mut failure =
            Failure::new(NOT_FOUND, "another key\n  expected: a\n  found:    b").hint("one\ntwo");
        failure.causes.push("first\nsecond".to_owned());
        let event = failure.event();
        assert_eq!((&event["event"], &event["error"]), (&"failure".into(), &"another key".into()));
        let causes = ["expected: a", "found:    b", "first", "second"];
        assert_eq!(event["causes"], serde_json::json!(causes));
        assert_eq!(event["hint"], "one two");
        assert!(failure.text().contains("another key\n  expected: a\n"), "{}", failure.text());
    }
}
