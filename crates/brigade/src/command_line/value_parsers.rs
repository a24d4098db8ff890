//! Parsers of single values on the command line: ports, hosts, paths, counts, names, limits and times.
//!
//! The options in `args`, the settings and the prompt use them, so that a value has the same form everywhere. An error
//! says what is expected; [`value_suggestions`] finds what the user may have meant.

use std::{ffi::OsString, path::PathBuf, time::Duration};

pub(crate) use brigade_api::text::cap::parse_cap;
use brigade_core::{
    limits,
    name::{FileName, NameError},
    rate::Cap,
};
use brigade_node::peer::{SharedPath, has_wildcard};
use clap::builder::{OsStringValueParser, PathBufValueParser, TypedValueParser};

use crate::text::value_suggestions::{self, Suggestion};

/// Parses a TCP port. A program that listens on 0 takes a free one.
pub(crate) fn parse_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| {
        let suggestion =
            value_suggestions::port(text).map(|port| format!(": did you mean {port}?")).unwrap_or_default();
        format!("{EXPECTED_PORT}{suggestion}")
    })
}

/// Parses the TCP port of the manager to connect to, which is never 0.
pub(crate) fn parse_manager_port(text: &str) -> Result<u16, String> {
    let suggestion = value_suggestions::port(text).filter(|port| *port > 0 && text.parse::<u16>().is_err());
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

/// Parses a host: a name or an address. Only its form is checked, and whether a link-local address has a zone.
pub(crate) fn parse_host(text: &str) -> Result<String, String> {
    host(text, "--port ")
}

/// Like [`parse_host`], for the manager to connect to.
pub(super) fn parse_manager_host(text: &str) -> Result<String, String> {
    host(text, "--manager-port ")
}

/// Like [`parse_host`]. If the text contains a port, the error names `port_option` as the option for it.
pub(crate) fn host(text: &str, port_option: &str) -> Result<String, String> {
    if let Some(example) = value_suggestions::address_with_zone(text) {
        return Err(format!(
            "a link-local address needs a zone, which names the network interface: for example {example}"
        ));
    }
    if value_suggestions::is_host(text) {
        return Ok(text.to_owned());
    }
    let expected = "expected only a name or an address";
    Err(match value_suggestions::host(text) {
        Some(Suggestion { host, port: Some(port) }) => {
            format!("{expected}: did you mean {host}, with {port_option}{port}?")
        }
        Some(Suggestion { host, port: None }) => format!("{expected}: did you mean {host}?"),
        None => expected.to_owned(),
    })
}

/// Parses the path of a file or a folder. A path with a part that a shell should have expanded is an error.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match value_suggestions::path(&path) {
        Some(wrong) => Err(wrong),
        None => Ok(path),
    })
}

/// Parses a share in place: a path, or a path and a name with `=` between them. The last `=` counts.
pub(super) fn share() -> impl TypedValueParser<Value = SharedPath> {
    OsStringValueParser::new().try_map(|text: OsString| {
        let split = text.to_str().and_then(|text| text.rsplit_once('='));
        // A `/` after it is one of the path.
        let (path, name) = match split.filter(|(_, name)| !name.contains('/')) {
            Some((path, name)) => (PathBuf::from(path), Some(parse_share_name(name)?)),
            None => (PathBuf::from(&text), None),
        };
        if path.as_os_str().is_empty() {
            return Err("expected a path before the `=`".to_owned());
        }
        if let Some(wrong) = value_suggestions::path(&path) {
            return Err(wrong);
        }
        let share = SharedPath::new(path);
        Ok(match name {
            Some(name) => share.named(name),
            None => share,
        })
    })
}

/// Parses the name of a share in place: one component of a name.
pub(crate) fn parse_share_name(text: &str) -> Result<FileName, String> {
    match text.parse::<FileName>() {
        Ok(name) if name.contains('/') => Err("expected a name without `/`".to_owned()),
        Ok(name) => Ok(name),
        Err(error) => Err(format!("expected a name: {error}")),
    }
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
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches('/');
    let is_id = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let base = name.rsplit_once('@').filter(|(_, id)| is_id(id)).map_or(name, |(base, _)| base);
    if has_wildcard(text) || base.parse::<FileName>().is_ok() {
        return Ok(text.to_owned());
    }
    let wrong = |reason: NameError| match value_suggestions::name(text) {
        Some(hint) => format!("{reason}; {hint}"),
        None => reason.to_string(),
    };
    name.parse::<FileName>().map(|_| text.to_owned()).map_err(wrong)
}

/// Parses the beginning of names, or a pattern: at most as long as a name.
pub(crate) fn parse_prefix(text: &str) -> Result<String, String> {
    let (bytes, most) = (text.len(), limits::NAME_BYTES);
    if bytes <= most {
        return Ok(text.to_owned());
    }
    Err(format!("it has {bytes} bytes, and a name or a pattern has at most {most}"))
}

/// A limit that is typed: a rate or `off`, or `auto` for the limit of the options, the schedule and the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypedLimit {
    Fixed(Cap),
    Auto,
}

