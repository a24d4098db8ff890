//! Errors for people and programs: the error, its causes, a hint, and a code, which is the exit code of a command.
//!
//! The program prints them, and the API sends them as JSON; `docs/operating.md` lists the codes. `node_errors`,
//! `manager_errors` and `disk_errors` give each error of the node its code and hint. Nothing here is escaped: a cause may contain text of
//! another machine, and the program escapes all of it when it prints.

mod disk_errors;
mod folder_hints;
mod manager_errors;
mod node_errors;
mod share_errors;

use std::error::Error;

use brigade_node::{error::OpenFilesLimit, peer::AmbiguousName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::folder_hints::folder_hint;
use crate::values::FileVersion;

/// Any other failure.
pub const FAILED: u8 = 1;
/// The command line, a setting or a request is wrong.
pub const USAGE: u8 = 2;
/// The manager cannot be reached.
pub const UNREACHED: u8 = 3;
/// The manager, a peer or a running fetch refused: another key, a full network, a name that is taken.
pub const REFUSED: u8 = 4;
/// The name does not exist, cannot be a name, or has several contents.
pub const NOT_FOUND: u8 = 5;
/// The disk: a folder, a file, or no free space.
pub const DISK: u8 = 6;
/// No byte arrived for the time that a command gave.
pub const TIMED_OUT: u8 = 7;

/// The first code that a signal gives: 128 and its number, as in shells.
const SIGNALS: u8 = 129;

/// An error for people and programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "ProblemBody", from = "ProblemBody")]
pub struct Problem {
    code: u8,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    /// Whether a later hint may not replace this one.
    is_sure: bool,
    details: Option<Box<ProblemDetails>>,
}

/// A [`Problem`] as JSON: in an answer of the API, and in `--json`. No text in it has a line break, except
/// [`ProblemDetails::text`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "code": 5, "kind": "not_found", "error": "\"flim.mkv\" is not shared", "causes": [], "hint": "did you mean film.mkv?"
}))]
pub struct ProblemBody {
    /// The exit code that a command has for it.
    pub code: u8,
    /// The kind of the error: `usage`, `unreached`, `refused`, `not_found`, `disk`, `timed_out`, `ended_by_signal` or
    /// `failed`.
    pub kind: String,
    /// What happened.
    pub error: String,
    /// The causes, the nearest first; before them, further lines of the error.
    #[serde(default)]
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Values for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub details: Option<Box<ProblemDetails>>,
}

/// Values for programs about an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetails {
    /// The error with all its lines, as it is printed, if it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Names that have several contents: one content must be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<AmbiguousChoice>,
    /// How many more names have several contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_choices: Option<u64>,
    /// The most similar names, for a name that does not exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closest: Vec<String>,
    /// Whether nobody shares the name, or not the named member: then it may be shared later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
    /// The names of the request that cannot be fetched, each with its error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub names: Vec<NameProblem>,
}

/// A name that has several contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AmbiguousChoice {
    /// The name.
    pub name: String,
    /// Its contents, the one with most holders first.
    pub versions: Vec<FileVersion>,
}

/// A name of a request, and its error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NameProblem {
    /// The name, as it was requested.
    pub name: String,
    /// Its error.
    #[schema(value_type = crate::problem::ProblemBody, no_recursion)]
    pub problem: Problem,
}

impl Problem {
    /// An error without causes. The message may have several lines.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: vec![], hint: None, is_sure: false, details: None }
    }

    /// An error without a special code, and the action that failed.
    pub fn other(doing: &str, error: &(dyn Error + 'static)) -> Self {
        Self { causes: causes(error), ..Self::new(FAILED, format!("{doing}: {error}")) }
            .with_open_files_advice(error)
    }

    /// An error with its causes.
    pub fn of(code: u8, error: &(dyn Error + 'static)) -> Self {
        Self { causes: causes(error), ..Self::new(code, error.to_string()) }.with_open_files_advice(error)
    }

    /// Sets what the user can do, unless that is known for certain already.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        if !self.is_sure {
            self.hint = Some(hint.into());
        }
        self
    }

    /// Adds `more` to the hint.
    #[must_use]
    pub fn add_hint(mut self, more: &str) -> Self {
        self.hint = Some(self.hint.map_or_else(|| more.to_owned(), |hint| format!("{hint}\n{more}")));
        self
    }

    /// Adds causes.
    #[must_use]
    pub fn with_causes(mut self, causes: impl Iterator<Item = String>) -> Self {
        self.causes.extend(causes);
        self
    }

    /// Sets the code.
    #[must_use]
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Changes the values for programs.
    #[must_use]
    pub fn with_details(mut self, change: impl FnOnce(&mut ProblemDetails)) -> Self {
        change(self.details.get_or_insert_default());
        self
    }

    /// The exit code of a command that ends with it.
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// What happened; it may have several lines.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The causes, the nearest first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// What to do.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Values for programs.
    pub fn details(&self) -> Option<&ProblemDetails> {
        self.details.as_deref()
    }

    /// If the cause is a limit on open files, it decides the code and the hint, whatever failed because of it. A text
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
}

