//! Parses a limit on a rate, as it is typed: `10MB`, `1.5MB/s`, `off`.
//!
//! The command line, the settings, the prompt and the API use it, so that a rate has the same form everywhere. An error
//! says which form is expected.

use std::str::FromStr;

use brigade_core::rate::Cap;

/// Parses a limit: a rate, or `off`.
///
/// # Errors
/// The form that is expected, and what may be meant.
pub fn parse_cap(text: &str) -> Result<Cap, String> {
    if text.trim().eq_ignore_ascii_case("off") { Ok(Cap::Off) } else { parse_rate(text).map(Cap::At) }
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
    use super::{Cap, parse_cap};

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
}
