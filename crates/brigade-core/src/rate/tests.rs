//! Limiters and meters in virtual time: whatever is waited for, given up and limited otherwise, and whatever comes in
//! lumps and is read at any time.

use std::time::Duration;

use super::{Limiter, Meter};
use crate::{random::Random, time::Timestamp};

/// Sends as fast as the limiter lets it; the bytes sent until `end`.
fn sent_until(limiter: &mut Limiter, mut now: Timestamp, end: Timestamp, step: u64) -> u64 {
    let mut sent = 0;
    loop {
        now = now.after(limiter.take(now, step));
        if now >= end {
            return sent;
        }
        sent += step;
    }
}

#[test]
fn the_limit_holds_within_two_per_cent_over_ten_seconds() {
    for (rate, step) in [(10_000_000, 65_536), (100_000, 16_384), (1_000_000_000, 262_144)] {
        let mut limiter = Limiter::new(Some(rate));
        let start = Timestamp::from_micros(5_000_000);
        let sent = sent_until(&mut limiter, start, start.after(Duration::from_secs(10)), step);
        let ratio = sent as f64 / (rate * 10) as f64;
        assert!((0.98..1.02).contains(&ratio), "{rate}: {ratio}");
    }
}

/// What leaves over many connections, each of which takes what it likes when it is through with what it took before.
#[test]
fn over_all_takers_together_no_ten_seconds_see_two_per_cent_more_or_less() {
    for (seed, rate) in [(1, 50_000), (2, 1_000_000), (3, 10_000_000), (4, 300_000_000)] {
        let mut limiter = Limiter::new(Some(rate));
        let mut random = Random::new(seed);
        // A piece of what goes takes less than a hundredth of a second, as the callers see to it.
        let most = usize::try_from(rate / 100).unwrap();
        let mut takers = [Timestamp::from_micros(5_000_000); 9];
        let mut left = vec![];
        while left.last().is_none_or(|(at, _)| *at < Timestamp::from_micros(45_000_000)) {
            let next = takers.iter_mut().min().unwrap();
            let bytes = 1 + random.below(most) as u64;
            *next = next.after(limiter.take(*next, bytes));
            left.push((*next, bytes));
            left.sort_unstable();
        }
        let sent = |from: Timestamp, seconds: f64| {
            let end = from.after(Duration::from_secs_f64(seconds));
            left.iter().filter(|(at, _)| *at >= from && *at < end).map(|(_, bytes)| bytes).sum::<u64>() as f64
        };
        for tenth in 0..300u64 {
            let from = Timestamp::from_micros(5_000_000 + tenth * 100_000);
            let ratio = sent(from, 10.0) / (rate * 10) as f64;
            assert!((0.98..1.02).contains(&ratio), "{rate}, from {from:?}: {ratio}");
            let burst = sent(from, 0.001) / rate as f64;
            assert!(burst <= 0.1 + 0.011, "{rate}, at {from:?}: {burst} s' worth at once");
        }
    }
}

#[test]
fn a_pause_earns_one_burst_and_no_more() {
    let mut limiter = Limiter::new(Some(1_000_000));
    let now = Timestamp::from_micros(60_000_000);
    assert_eq!(limiter.take(now, 100_000), Duration::ZERO);
    assert_eq!(limiter.take(now, 100_000), Duration::from_millis(100));
}

/// However the limit was changed before, what goes from then on is the new limit's and one burst.
#[test]
fn another_limit_holds_at_once_with_one_burst_at_most() {
    for before in [None, Some(1), Some(1_000_000), Some(1_000_000_000)] {
        for (rate, step) in [(100_000, 1000), (1_000_000, 10_000), (50_000_000, 65_536)] {
            for pause in [0, 10, 1000] {
                let mut limiter = Limiter::new(before);
                let mut now = Timestamp::from_micros(5_000_000);
                for _ in 0..20 {
                    limiter.take(now, 65_536);
                }
                for changed in [None, Some(7), Some(rate)] {
                    now = now.after(Duration::from_millis(pause));
                    limiter.set(now, changed);
                }
                let end = now.after(Duration::from_millis(500));
                let sent = sent_until(&mut limiter, now, end, step);
                let most = rate * 6 / 10 + rate / 1000; // waits are in whole microseconds
                assert!(sent <= most && sent + step >= rate / 2, "{before:?}, {rate}: {sent} of {most}");
            }
        }
    }
}

#[test]
fn a_long_reservation_ends_with_its_limit() {
    let mut limiter = Limiter::new(Some(1));
    let now = Timestamp::from_micros(5_000_000);
    assert!(limiter.take(now, 100_000) > Duration::from_secs(99_000));
    limiter.set(now, Some(1_000_000));
    assert_eq!(limiter.take(now, 100_000), Duration::from_millis(100));
    limiter.set(now, None);
    assert_eq!(limiter.take(now, u64::MAX), Duration::ZERO);
}

#[test]
fn no_limit_never_waits() {
    assert_eq!(Limiter::new(None).take(Timestamp::default(), u64::MAX), Duration::ZERO);
}