impl From<&AmbiguousName> for AmbiguousChoice {
    fn from(choice: &AmbiguousName) -> Self {
        Self {
            name: choice.name.to_string(),
            versions: choice.versions.iter().map(FileVersion::from).collect(),
        }
    }
}

impl AmbiguousChoice {
    /// The name and its contents as the library has them; `None` if a name or an id is not valid.
    pub fn to_node(&self) -> Option<AmbiguousName> {
        let versions = self.versions.iter().map(FileVersion::to_core).collect::<Option<_>>()?;
        Some(AmbiguousName::new(self.name.parse().ok()?, versions))
    }
}

impl From<Problem> for ProblemBody {
    fn from(problem: Problem) -> Self {
        let Problem { code, message, causes, hint, mut details, .. } = problem;
        let mut lines = message.lines().map(str::trim);
        let error = lines.next().unwrap_or_default().to_owned();
        let of_message: Vec<&str> = lines.collect();
        if !of_message.is_empty() {
            details.get_or_insert_default().text = Some(message.clone());
        }
        let causes = of_message.into_iter().chain(causes.iter().flat_map(|cause| cause.lines()));
        let causes = causes.map(str::to_owned).collect();
        let hint = hint.map(|hint| hint.lines().collect::<Vec<_>>().join(" "));
        Self { code, kind: kind(code).to_owned(), error, causes, hint, details }
    }
}

impl From<ProblemBody> for Problem {
    fn from(body: ProblemBody) -> Self {
        let ProblemBody { code, error, mut causes, hint, mut details, .. } = body;
        let text = details.as_mut().and_then(|details| details.text.take());
        if details.as_deref() == Some(&ProblemDetails::default()) {
            details = None;
        }
        if let Some(text) = &text {
            let of_message = text.lines().count().saturating_sub(1);
            causes.drain(..of_message.min(causes.len()));
        }
        Self { code, message: text.unwrap_or(error), causes, hint, is_sure: false, details }
    }
}

/// The name of a code, for programs.
pub const fn kind(code: u8) -> &'static str {
    match code {
        USAGE => "usage",
        UNREACHED => "unreached",
        REFUSED => "refused",
        NOT_FOUND => "not_found",
        DISK => "disk",
        TIMED_OUT => "timed_out",
        SIGNALS.. => "ended_by_signal",
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

#[cfg(test)]
mod tests {
    use super::{NOT_FOUND, Problem, ProblemBody};

    #[test]
    fn a_problem_is_the_same_after_a_way_over_the_api() {
        let several_lines = "film.mkv has 2 contents\n  f4f4  4.0 MB\n  a1a1  2.0 MB";
        for message in ["\"film\" is not shared", several_lines] {
            let problem = Problem::new(NOT_FOUND, message)
                .with_causes(std::iter::once("the disk".to_owned()))
                .with_hint("choose one");
            let json = serde_json::to_value(&problem).unwrap();
            assert_eq!(json["error"], message.lines().next().unwrap());
            assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
        }
    }

    #[test]
    fn an_answer_of_another_version_is_a_problem_too() {
        let text = r#"{"code":9,"kind":"later","error":"strange","hint":null,"more":{"a":[1]}}"#;
        let body: ProblemBody = serde_json::from_str(text).unwrap();
        assert_eq!(Problem::from(body).message(), "strange");
    }
}
