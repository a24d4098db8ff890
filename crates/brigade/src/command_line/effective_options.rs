//! The values of the options of a command, wherever they come from, and which of them are different when the settings
//! are read again while the command runs.
//!
//! A running command takes other limits and another filter of the log; the parent decides which value an option has.

use std::collections::BTreeMap;

use brigade_core::limit_plan::LimitPlan;
use clap::ArgMatches;

use crate::settings::Settings;

/// The setting that a running command takes.
const FILTER: &str = "log.filter";

/// The values of the options of a command that are settings too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EffectiveOptions {
    /// By the name of the setting in the file.
    values: BTreeMap<String, Option<String>>,
    /// All values of the limits.
    pub(crate) limits: LimitPlan,
}

/// The difference between the options at the start and those that the settings give now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangedOptions {
    /// The options now.
    pub(crate) now: EffectiveOptions,
    /// Whether a value of the limits differs.
    pub(crate) limits: bool,
    /// Whether the filter of the log differs.
    pub(crate) filter: bool,
    /// The settings that have an effect only after a restart.
    pub(crate) restart: Vec<String>,
}

impl EffectiveOptions {
    pub(super) fn of(matches: Option<&ArgMatches>, limits: &LimitPlan) -> Self {
        let values = matches.and_then(ArgMatches::subcommand).map(|(command, matches)| {
            let value = |option: &'static str| {
                // Not every command has every option of a setting.
                let raw = matches.try_get_raw(option).ok().flatten()?;
                Some(raw.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" "))
            };
            Settings::option_values(command, value)
        });
        Self { values: values.unwrap_or_default(), limits: limits.clone() }
    }

    /// Takes over the values that a running command takes.
    pub(crate) fn take_live(&mut self, now: &Self) {
        self.limits = now.limits.clone();
        let filter = now.values.get(FILTER).cloned().flatten();
        self.values.entry(FILTER.to_owned()).and_modify(|value| *value = filter);
    }

    /// The filter of the log, if one is set.
    pub(crate) fn log_filter(&self) -> Option<&str> {
        self.values.get(FILTER)?.as_deref()
    }
}

/// The difference between the options `before` and `now`.
pub(super) fn difference(before: &EffectiveOptions, now: EffectiveOptions) -> ChangedOptions {
    let is_changed = |name: &&String| before.values.get(*name) != now.values.get(*name);
    let restart = now.values.keys().filter(is_changed).filter(|name| *name != FILTER).cloned().collect();
    ChangedOptions {
        limits: before.limits != now.limits,
        filter: before.log_filter() != now.log_filter(),
        restart,
        now,
    }
}

#[cfg(test)]
mod tests {
    use brigade_core::{limit_plan::Rule, rate::Cap};

    use super::{EffectiveOptions, LimitPlan, difference};

    #[test]
    fn limits_and_the_filter_change_at_once_and_the_rest_after_a_restart() {
        let of = |values: &[(&str, &str)], limits: LimitPlan| {
            let values = values.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())));
            EffectiveOptions { values: values.collect(), limits }
        };
        let none = LimitPlan::default();
        let before = of(&[("peer.max", "20"), ("peer.port", "1"), ("log.filter", "warn")], none.clone());
        let same = difference(&before, before.clone());
        assert!(!same.limits && !same.filter && same.restart.is_empty());
        let always = LimitPlan { rules: vec![Rule::always(Some(Cap::At(1)), None)], ..none };
        let now = of(&[("peer.max", "21"), ("peer.port", "1"), ("log.filter", "info")], always);
        let changed = difference(&before, now);
        assert!(changed.limits && changed.filter);
        assert_eq!(changed.restart, ["peer.max"]);
        assert_eq!(changed.now.log_filter(), Some("info"));
    }
}
