//! `brigade limit`: the limits of a running peer and their origin, and their changes. The prompt prints the same text.
//!
//! A typed limit takes precedence over options, environment, schedule and settings, until it is removed.

use std::process::ExitCode;

use brigade_api::client::PeerClient;
use brigade_core::{
    limit_plan::{Direction, EffectiveLimit, LimitOrigin, Limits, OptionSource},
    rate::Cap,
};
use jiff::civil::DateTime;

use super::{peer, print_result};
use crate::{
    command_line::args::running::LimitArgs, commands::json_events::with_failure, failure::Failure,
    settings::limit_variable, terminal::standard_output::print_line, text::format,
};

/// Shows the limits, or sets one.
pub(crate) async fn run(args: LimitArgs) -> Result<ExitCode, Failure> {
    with_failure(show_or_set(&args).await, args.peer.output.json)
}

async fn show_or_set(args: &LimitArgs) -> Result<ExitCode, Failure> {
    let client = peer(&args.peer)?;
    let change = args.direction.zip(args.limit).map(|(direction, limit)| (direction.into(), limit.cap()));
    let limits = ask(&client, change).await?;
    if change.is_none() && !args.peer.output.json {
        print_line(&shown(&limits.to_core()));
    } else {
        print_result(args.peer.output, &shown(&limits.to_core()), &limits);
    }
    Ok(ExitCode::SUCCESS)
}

/// Sets a limit if there is a change, and returns the limits in effect.
pub(crate) async fn ask(
    client: &PeerClient,
    change: Option<(Direction, Option<Cap>)>,
) -> Result<brigade_api::values::Limits, Failure> {
    let Some((direction, cap)) = change else { return Ok(client.limits().await?) };
    let direction = match direction {
        Direction::Up => "up",
        Direction::Down => "down",
    };
    let cap = cap.map(|cap| match cap {
        Cap::Off => "off".to_owned(),
        Cap::At(rate) => format!("{rate}B"),
    });
    Ok(client.set_limit(direction, cap.as_deref()).await?)
}

/// Both limits, with their origin.
pub(crate) fn shown(limits: &Limits) -> String {
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

    use super::{Cap, EffectiveLimit, LimitOrigin, Limits, OptionSource, shown};

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