impl TypedLimit {
    /// The limit; `None` for `auto`.
    pub(crate) const fn cap(self) -> Option<Cap> {
        match self {
            Self::Fixed(cap) => Some(cap),
            Self::Auto => None,
        }
    }
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

/// The longest time for which parts are kept: a hundred years.
const MOST_HOURS: u64 = 876_000;

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
        Some(0) => Err(format!("it cannot be zero; {}", wrong())),
        Some(hours @ 1..=MOST_HOURS) => Ok(KeepTime::For(Duration::from_secs(hours * 3600))),
        Some(_) => Err(format!("it cannot be more than {}d; {}", MOST_HOURS / 24, wrong())),
        None => Err(wrong()),
    }
}

/// The longest time that a command waits: a year.
const MOST_SECONDS: u64 = 365 * 86_400;

/// Parses how long a command waits: seconds, minutes, hours or days, at least one second and at most a year.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || "expected a time like 30s, 5m, 2h or 1d".to_owned();
    if text.starts_with('-') {
        return Err(format!("it cannot be negative; {}", wrong()));
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim() {
        "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "" if !number.is_empty() => {
            return Err(format!("the unit is missing: {number}s, {number}m, {number}h or {number}d"));
        }
        _ => return Err(wrong()),
    };
    if number.is_empty() {
        return Err(wrong());
    }
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)) {
        Some(0) => Err(format!("it cannot be zero; {}", wrong())),
        Some(seconds @ 1..=MOST_SECONDS) => Ok(Duration::from_secs(seconds)),
        _ => Err("it cannot be more than 365d".to_owned()),
    }
}

/// Parses a number of lines: at least 1, at most 1000, as many as a running peer keeps.
pub(crate) fn parse_line_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1000) => Ok(count),
        _ => Err("expected a number from 1 to 1000".to_owned()),
    }
}

/// Parses a limit that is typed: a rate, `off` or `auto`.
pub(crate) fn parse_limit(text: &str) -> Result<TypedLimit, String> {
    if text.trim().eq_ignore_ascii_case("auto") {
        return Ok(TypedLimit::Auto);
    }
    parse_cap(text).map(TypedLimit::Fixed).map_err(|reason| format!("{reason}, or auto"))
}

#[cfg(test)]
mod tests {
    use super::{
        Cap, Duration, KeepTime, TypedLimit, limits, parse_duration, parse_keep, parse_limit, parse_name,
        parse_prefix,
    };

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
        for text in ["0d", "00h"] {
            assert!(
                parse_keep(text).unwrap_err().starts_with("it cannot be zero; expected a time"),
                "{text}"
            );
        }
        for text in ["36501d", "876001h", "99999999d"] {
            assert!(parse_keep(text).unwrap_err().starts_with("it cannot be more than 36500d; "), "{text}");
        }
    }

    #[test]
    fn a_time_has_a_number_and_a_unit() {
        for (text, seconds) in
            [("30s", 30), ("5m", 300), (" 2 h ", 7200), ("1d", 86_400), ("365d", 31_536_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for (text, reason) in [
            ("30", "the unit is missing: 30s, 30m, 30h or 30d"),
            ("0s", "it cannot be zero"),
            ("-1s", "it cannot be negative"),
            ("366d", "it cannot be more than 365d"),
            ("99999999999999999999d", "it cannot be more than 365d"),
            ("", "expected a time like 30s"),
            ("s", "expected a time like 30s"),
            ("1.5h", "expected a time like 30s"),
            ("5 years", "expected a time like 30s"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.starts_with(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_typed_limit_is_a_rate_or_off_or_auto() {
        assert_eq!(parse_limit("Auto"), Ok(TypedLimit::Auto));
        assert_eq!(parse_limit("off").map(TypedLimit::cap), Ok(Some(Cap::Off)));
        assert_eq!(parse_limit("2MB").map(TypedLimit::cap), Ok(Some(Cap::At(2_000_000))));
        assert!(parse_limit("fast").unwrap_err().ends_with("or off, or auto"));
    }

    #[test]
    fn a_prefix_is_at_most_as_long_as_a_name() {
        for text in ["", "d", "data/**/*.bin", &"x".repeat(limits::NAME_BYTES)] {
            assert_eq!(parse_prefix(text).as_deref(), Ok(text));
        }
        for bytes in [limits::NAME_BYTES + 1, 100_000] {
            let expected = format!("it has {bytes} bytes, and a name or a pattern has at most 1024");
            assert_eq!(parse_prefix(&"x".repeat(bytes)), Err(expected));
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
        let long_pattern = format!("{{{},{}}}", "a".repeat(200), "b".repeat(200));
        assert!(parse_name(&long_pattern).is_ok(), "no file can have this name, but two files match it");
        assert!(parse_name("sub\\inner.txt").unwrap_err().ends_with(
            "did you mean \"sub/inner.txt\"? Names have / between folders, and nothing before the first folder"
        ));
        for text in ["", "/", "/etc/passwd", "../films", "a//b", "a:b", "nul", "a\\b", "a@b:", ".brigade/key"]
        {
            assert!(parse_name(text).is_err(), "{text}");
        }
    }
}
