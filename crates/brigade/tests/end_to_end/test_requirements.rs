//! Requirements of tests that not each machine meets: root, a tool, or a feature of the system.
//!
//! A test without its requirements is skipped; with `BRIGADE_REQUIRE_ALL=1` it fails.

/// Prints that a test is skipped and what it needs. If all tests are required, it panics.
#[track_caller]
#[allow(clippy::print_stderr)] // the output that a person who runs the tests reads
pub(crate) fn skip(needs: &str) {
    assert!(std::env::var_os("BRIGADE_REQUIRE_ALL").is_none_or(|all| all != "1"), "this test needs {needs}");
    eprintln!("skipped: needs {needs}");
}
