//! How good the result of a check is. Each check has its own rule for it, beside its result.
//!
//! The parent has the checks.

/// How good the result of a check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, and a person should know about it.
    Warning,
    /// Something does not work until a person changes it.
    Fault,
}
