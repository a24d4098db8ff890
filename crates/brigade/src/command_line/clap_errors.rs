//! The texts of the errors of clap: what is wrong, and what is expected, on one line.
//!
//! `command_line` finds the argument that an error is about.

use clap::{
    Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// The mistake and what is expected, on one line.
pub(super) fn described(error: &Error) -> String {
    let argument = argument(error);
    let value = string(error, ContextKind::InvalidValue).unwrap_or_default();
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let mut text = match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => format!("'{argument}' needs a value"),
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
pub(super) fn argument(error: &Error) -> String {
    string(error, ContextKind::InvalidArg).unwrap_or_default().to_owned()
}

pub(super) fn string(error: &Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn strings(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        _ => vec![],
    }
}

/// Whether two texts name the same argument: an optional one that another argument needs has other brackets.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let bare = |shown: &str| shown.trim_matches(|c: char| "<>[].".contains(c)).to_owned();
    bare(one) == bare(other)
}
