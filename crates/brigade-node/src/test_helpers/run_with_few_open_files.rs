//! Runs the body of a test in a process that can open only a few more files.
//!
//! The limit is one of the whole process, so the test starts itself in a process of its own. Only tests use this
//! module.

use std::{env, fs::File, process::Command};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Set in the process with the limit.
const IS_LIMITED: &str = "BRIGADE_TEST_WITH_FEW_OPEN_FILES";

/// The limit in that process: more than the test has open when it begins.
const LIMIT: u64 = 100;

/// Calls `attempt` in another process, when it can open no more files, then one more, and so on. `test` is the full
/// name of the test that calls this function. `attempt` returns whether it succeeded.
///
/// # Panics
/// In the other process, if no attempt fails or none succeeds; here, if the test fails there.
#[track_caller]
pub(crate) fn run_with_few_open_files(test: &str, attempt: impl Fn() -> bool) {
    if env::var_os(IS_LIMITED).is_none() {
        let mut command = Command::new(env::current_exe().unwrap());
        let ended = command.args([test, "--exact", "--nocapture"]).env(IS_LIMITED, "1").output().unwrap();
        let output =
            [ended.stdout, ended.stderr].map(|output| String::from_utf8_lossy(&output).into_owned()).concat();
        assert!(ended.status.success() && output.contains("1 passed"), "{output}");
        return;
    }
    let limit = Rlimit { current: Some(LIMIT), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let has_succeeded = |free: usize| {
        let mut open: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        open.truncate(open.len() - free);
        attempt()
    };
    let succeeded: Vec<bool> = (0..20).map(has_succeeded).collect();
    assert!(succeeded.contains(&false) && succeeded.contains(&true), "{succeeded:?}");
}
