//! Errors of the disk: folders, keys, free space, and names that a file cannot get; each with a hint.
//!
//! `node_errors` has the other errors.

use std::{io, path::Path};

use brigade_node::{
    error::{FolderError, KeyError},
    peer::{CannotLand, MissingSpace, NotEnoughSpace},
};

use super::{DISK, Problem};
use crate::text::{escape::escape, format};

impl From<FolderError> for Problem {
    fn from(error: FolderError) -> Self {
        let problem = Self::of(DISK, &error);
        match error {
            FolderError::Foreign { path, .. } => problem.with_hint(foreign_hint(&path)),
            FolderError::Missing { .. } => {
                problem.with_hint("create it first, or correct the path; `peer` creates only the last folder of a path")
            }
            FolderError::NotAFile { path } | FolderError::NotAFolder { path } | FolderError::Link { path }
                if is_private(&path) =>
            {
                problem.with_hint(format!(
                    "Brigade keeps its own files in `.brigade`, and does not follow links there: move {} away, and it is \
                     made again",
                    path.display()
                ))
            }
            FolderError::InUse { .. } => problem.with_hint("stop the other session, or use another folder"),
            FolderError::NotEnoughSpace { inodes, .. } => problem.with_hint(space_hint(inodes)),
            FolderError::Io { action: "make the folder", source, .. } if source.kind() == io::ErrorKind::NotFound => {
                problem.with_hint("no folder can be made there: use another one")
            }
            FolderError::Io { source, .. } if is_about_writing(&source) => problem.with_hint(
                "a peer keeps its key and its index in `.brigade/` there: use a folder that is writable",
            ),
            _ => problem,
        }
    }
}

/// What to do about a full disk.
fn space_hint(inodes: bool) -> &'static str {
    if inodes {
        "delete files there, or use another folder"
    } else {
        "free some space there, or use another folder"
    }
}

/// What to do about a path of another account. Only Brigade's own folder may be given to this account: any other one has
/// files of the other account.
fn foreign_hint(path: &Path) -> String {
    if is_private(path) {
        let give = give_command(path);
        format!("run it as that account, give the files to this one{give}, or use another folder")
    } else {
        "choose another folder (with --into for `fetch`, and --folder for `peer`), or run it as that account"
            .to_owned()
    }
}

/// The command that gives the private folder with `path` to this account, in parentheses; empty if there is none.
#[cfg(unix)]
fn give_command(path: &Path) -> String {
    let private = path.ancestors().find(|above| above.file_name().is_some_and(|name| name == ".brigade"));
    let word = private.and_then(quoted);
    word.map(|word| format!(" (`sudo chown -R \"$(id -un)\" {word}`)")).unwrap_or_default()
}

/// Windows has no such command.
#[cfg(not(unix))]
fn give_command(_: &Path) -> String {
    String::new()
}

/// A path as one word of a shell; `None` if it would be printed with an escape. A quotation mark is put into other ones,
/// since a backslash is escaped when it is printed.
fn quoted(path: &Path) -> Option<String> {
    let word = format!("'{}'", path.to_str()?.replace('\'', r#"'"'"'"#));
    (escape(&word) == word).then_some(word)
}

/// Whether a path is `.brigade` or in it.
fn is_private(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == ".brigade")
}

fn is_about_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn is_about_writing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        Self::of_key(&error, "a username that is bound to the old key stays bound to it: choose another one")
    }
}

impl Problem {
    /// The problem for the key of a manager.
    pub(super) fn of_manager_key(error: &KeyError) -> Self {
        Self::of_key(error, "the peers refuse the new key until each of them was given it with --manager-key")
    }

