//! Accounts: that of a service of the machine, and that of the user who runs the command.
//!
//! Only the default account is created, and only if systemd can do it.

use std::{fs, io, path::Path, process::Command};

use crate::failure::{FAILED, Failure};

/// The account of a service of the machine, unless another one is named.
pub(super) const ACCOUNT: &str = "brigade";

/// The home of that account.
const ACCOUNT_HOME: &str = "/var/lib/brigade";

/// The numbers of an account and its group. The default account is created if it does not exist.
pub(super) fn owner(account: &str) -> Result<(u32, u32), Failure> {
    if let Some(found) = numbers_of(account) {
        return Ok(found);
    }
    if account == ACCOUNT {
        let line = format!("u {ACCOUNT} - \"Brigade\" {ACCOUNT_HOME}");
        let _ = Command::new("systemd-sysusers").args(["--inline", &line]).output(); // the list is read again
        if let Some(found) = numbers_of(account) {
            return Ok(found);
        }
    }
    let failure = Failure::new(FAILED, format!("the account {account} does not exist"));
    Err(failure.hint(format!(
        "create it (`useradd --system --home-dir {ACCOUNT_HOME} --shell /usr/sbin/nologin {account}`), or name another \
         one with --account"
    )))
}

pub(super) fn numbers_of(account: &str) -> Option<(u32, u32)> {
    let list = fs::read_to_string("/etc/passwd").ok()?;
    list.lines().find_map(|line| {
        let mut fields = line.split(':'); // name:password:number:group:…
        (fields.next()? == account).then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

#[cfg(unix)]
pub(super) fn give(folder: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    match owner {
        Some((user, group)) => std::os::unix::fs::chown(folder, Some(user), Some(group)),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
pub(super) fn give(_: &Path, _: Option<(u32, u32)>) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
pub(super) fn user_number() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(not(unix))]
pub(super) const fn user_number() -> u32 {
    1
}

pub(super) fn is_root() -> bool {
    cfg!(unix) && user_number() == 0
}
