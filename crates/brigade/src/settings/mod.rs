//! Settings that last: what is taken from the environment and from `BRIGADE_HOME/brigade.toml` where an option is not
//! given. The environment stands above the file, and both above the defaults.
//!
//! A setting is checked by the same rule as its option. `file` knows the file's form, `times` that of a schedule;
//! which limits hold in the end is `brigade_core::schedule`'s to say.

mod file;
mod times;

use std::{env, ffi::OsString, path::Path};

use brigade_core::{
    id::PeerKey,
    name::Username,
    rate::Cap,
    schedule::{Given, LimitPlan},
};
use brigade_node::config::brigade_home;
use clap::{Arg, Command as Grammar};

use crate::{
    args::{MANAGER_PORT_WANTED, host, parse_cap, parse_count, parse_keep, parse_manager_port, parse_port},
    hints,
    mistakes::{Mistake, Place},
};

pub(crate) use self::times::DAYS;

/// The settings file's name.
const FILE: &str = "brigade.toml";

/// One thing that can be set.
struct Setting {
    /// The table and the key of the settings file.
    table: &'static str,
    key: &'static str,
    /// The environment variable.
    variable: &'static str,
    kind: Kind,
    /// Which option it stands for, as a field of the arguments, and for which commands.
    option: &'static str,
    commands: &'static [&'static str],
}

/// What a setting's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Host,
    Port,
    ManagerPort,
    Count,
    Key,
    Username,
    Folder,
    Rate,
    Keep,
    Switch,
}

const ANY: &[&str] = &["peer", "fetch", "files", "peers"];
const MANAGER: &[&str] = &["manager"];
const PEER: &[&str] = &["peer"];
const FETCH: &[&str] = &["fetch"];
/// Not the port and the username: a peer and a fetch that run at once cannot share those.
const BOTH: &[&str] = &["peer", "fetch"];

/// All of them. A schedule is in the file alone; what belongs to one run (`--json`, `--stay`) is no setting.
const SETTINGS: &[Setting] = &[
    setting("network", "host", "BRIGADE_MANAGER_HOST", Kind::Host, "manager_host", ANY),
    setting("network", "port", "BRIGADE_MANAGER_PORT", Kind::ManagerPort, "manager_port", ANY),
    setting("network", "key", "BRIGADE_MANAGER_KEY", Kind::Key, "manager_key", ANY),
    setting("manager", "host", "BRIGADE_MANAGER_LISTEN_HOST", Kind::Host, "host", MANAGER),
    setting("manager", "port", "BRIGADE_MANAGER_LISTEN_PORT", Kind::Port, "port", MANAGER),
    setting("manager", "max", "BRIGADE_MANAGER_MAX", Kind::Count, "max", MANAGER),
    setting("manager", "state", "BRIGADE_MANAGER_STATE", Kind::Folder, "state", MANAGER),
    setting("manager", "open", "BRIGADE_MANAGER_OPEN", Kind::Switch, "open", MANAGER),
    setting("peer", "host", "BRIGADE_HOST", Kind::Host, "host", BOTH),
    setting("peer", "port", "BRIGADE_PORT", Kind::Port, "port", PEER),
    setting("peer", "username", "BRIGADE_USERNAME", Kind::Username, "username", PEER),
    setting("peer", "folder", "BRIGADE_FOLDER", Kind::Folder, "folder", PEER),
    setting("peer", "max", "BRIGADE_MAX", Kind::Count, "max", BOTH),
    setting("fetch", "into", "BRIGADE_INTO", Kind::Folder, "into", FETCH),
    setting("parts", "keep", "BRIGADE_KEEP_PARTS", Kind::Keep, "keep_parts", BOTH),
    setting("limits", "up", UP, Kind::Rate, "upload_limit", &[]),
    setting("limits", "down", DOWN, Kind::Rate, "download_limit", &[]),
];

/// The variable of the folder that the file is in.
const HOME: &str = "BRIGADE_HOME";

/// Limits are no defaults of their options: a schedule stands between the environment and the file.
const UP: &str = "BRIGADE_UPLOAD_LIMIT";
const DOWN: &str = "BRIGADE_DOWNLOAD_LIMIT";

const fn setting(
    table: &'static str,
    key: &'static str,
    variable: &'static str,
    kind: Kind,
    option: &'static str,
    commands: &'static [&'static str],
) -> Setting {
    Setting { table, key, variable, kind, option, commands }
}

