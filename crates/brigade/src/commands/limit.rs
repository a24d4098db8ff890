//! `limit` at the prompt: which limits hold and why, and other ones from now on.
//!
//! What is typed stands above the flags, the environment, the schedule and the settings, until it is taken back.

use brigade_core::{
    rate::Cap,
    schedule::{Direction, EffectiveLimit, LimitOrigin, Limits, OptionSource},
};
use brigade_node::peer::Peer;
use jiff::civil::DateTime;

use crate::{
    command_line::args::parse_cap,
    exit::{FAILED, Failure, USAGE},
    terminal::format,
};

const HINT: &str = "`limit` shows the limits; `limit up 10MB`, `limit down off`, `limit up auto` change them";

/// Does what `rest` of the line says; what is said then.
pub(super) async fn run(peer: &Peer, rest: &str) -> Result<String, Failure> {
    let limits = match parse(rest)? {
        None => peer.limits().await,
        Some((direction, cap)) => peer.set_limit(direction, cap).await,
    };
    let limits = limits.ok_or_else(|| Failure::new(FAILED, "the peer is stopping"))?;
    Ok(shown(&limits))
}

/// `up|down RATE|off|auto`, or nothing.
fn parse(rest: &str) -> Result<Option<(Direction, Option<Cap>)>, Failure> {
    let wrong = |what: String| Failure::new(USAGE, what).hint(HINT);
    if rest.is_empty() {
        return Ok(None);
    }
    let (direction, cap) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let direction = match direction {
        "up" => Direction::Up,
        "down" => Direction::Down,
        other => return Err(wrong(format!("{other:?} is neither up nor down"))),
    };
    match cap.trim() {
        "" => Err(wrong("limit it to what?".to_owned())),
        "auto" => Ok(Some((direction, None))),
        cap => match parse_cap(cap) {
            Ok(cap) => Ok(Some((direction, Some(cap)))),
            Err(why) => Err(wrong(format!("{cap:?} is no limit: {why}"))),
        },
    }
}

fn shown(limits: &Limits) -> String {
    let line = |name: &str, option: &str, standing: &EffectiveLimit| {
        let cap = match standing.cap {
            Cap::Off => "off".to_owned(),
            Cap::At(rate) => format::rate(rate),
        };
        let variable = option.replace('-', "_").to_uppercase();
        let why = match standing.origin {
            LimitOrigin::Typed => "typed here".to_owned(),
            LimitOrigin::Option(OptionSource::Flag) => format!("--{option}"),
            LimitOrigin::Option(OptionSource::Environment) => format!("BRIGADE_{variable}"),
            LimitOrigin::Scheduled => "the schedule".to_owned(),
            LimitOrigin::Default => "the settings".to_owned(),
            LimitOrigin::Unlimited => "nothing limits it".to_owned(),
        };
        let until = standing.until.map_or_else(String::new, |until| format!(", until {}", time(until)));
        format!("{name:<5} {cap} ({why}{until})")
    };
    [line("up", "upload-limit", &limits.up), line("down", "download-limit", &limits.down)].join("\n")
}

/// `mon 08:00`.
fn time(at: DateTime) -> String {
    at.strftime("%a %H:%M").to_string().to_lowercase()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::{Cap, Direction, EffectiveLimit, LimitOrigin, Limits, OptionSource, parse, shown};

    #[test]
    fn a_limit_is_a_direction_and_a_rate() {
        let of = |text| parse(text).unwrap();
        assert_eq!(of(""), None);
        assert_eq!(of("up 20MB"), Some((Direction::Up, Some(Cap::At(20_000_000)))));
        assert_eq!(of("down  1.5 MB/s"), Some((Direction::Down, Some(Cap::At(1_500_000)))));
        assert_eq!(of("down off"), Some((Direction::Down, Some(Cap::Off))));
        assert_eq!(of("up auto"), Some((Direction::Up, None)));
        for text in ["up", "off", "sideways 3MB", "up fast", "up 0", "up 3MB down 4MB"] {
            assert!(parse(text).unwrap_err().text().contains("limit up 10MB"), "{text}");
        }
        let said = |text| parse(text).unwrap_err().text();
        assert!(said("up 1").contains("\"1\" is no limit: the unit is missing, one of 1B, 1KB, 1MB, 1GB"));
        assert!(said("up 0").contains("at least one byte a second"), "{}", said("up 0"));
        assert!(said("down -1MB").contains("it cannot be negative; a rate like"), "{}", said("down -1MB"));
    }

    #[test]
    fn what_holds_is_shown_with_the_reason() {
        let standing = |cap, origin, until| EffectiveLimit { cap, origin, until };
        let mut limits = Limits {
            up: standing(Cap::At(2_000_000), LimitOrigin::Scheduled, Some(date(2026, 11, 29).at(8, 5, 0, 0))),
            down: standing(Cap::Off, LimitOrigin::Unlimited, None),
        };
        assert_eq!(
            shown(&limits),
            "up    2.0 MB/s (the schedule, until sun 08:05)\ndown  off (nothing limits it)"
        );
        limits.up = standing(Cap::At(1), LimitOrigin::Option(OptionSource::Environment), None);
        limits.down = standing(Cap::Off, LimitOrigin::Option(OptionSource::Flag), None);
        assert_eq!(shown(&limits), "up    1 B/s (BRIGADE_UPLOAD_LIMIT)\ndown  off (--download-limit)");
    }
}
