//! Where a user's own things are kept: `BRIGADE_HOME`, or the platform's per-user state directory.
//!
//! A peer's things (key, index, part files) are not here but in its folder's `.brigade/`.

use std::{env, path::PathBuf};

/// The folder of the user's own things: known managers, and a manager's state by port.
///
/// `None` where neither `BRIGADE_HOME` nor a home directory is known.
pub fn brigade_home() -> Option<PathBuf> {
    if let Some(home) = env::var_os("BRIGADE_HOME").filter(|home| !home.is_empty()) {
        return Some(home.into());
    }
    platform_state().map(|state| state.join("brigade"))
}

/// Raises the number of files that this process may have open to what the system allows it: shells give a thousand,
/// and a folder that is fetched from many holders may want more.
pub fn allow_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the number of open files stays as it is");
        }
    }
}

#[cfg(target_os = "macos")]
fn platform_state() -> Option<PathBuf> {
    env::home_dir().map(|home| home.join("Library/Application Support"))
}

#[cfg(windows)]
fn platform_state() -> Option<PathBuf> {
    env::var_os("LOCALAPPDATA").map(PathBuf::from)
}

/// The XDG Base Directory Specification's state directory.
#[cfg(not(any(target_os = "macos", windows)))]
fn platform_state() -> Option<PathBuf> {
    let xdg = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    xdg.or_else(|| env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".local/state")))
}
