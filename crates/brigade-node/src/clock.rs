//! The one place where clocks are read; everything else is handed what they say.
//!
//! Deadlines are on the clock that never goes back ([`now`]); the calendar ([`unix_now`]) goes where people will.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use brigade_core::time::{Timestamp, UnixTime};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Now, on the clock that never goes back; the same start for the whole process.
pub fn now() -> Timestamp {
    // One second on, so that "a while before the start" can be expressed.
    let passed = START.elapsed() + Duration::from_secs(1);
    Timestamp::from_micros(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX))
}

/// Now, on the calendar; 1970 where the calendar stands before it.
pub fn unix_now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Ends when `deadline` is reached; never, where there is none.
pub async fn reach(deadline: Option<Timestamp>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(now())).await,
        None => std::future::pending().await,
    }
}