/// Callers that wait for a limiter in turn, and ask for what they want in slices, as the node does it.
struct LimitedCallers {
    limiter: Limiter,
    now: Timestamp,
    /// When so many bytes went.
    went: Vec<(Timestamp, u64)>,
}

impl LimitedCallers {
    fn new(rate: u64) -> Self {
        let now = Timestamp::from_micros(5_000_000);
        Self { limiter: Limiter::new(Some(rate)), now, went: vec![] }
    }

    /// Waits for `bytes`, slice by slice, no longer than until `end`; what was let go by then is given back where that
    /// was not all.
    fn wait(&mut self, bytes: u64, end: Timestamp) {
        let mut left = bytes;
        while left > 0 {
            let slice = self.limiter.slice_bytes().unwrap().min(left);
            match self.limiter.pass(self.now, slice) {
                Ok(()) => left -= slice,
                Err(wait) if self.now.after(wait) > end => {
                    self.now = self.now.max(end);
                    return self.limiter.give_back(bytes - left);
                }
                Err(wait) => self.now = self.now.after(wait),
            }
        }
        self.went.push((self.now, bytes));
    }

    fn sent(&self, from: Timestamp, time: Duration) -> u64 {
        let end = from.after(time);
        self.went.iter().filter(|(at, _)| *at >= from && *at < end).map(|(_, bytes)| bytes).sum()
    }
}

#[test]
fn a_wait_that_is_given_up_costs_those_who_wait_later_nothing() {
    let mut waiting = LimitedCallers::new(100_000);
    for _ in 0..20 {
        let end = waiting.now;
        waiting.wait(65_536, end);
    }
    let before = waiting.now;
    waiting.wait(65_536, Timestamp::from_micros(u64::MAX));
    let waited = waiting.now.since(before);
    assert!(waited <= Duration::from_micros(655_360), "{waited:?}");
}

/// Whatever is waited for, given up, and limited otherwise meanwhile: in no time more goes than the limit and a burst,
/// and over all of it no less than the limit.
#[test]
fn nothing_is_lost_and_nothing_is_let_go_twice() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let rate = [20_000, 100_000, 3_000_000, 500_000_000][random.below(4)];
        let mut waiting = LimitedCallers::new(rate);
        let start = waiting.now;
        let most = usize::try_from(rate / 20).unwrap();
        while waiting.now.since(start) < Duration::from_secs(30) {
            let patience = Duration::from_micros(random.below(200_000) as u64);
            let end = waiting.now.after(patience);
            waiting.wait(1 + random.below(most) as u64, end);
            if random.below(50) == 0 {
                // To another limit and back again within the same moment: nothing is earned by that.
                waiting.limiter.set(waiting.now, Some(7));
                waiting.limiter.set(waiting.now, Some(rate));
            }
        }
        let ratio = waiting.sent(start, Duration::from_secs(30)) as f64 / (rate * 30) as f64;
        assert!((0.97..1.01).contains(&ratio), "seed {seed}: {rate}: {ratio}");
        let slice = waiting.limiter.slice_bytes().unwrap();
        for tenth in 0..300u64 {
            let from = start.after(Duration::from_millis(tenth * 100));
            for millis in [1, 100, 1000] {
                let most = rate * millis / 1000 + (rate / 10).max(slice) + most as u64;
                let sent = waiting.sent(from, Duration::from_millis(millis));
                assert!(sent <= most, "seed {seed}: {rate}: {sent} of {most} in {millis} ms from {from:?}");
            }
        }
    }
}

#[test]
fn a_slice_is_short_whatever_the_limit() {
    for (rate, bytes) in [(1, 1024), (30_000, 1500), (1_000_000, 50_000), (u64::MAX, 65_536)] {
        assert_eq!(Limiter::new(Some(rate)).slice_bytes(), Some(bytes));
    }
    assert_eq!(Limiter::new(None).slice_bytes(), None);
    // Of one that costs more than a burst, all is waited for.
    let mut limiter = Limiter::new(Some(1000));
    let now = Timestamp::from_micros(5_000_000);
    assert_eq!(limiter.pass(now, 1024), Ok(()));
    assert_eq!(limiter.pass(now, 1024), Err(Duration::from_millis(1024)));
    assert_eq!(limiter.pass(now.after(Duration::from_millis(1023)), 1024), Err(Duration::from_millis(1)));
    assert_eq!(limiter.pass(now.after(Duration::from_millis(1024)), 1024), Ok(()));
}

/// A stream of lumps at a rate, from `start` on.
struct ByteStream {
    rate: u64,
    lump: u64,
    sent: u64,
    start: Timestamp,
}

impl ByteStream {
    /// Counts what has come until `now`.
    fn run(&mut self, meter: &mut Meter, now: Timestamp) {
        loop {
            let micros = u128::from(self.sent) * 1_000_000 / u128::from(self.rate);
            let at = self.start.after(Duration::from_micros(u64::try_from(micros).unwrap()));
            if at > now {
                return;
            }
            meter.add(at, self.lump);
            self.sent += self.lump;
        }
    }
}

