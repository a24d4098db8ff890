//! The user's folder `BRIGADE_HOME`. An account without one, or without the right to write there, works too, and gets
//! one note about what is not remembered.
//!
//! `brigade_node::user_account` finds the folder. Only a manager without `--state` needs it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use brigade_node::user_account::brigade_home;

use crate::{terminal::standard_error::print_error_line, text::escape::escape};

/// Why no folder is known.
pub(crate) const NO_HOME: &str = "BRIGADE_HOME is not set, and HOME is not set to an absolute path";

/// The user's folder, and whether files can be written there.
struct Home {
    path: Option<PathBuf>,
    is_writable: bool,
}

/// The folder, if one is known. Its files are read even if nothing can be written there.
pub(crate) fn home() -> Option<PathBuf> {
    checked_home().path.clone()
}

/// The path of a file in the folder, if it can be written.
pub(crate) fn home_file(name: &str) -> Option<PathBuf> {
    let Home { path, is_writable } = checked_home();
    path.as_ref().filter(|_| *is_writable).map(|home| home.join(name))
}

/// Checks the folder once, creates it if it does not exist, and prints a note if it cannot be used.
fn checked_home() -> &'static Home {
    static HOME: OnceLock<Home> = OnceLock::new();
    HOME.get_or_init(|| {
        let path = brigade_home();
        let unusable = unusable_reason(path.as_deref());
        if let Some(reason) = &unusable {
            print_error_line(&note(reason));
        }
        Home { path, is_writable: unusable.is_none() }
    })
}

fn note(reason: &str) -> String {
    format!(
        "note: {}: the keys of managers and the typed commands are not remembered\n\
         hint: set BRIGADE_HOME to another folder",
        escape(reason)
    )
}

/// The reason why nothing can be written to the folder.
fn unusable_reason(home: Option<&Path>) -> Option<String> {
    let Some(home) = home else {
        return Some(format!("there is no folder for the files of this user: {NO_HOME}"));
    };
    let cannot = |error: std::io::Error| format!("the folder {} cannot be used: {error}", home.display());
    if let Err(error) = fs::create_dir_all(home) {
        return Some(cannot(error));
    }
    #[cfg(unix)]
    if let Err(error) = rustix::fs::access(home, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
        return Some(cannot(error.into()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{note, unusable_reason};

    #[test]
    fn a_home_that_cannot_be_created_is_named_with_the_variables() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(unusable_reason(Some(&folder.path().join("a/b"))), None);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let home = file.join("home");
        let reason = unusable_reason(Some(&home)).unwrap();
        assert!(reason.contains(&format!("{} cannot be used: ", home.display())), "{reason}");
        let none = note(&unusable_reason(None).unwrap());
        assert!(none.contains("BRIGADE_HOME") && none.contains("HOME is not set"), "{none}");
    }
}
