//! The reason why the screen of a running manager ended.
//!
//! The command chooses its exit code by it.

/// The reason why the table is not shown any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DisplayEnd {
    /// The user pressed `q`.
    Quit,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// The manager is stopping, or its log cannot be written.
    Stopped,
}
