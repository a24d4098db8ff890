//! Reads the settings again while a command runs, and finds which of its options they change.
//!
//! `effective_options` has the options of a command; the parent reads a command line.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches};

use super::{
    ParsedLine,
    args::Brigade,
    effective_options::{ChangedOptions, EffectiveOptions, difference},
};
use crate::settings::Settings;

/// Reads the settings again, for the command line `line`, which was right before; the options at the start are `before`.
///
/// # Errors
/// The mistakes in the settings, each with its location. Then the settings before stay in effect.
pub(crate) fn changed_options(
    line: &[OsString],
    before: &EffectiveOptions,
) -> Result<ChangedOptions, Vec<String>> {
    let (settings, mistakes) = Settings::load();
    let grammar = settings.with_defaults(Brigade::command());
    let parsed = ParsedLine::of(&grammar, line);
    let texts: Vec<String> = mistakes.iter().chain(&parsed.mistakes).map(|mistake| mistake.text()).collect();
    let args = parsed.matches.as_ref().and_then(|matches| Brigade::from_arg_matches(matches).ok());
    match args {
        Some(args) if texts.is_empty() => {
            let limits = settings.limits_for(&args);
            Ok(difference(before, EffectiveOptions::of(parsed.matches.as_ref(), &limits)))
        }
        _ => Err(texts),
    }
}
