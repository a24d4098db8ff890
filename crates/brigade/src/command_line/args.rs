//! The command line, as types. How it is read, and what is said of its mistakes, is in `command_line`; what is taken
//! from elsewhere where an option is not given, in `settings`.
//!
//! What options mean is told at length in `docs/operating.md`; what is done about them is below `commands/`.

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

use super::hints::{self, Meant};

/// At the end of the help of every command that has lasting settings.
const LASTING: &str = "What is not given here is taken from environment variables and from brigade.toml in \
                       BRIGADE_HOME, before the defaults: see docs/operating.md.";

/// A private peer-to-peer network for files: fetched from every holder at once, verified piece by piece, passed on
/// from the first piece on.
#[derive(Debug, Parser)]
#[command(name = "brigade", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Brigade {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs the network's manager: it knows who is there and who holds what, and never sees a byte of a file
    #[command(after_help = LASTING)]
    Manager(ManagerArgs),
    /// Shares a folder, and fetches what others share, at a prompt
    #[command(after_help = LASTING)]
    Peer(PeerArgs),
    /// Fetches files or folders without a prompt
    #[command(after_help = LASTING)]
    Fetch(FetchArgs),
    /// Lists what there is in the network
    #[command(after_help = LASTING)]
    Files(FilesArgs),
    /// Lists who is in the network
    #[command(after_help = LASTING)]
    Peers(PeersArgs),
    /// Shows all of it at work: a manager and four peers on this machine, with a real file
    Demo(DemoArgs),
    /// Prints a script that completes the command line: `brigade completions bash`
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page
    Man,
}

/// Where the manager is.
#[derive(Debug, Args)]
pub(crate) struct AtManager {
    /// The manager's host: a name or an address
    #[arg(long, alias = "manager_host", default_value = "localhost", value_name = "HOST", value_parser = parse_manager_host)]
    pub(crate) manager_host: String,
    /// The manager's TCP port
    #[arg(long, alias = "manager_port", default_value = "12000", value_name = "PORT", value_parser = parse_manager_port, allow_negative_numbers = true)]
    pub(crate) manager_port: u16,
    /// The manager's key, where it is known; else the one that answered before must answer again
    #[arg(long, alias = "manager_key", value_name = "KEY")]
    pub(crate) manager_key: Option<PeerKey>,
}

#[derive(Debug, Args)]
pub(crate) struct ManagerArgs {
    /// Where to listen: a name or an address of this machine
    #[arg(long, default_value = "localhost", value_parser = parse_host)]
    pub(crate) host: String,
    /// The TCP port to listen on
    #[arg(long, default_value = "12000", value_parser = parse_port, allow_negative_numbers = true)]
    pub(crate) port: u16,
    /// How many peers may be there at once
    #[arg(long, default_value = "20", value_name = "COUNT", value_parser = parse_count, allow_negative_numbers = true)]
    pub(crate) max: usize,
    /// The folder of the manager's key and members [default: below BRIGADE_HOME, by port]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) state: Option<PathBuf>,
    /// Start although HOST can be reached from other machines: anyone who reaches the port may join, and read
    /// everything that is shared
    #[arg(long)]
    pub(crate) open: bool,
}

/// What every peer may be told, with a prompt or without.
#[derive(Debug, Args)]
pub(crate) struct AsPeer {
    #[command(flatten)]
    pub(crate) manager: AtManager,
    /// Where to listen for other peers [default: where those that reach the manager reach it]
    #[arg(long, value_parser = parse_host)]
    pub(crate) host: Option<String>,
    /// The TCP port to listen on; 0 takes a free one
    #[arg(long, value_parser = parse_port, allow_negative_numbers = true)]
    pub(crate) port: Option<u16>,
    /// The name in the network; it belongs to the folder's key from then on
    #[arg(long)]
    pub(crate) username: Option<Username>,
    /// How many connections with other peers at once, both ways together
    #[arg(long, default_value = "20", value_name = "COUNT", value_parser = parse_count, allow_negative_numbers = true)]
    pub(crate) max: usize,
    /// Send at most so many bytes a second, over all connections: 10MB is 10⁷; off for no limit
    #[arg(long, alias = "upload_limit", value_name = "RATE", value_parser = parse_cap, allow_negative_numbers = true)]
    pub(crate) upload_limit: Option<Cap>,
    /// Receive at most so many bytes a second, over all connections
    #[arg(long, alias = "download_limit", value_name = "RATE", value_parser = parse_cap, allow_negative_numbers = true)]
    pub(crate) download_limit: Option<Cap>,
    /// How long a part of a file is kept that nobody is fetching: 30d, 12h; off for ever
    #[arg(long, alias = "keep_parts", default_value = "30d", value_name = "TIME", value_parser = parse_keep, allow_negative_numbers = true)]
    pub(crate) keep_parts: Keep,
}

