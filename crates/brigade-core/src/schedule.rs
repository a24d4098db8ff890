//! Which limits on sending and receiving hold now, who said so, and until when.
//!
//! Four may have a say, the first of them wins: what was typed while it runs, what was given at the start, the
//! schedule by the time of the week, what holds otherwise. Nothing here reads a clock or a calendar: the time of the
//! week comes in, as it is on the wall where the peer runs.

use crate::rate::Cap;

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// Minutes of a week.
const WEEK_MINUTES: u16 = 7 * DAY_MINUTES;

/// A minute of the week on the wall's clock, from Monday 00:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WeekMinute(u16);

/// A time of the week, and the limits that hold in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The days on which it begins, from Monday.
    pub days: [bool; 7],
    /// The minute of the day at which it begins.
    pub from: u16,
    /// The minute of the day at which it ends, at most [`DAY_MINUTES`]; on the next day, if it is not after `from`.
    pub to: u16,
    /// The limit on sending, where the rule has one.
    pub up: Option<Cap>,
    /// The limit on receiving, where the rule has one.
    pub down: Option<Cap>,
}

/// What was said about one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// At the prompt, while it runs.
    pub typed: Option<Cap>,
    /// At the start, and by what.
    pub given: Option<(Cap, Given)>,
    /// For all times that nobody else speaks of.
    pub usual: Option<Cap>,
}

/// What gave a limit at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
}

/// All that was said about limits. Where several rules fit, the last that limits the direction wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitPlan {
    /// About sending.
    pub up: Said,
    /// About receiving.
    pub down: Said,
    /// By the time of the week.
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
    pub up: Standing,
    /// On receiving.
    pub down: Standing,
}

/// The limit that holds in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit.
    pub cap: Cap,
    /// Who said so.
    pub why: Why,
    /// When the schedule changes it.
    pub until: Option<WeekMinute>,
}

/// Who said which limit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was typed.
    Typed,
    /// It was given at the start.
    Given(Given),
    /// A rule of the schedule.
    Scheduled,
    /// It holds where no rule does.
    Usual,
    /// Nobody: there is no limit.
    Nobody,
}

impl WeekMinute {
    /// Monday, 00:00.
    pub const MONDAY: Self = Self(0);

    /// The minute of a day, 0 for Monday; `None` where there is no such day or minute.
    pub const fn new(weekday: u8, minute: u16) -> Option<Self> {
        if weekday < 7 && minute < DAY_MINUTES {
            Some(Self(weekday as u16 * DAY_MINUTES + minute))
        } else {
            None
        }
    }

    /// The day of the week, 0 for Monday.
    pub fn weekday(self) -> usize {
        usize::from(self.0 / DAY_MINUTES)
    }

    /// The minute of the day.
    pub const fn minute(self) -> u16 {
        self.0 % DAY_MINUTES
    }

    const fn after(self, minutes: u16) -> Self {
        Self((self.0 + minutes) % WEEK_MINUTES)
    }

    /// Minutes from `self` to the next time that it is `other`: none, where that is now.
    const fn minutes_to(self, other: Self) -> u16 {
        (other.0 + WEEK_MINUTES - self.0) % WEEK_MINUTES
    }
}

impl Rule {
    /// Whether it holds at a time of the week.
    pub fn holds(&self, at: WeekMinute) -> bool {
        let (today, minute) = (at.weekday(), at.minute());
        if self.from < self.to {
            return self.days[today] && (self.from..self.to).contains(&minute);
        }
        let yesterday = (today + 6) % 7;
        self.days[today] && minute >= self.from || self.days[yesterday] && minute < self.to
    }

    const fn cap(&self, direction: Direction) -> Option<Cap> {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }

    /// When it begins and ends, over the week.
    fn edges(&self) -> impl Iterator<Item = WeekMinute> {
        let length =
            if self.from < self.to { self.to - self.from } else { self.to + DAY_MINUTES - self.from };
        let days = (0..7).filter(|day| self.days[usize::from(*day)]);
        let starts = days.filter_map(|day| WeekMinute::new(day, self.from));
        starts.flat_map(move |start| [start, start.after(length)])
    }
}

impl LimitPlan {
    /// The limits that hold at a time of the week.
    pub fn at(&self, now: WeekMinute) -> Limits {
        Limits { up: self.standing(Direction::Up, now), down: self.standing(Direction::Down, now) }
    }

    /// What was said about a direction.
    pub const fn said(&mut self, direction: Direction) -> &mut Said {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    fn standing(&self, direction: Direction, now: WeekMinute) -> Standing {
        let said = match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        };
        if let Some(cap) = said.typed {
            return Standing { cap, why: Why::Typed, until: None };
        }
        if let Some((cap, given)) = said.given {
            return Standing { cap, why: Why::Given(given), until: None };
        }
        let (cap, why) = self.by_the_clock(direction, said, now);
        Standing { cap, why, until: self.next_change(direction, said, now, cap) }
    }

