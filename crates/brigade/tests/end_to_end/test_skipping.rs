//! What a test does if the machine does not meet its requirements (root, a tool, a feature of the system): [`skip`].
//!
//! Each test checks its own requirements. With `BRIGADE_REQUIRE_ALL=1` it fails instead.

/// Prints that a test is skipped and what it needs. If all tests are required, it panics.
#[track_caller]
#[allow(clippy::print_stderr)] // the output that a person who runs the tests reads
pub(crate) fn skip(needs: &str) {
    assert!(std::env::var_os("BRIGADE_REQUIRE_ALL").is_none_or(|all| all != "1"), "this test needs {needs}");
    eprintln!("skipped: needs {needs}");
}
