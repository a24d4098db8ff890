//! Which limits on sending and receiving are in effect now, which source set them, and until when.
//!
//! A limit has four sources. The first that has a value is used: a command at the prompt, an option at the start, the
//! schedule by the local time, the default. This module reads no clock and knows no time zone: the local time is an
//! argument. Days, weekdays and times of day are `jiff`'s.

use jiff::civil::{Date, DateTime, Time};

use crate::rate::Cap;

/// A time of day on some days of the week, and the limits in effect then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The days on which it begins, from Monday.
    pub days: [bool; 7],
    /// The time of day at which it begins.
    pub from: Time,
    /// The time of day at which it ends; on the next day, unless it is after `from`. So midnight is the end of the day.
    pub to: Time,
    /// The limit on sending, where the rule has one.
    pub up: Option<Cap>,
    /// The limit on receiving, where the rule has one.
    pub down: Option<Cap>,
}

/// The values of the limit for one direction, by source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitSources {
    /// At the prompt, while it runs.
    pub typed: Option<Cap>,
    /// At the start, and by what.
    pub given: Option<(Cap, OptionSource)>,
    /// The default, when no other source has a value.
    pub default: Option<Cap>,
}

/// The source of a limit at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionSource {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
}

/// All values of the limits. Where several rules of the schedule match, the last one that limits the direction is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitPlan {
    /// About sending.
    pub up: LimitSources,
    /// About receiving.
    pub down: LimitSources,
    /// By the local time.
    pub rules: Vec<Rule>,
}

/// One direction or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Sending.
    Up,
    /// Receiving.
    Down,
}

/// The limits that hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// On sending.
    pub up: EffectiveLimit,
    /// On receiving.
    pub down: EffectiveLimit,
}

/// The limit that holds in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EffectiveLimit {
    /// The limit.
    pub cap: Cap,
    /// The source of the limit.
    pub origin: LimitOrigin,
    /// When the schedule changes it.
    pub until: Option<DateTime>,
}

/// The source of the limit that is in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOrigin {
    /// It was typed.
    Typed,
    /// It was given at the start.
    Option(OptionSource),
    /// A rule of the schedule.
    Scheduled,
    /// It holds where no rule does.
    Default,
    /// No source: there is no limit.
    Unlimited,
}

impl Rule {
    /// A rule for all times.
    pub const fn always(up: Option<Cap>, down: Option<Cap>) -> Self {
        Self { days: [true; 7], from: Time::midnight(), to: Time::midnight(), up, down }
    }

    /// Whether it holds at a local time.
    pub fn holds(&self, at: DateTime) -> bool {
        let today = at.date();
        let days = [Some(today), today.yesterday().ok()].into_iter().flatten();
        days.filter_map(|day| self.on(day)).any(|(start, end)| (start..end).contains(&at))
    }

    const fn cap(&self, direction: Direction) -> Option<Cap> {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }

    /// The beginning and the end of the rule that begins on `day`, if it does.
    fn on(&self, day: Date) -> Option<(DateTime, DateTime)> {
        let weekday = usize::from(day.weekday().to_monday_zero_offset().unsigned_abs());
        let last = if self.from < self.to { day } else { day.tomorrow().ok()? };
        self.days[weekday].then(|| (day.to_datetime(self.from), last.to_datetime(self.to)))
    }

    /// Its beginnings and ends from the day before `now` to a week later.
    fn edges(&self, now: DateTime) -> impl Iterator<Item = DateTime> {
        let first = now.date().yesterday().unwrap_or(now.date());
        let days = std::iter::successors(Some(first), |day| day.tomorrow().ok()).take(9);
        days.filter_map(|day| self.on(day)).flat_map(|(start, end)| [start, end])
    }
}

impl LimitPlan {
    /// The limits in effect at a local time.
    pub fn at(&self, now: DateTime) -> Limits {
        Limits {
            up: self.effective_limit(Direction::Up, now),
            down: self.effective_limit(Direction::Down, now),
        }
    }

