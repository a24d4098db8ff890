//! Parses the arguments of `limit` at the prompt, where a rate may have a space before its unit.
//!
//! `running/limits` shows the limits and changes them.

use brigade_api::client::PeerClient;
use brigade_core::{limit_plan::Direction, rate::Cap};

use crate::{
    command_line::value_parsers::parse_cap,
    commands::running::limits,
    failure::{Failure, USAGE},
};

const HINT: &str = "`limit` shows the limits; `limit up 10MB`, `limit down off`, `limit up auto` change them";

/// Runs the command with the arguments `rest`. Returns the text to print.
pub(super) async fn run(client: &PeerClient, rest: &str) -> Result<String, Failure> {
    let limits = limits::ask(client, parse(rest)?).await?;
    Ok(limits::shown(&limits.to_core()))
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

#[cfg(test)]
mod tests {
    use super::{Cap, Direction, parse};

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
}
