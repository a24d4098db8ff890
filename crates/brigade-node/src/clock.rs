//! The clocks of the node: the only module that reads the time that the core gets and that people see.
//!
//! Other modules read a clock themselves only for timeouts and pauses, and for the age of files. The core's deadlines
//! use the monotonic clock (`now`). The calendar ([`unix_now`]) and the local time (`wall_now`) can be changed by the
//! user.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use brigade_core::time::{Timestamp, UnixTime};
use jiff::{civil::DateTime, tz::TimeZone};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The time of the monotonic clock, which has one start for the whole process.
pub(crate) fn now() -> Timestamp {
    // It starts at one second, so that a time before the start can be expressed.
    let passed = START.elapsed() + Duration::from_secs(1);
    Timestamp::from_micros(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX))
}

/// The time of the calendar; 0 if the clock is before 1970.
pub fn unix_now() -> UnixTime {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    UnixTime(now_s.saturating_add_signed(*SHIFT_S))
}

/// The error of this process's clock in seconds, for tests of machines with different clocks. A release build does
/// not read the variable.
static SHIFT_S: LazyLock<i64> = LazyLock::new(|| {
    let shift = if cfg!(debug_assertions) { std::env::var("BRIGADE_TEST_CLOCK_SHIFT_S").ok() } else { None };
    shift.and_then(|shift| shift.parse().ok()).unwrap_or(0)
});

/// A duration for people in its largest unit: `47 min`. The difference between two clocks is known only to some seconds,
/// so ten days less half a minute are ten days.
pub(crate) fn duration_text(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(365 * 86_400, "years"), (86_400, "days"), (3600, "h"), (60, "min")];
    let unit = UNITS.iter().find(|(length, _)| seconds >= 2 * length);
    let whole = |length: u64| seconds.saturating_add(if length >= 86_400 { 30 } else { 0 }) / length;
    unit.map_or_else(|| format!("{seconds} s"), |(length, name)| format!("{} {name}", whole(*length)))
}

/// The local time of this machine, and the time until its next full minute.
pub(crate) fn wall_now() -> (DateTime, Duration) {
    wall(jiff::Timestamp::now(), &TimeZone::system())
}

fn wall(at: jiff::Timestamp, zone: &TimeZone) -> (DateTime, Duration) {
    let local = zone.to_datetime(at);
    let passed =
        Duration::new(u64::from(local.second().unsigned_abs()), local.subsec_nanosecond().unsigned_abs());
    let left = Duration::from_secs(60).saturating_sub(passed);
    (local, left)
}

/// Waits until `deadline`; forever without one.
pub(crate) async fn reach(deadline: Option<Timestamp>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(now())).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, TimeZone, duration_text, wall};

    #[track_caller]
    fn check(zone: &str, utc: &str, weekday: i8, time: (i8, i8), left_ms: u64) {
        let zone = TimeZone::posix(zone).unwrap();
        let (local, left) = wall(utc.parse().unwrap(), &zone);
        let found = (local.weekday().to_monday_zero_offset(), (local.hour(), local.minute()), left);
        assert_eq!(found, (weekday, time, Duration::from_millis(left_ms)), "{utc}");
    }

    /// The last Sunday of March 2027 is the 28th: at 1:00 UTC the clocks of Berlin are put from 2:00 to 3:00; the
    /// last one of October is the 31st, at 1:00 UTC they are put back.
    #[test]
    fn the_local_time_has_summer_time() {
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        check(berlin, "2027-03-28T00:59:59.5Z", 6, (1, 59), 500);
        check(berlin, "2027-03-28T01:00:00Z", 6, (3, 0), 60_000);
        check(berlin, "2027-10-31T00:59:00Z", 6, (2, 59), 60_000);
        check(berlin, "2027-10-31T01:00:30Z", 6, (2, 0), 30_000);
        check(berlin, "2027-10-31T02:00:00Z", 6, (3, 0), 60_000);
    }

    #[test]
    fn the_local_time_has_its_own_date() {
        check("UTC0", "2026-11-23T00:00:00Z", 0, (0, 0), 60_000);
        check("XXX11", "2026-11-23T00:00:00Z", 6, (13, 0), 60_000);
        check("XXX-5:45", "2026-11-23T20:00:15Z", 1, (1, 45), 45_000);
    }

    #[test]
    fn durations_are_shown_in_their_largest_unit() {
        let times = [119, 301, 47 * 60 + 59, 3 * 3600, 5 * 86_400, 1_800_000_000].map(duration_text);
        assert_eq!(times, ["119 s", "5 min", "47 min", "3 h", "5 days", "57 years"]);
        let day_s = 86_400;
        for seconds in [10 * day_s - 10, 10 * day_s, 10 * day_s + 10] {
            assert_eq!(duration_text(seconds), "10 days", "{seconds} s");
        }
        assert_eq!(duration_text(u64::MAX), "584942417355 years");
    }
}
