//! Settings: values from the environment and from `BRIGADE_HOME/brigade.toml` for options that are not given. The
//! environment takes precedence over the file, and both over the defaults.
//!
//! A setting is checked by the same rule as its option. `file` reads the file, `schedule` reads a schedule of limits,
//! `shares` the shares in place; `brigade_core::limit_plan` decides which limit applies.

mod file;
mod file_mistakes;
mod schedule;
mod setting;
mod shares;
mod toml_value;

use std::{collections::BTreeMap, env, ffi::OsString, path::Path};

use brigade_core::{
    limit_plan::{Direction, LimitPlan, OptionSource},
    rate::Cap,
};
use brigade_node::{peer::SharedPath, user_account::brigade_home};
use clap::{Arg, Command as Grammar};

use self::setting::{DOWN, HOME, SETTINGS, Setting, SettingKind, UP};
use crate::{
    command_line::{
        args::{Brigade, Command, PeerOptions},
        mistakes::{Location, Mistake},
        value_parsers::parse_cap,
    },
    text::value_suggestions,
};

/// The variable that sets the limit for a direction.
pub(crate) const fn limit_variable(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => UP,
        Direction::Down => DOWN,
    }
}

/// The settings file's name.
const FILE: &str = "brigade.toml";

/// The values that are set.
#[derive(Default)]
pub(crate) struct Settings {
    /// The value of each of [`SETTINGS`] that has one, in the form in which a user types it.
    values: Vec<(&'static Setting, String)>,
    /// The limits of the environment and of the file.
    pub(crate) limits: LimitPlan,
    /// The shares in place of the file.
    shares: Vec<SharedPath>,
}

impl Settings {
    /// Reads the environment and the file, and finds all mistakes in them. A wrong value counts as not set.
    pub(crate) fn load() -> (Self, Vec<Mistake>) {
        Self::read(brigade_home().map(|home| home.join(FILE)).as_deref(), |name| env::var_os(name))
    }

    /// Whether a command uses settings.
    pub(crate) fn are_used_by(command: &str) -> bool {
        SETTINGS.iter().any(|setting| setting.commands.contains(&command))
    }

    /// The variables that set options of a command, and these options as they are typed.
    pub(crate) fn variables_of(command: &str) -> Vec<(&'static str, String)> {
        let of_command = SETTINGS.iter().filter(|setting| {
            let is_limit = [UP, DOWN].contains(&setting.variable) && ["peer", "fetch"].contains(&command);
            is_limit || setting.commands.contains(&command)
        });
        of_command
            .map(|setting| (setting.variable, format!("--{}", setting.option.replace('_', "-"))))
            .collect()
    }

    /// The variables of all settings, and that of their file.
    pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
        SETTINGS.iter().map(|setting| setting.variable).chain([HOME])
    }

