//! What went wrong with a disk: folders, keys, room, and names that cannot be given, each with what can be done.
//!
//! The rest of what people are told of failures is in [`super`].

use std::io;

use brigade_node::{
    error::{FolderError, KeyError},
    peer::{CannotLand, MissingSpace, NotEnoughSpace},
};

use super::{DISK, Failure};
use crate::terminal::format;

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        let failure = Self::of(DISK, &error);
        match error {
            FolderError::Foreign { path, .. } => failure.hint(format!(
                "run it as that account, give it to this one (`chown -R`, of {}), or use another folder",
                path.display()
            )),
            FolderError::InUse { .. } => failure.hint("end the other session, or use another folder"),
            FolderError::Io { source, .. } if is_about_writing(&source) => failure.hint(
                "a peer keeps its key and its index in `.brigade/` there: use a folder that can be written to",
            ),
            _ => failure,
        }
    }
}

fn is_about_writing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let failure = Self::of(DISK, &error);
        match &error {
            KeyError::NotAFile { path } => failure.hint(format!(
                "move {} away, and a new key is made; a username that is bound to an old key stays with that one",
                path.display()
            )),
            KeyError::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                failure.hint("it may belong to another account: run this as that one, or use another folder")
            }
            KeyError::Exposed { path, .. } => failure.hint(format!("chmod 600 {}", path.display())),
            _ => failure,
        }
    }
}

impl From<NotEnoughSpace> for Failure {
    fn from(error: NotEnoughSpace) -> Self {
        let (message, make_room) = match error.missing {
            MissingSpace::Bytes { needed, free } => {
                let (needed, free) = (format::bytes(needed), format::bytes(free));
                (format!("{error}: it takes {needed} more, and {free} are free"), "make room")
            }
            MissingSpace::Inodes { needed, free } => (
                format!(
                    "{error}: no inodes are left for its files; it takes {needed} more, and {free} are free, whatever \
                     room there is for bytes"
                ),
                "delete files",
            ),
            _ => (error.to_string(), "make room"),
        };
        Self::new(DISK, message)
            .hint(format!("nothing was fetched; {make_room} there, or fetch into another folder"))
    }
}

impl From<CannotLand> for Failure {
    fn from(error: CannotLand) -> Self {
        let mut message = error.to_string();
        for (name, why) in &error.refused {
            message += &format!("\n  {name}: {why}");
        }
        let rest = error.count.saturating_sub(error.refused.len());
        if rest > 0 {
            message += &format!("\n  and {rest} more");
        }
        Self::new(DISK, message).hint(
            "nothing was fetched; move what is in the way, make the folder writable, leave these files out, or fetch into \
             another folder",
        )
    }
}
