//! The right to execute a file.
//!
//! Only Unix has it.

use std::{fs::File, io};

/// Sets or clears the right to execute a file, for everyone with the right to read it.
#[cfg(unix)]
pub(in crate::store) fn set_executable(file: &File, executable: bool) -> io::Result<()> {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    let mode = file.metadata()?.permissions().mode() & 0o777;
    let wanted = if executable { mode | ((mode & 0o444) >> 2) } else { mode & !0o111 };
    if wanted == mode { Ok(()) } else { file.set_permissions(Permissions::from_mode(wanted)) }
}

/// This system has no such right.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the Unix version can fail")]
pub(in crate::store) fn set_executable(_: &File, _: bool) -> io::Result<()> {
    Ok(())
}