    fn by_the_clock(&self, direction: Direction, said: &Said, at: WeekMinute) -> (Cap, Why) {
        let mut fitting = self.rules.iter().rev().filter(|rule| rule.holds(at));
        match (fitting.find_map(|rule| rule.cap(direction)), said.usual) {
            (Some(cap), _) => (cap, Why::Scheduled),
            (None, Some(cap)) => (cap, Why::Usual),
            (None, None) => (Cap::Off, Why::Nobody),
        }
    }

    /// The next time at which another limit holds; only where a rule begins or ends can that be.
    fn next_change(
        &self,
        direction: Direction,
        said: &Said,
        now: WeekMinute,
        cap: Cap,
    ) -> Option<WeekMinute> {
        let speaking = self.rules.iter().filter(|rule| rule.cap(direction).is_some());
        let mut edges: Vec<WeekMinute> = speaking.flat_map(Rule::edges).collect();
        edges.sort_by_key(|edge| now.minutes_to(*edge));
        edges.dedup();
        edges.into_iter().find(|edge| self.by_the_clock(direction, said, *edge).0 != cap)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

    use super::{Cap, DAY_MINUTES, Given, LimitPlan, Rule, Said, Standing, WEEK_MINUTES, WeekMinute, Why};

    const EVERY_DAY: [bool; 7] = [true; 7];
    const WORKDAYS: [bool; 7] = [true, true, true, true, true, false, false];

    fn rule(days: [bool; 7], from: u16, to: u16, up: u64) -> Rule {
        Rule { days, from: from * 60, to: to * 60, up: Some(Cap::At(up)), down: None }
    }

    fn at(weekday: u8, hour: u16, minute: u16) -> WeekMinute {
        WeekMinute::new(weekday, hour * 60 + minute).unwrap()
    }

    fn up(plan: &LimitPlan, now: WeekMinute) -> (Cap, Option<WeekMinute>) {
        let Standing { cap, until, .. } = plan.at(now).up;
        (cap, until)
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
        assert_eq!(plan.at(at(0, 8, 0)).up.why, Why::Scheduled);
        let nothing = Standing { cap: Cap::Off, why: Why::Nobody, until: None };
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
        let whole_day = Rule { to: DAY_MINUTES, ..rule(EVERY_DAY, 0, 0, 10) };
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
    fn who_speaks_first_wins() {
        let rules = vec![rule(EVERY_DAY, 8, 18, 3)];
        let usual = Some(Cap::At(4));
        let mut plan = LimitPlan { rules, up: Said { usual, ..Said::default() }, ..LimitPlan::default() };
        let stands =
            |plan: &LimitPlan, hour| (plan.at(at(0, hour, 0)).up.cap, plan.at(at(0, hour, 0)).up.why);
        assert_eq!(stands(&plan, 7), (Cap::At(4), Why::Usual));
        assert_eq!(stands(&plan, 8), (Cap::At(3), Why::Scheduled));
        plan.up.given = Some((Cap::Off, Given::Environment));
        assert_eq!(stands(&plan, 8), (Cap::Off, Why::Given(Given::Environment)));
        assert_eq!(plan.at(at(0, 8, 0)).up.until, None);
        plan.up.typed = Some(Cap::At(1));
        assert_eq!(stands(&plan, 8), (Cap::At(1), Why::Typed));
    }

    /// The clock is put forward from 2:00 to 3:00 and back from 3:00 to 2:00 on a Sunday: what is on the wall counts.
    #[test]
    fn a_clock_that_jumps_is_followed() {
        let plan = LimitPlan {
            rules: vec![Rule { from: 150, to: 240, ..rule(EVERY_DAY, 0, 0, 9) }],
            ..LimitPlan::default()
        };
        let seen = |times: [(u16, u16); 4]| times.map(|(hour, minute)| up(&plan, at(6, hour, minute)).0);
        // The rule begins at 2:30, which is skipped: it holds from 3:00.
        assert_eq!(seen([(1, 59), (3, 0), (3, 59), (4, 0)]), [Cap::Off, Cap::At(9), Cap::At(9), Cap::Off]);
        // And begins twice.
        assert_eq!(seen([(2, 29), (2, 59), (2, 0), (2, 30)]), [Cap::Off, Cap::At(9), Cap::Off, Cap::At(9)]);
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let times = (0..DAY_MINUTES, 1..=DAY_MINUTES);
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
            start in 0..WEEK_MINUTES,
        ) {
            let plan = LimitPlan { rules, ..LimitPlan::default() };
            let now = WeekMinute(start);
            let (cap, until) = up(&plan, now);
            let mut later = (1..WEEK_MINUTES).map(|minutes| now.after(minutes));
            prop_assert_eq!(until, later.find(|minute| up(&plan, *minute).0 != cap));
        }
    }
}
