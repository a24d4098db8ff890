//! The limits on sending and receiving that are in effect, and a change of one.
//!
//! `brigade_core::limit_plan` decides which limit is in effect.

use brigade_core::{
    limit_plan::{self, EffectiveLimit, OptionSource},
    rate::Cap,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The limits that are in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// On sending.
    pub up: Limit,
    /// On receiving.
    pub down: Limit,
}

/// A limit that is in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Limit {
    /// Bytes a second; null if there is no limit.
    pub bytes_per_second: Option<u64>,
    /// What set it.
    pub origin: LimitOrigin,
    /// When the schedule changes it, in the peer's local time: `2026-11-29T08:05:00`.
    pub until: Option<String>,
}

/// What set a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitOrigin {
    /// A command while the peer runs.
    Typed,
    /// An option of the command line at the start.
    Option,
    /// A variable of the environment at the start.
    Environment,
    /// The schedule.
    Schedule,
    /// The settings.
    Settings,
    /// Nothing: there is no limit.
    None,
    /// An origin of a later version.
    #[serde(other)]
    Unknown,
}

/// A change of a limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({ "cap": "10MB" }))]
pub struct LimitOrder {
    /// A rate like `10MB`, or `off`; null brings back the configured limit.
    #[schema(pattern = "^([1-9][0-9]{0,5}(B|KB|MB|GB)|off)$")]
    pub cap: Option<String>,
}

impl From<&limit_plan::Limits> for Limits {
    fn from(limits: &limit_plan::Limits) -> Self {
        Self { up: Limit::from(&limits.up), down: Limit::from(&limits.down) }
    }
}

impl Limits {
    /// The limits as the core has them.
    pub fn to_core(&self) -> limit_plan::Limits {
        limit_plan::Limits { up: self.up.to_core(), down: self.down.to_core() }
    }
}

impl From<&EffectiveLimit> for Limit {
    fn from(limit: &EffectiveLimit) -> Self {
        let origin = match limit.origin {
            limit_plan::LimitOrigin::Typed => LimitOrigin::Typed,
            limit_plan::LimitOrigin::Option(OptionSource::Flag) => LimitOrigin::Option,
            limit_plan::LimitOrigin::Option(OptionSource::Environment) => LimitOrigin::Environment,
            limit_plan::LimitOrigin::Scheduled => LimitOrigin::Schedule,
            limit_plan::LimitOrigin::Default => LimitOrigin::Settings,
            limit_plan::LimitOrigin::Unlimited => LimitOrigin::None,
        };
        Self {
            bytes_per_second: limit.cap.bytes_per_second(),
            origin,
            until: limit.until.map(|until| until.to_string()),
        }
    }
}

impl Limit {
    fn to_core(&self) -> EffectiveLimit {
        let origin = match self.origin {
            LimitOrigin::Typed => limit_plan::LimitOrigin::Typed,
            LimitOrigin::Option => limit_plan::LimitOrigin::Option(OptionSource::Flag),
            LimitOrigin::Environment => limit_plan::LimitOrigin::Option(OptionSource::Environment),
            LimitOrigin::Schedule => limit_plan::LimitOrigin::Scheduled,
            LimitOrigin::Settings => limit_plan::LimitOrigin::Default,
            LimitOrigin::None | LimitOrigin::Unknown => limit_plan::LimitOrigin::Unlimited,
        };
        EffectiveLimit {
            cap: self.bytes_per_second.map_or(Cap::Off, Cap::At),
            origin,
            until: self.until.as_ref().and_then(|until| until.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cap, EffectiveLimit, Limits, limit_plan};

    #[test]
    fn limits_are_the_same_after_a_way_over_the_api() {
        let until = "2026-11-29T08:05:00".parse().ok();
        let up = EffectiveLimit { cap: Cap::At(7), origin: limit_plan::LimitOrigin::Scheduled, until };
        let down = EffectiveLimit { cap: Cap::Off, origin: limit_plan::LimitOrigin::Unlimited, until: None };
        let limits = limit_plan::Limits { up, down };
        assert_eq!(Limits::from(&limits).to_core(), limits);
        assert!(until.is_some());
    }
}
