//! Formats numbers for people: bytes and rates in powers of ten, durations, times, the traffic of members.
//!
//! A megabyte is 10⁶ bytes, as for disks and in `--upload-limit`. Nothing here depends on the locale, and times are in
//! UTC, so that screens of several machines can be compared.

use std::time::Duration;

use brigade_core::{plural::count, time::UnixTime, wire::manager::Version};
use brigade_node::peer::MemberTraffic;

use super::escape::escape;

/// The most members whose traffic is listed: a person reads the largest ones. `--json` has all.
const MEMBERS: usize = 10;

const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// A number of bytes: `512 B`, `1.5 kB`, `300.0 MB`.
pub fn bytes(count: u64) -> String {
    if count < 1000 {
        return format!("{count} B");
    }
    // In tenths of the unit, so that a number that rounds up to 1000.0 gets the next unit.
    let mut tenths = count.saturating_add(50) / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths = (tenths + 500) / 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// The bytes that are needed and those that are free. If both numbers look the same after rounding, all their digits are
/// shown.
pub fn needed_and_free(needed: u64, free: u64) -> (String, String) {
    let rounded = (bytes(needed), bytes(free));
    if needed != free && rounded.0 == rounded.1 {
        return (format!("{needed} B"), format!("{free} B"));
    }
    rounded
}

/// Bytes per second: `12.3 MB/s`.
pub fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// A duration in its two largest units: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 7 min`, `3 d 4 h`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0..10 => format!("{}.{} s", seconds, duration.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => pair(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => pair(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// A time in UTC (RFC 3339): `2026-11-22T11:18:18Z`.
pub fn time(time: UnixTime) -> String {
    timestamp(time).to_string()
}

/// The time of day in UTC: `11:18:18`.
pub fn time_of_day(time: UnixTime) -> String {
    timestamp(time).strftime("%H:%M:%S").to_string()
}

/// The timestamp; the last possible one for later times.
fn timestamp(time: UnixTime) -> jiff::Timestamp {
    let seconds = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
}

/// One content of a name: id, size, first announcement and holders.
pub fn version(version: &Version) -> String {
    let holders: Vec<&str> = version.holders.iter().map(|holder| holder.as_str()).collect();
    format!(
        "{}  {:>10}  first announced {}  {}",
        version.id.short(),
        bytes(version.size),
        time(UnixTime(version.first_s)),
        escape(&holders.join(", "))
    )
}

/// A line for the traffic of each member: `line` gets the member, the bytes and the pieces. `members` has the largest
/// first. If there are many, the last line has the sums of all others.
pub fn traffic(members: &[MemberTraffic], line: impl Fn(&str, &str, &str) -> String) -> Vec<String> {
    let line =
        |member: &str, sent_bytes, pieces: u64| line(member, &bytes(sent_bytes), &count(pieces, "piece"));
    let (listed, rest) = members.split_at(members.len().min(MEMBERS));
    let mut lines: Vec<String> =
        listed.iter().map(|one| line(one.username.as_str(), one.bytes, one.pieces)).collect();
    if !rest.is_empty() {
        let sum = |of: fn(&MemberTraffic) -> u64| rest.iter().map(of).sum::<u64>();
        lines.push(line(&format!("{} more", rest.len()), sum(|one| one.bytes), sum(|one| one.pieces)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{
        Duration, MEMBERS, MemberTraffic, UnixTime, bytes, duration, needed_and_free, rate, time, traffic,
    };

    #[test]
    fn the_traffic_of_many_members_has_a_bounded_number_of_lines() {
        let lines = |number: usize| {
            let member = |at: usize| MemberTraffic::new(format!("user{at}").parse().unwrap(), 1000, 1);
            let members: Vec<MemberTraffic> = (0..number).map(member).collect();
            traffic(&members, |member, bytes, pieces| format!("{member}: {bytes}, {pieces}"))
        };
        assert_eq!(lines(0), [""; 0]);
        assert_eq!(lines(2), ["user0: 1.0 kB, 1 piece", "user1: 1.0 kB, 1 piece"]);
        assert_eq!(lines(MEMBERS).last().unwrap(), "user9: 1.0 kB, 1 piece");
        let many = lines(4096);
        assert_eq!((many.len(), &*many[MEMBERS]), (MEMBERS + 1, "4086 more: 4.1 MB, 4086 pieces"));
    }

    #[test]
    fn bytes_have_one_digit_after_the_point() {
        let check = |count, expected: &str| assert_eq!(bytes(count), expected);
        check(0, "0 B");
        check(999, "999 B");
        check(1000, "1.0 kB");
        check(1549, "1.5 kB");
        check(300_000_000, "300.0 MB");
        check(314_572_800, "314.6 MB");
        check(999_949, "999.9 kB");
        check(999_950, "1.0 MB");
        check(999_999_999_999, "1.0 TB");
        check(u64::MAX, "18.4 EB");
        assert_eq!(rate(12_345_678), "12.3 MB/s");
    }

    #[test]
    fn two_different_numbers_of_bytes_look_different() {
        let check = |needed, free, expected: (&str, &str)| {
            let (needed, free) = needed_and_free(needed, free);
            assert_eq!((&*needed, &*free), expected);
        };
        check(8_388_608, 4_194_304, ("8.4 MB", "4.2 MB"));
        check(30_000_001, 30_000_000, ("30000001 B", "30000000 B"));
        check(1_000_049, 999_951, ("1000049 B", "999951 B"));
        check(30_000_000, 30_000_000, ("30.0 MB", "30.0 MB"));
        check(5, 4, ("5 B", "4 B"));
    }

    #[test]
    fn durations_have_two_units() {
        let check = |millis, expected: &str| assert_eq!(duration(Duration::from_millis(millis)), expected);
        check(0, "0.0 s");
        check(450, "0.4 s");
        check(12_999, "12 s");
        check(60_000, "1 min");
        check(185_000, "3 min 5 s");
        check(7_620_000, "2 h 7 min");
        check(273_600_000, "3 d 4 h");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let check = |seconds, expected: &str| assert_eq!(time(UnixTime(seconds)), expected);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(951_868_799, "2000-02-29T23:59:59Z");
        check(951_868_800, "2000-03-01T00:00:00Z");
        check(1_795_346_298, "2026-11-22T11:18:18Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
        check(4_107_456_000, "2100-02-28T00:00:00Z");
    }
}