    /// The value of each option of `command` that is a setting, by the name of the setting in the file. `value` is that of
    /// an option on the command line, in the environment, in the file, or the default.
    pub(crate) fn option_values(
        command: &str,
        value: impl Fn(&'static str) -> Option<String>,
    ) -> BTreeMap<String, Option<String>> {
        let of_command = SETTINGS.iter().filter(|setting| setting.commands.contains(&command));
        of_command
            .map(|setting| (format!("{}.{}", setting.table, setting.key), value(setting.option)))
            .collect()
    }

    /// Whether they name a manager: its host or its port.
    pub(crate) fn name_manager(&self) -> bool {
        self.values.iter().any(|(setting, _)| ["manager_host", "manager_port"].contains(&setting.option))
    }

    /// `grammar` with the settings as defaults.
    pub(crate) fn with_defaults(&self, mut grammar: Grammar) -> Grammar {
        for (setting, value) in &self.values {
            for command in setting.commands {
                grammar = grammar.mut_subcommand(command, |command| {
                    command.mut_arg(setting.option, |option| with_default(option, value))
                });
            }
        }
        grammar
    }

    fn read(path: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> (Self, Vec<Mistake>) {
        let (mut settings, mut mistakes) = (Self::default(), vec![]);
        if let Some(wrong) = variable(HOME).and_then(|home| value_suggestions::path(Path::new(&home))) {
            mistakes.push(Mistake::new(Location::Variable(HOME), wrong));
        }
        for setting in SETTINGS {
            let Some(value) = variable(setting.variable).filter(|value| !value.is_empty()) else { continue };
            let Some(value) = value.to_str() else {
                mistakes.push(Mistake::new(Location::Variable(setting.variable), "it is not UTF-8"));
                continue;
            };
            match setting.kind.check(value) {
                Ok(()) => settings.values.push((setting, value.to_owned())),
                // The log has a line about it: it must not prevent a command.
                Err(_) if setting.kind == SettingKind::LogFilter => {}
                Err(expected) => {
                    let what = format!("invalid value '{value}': {expected}");
                    mistakes.push(Mistake::new(Location::Variable(setting.variable), what));
                }
            }
        }
        let given = |variable| settings.cap(variable).map(|cap| (cap, OptionSource::Environment));
        (settings.limits.up.given, settings.limits.down.given) = (given(UP), given(DOWN));
        let of_file = path.map(|path| file::read(path, &mut mistakes)).unwrap_or_default();
        for (setting, value) in of_file.values {
            match setting.variable {
                UP => settings.limits.up.default = parse_cap(&value).ok(),
                DOWN => settings.limits.down.default = parse_cap(&value).ok(),
                variable if settings.values.iter().any(|(known, _)| known.variable == variable) => {}
                _ => settings.values.push((setting, value)),
            }
        }
        settings.limits.rules = of_file.rules;
        settings.shares = of_file.shares;
        (settings, mistakes)
    }

    /// The limits for `args`: those of the options take precedence over the settings.
    pub(crate) fn limits_for(&self, args: &Brigade) -> LimitPlan {
        let mut plan = self.limits.clone();
        let flags: Option<&PeerOptions> = match &args.command {
            Command::Peer(args) => Some(&args.peer),
            Command::Fetch(args) => Some(&args.peer),
            _ => None,
        };
        if let Some(flags) = flags {
            plan.up.given = flags.upload_limit.map(|cap| (cap, OptionSource::Flag)).or(plan.up.given);
            plan.down.given = flags.download_limit.map(|cap| (cap, OptionSource::Flag)).or(plan.down.given);
        }
        plan
    }

    /// Adds the shares of the file to those of the options, except for paths that are in both.
    pub(crate) fn add_shares(&self, args: &mut Brigade) {
        if let Command::Peer(peer) = &mut args.command {
            let is_new =
                |share: &&SharedPath| !peer.share.iter().any(|given| is_same(&given.path, &share.path));
            let of_file: Vec<SharedPath> = self.shares.iter().filter(is_new).cloned().collect();
            peer.share.splice(0..0, of_file);
        }
    }

    fn cap(&self, variable: &str) -> Option<Cap> {
        let set = self.values.iter().find(|(setting, _)| setting.variable == variable);
        set.and_then(|(_, value)| parse_cap(value).ok())
    }
}

/// Whether two paths lead to the same file or folder.
fn is_same(path: &Path, other: &Path) -> bool {
    path == other
        || path.canonicalize().is_ok_and(|path| other.canonicalize().is_ok_and(|other| path == other))
}

/// The option with another default, which replaces the default that its help describes.
fn with_default(option: Arg, value: &str) -> Arg {
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.split(" [default: ").next().unwrap_or_default().to_owned();
    option.help(help).default_value(value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::CommandFactory;

    use super::{Cap, OptionSource, OsString, SETTINGS, Settings};
    use crate::command_line::args::Brigade;

    /// Checks the values of options in `line` with settings; `expected` has `option=value` for each of them.
    #[track_caller]
    fn check(file: &str, variables: &[(&str, &str)], line: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("brigade.toml");
        let [file, expected] = [file, expected].map(with_absolute_paths);
        fs::write(&path, file).unwrap();
        let of = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let (settings, mistakes) =
            Settings::read(Some(&path), |name| of(name).map(|(_, value)| OsString::from(value)));
        assert_eq!(mistakes, []);
        let grammar = settings.with_defaults(Brigade::command());
        let matches = grammar.try_get_matches_from(format!("brigade {line}").split(' ')).unwrap();
        let (_, matches) = matches.subcommand().unwrap();
        let shown = |option: &str| {
            let values = matches.get_raw(option).map(|values| values.collect::<Vec<_>>().join(" ".as_ref()));
            format!("{option}={}", values.unwrap_or_default().to_string_lossy())
        };
        let options = expected.split(' ').filter_map(|one| one.split_once('=').map(|(option, _)| option));
        assert_eq!(options.map(shown).collect::<Vec<_>>().join(" "), expected, "{line}");
    }

    /// The text with paths that are absolute on this system.
    fn with_absolute_paths(text: &str) -> String {
        if cfg!(windows) { text.replace("/srv/", "C:/srv/") } else { text.to_owned() }
    }

    const ALL: &str = r#"
        [network]
        host = "there"
        port = 1
        [manager]
        port = 2
        max = 3
        open = true
        [peer]
        host = "here"
        port = 4
        username = "fire_user"
        max = 5
        folder = "/srv/shared"
        [fetch]
        into = "/srv/fetched"
        [limits]
        up = "1MB"
    "#;

    #[test]
    fn options_take_precedence_over_the_environment_the_file_and_the_defaults() {
        let variables = [("BRIGADE_MANAGER_PORT", "6"), ("BRIGADE_MAX", "7"), ("BRIGADE_HOST", "")];
        check("", &[], "peer", "manager_port=12000 max=20 host= username=");
        check(ALL, &[], "peer", "manager_port=1 max=5 host=here username=fire_user");
        check(ALL, &variables, "peer", "manager_port=6 max=7 host=here username=fire_user");
        check(ALL, &variables, "peer --max 8 --manager-port 9", "manager_port=9 max=8 host=here");
    }

    #[test]
    fn a_manager_in_the_environment_or_the_file_is_named() {
        let names = |variable: &str| Settings::read(None, |name| (name == variable).then(|| "1".into())).0;
        assert!(names("BRIGADE_MANAGER_PORT").name_manager() && names("BRIGADE_MANAGER_HOST").name_manager());
        assert!(!names("BRIGADE_PORT").name_manager());
    }

    #[test]
    fn a_setting_applies_only_to_its_commands() {
        check(ALL, &[], "manager", "host=localhost port=2 max=3 open=true state=");
        check(ALL, &[("BRIGADE_MANAGER_OPEN", "false")], "manager --port 9", "port=9 open=false");
        check(ALL, &[], "peer", "port=4 folder=/srv/shared");
        check(ALL, &[], "fetch x", "manager_host=there port= username= host=here max=5 into=/srv/fetched");
        check(ALL, &[], "files", "manager_host=there manager_port=1");
        check(ALL, &[], "peers", "manager_host=there manager_port=1");
    }

    #[test]
    fn limits_have_their_source() {
        let environment = |name: &str| (name == "BRIGADE_UPLOAD_LIMIT").then(|| OsString::from("off"));
        let (settings, mistakes) = Settings::read(None, environment);
        assert_eq!(mistakes, []);
        assert_eq!(settings.limits.up.given, Some((Cap::Off, OptionSource::Environment)));
        assert_eq!(settings.limits.down, Default::default());
    }

    #[test]
    fn every_variable_is_checked() {
        for setting in
            SETTINGS.iter().filter(|setting| setting.option != "host" && setting.option != "manager_host")
        {
            let wrong = |name: &str| (name == setting.variable).then(|| OsString::from("a/b c"));
            let (_, mistakes) = Settings::read(None, wrong);
            // A path may be anything; and a wrong filter of the log is reported by the log.
            let is_free = ["state", "folder", "into", "transfer_log", "log_filter"].contains(&setting.option);
            assert_eq!(mistakes.len(), usize::from(!is_free), "{}", setting.variable);
        }
    }

    #[test]
    fn a_path_that_a_shell_should_have_expanded_is_refused_in_all_settings() {
        for name in ["BRIGADE_HOME", "BRIGADE_FOLDER", "BRIGADE_INTO", "BRIGADE_MANAGER_STATE"] {
            let tilde = |variable: &str| (variable == name).then(|| OsString::from("~/x"));
            let (settings, mistakes) = Settings::read(None, tilde);
            assert!(
                matches!(&mistakes[..], [one] if one.what.contains("`~` is not expanded here")),
                "{mistakes:?}"
            );
            assert!(settings.values.is_empty());
        }
    }

    #[test]
    fn every_setting_has_its_option() {
        for setting in SETTINGS {
            let grammar = Brigade::command();
            for command in setting.commands {
                let command = grammar.find_subcommand(command).unwrap();
                assert!(command.get_arguments().any(|known| known.get_id() == setting.option));
            }
        }
    }
}
