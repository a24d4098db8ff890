//! The settings that exist: where each is written, its kind, and the options that it is a default of.
//!
//! A value is checked by the same rule as its option. Reading the values is the work of the parent and of `file`.

use std::path::Path;

use brigade_core::{id::PeerKey, name::Username};

use crate::command_line::{
    args::{MANAGER_PORT_WANTED, host, parse_cap, parse_count, parse_keep, parse_manager_port, parse_port},
    hints,
};

/// One thing that can be set.
pub(super) struct Setting {
    /// The table and the key of the settings file.
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    /// The environment variable.
    pub(super) variable: &'static str,
    pub(super) kind: Kind,
    /// Which option it stands for, as a field of the arguments, and for which commands.
    pub(super) option: &'static str,
    pub(super) commands: &'static [&'static str],
}

/// What a setting's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) const SETTINGS: &[Setting] = &[
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
pub(super) const HOME: &str = "BRIGADE_HOME";

/// Limits are no defaults of their options: a schedule stands between the environment and the file.
pub(super) const UP: &str = "BRIGADE_UPLOAD_LIMIT";
pub(super) const DOWN: &str = "BRIGADE_DOWNLOAD_LIMIT";

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

impl Kind {
    /// Checks a value as it would be typed; an error says what is wanted.
    pub(super) fn check(self, value: &str) -> Result<(), String> {
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
    pub(super) const fn wanted(self) -> &'static str {
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
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = |known: &&str| strsim::damerau_levenshtein(&word.to_lowercase(), known);
    words.filter(|known| far(known) <= known.len().div_ceil(3)).min_by_key(far)
}

#[cfg(test)]
mod tests {
    use super::nearest;

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