/// How long something is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    For(Duration),
    Forever,
}

impl Keep {
    /// The time; `None` for ever.
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
    pub(crate) peer: AsPeer,
    /// The folder to share; made where it is not there [default: the username, in the current directory]
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) folder: Option<PathBuf>,
    /// No prompt: run until terminated, and print `ready` once everything in the folder is announced
    #[arg(long)]
    pub(crate) headless: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Files or folders, by name, or patterns such as 'data/**/*.bin'; NAME@ID-PREFIX chooses one of several contents
    #[arg(required = true, value_name = "NAME", value_parser = parse_name)]
    pub(crate) names: Vec<String>,
    /// The folder that they go into
    #[arg(long, default_value = ".", value_name = "DIR", value_parser = path())]
    pub(crate) into: PathBuf,
    /// Of several contents under a name, the one that this member shares
    #[arg(long, value_name = "USERNAME")]
    pub(crate) from: Option<Username>,
    /// Keep a file that is there with another content aside, as NAME.~1~, and put the fetched one in its place
    #[arg(long)]
    pub(crate) replace: bool,
    /// Go on serving what was fetched, until terminated
    #[arg(long)]
    pub(crate) stay: bool,
    /// Make this file once everything is there
    #[arg(long, alias = "done_file", value_name = "PATH", value_parser = path())]
    pub(crate) done_file: Option<PathBuf>,
    /// One JSON object a line on standard output; the last one has the totals
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) peer: AsPeer,
}

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// Only names that begin so, or that a pattern such as '**/*.bin' fits
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) manager: AtManager,
}

#[derive(Debug, Args)]
pub(crate) struct PeersArgs {
    /// One JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) manager: AtManager,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The file to fetch [default: this program itself]
    pub(crate) path: Option<PathBuf>,
}

/// A TCP port; 0 takes a free one where something listens.
pub(crate) fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| {
        let meant = hints::port(text).map(|port| format!(": is {port} meant?")).unwrap_or_default();
        format!("a number from 0 to 65535 is wanted{meant}")
    })
}

/// The TCP port of a manager to be reached: there is none at 0.
pub(crate) fn parse_manager_port(text: &str) -> Result<u16, String> {
    let meant = hints::port(text).filter(|port| *port > 0 && text.parse::<u16>().is_err());
    let meant = meant.map(|port| format!(": is {port} meant?")).unwrap_or_default();
    let port = text.parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("{MANAGER_PORT_WANTED}{meant}"))
}

/// What is wanted for the port of a manager.
pub(crate) const MANAGER_PORT_WANTED: &str =
    "a number from 1 to 65535 is wanted, the port that the manager listens on";

/// A name or an address, of which only its form is judged here.
pub(crate) fn parse_host(text: &str) -> Result<String, String> {
    host(text, "--port ")
}

/// As [`parse_host`], of a manager to be reached.
pub(crate) fn parse_manager_host(text: &str) -> Result<String, String> {
    host(text, "--manager-port ")
}

/// As [`parse_host`]; where the text has a port too, `port_option` is where that belongs.
pub(crate) fn host(text: &str, port_option: &str) -> Result<String, String> {
    if hints::is_host(text) {
        return Ok(text.to_owned());
    }
    let wanted = "a name or an address alone is wanted";
    Err(match hints::host(text) {
        Some(Meant { host, port: Some(port) }) => {
            format!("{wanted}: is {host} meant, with {port_option}{port}?")
        }
        Some(Meant { host, port: None }) => format!("{wanted}: is {host} meant?"),
        None => wanted.to_owned(),
    })
}

/// Reads the path of a file or a folder as it is, and refuses one that a shell should have replaced a part of.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match hints::path(&path) {
        Some(wrong) => Err(wrong),
        None => Ok(path),
    })
}

/// A number of peers or connections: at least one, at most a hundred thousand.
pub(crate) fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=100_000) => Ok(count),
        _ => Err("a number from 1 to 100000 is wanted".to_owned()),
    }
}

