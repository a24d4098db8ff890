//! Why the display of a running manager ended.
//!
//! The command chooses its exit code by this.

/// Why the table is no longer shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Somebody pressed `q`.
    Quit,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// The manager is stopping.
    Stopped,
}
