//! `limit` at the prompt: shows the limits and their origin, and changes them.
//!
//! A typed limit takes precedence over options, environment, schedule and settings, until it is removed.

use brigade_core::{
    limit_plan::{Direction, EffectiveLimit, LimitOrigin, Limits, OptionSource},
    rate::Cap,
};
use brigade_node::peer::Peer;
use jiff::civil::DateTime;

use crate::{
    command_line::value_parsers::parse_cap,
    failure::{FAILED, Failure, USAGE},
    settings::limit_variable,
    text::format,
};

const HINT: &str = "`limit` shows the limits; `limit up 10MB`, `limit down off`, `limit up auto` change them";

/// Runs the command with the arguments `rest`. Returns the text to print.
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
        "" => Err(wrong("the limit is missing".to_owned())),
        "auto" => Ok(Some((direction, None))),
        cap => match parse_cap(cap) {
            Ok(cap) => Ok(Some((direction, Some(cap)))),
            Err(reason) => Err(wrong(format!("{cap:?} is not a limit: {reason}"))),
        },
    }
}

fn shown(limits: &Limits) -> String {
    let line = |direction: Direction, name: &str, option: &str, limit: &EffectiveLimit| {
        let cap = match limit.cap {
            Cap::Off => "off".to_owned(),
            Cap::At(rate) => format::rate(rate),
        };
        let reason = match limit.origin {
            LimitOrigin::Typed => "typed here".to_owned(),
            LimitOrigin::Option(OptionSource::Flag) => format!("--{option}"),
            LimitOrigin::Option(OptionSource::Environment) => limit_variable(direction).to_owned(),
            LimitOrigin::Scheduled => "the schedule".to_owned(),
            LimitOrigin::Default => "the settings".to_owned(),
            LimitOrigin::Unlimited => "no limit is set".to_owned(),
        };
        let until = limit.until.map_or_else(String::new, |until| format!(", until {}", time(until)));
        format!("{name:<5} {cap} ({reason}{until})")
    };
    let up = line(Direction::Up, "up", "upload-limit", &limits.up);
    let down = line(Direction::Down, "down", "download-limit", &limits.down);
    format!("{up}\n{down}")
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
        let error_text = |text| parse(text).unwrap_err().text();
        assert!(
            error_text("up 1")
                .contains("\"1\" is not a limit: the unit is missing; expected one of 1B, 1KB, 1MB, 1GB")
        );
        assert!(error_text("up 0").contains("at least one byte per second"), "{}", error_text("up 0"));
        assert!(
            error_text("down -1MB").contains("it cannot be negative; expected a rate like"),
            "{}",
            error_text("down -1MB")
        );
    }

    #[test]
    fn the_limit_in_effect_is_shown_with_its_origin() {
        let limit = |cap, origin, until| EffectiveLimit { cap, origin, until };
        let mut limits = Limits {
            up: limit(Cap::At(2_000_000), LimitOrigin::Scheduled, Some(date(2026, 11, 29).at(8, 5, 0, 0))),
            down: limit(Cap::Off, LimitOrigin::Unlimited, None),
        };
        assert_eq!(
            shown(&limits),
            "up    2.0 MB/s (the schedule, until sun 08:05)\ndown  off (no limit is set)"
        );
        limits.up = limit(Cap::At(1), LimitOrigin::Option(OptionSource::Environment), None);
        limits.down = limit(Cap::Off, LimitOrigin::Option(OptionSource::Flag), None);
        assert_eq!(shown(&limits), "up    1 B/s (BRIGADE_UPLOAD_LIMIT)\ndown  off (--download-limit)");
    }
}
