//! Errors for people and scripts: the error, its causes, a hint, and an exit code.
//!
//! `docs/operating.md` lists the codes. Everything is written to standard error, and escaped: a cause may contain text
//! from another machine.

mod disk_errors;
mod node_errors;

use std::{error::Error, io, process::ExitCode};

use brigade_node::error::OpenFilesLimit;
use serde_json::{Value, json};

use crate::{
    terminal::standard_error::print_error_line,
    text::{escape::escape, shortening::shortened},
};

/// The most columns of a line of an error: more than the longest path has, and less than an argument may have.
pub(crate) const LINE_COLUMNS: usize = 5000;

/// Any other failure.
pub(crate) const FAILED: u8 = 1;
/// The command line or a setting is wrong.
pub(crate) const USAGE: u8 = 2;
/// The manager cannot be reached.
pub(crate) const UNREACHED: u8 = 3;
/// The manager or another peer refused: another key, a full network, a name that is taken.
pub(crate) const REFUSED: u8 = 4;
/// The name does not exist, cannot be a name, or has several contents.
pub(crate) const NOT_FOUND: u8 = 5;
/// The disk: a folder, a file, or no free space.
pub(crate) const DISK: u8 = 6;
/// SIGHUP ended the program: 128 plus the number of the signal, as in shells.
pub(crate) const HUNG_UP: u8 = 129;
/// Ctrl-C (SIGINT) ended the program.
pub(crate) const INTERRUPTED: u8 = 130;
/// SIGTERM ended the program.
pub(crate) const TERMINATED: u8 = 143;

/// An error for the user.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    /// Whether a later hint may not replace this one.
    is_sure: bool,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: vec![], hint: None, is_sure: false }
    }

    /// An error without a special exit code.
    pub(crate) fn other(doing: &str, error: &(dyn Error + 'static)) -> Self {
        Self { causes: causes(error), ..Self::new(FAILED, format!("{doing}: {error}")) }
            .with_open_files_advice(error)
    }

    /// An error of reading standard input. A line that cannot be a command or an answer is a mistake of its writer.
    pub(crate) fn of_input(error: &io::Error) -> Self {
        let failure = Self::other("reading standard input", error);
        if error.kind() == io::ErrorKind::InvalidData { Self { code: USAGE, ..failure } } else { failure }
    }

    /// An error with its causes.
    pub(crate) fn of(code: u8, error: &(dyn Error + 'static)) -> Self {
        Self { causes: causes(error), ..Self::new(code, error.to_string()) }.with_open_files_advice(error)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if !self.is_sure {
            self.hint = Some(hint.into());
        }
        self
    }

    /// If the cause is a limit on open files, it decides the exit code and the hint, whatever failed because of it. A text
    /// that has the advice already gets neither a hint nor the error of the system as a cause.
    fn with_open_files_advice(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(limit) = cause.downcast_ref().and_then(OpenFilesLimit::of_error) {
                let (advice, of_system) = (limit.advice(), cause.to_string());
                let is_given =
                    self.message.contains(advice) || self.causes.iter().any(|one| one.contains(advice));
                if is_given {
                    self.causes.retain(|one| *one != of_system);
                }
                self.code = DISK;
                self.hint = (!is_given).then(|| advice.to_owned());
                self.is_sure = true;
            }
            next = cause.source();
        }
        self
    }

    /// Adds `more` to the hint.
    pub(crate) fn add_hint(mut self, more: &str) -> Self {
        self.hint = Some(self.hint.map_or_else(|| more.to_owned(), |hint| format!("{hint}\n{more}")));
        self
    }

    /// Adds causes.
    pub(crate) fn with_causes(mut self, causes: impl Iterator<Item = String>) -> Self {
        self.causes.extend(causes);
        self
    }

    /// Prints it and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        self.print();
        ExitCode::from(self.code)
    }

    /// Prints it to standard error.
    pub(crate) fn print(&self) {
        print_error_line(&self.text());
    }

    /// The failure as JSON, for programs; escaped only by the rules of JSON. No text has a line break: further lines of
    /// the message become the first causes.
    pub(crate) fn json(&self) -> Value {
        let mut lines = self.message.lines().map(str::trim);
        let error = lines.next().unwrap_or_default();
        let causes: Vec<&str> = lines.chain(self.causes.iter().flat_map(|cause| cause.lines())).collect();
        let hint = self.hint.as_ref().map(|hint| hint.lines().collect::<Vec<_>>().join(" "));
        json!({ "code": self.code, "kind": kind(self.code), "error": error, "causes": causes, "hint": hint })
    }

    /// Like [`Self::json`], as an event.
    pub(crate) fn event(&self) -> Value {
        let mut event = self.json();
        event["event"] = "failure".into();
        event
    }

    /// The failure as text, on several lines.
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

/// The name of an exit code, for programs.
pub(crate) fn kind(code: u8) -> &'static str {
    match code {
        USAGE => "usage",
        UNREACHED => "unreached",
        REFUSED => "refused",
        NOT_FOUND => "not_found",
        DISK => "disk",
        HUNG_UP | INTERRUPTED | TERMINATED => "ended_by_signal",
        _ => "failed",
    }
}

/// The causes of an error, without those that the text before them contains.
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

        use super::{DISK, UNREACHED};
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
        let mut failure =
            Failure::new(NOT_FOUND, "another key\n  expected: a\n  found:    b").hint("one\ntwo");
        failure.causes.push("first\nsecond".to_owned());
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
