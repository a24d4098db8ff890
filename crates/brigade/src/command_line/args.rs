//! The command line as types. `command_line` reads it and reports its mistakes; `settings` has the values for options
//! that are not given.
//!
//! `docs/operating.md` describes the options; the files in `commands/` implement them.

use std::{path::PathBuf, str::FromStr, time::Duration};

use brigade_core::{
    id::PeerKey,
    name::{FileName, NameError, Username},
    rate::Cap,
};
use clap::{
    Args, Parser, Subcommand,
    builder::{PathBufValueParser, TypedValueParser},
};

use crate::text::suggestions::{self, Suggestion};

/// Printed at the end of the help of each command that takes values from the settings.
const SETTINGS_HELP: &str = "Options that are not given are taken from environment variables, then from brigade.toml in \
                             BRIGADE_HOME, then from the defaults: see docs/operating.md.";

/// The host of a manager.
pub(crate) const DEFAULT_HOST: &str = "localhost";
/// The port of a manager.
const DEFAULT_PORT: u16 = 12_000;
/// The largest number of peers of a manager, and of connections of a peer.
pub(crate) const DEFAULT_MAX: usize = 20;

/// A private peer-to-peer network for files: a file is fetched from all holders at once, and each piece is verified and
/// passed on
#[derive(Debug, Parser)]
#[command(name = "brigade", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Brigade {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the network's manager: it knows the peers and their files, and never receives the content of a file
    #[command(after_help = SETTINGS_HELP)]
    Manager(ManagerArgs),
    /// Shares a folder, and fetches files of others at a prompt
    #[command(after_help = SETTINGS_HELP)]
    Peer(PeerArgs),
    /// Fetches files or folders without a prompt
    #[command(after_help = SETTINGS_HELP)]
    Fetch(FetchArgs),
    /// Lists the files in the network
    #[command(after_help = SETTINGS_HELP)]
    Files(FilesArgs),
    /// Lists the peers in the network
    #[command(after_help = SETTINGS_HELP)]
    Peers(PeersArgs),
    /// Shows Brigade at work: a manager and four peers on this machine, with a real file
    Demo(DemoArgs),
    /// Prints a script for command line completion: `brigade completions bash`
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page
    Man,
}

/// The options that name the manager.
#[derive(Debug, Args)]
pub(crate) struct ManagerOptions {
    /// The manager's host: a name or an address
    #[arg(long, alias = "manager_host", default_value = DEFAULT_HOST, value_name = "HOST", value_parser = parse_manager_host)]
    pub(crate) manager_host: String,
    /// The manager's TCP port
    #[arg(long, alias = "manager_port", default_value_t = DEFAULT_PORT, value_name = "PORT", value_parser = parse_manager_port, allow_negative_numbers = true)]
    pub(crate) manager_port: u16,
    /// The manager's key, if you know it; otherwise the manager must have the key that it had at the first contact
    #[arg(long, alias = "manager_key", value_name = "KEY")]
    pub(crate) manager_key: Option<PeerKey>,
}

#[derive(Debug, Args)]
pub(crate) struct ManagerArgs {
    /// Where to listen: a name or an address of this machine
    #[arg(long, default_value = DEFAULT_HOST, value_parser = parse_host)]
    pub(crate) host: String,
    /// The TCP port to listen on
    #[arg(long, default_value_t = DEFAULT_PORT, value_parser = parse_port, allow_negative_numbers = true)]
    pub(crate) port: u16,
    /// The largest number of peers at the same time
    #[arg(long, default_value_t = DEFAULT_MAX, value_name = "COUNT", value_parser = parse_count, allow_negative_numbers = true)]
    pub(crate) max: usize,
    /// The folder for the manager's key and members [default: in BRIGADE_HOME, one for each port]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) state: Option<PathBuf>,
    /// Start although other machines can reach HOST: everyone who reaches the port may join, and read everything that
    /// is shared
    #[arg(long)]
    pub(crate) open: bool,
}

