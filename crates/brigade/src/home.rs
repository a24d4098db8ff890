//! The user's own folder, and what is done without one: an account that has none, or may not write there, works all the
//! same, and is told once what is not remembered.
//!
//! Which folder it is, `brigade_node::config` says; only a manager without `--state` cannot do without.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use brigade_node::config::brigade_home;

use crate::terminal::escape::escape;

/// The user's own folder, and whether files can be kept there.
struct Home {
    path: Option<PathBuf>,
    is_writable: bool,
}

/// The folder, if one is known: what is in it counts, even where nothing can be written.
pub(crate) fn home() -> Option<PathBuf> {
    found().path.clone()
}

/// The path of one of this program's files there, if it can be written.
pub(crate) fn home_file(name: &str) -> Option<PathBuf> {
    let Home { path, is_writable } = found();
    path.as_ref().filter(|_| *is_writable).map(|home| home.join(name))
}

/// Looks once, makes the folder if it is not there, and says what does not work.
#[allow(clippy::print_stderr)]
fn found() -> &'static Home {
    static HOME: OnceLock<Home> = OnceLock::new();
    HOME.get_or_init(|| {
        let path = brigade_home();
        let unusable = why_unusable(path.as_deref());
        if let Some(why) = &unusable {
            eprintln!("{}", note(why));
        }
        Home { path, is_writable: unusable.is_none() }
    })
}

fn note(why: &str) -> String {
    format!(
        "note: {}: neither the keys of managers nor commands that are typed are remembered\n\
         hint: BRIGADE_HOME names another folder for them (else HOME has it)",
        escape(why)
    )
}

/// Why nothing can be kept in the folder.
fn why_unusable(home: Option<&Path>) -> Option<String> {
    let Some(home) = home else {
        return Some(
            "there is no folder for what is remembered: neither BRIGADE_HOME nor HOME is set".to_owned(),
        );
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
    use super::{note, why_unusable};

    #[test]
    fn a_home_that_cannot_be_made_is_named_with_the_variables() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(why_unusable(Some(&folder.path().join("a/b"))), None);
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let why = why_unusable(Some(&file.join("home"))).unwrap();
        assert!(why.contains("file/home cannot be used: "), "{why}");
        let none = note(&why_unusable(None).unwrap());
        assert!(none.contains("BRIGADE_HOME") && none.contains("HOME is set"), "{none}");
    }
}
