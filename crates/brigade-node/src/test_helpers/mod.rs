//! What the unit tests of several modules use.
//!
//! Each helper stands in a file of its own; tests of one module have theirs beside it.

#[cfg(unix)]
pub(crate) mod run_with_few_open_files;
