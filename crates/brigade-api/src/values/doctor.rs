//! The checks of a peer and of its surroundings, with the remedy for each fault.
//!
//! `brigade doctor` makes the same checks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// The name of the check, for programs.
    pub check: String,
    /// Whether it is in order.
    pub state: CheckState,
    /// What was found.
    pub text: String,
    /// What to do, if something is to be done.
    pub remedy: Option<String>,
}

/// Whether a check found a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// It is in order.
    Ok,
    /// It works, with a disadvantage.
    Warning,
    /// Something does not work.
    Fault,
    /// A result of a later version.
    #[serde(other)]
    Unknown,
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckReport {
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
}
