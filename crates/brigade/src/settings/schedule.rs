//! A schedule of limits in the settings file: `[[limits.schedule]]` with days, from, to, up and down.
//!
//! `brigade_core::limit_plan` decides which rule applies at which time.

use brigade_core::{limit_plan::Rule, rate::Cap};
use jiff::civil::Time;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{file_mistakes::FileMistakes, setting::SettingKind, toml_value::value_of};
use crate::command_line::value_parsers::parse_cap;

/// The most rules of a schedule: more than a person needs for a week, and few enough to check every minute.
const RULES: usize = 100;

const KEYS: [&str; 5] = ["days", "from", "to", "up", "down"];
/// The names of the days of the week.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Reads all rules. Mistakes are added to `wrong`, and a rule with a mistake is skipped.
pub(super) fn read(value: &Spanned<DeValue<'_>>, rules: &mut Vec<Rule>, wrong: &mut FileMistakes) {
    let DeValue::Array(array) = value.get_ref() else {
        return wrong.at(value.span(), "expected tables: [[limits.schedule]]");
    };
    if array.len() > RULES {
        return wrong.at(value.span(), format!("there are more than {RULES} rules"));
    }
    for rule in array {
        match rule.get_ref() {
            DeValue::Table(table) => rules.extend(read_rule(table, rule, wrong)),
            _ => wrong.at(rule.span(), "expected a table: [[limits.schedule]]"),
        }
    }
}

fn read_rule(table: &DeTable<'_>, whole: &Spanned<DeValue<'_>>, wrong: &mut FileMistakes) -> Option<Rule> {
    let mut rule = Rule::always(None, None);
    let mut is_right = true;
    for (key, value) in table {
        let found = match key.get_ref().as_ref() {
            "days" => {
                let days = read_days(value, wrong);
                is_right &= days.is_some();
                rule.days = days.unwrap_or(rule.days);
                continue;
            }
            "from" => time(value.get_ref()).map(|from| rule.from = from),
            "to" => end(value.get_ref()).map(|to| rule.to = to),
            "up" | "down" => {
                let cap = match value_of(SettingKind::Rate, value.get_ref()) {
                    Ok(cap) => parse_cap(&cap).ok(),
                    Err(what) => {
                        wrong.at(value.span(), what);
                        None
                    }
                };
                is_right &= cap.is_some();
                *if key.get_ref() == "up" { &mut rule.up } else { &mut rule.down } = cap.or(Some(Cap::Off));
                continue;
            }
            _ => {
                wrong.unknown(key, "a key of a rule", KEYS.into_iter());
                is_right = false;
                continue;
            }
        };
        if found.is_none() {
            let most =
                if key.get_ref() == "from" { "\"00:00\" to \"23:59\"" } else { "\"00:01\" to \"24:00\"" };
            wrong.at(value.span(), format!("expected a time from {most} in quotation marks"));
            is_right = false;
        }
    }
    if is_right && rule.from == rule.to && rule.from != Time::midnight() {
        wrong.at(whole.span(), "`from` and `to` are equal; without them the rule applies all day");
        is_right = false;
    }
    if rule.up.is_none() && rule.down.is_none() {
        wrong.at(whole.span(), "the rule limits nothing: expected `up`, `down` or both");
        is_right = false;
    }
    is_right.then_some(rule)
}

fn read_days(value: &Spanned<DeValue<'_>>, wrong: &mut FileMistakes) -> Option<[bool; 7]> {
    let expected = "expected a list of days: [\"mon\", \"tue\"]";
    let DeValue::Array(array) = value.get_ref() else {
        wrong.at(value.span(), expected);
        return None;
    };
    if array.is_empty() {
        wrong.at(
            value.span(),
            "`days` is empty, so the rule never applies; without `days` it applies every day",
        );
        return None;
    }
    let (mut days, mut is_right) = ([false; 7], true);
    for day in array {
        let DeValue::String(text) = day.get_ref() else {
            wrong.at(day.span(), expected);
            is_right = false;
            continue;
        };
        match DAYS.iter().position(|known| text.eq_ignore_ascii_case(known)) {
            Some(known) => days[known] = true,
            None => {
                wrong.unknown(&Spanned::new(day.span(), text), "a day", DAYS.into_iter());
                is_right = false;
            }
        }
    }
    is_right.then_some(days)
}

/// `HH:MM`, from `00:00` to `23:59`.
fn time(value: &DeValue<'_>) -> Option<Time> {
    let DeValue::String(text) = value else { return None };
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    Time::new(number(hours)?, number(minutes).filter(|_| minutes.len() == 2)?, 0, 0).ok()
}

/// The end of a rule: `HH:MM`, from `00:01` to `24:00`, which is the midnight after the day.
fn end(value: &DeValue<'_>) -> Option<Time> {
    match value {
        DeValue::String(text) if text == "24:00" => Some(Time::midnight()),
        _ => time(value).filter(|time| *time != Time::midnight()),
    }
}

#[cfg(test)]
mod tests {
    use toml::de::DeValue;

    use super::{Cap, FileMistakes, Rule, Time, end, read, time};

    /// The rules of a schedule that is written as an array, and how many mistakes it has.
    fn rules(text: &str) -> (Vec<Rule>, usize) {
        let (mut rules, mut wrong) = (vec![], FileMistakes::default());
        read(&DeValue::parse(text).unwrap(), &mut rules, &mut wrong);
        (rules, wrong.count())
    }

    #[test]
    fn a_rule_is_read_with_its_defaults() {
        let always = Rule::always(Some(Cap::At(2_000_000)), None);
        assert_eq!(rules("[{up = '2MB'}]"), (vec![always], 0));
        let weekend = Rule {
            days: [false, false, false, false, false, true, true],
            from: Time::constant(23, 0, 0, 0),
            to: Time::constant(6, 30, 0, 0),
            up: None,
            down: Some(Cap::Off),
        };
        let text = "[{days = ['sat', 'Sun'], from = '23:00', to = '6:30', down = 'off'}]";
        assert_eq!(rules(text), (vec![weekend], 0));
    }

    #[test]
    fn every_mistake_of_a_rule_is_noted() {
        for (text, mistakes) in [
            ("3", 1),
            ("[3]", 1),
            ("[{}]", 1),
            ("[{up = 'fast', days = ['monday', 'x', 3], from = '24:00', to = '0:00'}]", 6),
            ("[{up = 3, day = ['mon']}]", 2),
            ("[{up = 'off', from = '08:00', to = '8:00'}]", 1),
            ("[{up = 'off', days = []}, {up = 'off', days = 'mon'}, {down = 'off', from = 8}]", 3),
        ] {
            let (rules, found) = rules(text);
            assert_eq!((rules.len(), found), (0, mistakes), "{text}");
        }
        assert_eq!(rules(&format!("[{}]", "{up = 'off'},".repeat(101))).1, 1);
    }

    #[test]
    fn times_are_hours_and_minutes() {
        let of = |text: &'static str| {
            let value = DeValue::String(text.into());
            (time(&value), end(&value))
        };
        let five_past_eight = Some(Time::constant(8, 5, 0, 0));
        assert_eq!(of("8:05"), (five_past_eight, five_past_eight));
        assert_eq!(
            (of("00:00"), of("24:00")),
            ((Some(Time::midnight()), None), (None, Some(Time::midnight())))
        );
        for text in ["", "8", "8:5", "24:01", "12:60", "-1:00", "+1:00", "1:000", "a:bc", "12:00:00"] {
            assert_eq!(of(text), (None, None), "{text}");
        }
    }
}