/// What was set.
#[derive(Default)]
pub(crate) struct Settings {
    /// The value of each of [`SETTINGS`] that has one, as it would be typed.
    values: Vec<(&'static Setting, String)>,
    /// What the environment and the file say of limits.
    pub(crate) limits: LimitPlan,
}

impl Settings {
    /// Reads the environment and the file, and finds every mistake in them; what is wrong counts as not set.
    pub(crate) fn load() -> (Self, Vec<Mistake>) {
        Self::read(brigade_home().map(|home| home.join(FILE)).as_deref(), |name| env::var_os(name))
    }

    /// Whether a command looks at them at all.
    pub(crate) fn matter_for(command: &str) -> bool {
        SETTINGS.iter().any(|setting| setting.commands.contains(&command))
    }

    /// `grammar` with the settings in the place of its defaults.
    pub(crate) fn in_force(&self, mut grammar: Grammar) -> Grammar {
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
        if let Some(wrong) = variable(HOME).and_then(|home| hints::path(Path::new(&home))) {
            mistakes.push(Mistake::new(Place::Variable(HOME), wrong));
        }
        for setting in SETTINGS {
            let Some(value) = variable(setting.variable).filter(|value| !value.is_empty()) else { continue };
            let Some(value) = value.to_str() else {
                mistakes.push(Mistake::new(Place::Variable(setting.variable), "it is not UTF-8"));
                continue;
            };
            match setting.kind.check(value) {
                Ok(()) => settings.values.push((setting, value.to_owned())),
                Err(wanted) => {
                    let what = format!("invalid value '{value}': {wanted}");
                    mistakes.push(Mistake::new(Place::Variable(setting.variable), what));
                }
            }
        }
        let given = |variable| settings.cap(variable).map(|cap| (cap, Given::Environment));
        (settings.limits.up.given, settings.limits.down.given) = (given(UP), given(DOWN));
        let of_file = path.map(|path| file::read(path, &mut mistakes)).unwrap_or_default();
        for (setting, value) in of_file.values {
            match setting.variable {
                UP => settings.limits.up.usual = parse_cap(&value).ok(),
                DOWN => settings.limits.down.usual = parse_cap(&value).ok(),
                variable if settings.values.iter().any(|(known, _)| known.variable == variable) => {}
                _ => settings.values.push((setting, value)),
            }
        }
        settings.limits.rules = of_file.rules;
        (settings, mistakes)
    }

    fn cap(&self, variable: &str) -> Option<Cap> {
        let set = self.values.iter().find(|(setting, _)| setting.variable == variable);
        set.and_then(|(_, value)| parse_cap(value).ok())
    }
}

/// An option with another default, which takes the place of the one that its help tells in words.
fn with_default(option: Arg, value: &str) -> Arg {
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.split(" [default: ").next().unwrap_or_default().to_owned();
    option.help(help).default_value(value.to_owned())
}

impl Kind {
    /// Checks a value as it would be typed; an error says what is wanted.
    fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Host => host(value, "the port ").map(drop),
            Self::Folder => hints::path(Path::new(value)).map_or(Ok(()), Err),
            Self::Port => parse_port(value).map(drop),
            Self::ManagerPort => parse_manager_port(value).map(drop),
            Self::Count => parse_count(value).map(drop),
            Self::Key => value.parse::<PeerKey>().map(drop).map_err(|error| error.to_string()),
            Self::Username => value.parse::<Username>().map(drop).map_err(|error| error.to_string()),
            Self::Rate => parse_cap(value).map(drop),
            Self::Keep => parse_keep(value).map(drop),
            Self::Switch => value.parse::<bool>().map(drop).map_err(|_| self.wanted().to_owned()),
        }
    }

    /// What is wanted, where something of another kind was found.
    const fn wanted(self) -> &'static str {
        match self {
            Self::Host => "a name or an address in quotation marks is wanted",
            Self::Port => "a number from 0 to 65535 is wanted",
            Self::ManagerPort => MANAGER_PORT_WANTED,
            Self::Count => "a number from 1 to 100000 is wanted",
            Self::Key => "a key of 64 hex digits in quotation marks is wanted",
            Self::Username => "a username in quotation marks is wanted",
            Self::Folder => "an absolute path in quotation marks is wanted",
            Self::Rate => "a rate like \"10MB\", or \"off\", in quotation marks is wanted",
            Self::Keep => "a time like \"30d\" or \"12h\", or \"off\", in quotation marks is wanted",
            Self::Switch => "true or false is wanted",
        }
    }
}