    /// The problem for a key; `after_loss` says what follows if there is no copy of it.
    fn of_key(error: &KeyError, after_loss: &str) -> Self {
        let problem = Self::of(DISK, error);
        match error {
            KeyError::NotAFile { path } => problem
                .with_hint(format!("move {} away, and a new key is created; {after_loss}", path.display())),
            KeyError::Damaged { path } => problem.with_hint(format!(
                "put the key from a backup there. If there is no backup, move {} away, and a new key is created; {after_loss}",
                path.display()
            )),
            KeyError::LinkToNothing { path } => problem.with_hint(format!(
                "bring back the file that the link leads to. If it is lost, delete {}, and a new key is created; {after_loss}",
                path.display()
            )),
            KeyError::File { path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                problem.with_hint(format!(
                    "it may belong to another account: run the command as that account, give the files to this one{}, \
                     or use another folder",
                    give_command(path)
                ))
            }
            KeyError::File { source, .. } if is_about_space(source) => problem.with_hint(
                "free some space there, or use another folder; a disk may also have space but no inodes (`df -i`): then \
                 delete files there",
            ),
            KeyError::Exposed { path, .. } => problem.with_hint(quoted(path).map_or_else(
                || "take the rights to read and write it from all other accounts (mode 600)".to_owned(),
                |word| format!("chmod 600 {word}"),
            )),
            _ => problem,
        }
    }
}

impl From<NotEnoughSpace> for Problem {
    fn from(error: NotEnoughSpace) -> Self {
        let (message, advice) = match error.missing {
            MissingSpace::Bytes { needed, free } => {
                let (needed, free) = format::needed_and_free(needed, free);
                (format!("{error}: {needed} more are needed, and {free} are free"), "free some space")
            }
            MissingSpace::Inodes { needed, free } => (
                format!(
                    "{error}: no inodes are left for its files; {needed} more are needed, and {free} are free, even if there \
                     is free space for bytes"
                ),
                "delete files",
            ),
            _ => (error.to_string(), "free some space"),
        };
        Self::new(DISK, message)
            .with_hint(format!("nothing was fetched; {advice} there, or fetch into another folder"))
    }
}

impl From<CannotLand> for Problem {
    fn from(error: CannotLand) -> Self {
        let mut message = error.to_string();
        for files in &error.refused {
            message += &format!("\n  {files}");
        }
        let listed: usize = error.refused.iter().map(|files| files.count).sum();
        let rest = error.count.saturating_sub(listed);
        if rest > 0 {
            message += &format!("\n  and {rest} more");
        }
        Self::new(DISK, message).with_hint(if error.lacks_open_files {
            "nothing was fetched; run the same fetch again when it may open more files"
        } else {
            "nothing was fetched; move what is in the way, make the folder writable, omit these files, or fetch into \
             another folder"
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::foreign_hint;
    #[cfg(unix)]
    use super::{KeyError, Problem};

    #[test]
    fn only_the_private_folder_is_to_be_given_to_this_account() {
        for path in ["/", "/etc", "/srv/films", "films"] {
            let hint = foreign_hint(Path::new(path));
            assert!(
                !hint.contains("chown") && hint.contains("--into") && hint.contains("--folder"),
                "{hint}"
            );
        }
        #[cfg(unix)]
        for path in ["/srv/.brigade", "/srv/.brigade/key", "/srv/.brigade/parts/a.part"] {
            let hint = foreign_hint(Path::new(path));
            assert!(hint.contains("chown -R \"$(id -un)\" '/srv/.brigade'`"), "{hint}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_path_is_one_word_of_a_shell() {
        for path in ["/a/b", r#"/it's here/"$HOME" `x`"#, "'"] {
            let word = super::quoted(Path::new(path)).unwrap();
            let mut shell = std::process::Command::new("sh");
            let printed = shell.args(["-c", &format!("printf %s {word}")]).output().unwrap().stdout;
            assert_eq!(printed, path.as_bytes(), "{word}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_path_that_is_printed_with_an_escape_is_in_no_command() {
        use std::os::unix::ffi::OsStrExt;
        for path in [&br"/a\b"[..], b"/a\nb", "/a\u{202e}b".as_bytes(), b"/a\xffb"] {
            let private = Path::new(std::ffi::OsStr::from_bytes(path)).join(".brigade");
            let hint = foreign_hint(&private);
            assert!(hint.contains("give the files to this one, or") && !hint.contains("chown"), "{hint}");
            let path = private.join("key");
            let problem = Problem::from(KeyError::Exposed { path, mode: 0o644 });
            let hint = problem.hint().unwrap();
            assert!(hint.contains("mode 600") && !hint.contains("chmod"), "{hint}");
        }
    }
}