/// The options of a peer, with a prompt or without.
#[derive(Debug, Args)]
pub(crate) struct PeerOptions {
    #[command(flatten)]
    pub(crate) manager: ManagerOptions,
    /// Where to listen for other peers [default: all addresses, or only this machine if the manager listens only there]
    #[arg(long, value_parser = parse_host)]
    pub(crate) host: Option<String>,
    /// The TCP port to listen on; 0 takes a free one
    #[arg(long, value_parser = parse_port, allow_negative_numbers = true)]
    pub(crate) port: Option<u16>,
    /// The name in the network; it is bound to the key of the folder
    #[arg(long)]
    pub(crate) username: Option<Username>,
    /// The largest number of connections with other peers, in both directions together
    #[arg(long, default_value_t = DEFAULT_MAX, value_name = "COUNT", value_parser = parse_count, allow_negative_numbers = true)]
    pub(crate) max: usize,
    /// Send at most this many bytes per second, over all connections: 10MB is 10⁷; off for no limit
    #[arg(long, alias = "upload_limit", value_name = "RATE", value_parser = parse_cap, allow_negative_numbers = true)]
    pub(crate) upload_limit: Option<Cap>,
    /// Receive at most this many bytes per second, over all connections
    #[arg(long, alias = "download_limit", value_name = "RATE", value_parser = parse_cap, allow_negative_numbers = true)]
    pub(crate) download_limit: Option<Cap>,
    /// How long to keep parts of files that are not being fetched: 30d, 12h; off to keep them forever
    #[arg(long, alias = "keep_parts", default_value = "30d", value_name = "TIME", value_parser = parse_keep, allow_negative_numbers = true)]
    pub(crate) keep_parts: KeepTime,
}

/// How long parts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepTime {
    For(Duration),
    Forever,
}

impl KeepTime {
    /// The time; `None` means forever.
    pub(crate) const fn time(self) -> Option<Duration> {
        match self {
            Self::For(time) => Some(time),
            Self::Forever => None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    #[command(flatten)]
    pub(crate) peer: PeerOptions,
    /// The folder to share; created if it does not exist [default: the username, in the current directory]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) folder: Option<PathBuf>,
    /// No prompt: run until terminated, and print `ready` when everything in the folder is announced
    #[arg(long)]
    pub(crate) headless: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Files or folders, by name, or patterns such as 'data/**/*.bin'; NAME@ID-PREFIX chooses one of several contents
    #[arg(required = true, value_name = "NAME", value_parser = parse_name)]
    pub(crate) names: Vec<String>,
    /// The folder to fetch into
    #[arg(long, default_value = ".", value_name = "DIR", value_parser = path())]
    pub(crate) into: PathBuf,
    /// If a name has several contents, fetch the one that this member shares
    #[arg(long, value_name = "USERNAME")]
    pub(crate) from: Option<Username>,
    /// Keep an existing file with another content as NAME.~1~, and put the fetched one in its place
    #[arg(long)]
    pub(crate) replace: bool,
    /// Continue to serve the fetched files, until terminated
    #[arg(long)]
    pub(crate) stay: bool,
    /// Create this file when everything is complete
    #[arg(long, alias = "done_file", value_name = "PATH", value_parser = path())]
    pub(crate) done_file: Option<PathBuf>,
    /// Print one JSON object per line on standard output; the last one has the totals
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) peer: PeerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// Only names that begin with this text, or that match a pattern such as '**/*.bin'
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) manager: ManagerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct PeersArgs {
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) manager: ManagerOptions,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The file to fetch [default: this program itself]
    pub(crate) path: Option<PathBuf>,
}

/// Parses a TCP port. A program that listens on 0 takes a free one.
pub(crate) fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| {
        let suggestion =
            suggestions::port(text).map(|port| format!(": did you mean {port}?")).unwrap_or_default();
        format!("{EXPECTED_PORT}{suggestion}")
    })
}