/// The word that `word` was probably meant to be.
fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = |known: &&str| strsim::damerau_levenshtein(&word.to_lowercase(), known);
    words.filter(|known| far(known) <= known.len().div_ceil(3)).min_by_key(far)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::CommandFactory;

    use super::{Cap, Given, OsString, SETTINGS, Settings, nearest};
    use crate::args::Brigade;

    /// What `arguments` of a command come to with settings: `option=value` for each of `options`.
    #[track_caller]
    fn check(file: &str, variables: &[(&str, &str)], line: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("brigade.toml");
        fs::write(&path, file).unwrap();
        let of = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let (settings, mistakes) =
            Settings::read(Some(&path), |name| of(name).map(|(_, value)| OsString::from(value)));
        assert_eq!(mistakes, []);
        let grammar = settings.in_force(Brigade::command());
        let matches = grammar.try_get_matches_from(format!("brigade {line}").split(' ')).unwrap();
        let (_, matches) = matches.subcommand().unwrap();
        let shown = |option: &str| {
            let values = matches.get_raw(option).map(|values| values.collect::<Vec<_>>().join(" ".as_ref()));
            format!("{option}={}", values.unwrap_or_default().to_string_lossy())
        };
        let options = expected.split(' ').filter_map(|one| one.split_once('=').map(|(option, _)| option));
        assert_eq!(options.map(shown).collect::<Vec<_>>().join(" "), expected, "{line}");
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
    fn flags_stand_above_the_environment_above_the_file_above_the_defaults() {
        let variables = [("BRIGADE_MANAGER_PORT", "6"), ("BRIGADE_MAX", "7"), ("BRIGADE_HOST", "")];
        check("", &[], "peer", "manager_port=12000 max=20 host= username=");
        check(ALL, &[], "peer", "manager_port=1 max=5 host=here username=fire_user");
        check(ALL, &variables, "peer", "manager_port=6 max=7 host=here username=fire_user");
        check(ALL, &variables, "peer --max 8 --manager-port 9", "manager_port=9 max=8 host=here");
    }

    #[test]
    fn a_setting_holds_for_its_commands_alone() {
        check(ALL, &[], "manager", "host=localhost port=2 max=3 open=true state=");
        check(ALL, &[("BRIGADE_MANAGER_OPEN", "false")], "manager --port 9", "port=9 open=false");
        check(ALL, &[], "peer", "port=4 folder=/srv/shared");
        check(ALL, &[], "fetch x", "manager_host=there port= username= host=here max=5 into=/srv/fetched");
        check(ALL, &[], "files", "manager_host=there manager_port=1");
        check(ALL, &[], "peers", "manager_host=there manager_port=1");
    }

    #[test]
    fn limits_are_gathered_by_who_set_them() {
        let environment = |name: &str| (name == "BRIGADE_UPLOAD_LIMIT").then(|| OsString::from("off"));
        let (settings, mistakes) = Settings::read(None, environment);
        assert_eq!(mistakes, []);
        assert_eq!(settings.limits.up.given, Some((Cap::Off, Given::Environment)));
        assert_eq!(settings.limits.down, Default::default());
    }

    #[test]
    fn every_variable_is_checked() {
        for setting in
            SETTINGS.iter().filter(|setting| setting.option != "host" && setting.option != "manager_host")
        {
            let wrong = |name: &str| (name == setting.variable).then(|| OsString::from("a/b c"));
            let (_, mistakes) = Settings::read(None, wrong);
            let is_path = ["state", "folder", "into"].contains(&setting.option);
            assert_eq!(mistakes.len(), usize::from(!is_path), "{}", setting.variable);
        }
    }

    #[test]
    fn a_path_that_no_shell_has_seen_is_refused_wherever_it_is_set() {
        for name in ["BRIGADE_HOME", "BRIGADE_FOLDER", "BRIGADE_INTO", "BRIGADE_MANAGER_STATE"] {
            let tilde = |variable: &str| (variable == name).then(|| OsString::from("~/x"));
            let (settings, mistakes) = Settings::read(None, tilde);
            assert!(
                matches!(&mistakes[..], [one] if one.what.contains("`~` is not replaced here")),
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

    #[test]
    fn the_nearest_word_is_near() {
        let words = || ["host", "port", "username"].into_iter();
        for (word, expected) in [
            ("hots", Some("host")),
            ("Port", Some("port")),
            ("user_name", Some("username")),
            ("folder", None),
        ] {
            assert_eq!(nearest(word, words()), expected, "{word}");
        }
    }
}
