//! The user's own folder (`BRIGADE_HOME`, or the platform's per-user state directory), the user's name, and the limits
//! of the account on open files.
//!
//! The files of a peer (key, index, part files) are not in it, but in `.brigade/` of the peer's folder.

pub(crate) mod too_many_open_files;

use std::{env, ffi::OsString, path::PathBuf};

use brigade_core::name::Username;

/// The user's own folder: it has the known managers, and the state of each manager by its port.
///
/// An account without a home directory, such as that of a service, has the state directory that systemd gave to the
/// service. `None` if none of these is known.
pub fn brigade_home() -> Option<PathBuf> {
    if let Some(home) = env::var_os("BRIGADE_HOME").filter(|home| !home.is_empty()) {
        return Some(home.into());
    }
    platform_state()
        .map(|state| state.join("brigade"))
        .or_else(|| state_of_service(env::var_os("STATE_DIRECTORY")))
}

/// The first folder in the list that systemd puts into `STATE_DIRECTORY`.
fn state_of_service(list: Option<OsString>) -> Option<PathBuf> {
    let list = list?;
    let first = list.to_str()?.split(':').next()?;
    Some(PathBuf::from(first)).filter(|path| path.is_absolute())
}

/// The user and the host as an unbound username: `anna@lab`.
///
/// `None` if no valid name can be made of them, which does not happen.
pub fn user_at_host() -> Option<Username> {
    let named = |variable| env::var(variable).ok().filter(|value| !value.trim().is_empty());
    let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(named).or_else(own_account);
    let host = host().unwrap_or_default();
    let label = host.split('.').next().unwrap_or_default();
    Username::of_user_at_host(user.as_deref().unwrap_or("someone"), label)
}

/// The name of the account of this process, for an environment without it, such as that of a service.
#[cfg(unix)]
fn own_account() -> Option<String> {
    account(rustix::process::getuid().as_raw())
}

/// The name of the account with this number.
#[cfg(unix)]
pub(crate) fn account(number: u32) -> Option<String> {
    use std::io::Read;
    /// Bytes of the list of accounts that are read: enough for ten thousand.
    const LIST_BYTES: u64 = 1 << 20;
    let mut list = vec![];
    std::fs::File::open("/etc/passwd").ok()?.take(LIST_BYTES).read_to_end(&mut list).ok()?;
    let wanted = number.to_string();
    String::from_utf8_lossy(&list).lines().find_map(|line| {
        let mut fields = line.split(':'); // name:password:number:…
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number == wanted).then(|| name.to_owned())
    })
}

#[cfg(not(unix))]
fn own_account() -> Option<String> {
    None
}

#[cfg(unix)]
fn host() -> Option<String> {
    Some(rustix::system::uname().nodename().to_string_lossy().into_owned())
}

#[cfg(not(unix))]
fn host() -> Option<String> {
    env::var("COMPUTERNAME").ok()
}

/// Raises the limit on open files of this process to the system's maximum: shells allow a thousand, and a fetch from
/// many holders may need more.
pub fn allow_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit on open files could not be raised");
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

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(unix)]
    fn the_first_state_directory_of_a_service_is_used() {
        let of = |list: &str| super::state_of_service(Some(list.into()));
        assert_eq!(of("/var/lib/a:/var/lib/b"), Some("/var/lib/a".into()));
        assert_eq!((of(""), of("relative"), super::state_of_service(None)), (None, None, None));
    }

    #[test]
    fn every_user_has_a_name() {
        let name = super::user_at_host().unwrap();
        assert!(name.may_be_unbound(), "{name}");
        #[cfg(unix)]
        assert!(super::own_account().is_none_or(|account| !account.is_empty()));
    }
}