/// What is fetched, if it can be a name: of a file, of a folder with a slash at its end, with `@` and the beginning of
/// an id, or a pattern. Whether there is such a thing is the manager's to say.
fn parse_name(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches('/');
    let is_id = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let base = name.rsplit_once('@').filter(|(_, id)| is_id(id)).map_or(name, |(base, _)| base);
    let is_pattern = text.contains(['*', '?', '[']);
    if is_pattern || base.parse::<FileName>().is_ok() {
        return Ok(text.to_owned());
    }
    let wrong = |why: NameError| match hints::name(text) {
        Some(hint) => format!("{why}; {hint}"),
        None => why.to_string(),
    };
    name.parse::<FileName>().map(|_| text.to_owned()).map_err(wrong)
}

/// A limit: a rate, or `off`.
pub(crate) fn parse_cap(text: &str) -> Result<Cap, String> {
    if text.trim().eq_ignore_ascii_case("off") { Ok(Cap::Off) } else { parse_rate(text).map(Cap::At) }
}

/// How long something is kept: days or hours, at least one hour and at most a hundred years, or `off`.
pub(crate) fn parse_keep(text: &str) -> Result<Keep, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("off") {
        return Ok(Keep::Forever);
    }
    let wrong = || "a time like 30d or 12h, or off, is wanted".to_owned();
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
        Some(hours @ 1..=876_000) => Ok(Keep::For(Duration::from_secs(hours * 3600))),
        _ => Err(wrong()),
    }
}

/// What is said of a rate of nothing.
const NO_RATE: &str = "a rate of at least one byte a second, or off, is wanted";

/// Bytes a second: a number, perhaps with a fraction, and B, KB, MB or GB (powers of 1000).
fn parse_rate(text: &str) -> Result<u64, String> {
    let wrong =
        || "a rate like 10MB, 500KB or 1.5MB (bytes a second, with the unit), or off, is wanted".to_owned();
    let trimmed = text.trim();
    if trimmed.starts_with('-') {
        return Err(format!("it cannot be negative; {}", wrong()));
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte == b'0') {
        return Err(NO_RATE.to_owned());
    }
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        let units = ["B", "KB", "MB", "GB"].map(|unit| format!("{trimmed}{unit}")).join(", ");
        return Err(format!("the unit is missing, one of {units} (bytes a second) is wanted; or off"));
    }
    if ["BIT", "BIT/S", "BPS"].iter().any(|bits| trimmed.to_ascii_uppercase().ends_with(bits)) {
        return Err(format!("{}; eight bits are a byte: 8 Mbit/s are 1MB", wrong()));
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

    use super::{Brigade, Cap, Duration, Keep, parse_cap, parse_keep, parse_name};

    #[test]
    fn the_command_line_is_consistent() {
        Brigade::command().debug_assert();
    }

    #[test]
    fn a_rate_is_bytes_a_second_in_powers_of_a_thousand() {
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
    fn parts_are_kept_for_days_or_hours_or_for_ever() {
        let hours = |hours: u64| Ok(Keep::For(Duration::from_secs(hours * 3600)));
        for (text, kept) in
            [("30d", hours(720)), ("1h", hours(1)), (" 2D ", hours(48)), ("off", Ok(Keep::Forever))]
        {
            assert_eq!(parse_keep(text), kept, "{text}");
        }
        for text in ["", "d", "30", "0d", "-1d", "1.5d", "30 days", "é", "99999999d", "4294967296h"] {
            assert!(parse_keep(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_can_be_a_name_a_folder_a_version_or_a_pattern_passes() {
        for text in
            ["film.mkv", "films/", "a b", "film.mkv@abcd", "a@x", "films/*.mkv", "?", "a[0-9].bin", "*:"]
        {
            assert_eq!(parse_name(text), Ok(text.to_owned()));
        }
        let long = format!("{}@abcdef", "a".repeat(250));
        assert!(parse_name(&long).is_ok());
        assert!(parse_name("sub\\inner.txt").unwrap_err().ends_with(
            "is \"sub/inner.txt\" meant? Names have / between folders, and nothing before the first"
        ));
        for text in ["", "/", "/etc/passwd", "../films", "a//b", "a:b", "nul", "a\\b", "a@b:", ".brigade/key"]
        {
            assert!(parse_name(text).is_err(), "{text}");
        }
    }
}
