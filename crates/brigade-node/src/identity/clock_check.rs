//! Compares this machine's clock with the manager's, because memberships depend on it.
//!
//! Other peers refuse a peer whose clock is wrong, and it refuses them.

use std::{fmt, time::Duration};

use brigade_core::{limits, time::UnixTime};

use crate::clock;

/// A difference between this machine's clock and the manager's that is larger than memberships allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClockDifference {
    /// Whether this machine's clock is behind the manager's.
    pub is_behind: bool,
    /// The difference in seconds.
    pub apart_s: u64,
}

impl ClockDifference {
    /// Compares the manager's time with this machine's time `now`, which was read at most `late` afterwards. `None` if
    /// the difference is small enough.
    pub(crate) fn compare(manager: UnixTime, now: UnixTime, late: Duration) -> Option<Self> {
        let (is_behind, apart_s) = (manager.0 > now.0, manager.0.abs_diff(now.0));
        let late_s = if is_behind { 0 } else { late.as_secs() };
        let is_wrong = apart_s.saturating_sub(late_s) > limits::CLOCK_SKEW.as_secs();
        is_wrong.then_some(Self { is_behind, apart_s })
    }
}

impl fmt::Display for ClockDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apart = clock::duration_text(self.apart_s);
        // A membership begins when the manager signs it, and lasts a day.
        let day_s = limits::MEMBERSHIP_LIFETIME.as_secs();
        match self.is_behind {
            true => write!(
                f,
                "this machine's clock is {apart} behind the manager's: the memberships of other peers begin in the \
                 future here, and this machine refuses them"
            ),
            false if self.apart_s < day_s => write!(
                f,
                "this machine's clock is {apart} ahead of the manager's: other peers' memberships seem \
                 older here than they are; if the difference reaches a day, this machine refuses them"
            ),
            false => write!(
                f,
                "this machine's clock is {apart} ahead of the manager's: the memberships of other peers have run out \
                 here, and this machine refuses them"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ClockDifference, Duration, UnixTime};

    #[test]
    fn clocks_may_differ_by_as_much_as_memberships_allow() {
        let check = |manager: u64, now: u64| {
            ClockDifference::compare(UnixTime(manager), UnixTime(now), Duration::from_secs(10))
        };
        for (manager, now) in [(1000, 1000), (1300, 1000), (1000, 1310)] {
            assert_eq!(check(manager, now), None);
        }
        assert_eq!(check(1301, 1000), Some(ClockDifference { is_behind: true, apart_s: 301 }));
        assert_eq!(check(1000, 1311), Some(ClockDifference { is_behind: false, apart_s: 311 }));
        let text = check(1000 + 47 * 60, 1000).unwrap().to_string();
        assert!(text.starts_with("this machine's clock is 47 min behind the manager's: "), "{text}");
        let (start, ten_days_s) = (1_000_000, 10 * 86_400);
        for (manager, now) in [
            (start + ten_days_s, start),
            (start + ten_days_s - 1, start),
            (start, start + ten_days_s),
            (start, start + ten_days_s + 9),
        ] {
            let text = check(manager, now).unwrap().to_string();
            assert!(text.starts_with("this machine's clock is 10 days "), "{text}");
        }
        // A membership lasts a day: before that nothing is refused.
        let ahead = |hours: u64| check(1000, 1000 + hours * 3600 + 10).unwrap().to_string();
        assert!(
            ahead(1).contains("60 min ahead of the manager's") && ahead(1).contains("reaches a day"),
            "{}",
            ahead(1)
        );
        assert!(ahead(30).contains("have run out here"), "{}", ahead(30));
    }
}