    /// What was said about a direction.
    pub const fn sources_mut(&mut self, direction: Direction) -> &mut LimitSources {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    fn effective_limit(&self, direction: Direction, now: DateTime) -> EffectiveLimit {
        let sources = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        if let Some(cap) = sources.typed {
            return EffectiveLimit { cap, origin: LimitOrigin::Typed, until: None };
        }
        if let Some((cap, given)) = sources.given {
            return EffectiveLimit { cap, origin: LimitOrigin::Option(given), until: None };
        }
        let (cap, origin) = self.scheduled_cap(direction, sources, now);
        EffectiveLimit { cap, origin, until: self.next_change(direction, sources, now, cap) }
    }

    fn scheduled_cap(
        &self,
        direction: Direction,
        sources: &LimitSources,
        at: DateTime,
    ) -> (Cap, LimitOrigin) {
        let mut fitting = self.rules.iter().rev().filter(|rule| rule.holds(at));
        match (fitting.find_map(|rule| rule.cap(direction)), sources.default) {
            (Some(cap), _) => (cap, LimitOrigin::Scheduled),
            (None, Some(cap)) => (cap, LimitOrigin::Default),
            (None, None) => (Cap::Off, LimitOrigin::Unlimited),
        }
    }

    /// The next time at which another limit holds; only where a rule begins or ends can that be.
    fn next_change(
        &self,
        direction: Direction,
        sources: &LimitSources,
        now: DateTime,
        cap: Cap,
    ) -> Option<DateTime> {
        let speaking = self.rules.iter().filter(|rule| rule.cap(direction).is_some());
        let mut edges: Vec<DateTime> =
            speaking.flat_map(|rule| rule.edges(now)).filter(|edge| *edge > now).collect();
        edges.sort_unstable();
        edges.dedup();
        edges.into_iter().find(|edge| self.scheduled_cap(direction, sources, *edge).0 != cap)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan, civil::date};
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

    use super::{
        Cap, DateTime, EffectiveLimit, LimitOrigin, LimitPlan, LimitSources, OptionSource, Rule, Time,
    };

    const EVERY_DAY: [bool; 7] = [true; 7];
    const WORKDAYS: [bool; 7] = [true, true, true, true, true, false, false];

    fn time(hour: i8, minute: i8) -> Time {
        Time::constant(hour, minute, 0, 0)
    }

    fn rule(days: [bool; 7], from: i8, to: i8, up: u64) -> Rule {
        Rule { days, from: time(from, 0), to: time(to, 0), up: Some(Cap::At(up)), down: None }
    }

    /// A time in the week from Monday, 2026-11-23.
    fn at(weekday: i8, hour: i8, minute: i8) -> DateTime {
        date(2026, 11, 23 + weekday).to_datetime(time(hour, minute))
    }

    /// The limit, and the weekday and the time of its next change.
    fn up(plan: &LimitPlan, now: DateTime) -> (Cap, Option<DateTime>) {
        let EffectiveLimit { cap, until, .. } = plan.at(now).up;
        let in_week =
            |until: DateTime| at(until.weekday().to_monday_zero_offset(), until.hour(), until.minute());
        (cap, until.map(in_week))
    }

    #[test]
    fn a_rule_holds_from_its_first_minute_to_before_its_last() {
        let plan = LimitPlan { rules: vec![rule(WORKDAYS, 8, 18, 5)], ..LimitPlan::default() };
        for (now, expected) in [
            (at(0, 7, 59), (Cap::Off, at(0, 8, 0))),
            (at(0, 8, 0), (Cap::At(5), at(0, 18, 0))),
            (at(0, 17, 59), (Cap::At(5), at(0, 18, 0))),
            (at(0, 18, 0), (Cap::Off, at(1, 8, 0))),
            (at(4, 18, 0), (Cap::Off, at(0, 8, 0))),
            (at(5, 12, 0), (Cap::Off, at(0, 8, 0))),
            (at(6, 23, 59), (Cap::Off, at(0, 8, 0))),
        ] {
            assert_eq!(up(&plan, now), (expected.0, Some(expected.1)), "{now:?}");
        }
        assert_eq!(plan.at(at(0, 8, 0)).up.origin, LimitOrigin::Scheduled);
        let nothing = EffectiveLimit { cap: Cap::Off, origin: LimitOrigin::Unlimited, until: None };
        assert_eq!(plan.at(at(0, 8, 0)).down, nothing);
    }

    #[test]
    fn a_rule_over_midnight_belongs_to_the_day_on_which_it_begins() {
        let mut friday = [false; 7];
        friday[4] = true;
        let mut sunday = [false; 7];
        sunday[6] = true;
        let plan =
            LimitPlan { rules: vec![rule(friday, 22, 6, 1), rule(sunday, 23, 1, 2)], ..LimitPlan::default() };
        for (now, cap) in [
            (at(4, 5, 0), Cap::Off),
            (at(4, 22, 0), Cap::At(1)),
            (at(5, 5, 59), Cap::At(1)),
            (at(5, 6, 0), Cap::Off),
            (at(5, 22, 0), Cap::Off),
            (at(6, 23, 0), Cap::At(2)),
            (at(0, 0, 59), Cap::At(2)), // the week begins anew
            (at(0, 1, 0), Cap::Off),
        ] {
            assert_eq!(up(&plan, now).0, cap, "{now:?}");
        }
        assert_eq!(up(&plan, at(6, 23, 30)).1, Some(at(0, 1, 0)));
    }

    #[test]
    fn of_rules_that_fit_the_last_one_that_speaks_of_the_direction_wins() {
        let whole_day = Rule::always(Some(Cap::At(10)), None);
        let silent = Rule { up: None, down: Some(Cap::At(7)), ..rule(EVERY_DAY, 9, 10, 0) };
        let mut plan =
            LimitPlan { rules: vec![whole_day, rule(EVERY_DAY, 8, 12, 20), silent], ..LimitPlan::default() };
        assert_eq!(up(&plan, at(2, 7, 0)), (Cap::At(10), Some(at(2, 8, 0))));
        assert_eq!(up(&plan, at(2, 9, 30)), (Cap::At(20), Some(at(2, 12, 0))));
        assert_eq!(plan.at(at(2, 9, 30)).down.cap, Cap::At(7));
        // What says the same is no change.
        plan.rules[1].up = Some(Cap::At(10));
        assert_eq!(up(&plan, at(2, 9, 30)), (Cap::At(10), None));
    }

    #[test]
    fn the_first_source_with_a_value_wins() {
        let rules = vec![rule(EVERY_DAY, 8, 18, 3)];
        let default = Some(Cap::At(4));
        let mut plan = LimitPlan {
            rules,
            up: LimitSources { default, ..LimitSources::default() },
            ..LimitPlan::default()
        };
        let stands =
            |plan: &LimitPlan, hour| (plan.at(at(0, hour, 0)).up.cap, plan.at(at(0, hour, 0)).up.origin);
        assert_eq!(stands(&plan, 7), (Cap::At(4), LimitOrigin::Default));
        assert_eq!(stands(&plan, 8), (Cap::At(3), LimitOrigin::Scheduled));
        plan.up.given = Some((Cap::Off, OptionSource::Environment));
        assert_eq!(stands(&plan, 8), (Cap::Off, LimitOrigin::Option(OptionSource::Environment)));
        assert_eq!(plan.at(at(0, 8, 0)).up.until, None);
        plan.up.typed = Some(Cap::At(1));
        assert_eq!(stands(&plan, 8), (Cap::At(1), LimitOrigin::Typed));
    }

    /// The clock is put forward from 2:00 to 3:00 and back from 3:00 to 2:00 on a Sunday: what is on the wall counts.
    #[test]
    fn a_clock_that_jumps_is_followed() {
        let plan = LimitPlan {
            rules: vec![Rule { from: time(2, 30), to: time(4, 0), ..rule(EVERY_DAY, 0, 0, 9) }],
            ..LimitPlan::default()
        };
        let seen = |times: [(i8, i8); 4]| times.map(|(hour, minute)| up(&plan, at(6, hour, minute)).0);
        // The rule begins at 2:30, which is skipped: it holds from 3:00.
        assert_eq!(seen([(1, 59), (3, 0), (3, 59), (4, 0)]), [Cap::Off, Cap::At(9), Cap::At(9), Cap::Off]);
        // And begins twice.
        assert_eq!(seen([(2, 29), (2, 59), (2, 0), (2, 30)]), [Cap::Off, Cap::At(9), Cap::Off, Cap::At(9)]);
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let any_time = || (0_i8..24, 0_i8..60).prop_map(|(hour, minute)| time(hour, minute));
        let times = (any_time(), any_time());
        (any::<[bool; 7]>(), times, prop::option::of(0_u64..3)).prop_map(|(days, (from, to), up)| Rule {
            days,
            from,
            to,
            up: up.map(|rate| if rate == 0 { Cap::Off } else { Cap::At(rate) }),
            down: None,
        })
    }

    proptest! {
        #[test]
        fn the_next_change_is_the_first_minute_with_another_limit(
            rules in prop::collection::vec(any_rule(), 0..4),
            start in 0_i64..7 * 24 * 60,
        ) {
            let plan = LimitPlan { rules, ..LimitPlan::default() };
            let now = at(0, 0, 0).checked_add(start.minutes()).unwrap();
            let EffectiveLimit { cap, until, .. } = plan.at(now).up;
            let mut later = (1_i64..7 * 24 * 60).map(|minutes| now.checked_add(minutes.minutes()).unwrap());
            prop_assert_eq!(until, later.find(|minute| up(&plan, *minute).0 != cap));
        }
    }
}
