//! The options that a command line itself has, not the settings: some commands treat them in another way.
//!
//! `command_line` reads the line.

use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command as Grammar, parser::ValueSource};

/// The options of a command line, without their hyphens: `manager-host`.
#[derive(Debug, Clone, Default)]
pub(crate) struct GivenOptions {
    options: Vec<String>,
    /// Whether the settings name a manager.
    settings_name_manager: bool,
}

impl GivenOptions {
    /// Those of a line that was read.
    pub(super) fn of(grammar: &Grammar, matches: Option<&ArgMatches>) -> Self {
        let Some((name, matches)) = matches.and_then(ArgMatches::subcommand) else { return Self::default() };
        let options = grammar.find_subcommand(name).into_iter().flat_map(Grammar::get_arguments);
        let is_given = |argument: &&Arg| {
            let known = matches.try_contains_id(argument.get_id().as_str()).is_ok();
            known && matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        let options = options.filter(is_given).filter_map(Arg::get_long).map(str::to_owned).collect();
        Self { options, settings_name_manager: false }
    }

    /// Adds whether the settings, or the environment, name a manager.
    pub(super) const fn with_manager_of_settings(mut self, is_named: bool) -> Self {
        self.settings_name_manager = is_named;
        self
    }

    /// The first option of the line that is not among `known`, which have their hyphens.
    pub(crate) fn first_other(&self, known: &[&str]) -> Option<&str> {
        let is_other = |given: &&String| !known.iter().any(|known| known.strip_prefix("--") == Some(given));
        self.options.iter().find(is_other).map(String::as_str)
    }

    /// Whether the line, the environment or the settings name a manager.
    pub(crate) fn names_manager(&self) -> bool {
        self.settings_name_manager
            || self.first_of(&["manager-host", "manager-port", "manager-key"]).is_some()
    }

    /// The first of `options` that the line has.
    pub(crate) fn first_of<'a>(&self, options: &[&'a str]) -> Option<&'a str> {
        options.iter().copied().find(|option| self.options.iter().any(|given| given == option))
    }
}

/// Whether `line` asks for JSON, even if the rest of it is wrong, and `command`, if it is known, can print JSON.
pub(super) fn wants_json(command: Option<&Grammar>, line: &[OsString]) -> bool {
    let mut options = line.iter().skip(1).take_while(|word| *word != "--");
    let can_give = |command: &Grammar| command.get_arguments().any(|argument| argument.get_id() == "json");
    options.any(|word| word == "--json") && command.is_none_or(can_give)
}