/// Parses the TCP port of the manager to connect to, which is never 0.
pub(crate) fn parse_manager_port(text: &str) -> Result<u16, String> {
    let suggestion = suggestions::port(text).filter(|port| *port > 0 && text.parse::<u16>().is_err());
    let suggestion = suggestion.map(|port| format!(": did you mean {port}?")).unwrap_or_default();
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("{EXPECTED_MANAGER_PORT}{suggestion}"))
}

/// The expected port.
pub(crate) const EXPECTED_PORT: &str = "expected a number from 0 to 65535";

/// The expected number of peers or connections.
pub(crate) const EXPECTED_COUNT: &str = "expected a number from 1 to 100000";

/// The expected port of a manager.
pub(crate) const EXPECTED_MANAGER_PORT: &str =
    "expected a number from 1 to 65535, the port that the manager listens on";

/// Parses a host: a name or an address. Only its form is checked.
pub(crate) fn parse_host(text: &str) -> Result<String, String> {
    host(text, "--port ")
}

/// Like [`parse_host`], for the manager to connect to.
pub(crate) fn parse_manager_host(text: &str) -> Result<String, String> {
    host(text, "--manager-port ")
}

/// Like [`parse_host`]. If the text contains a port, the error names `port_option` as the option for it.
pub(crate) fn host(text: &str, port_option: &str) -> Result<String, String> {
    if suggestions::is_host(text) {
        return Ok(text.to_owned());
    }
    let expected = "expected only a name or an address";
    Err(match suggestions::host(text) {
        Some(Suggestion { host, port: Some(port) }) => {
            format!("{expected}: did you mean {host}, with {port_option}{port}?")
        }
        Some(Suggestion { host, port: None }) => format!("{expected}: did you mean {host}?"),
        None => expected.to_owned(),
    })
}

/// Parses the path of a file or a folder. A path with a part that a shell should have expanded is an error.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match suggestions::path(&path) {
        Some(wrong) => Err(wrong),
        None => Ok(path),
    })
}

/// Parses a number of peers or connections: at least 1, at most 100,000.
pub(crate) fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=100_000) => Ok(count),
        _ => Err(EXPECTED_COUNT.to_owned()),
    }
}

/// Parses a name to fetch: a file, a folder with a slash at its end, a name with `@` and the beginning of an id, or a
/// pattern. Only the manager knows whether it exists.
fn parse_name(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches('/');
    let is_id = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let base = name.rsplit_once('@').filter(|(_, id)| is_id(id)).map_or(name, |(base, _)| base);
    let is_pattern = text.contains(['*', '?', '[']);
    if is_pattern || base.parse::<FileName>().is_ok() {
        return Ok(text.to_owned());
    }
    let wrong = |reason: NameError| match suggestions::name(text) {
        Some(hint) => format!("{reason}; {hint}"),
        None => reason.to_string(),
    };
    name.parse::<FileName>().map(|_| text.to_owned()).map_err(wrong)
}

/// Parses a limit: a rate, or `off`.
pub(crate) fn parse_cap(text: &str) -> Result<Cap, String> {
    if text.trim().eq_ignore_ascii_case("off") { Ok(Cap::Off) } else { parse_rate(text).map(Cap::At) }
}

/// Parses how long parts are kept: days or hours, at least one hour and at most a hundred years, or `off`.
pub(crate) fn parse_keep(text: &str) -> Result<KeepTime, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("off") {
        return Ok(KeepTime::Forever);
    }
    let wrong = || "expected a time like 30d or 12h, or off".to_owned();
    if text.starts_with('-') {
        return Err(format!("it cannot be negative; {}", wrong()));
    }
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let hours = match unit {
        "d" | "D" => 24,
        "h" | "H" => 1,
        _ => return Err(wrong()),
    };
    let hours = number.parse::<u32>().ok().map(|number| u64::from(number) * hours);
    match hours {
        Some(hours @ 1..=876_000) => Ok(KeepTime::For(Duration::from_secs(hours * 3600))),
        _ => Err(wrong()),
    }
}

/// The error for a rate of zero.
const NO_RATE: &str = "expected a rate of at least one byte per second, or off";

