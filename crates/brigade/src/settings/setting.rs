//! All settings: the place of each in the file, its variable, its kind, and its options.
//!
//! A value is checked by the same rule as the option. The parent and `file` read the values.

use std::path::Path;

use brigade_core::{id::PeerKey, name::Username};

use crate::{
    command_line::value_parsers::{
        EXPECTED_COUNT, EXPECTED_MANAGER_PORT, EXPECTED_PORT, host, parse_cap, parse_count, parse_keep,
        parse_manager_port, parse_port,
    },
    log::{FILTER_VARIABLE, check_filter},
    text::value_suggestions,
};

/// A setting.
pub(super) struct Setting {
    /// The table and the key of the settings file.
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    /// The environment variable.
    pub(super) variable: &'static str,
    pub(super) kind: SettingKind,
    /// The option that it is the default of, as a field of the arguments, and the commands that have the option.
    pub(super) option: &'static str,
    pub(super) commands: &'static [&'static str],
}

/// The kind of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SettingKind {
    Host,
    Port,
    ManagerPort,
    Count,
    Key,
    Username,
    Folder,
    File,
    Rate,
    Keep,
    Switch,
    LogFormat,
    LogFilter,
}

const ANY: &[&str] = &["peer", "fetch", "files", "peers", "doctor"];
const MANAGER: &[&str] = &["manager"];
const PEER: &[&str] = &["peer"];
const FETCH: &[&str] = &["fetch"];
/// A peer, and the check of its surroundings.
const PEER_AND_DOCTOR: &[&str] = &["peer", "doctor"];
/// The commands that may run as a service.
const SERVICES: &[&str] = &["manager", "peer"];
/// Without the port and the username: a peer and a fetch that run at the same time cannot share those.
const BOTH: &[&str] = &["peer", "fetch"];
/// The commands with a number of connections.
const CONNECTING: &[&str] = &["peer", "fetch", "doctor"];

/// All settings. A schedule is only in the file; options of a single run (`--json`, `--stay`) are not settings.
pub(super) const SETTINGS: &[Setting] = &[
    setting("network", "host", "BRIGADE_MANAGER_HOST", SettingKind::Host, "manager_host", ANY),
    setting("network", "port", "BRIGADE_MANAGER_PORT", SettingKind::ManagerPort, "manager_port", ANY),
    setting("network", "key", "BRIGADE_MANAGER_KEY", SettingKind::Key, "manager_key", ANY),
    setting("manager", "host", "BRIGADE_MANAGER_LISTEN_HOST", SettingKind::Host, "host", MANAGER),
    setting("manager", "port", "BRIGADE_MANAGER_LISTEN_PORT", SettingKind::Port, "port", MANAGER),
    setting("manager", "max", "BRIGADE_MANAGER_MAX", SettingKind::Count, "max", MANAGER),
    setting("manager", "state", "BRIGADE_MANAGER_STATE", SettingKind::Folder, "state", MANAGER),
    setting("manager", "open", "BRIGADE_MANAGER_OPEN", SettingKind::Switch, "open", MANAGER),
    setting("peer", "host", "BRIGADE_HOST", SettingKind::Host, "host", BOTH),
    setting("peer", "port", "BRIGADE_PORT", SettingKind::Port, "port", PEER_AND_DOCTOR),
    setting("peer", "username", "BRIGADE_USERNAME", SettingKind::Username, "username", PEER),
    setting("peer", "folder", "BRIGADE_FOLDER", SettingKind::Folder, "folder", PEER_AND_DOCTOR),
    setting("peer", "max", "BRIGADE_MAX", SettingKind::Count, "max", CONNECTING),
    setting("fetch", "into", "BRIGADE_INTO", SettingKind::Folder, "into", FETCH),
    setting("parts", "keep", "BRIGADE_KEEP_PARTS", SettingKind::Keep, "keep_parts", BOTH),
    setting("log", "format", "BRIGADE_LOG_FORMAT", SettingKind::LogFormat, "log_format", SERVICES),
    setting("log", "filter", FILTER_VARIABLE, SettingKind::LogFilter, "log_filter", SERVICES),
    setting("log", "transfers", "BRIGADE_TRANSFER_LOG", SettingKind::File, "transfer_log", PEER),
    setting("limits", "up", UP, SettingKind::Rate, "upload_limit", &[]),
    setting("limits", "down", DOWN, SettingKind::Rate, "download_limit", &[]),
];

/// The variable that names the folder of the file.
pub(super) const HOME: &str = "BRIGADE_HOME";

/// The variables of limits. Their settings are not defaults of the options: a schedule takes precedence over the file,
/// and the environment over the schedule.
pub(super) const UP: &str = "BRIGADE_UPLOAD_LIMIT";
pub(super) const DOWN: &str = "BRIGADE_DOWNLOAD_LIMIT";

const fn setting(
    table: &'static str,
    key: &'static str,
    variable: &'static str,
    kind: SettingKind,
    option: &'static str,
    commands: &'static [&'static str],
) -> Setting {
    Setting { table, key, variable, kind, option, commands }
}

impl SettingKind {
    /// Checks a value in the form in which a user types it. The error names what is expected.
    pub(super) fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Host => host(value, "the port ").map(drop),
            Self::Folder | Self::File => value_suggestions::path(Path::new(value)).map_or(Ok(()), Err),
            Self::Port => parse_port(value).map(drop),
            Self::ManagerPort => parse_manager_port(value).map(drop),
            Self::Count => parse_count(value).map(drop),
            Self::Key => value.parse::<PeerKey>().map(drop).map_err(|error| error.to_string()),
            Self::Username => value.parse::<Username>().map(drop).map_err(|error| error.to_string()),
            Self::Rate => parse_cap(value).map(drop),
            Self::Keep => parse_keep(value).map(drop),
            Self::LogFormat if ["text", "json"].contains(&value) => Ok(()),
            Self::LogFormat => Err(self.expected().to_owned()),
            Self::LogFilter => check_filter(value),
            Self::Switch => value.parse::<bool>().map(drop).map_err(|_| self.expected().to_owned()),
        }
    }

    /// The error for a value of another type.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Host => "expected a name or an address in quotation marks",
            Self::Port => EXPECTED_PORT,
            Self::ManagerPort => EXPECTED_MANAGER_PORT,
            Self::Count => EXPECTED_COUNT,
            Self::Key => "expected a key of 64 hex digits in quotation marks",
            Self::Username => "expected a username in quotation marks",
            Self::Folder | Self::File => "expected an absolute path in quotation marks",
            Self::Rate => "expected a rate like \"10MB\", or \"off\", in quotation marks",
            Self::Keep => "expected a time like \"30d\" or \"12h\", or \"off\", in quotation marks",
            Self::Switch => "expected true or false",
            Self::LogFormat => "expected \"text\" or \"json\" in quotation marks",
            Self::LogFilter => {
                "expected a filter like \"info\" or \"warn,brigade_node=debug\" in quotation marks"
            }
        }
    }
}

/// The known word that is most similar to `word`.
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = |known: &&str| strsim::damerau_levenshtein(&word.to_lowercase(), known);
    words.filter(|known| far(known) <= known.len().div_ceil(3)).min_by_key(far)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_similar_words_are_suggested() {
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
