//! A command that was typed at the prompt: it is read as one of a shell, without the settings.
//!
//! The parent has the reading itself; the prompt runs the command.

use std::ffi::OsString;

use clap::FromArgMatches;

use super::{ParsedLine, args::Brigade, given_options::GivenOptions, manual};

/// A command that was typed at the prompt.
pub(crate) struct TypedCommand {
    pub(crate) args: Brigade,
    pub(crate) given: GivenOptions,
}

/// Reads a command that was typed at the prompt, with the name of the program before it. The error is the text of each
/// mistake.
pub(crate) fn read_typed(line: &[OsString]) -> Result<TypedCommand, Vec<String>> {
    let grammar = manual::grammar().disable_help_flag(true).disable_version_flag(true);
    let parsed = ParsedLine::of(&grammar, line);
    let args = parsed.matches.as_ref().and_then(|matches| Brigade::from_arg_matches(matches).ok());
    match args {
        Some(args) if parsed.mistakes.is_empty() => {
            Ok(TypedCommand { args, given: GivenOptions::of(&grammar, parsed.matches.as_ref()) })
        }
        _ => Err(parsed.mistakes.into_iter().map(|mistake| mistake.what).collect()),
    }
}