/// Parses bytes per second: a number, with or without a fraction, and B, KB, MB or GB (powers of 1000).
fn parse_rate(text: &str) -> Result<u64, String> {
    let wrong =
        || "expected a rate like 10MB, 500KB or 1.5MB (bytes per second, with the unit), or off".to_owned();
    let trimmed = text.trim();
    if trimmed.starts_with('-') {
        return Err(format!("it cannot be negative; {}", wrong()));
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte == b'0') {
        return Err(NO_RATE.to_owned());
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        let units = ["B", "KB", "MB", "GB"].map(|unit| format!("{trimmed}{unit}")).join(", ");
        return Err(format!("the unit is missing; expected one of {units} (bytes per second), or off"));
    }
    if ["BIT", "BIT/S", "BPS"].iter().any(|bits| trimmed.to_ascii_uppercase().ends_with(bits)) {
        return Err(format!("{}; eight bits are one byte: 8 Mbit/s is 1MB", wrong()));
    }
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let factor: u64 = match unit.trim().to_ascii_uppercase().trim_end_matches("/S") {
        "B" => 1,
        "K" | "KB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return Err(wrong());
    }
    let digits = |text: &str| if text.is_empty() { Ok(0) } else { u64::from_str(text).map_err(|_| wrong()) };
    let scale = 10_u64.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let rate = digits(whole)?.checked_mul(factor).ok_or_else(wrong)?;
    let rate = rate.checked_add(digits(fraction)? * factor / scale).ok_or_else(wrong)?;
    if rate == 0 { Err(NO_RATE.to_owned()) } else { Ok(rate) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Brigade, Cap, Duration, KeepTime, parse_cap, parse_keep, parse_name};

    #[test]
    fn the_command_line_is_consistent() {
        Brigade::command().debug_assert();
    }

    #[test]
    fn a_rate_is_bytes_per_second_in_powers_of_a_thousand() {
        for (text, rate) in [
            ("10MB", 10_000_000),
            ("500kb", 500_000),
            ("1.5MB", 1_500_000),
            ("7B", 7),
            ("2G", 2_000_000_000),
            ("10 MB/s", 10_000_000),
        ] {
            assert_eq!(parse_cap(text), Ok(Cap::At(rate)), "{text}");
        }
        for text in [
            "",
            "MB",
            "0B",
            "20",
            "10MiB",
            "-1MB",
            "10XB",
            "1.2.3MB",
            "99999999999999999999",
            "99999999999999GB",
        ] {
            assert!(parse_cap(text).is_err(), "{text}");
        }
        assert_eq!(parse_cap("Off"), Ok(Cap::Off));
    }

    #[test]
    fn parts_are_kept_for_days_or_hours_or_forever() {
        let hours = |hours: u64| Ok(KeepTime::For(Duration::from_secs(hours * 3600)));
        for (text, kept) in
            [("30d", hours(720)), ("1h", hours(1)), (" 2D ", hours(48)), ("off", Ok(KeepTime::Forever))]
        {
            assert_eq!(parse_keep(text), kept, "{text}");
        }
        for text in ["", "d", "30", "0d", "-1d", "1.5d", "30 days", "é", "99999999d", "4294967296h"] {
            assert!(parse_keep(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_folders_versions_and_patterns_are_accepted() {
        for text in
            ["film.mkv", "films/", "a b", "film.mkv@abcd", "a@x", "films/*.mkv", "?", "a[0-9].bin", "*:"]
        {
            assert_eq!(parse_name(text), Ok(text.to_owned()));
        }
        let long = format!("{}@abcdef", "a".repeat(250));
        assert!(parse_name(&long).is_ok());
        assert!(parse_name("sub\\inner.txt").unwrap_err().ends_with(
            "did you mean \"sub/inner.txt\"? Names have / between folders, and nothing before the first folder"
        ));
        for text in ["", "/", "/etc/passwd", "../films", "a//b", "a:b", "nul", "a\\b", "a@b:", ".brigade/key"]
        {
            assert!(parse_name(text).is_err(), "{text}");
        }
    }
}