/// Rates and lumps that are no further apart than two seconds: 16 KiB is a record, 64 KiB a frame.
fn streams() -> impl Iterator<Item = (u64, u64)> {
    let rates = [10_000, 30_000, 100_000, 1_000_000, 3_000_000, 12_500_000, 125_000_000, 1_000_000_000];
    let lumps = [1000, 4096, 16_384, 65_536, 131_072, 262_144, 16 << 20];
    let all = rates.into_iter().flat_map(move |rate| lumps.map(|lump| (rate, lump)));
    all.filter(|(rate, lump)| *lump <= rate * 2 && rate / lump < 4_000)
}

#[test]
fn a_rate_is_right_within_ten_per_cent_after_three_seconds_however_it_is_read() {
    for (rate, lump) in streams() {
        for (seed, read_every_ms) in [(1, 100), (2, 1000), (3, 37), (4, 2700)] {
            let mut random = Random::new(seed);
            let start = Timestamp::from_micros(60_000_000 + random.below(1_000_000) as u64);
            let mut meter = Meter::default();
            let mut stream = ByteStream { rate, lump, sent: 0, start };
            let mut now = start;
            let mut quiet = Meter::default();
            while now.since(start) < Duration::from_secs(if rate > 100_000_000 { 6 } else { 20 }) {
                now = now.after(Duration::from_micros(random.below(2000 * read_every_ms) as u64));
                stream.run(&mut meter, now);
                let seen = (meter.rate(now), meter.steady_rate(now));
                if now.since(start) >= Duration::from_secs(3) {
                    let close = |seen: u64| seen.abs_diff(rate) <= rate / 10;
                    assert!(
                        close(seen.0) && seen.1.is_some_and(close),
                        "{rate}, {lump}: {seen:?} at {now:?}"
                    );
                }
                // Another reader, at the same moment, and none at all: nothing depends on it.
                assert_eq!(seen, (meter.rate(now), meter.steady_rate(now)));
            }
            ByteStream { rate, lump, sent: 0, start }.run(&mut quiet, now);
            assert_eq!(quiet.rate(now), meter.rate(now));
        }
    }
}

#[test]
fn a_rate_is_seen_within_a_second_and_gone_soon_after_the_last_bytes() {
    for (rate, lump) in streams() {
        let start = Timestamp::from_micros(60_000_000);
        let mut meter = Meter::default();
        assert_eq!((meter.rate(start), meter.steady_rate(start)), (0, None));
        // Twice: a pause before changes nothing.
        for start in [start, start.after(Duration::from_secs(15))] {
            let mut stream = ByteStream { rate, lump, sent: 0, start };
            for (millis, least) in [(0, 0.0), (500, 0.3), (1000, 0.7)] {
                let now = start.after(Duration::from_millis(millis));
                stream.run(&mut meter, now);
                let seen = meter.rate(now);
                assert!(
                    seen > 0 && seen as f64 >= rate as f64 * least,
                    "{rate}, {lump}: {seen} after {millis} ms"
                );
                assert!(seen <= (rate + rate / 10).max(lump), "{rate}, {lump}: {seen} after {millis} ms");
                assert_eq!(meter.steady_rate(now), None, "too early to foretell");
            }
            let end = start.after(Duration::from_secs(5));
            stream.run(&mut meter, end);
            let mut last = meter.rate(end);
            for millis in (0..5000).step_by(50) {
                let now = end.after(Duration::from_millis(millis));
                let seen = meter.rate(now);
                assert!(seen <= last + last / 8, "{rate}, {lump}: {seen} after {last}");
                last = seen;
                let passed_bytes = if lump * 10 <= rate { 2100 } else { 4000 };
                assert!(
                    millis < passed_bytes || (seen, meter.steady_rate(now)) == (0, None),
                    "{rate}, {lump}: {seen}"
                );
            }
        }
    }
}

#[test]
fn a_rate_that_changes_is_followed_and_uneven_lumps_even_out() {
    let mut random = Random::new(1);
    let mut now = Timestamp::from_micros(5_000_000);
    let mut meter = Meter::default();
    for rate in [2_000_000u64, 200_000, 20_000_000] {
        let end = now.after(Duration::from_secs(20));
        let begun = now;
        while now < end {
            let bytes = 1 + random.below(usize::try_from(rate / 20).unwrap()) as u64;
            now = now.after(Duration::from_micros(bytes * 1_000_000 / rate));
            meter.add(now, bytes);
            if now.since(begun) > Duration::from_secs(3) {
                assert!(meter.rate(now).abs_diff(rate) <= rate / 10, "{rate}: {}", meter.rate(now));
            }
        }
        let steady = meter.steady_rate(now).unwrap();
        assert!(steady.abs_diff(rate) <= rate / 10, "{rate}: {steady}");
    }
    let total = meter.total();
    meter.add(Timestamp::from_micros(1), 5); // a clock that is read by several may be late by a moment
    assert_eq!(meter.total(), total + 5);
    assert!(meter.rate(now).abs_diff(20_000_000) <= 2_000_000);
}
