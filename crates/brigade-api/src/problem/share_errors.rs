//! Errors of shares in place, of verifying, and of repairing; each with its code and hint.
//!
//! A path that cannot be shared is an error of the disk, whether it was named on a command line, in the settings, or to a
//! running peer.

use brigade_node::peer::{CannotRepair, CannotShare, CannotVerify};

use super::{DISK, FAILED, NOT_FOUND, Problem, REFUSED, UNREACHED, USAGE};

/// What to do about a name that a share cannot have.
const OTHER_NAME: &str = "`--share PATH=NAME`, or `share PATH --as NAME`, gives it another name";

impl From<CannotShare> for Problem {
    fn from(error: CannotShare) -> Self {
        use CannotShare as Cannot;
        match error {
            Cannot::LastComponent { .. } | Cannot::Name { .. } => {
                Self::of(USAGE, &error).with_hint(OTHER_NAME)
            }
            Cannot::NameOfShare { .. } | Cannot::NameInFolder { .. } => {
                Self::of(DISK, &error).with_hint(OTHER_NAME)
            }
            Cannot::Missing { .. } | Cannot::Unreadable { .. } => Self::of(DISK, &error).with_hint(
                "correct the path, or mount the disk first; see --share and [[peer.share]] in the settings",
            ),
            Cannot::Unknown(_) => Self::of(NOT_FOUND, &error).with_hint("`shares` lists the shares"),
            Cannot::Stopping => Self::of(UNREACHED, &error),
            _ => Self::of(DISK, &error),
        }
    }
}

impl From<CannotVerify> for Problem {
    fn from(error: CannotVerify) -> Self {
        match error {
            CannotVerify::Running { .. } => Self::of(REFUSED, &error),
            CannotVerify::NoFiles { .. } => Self::of(NOT_FOUND, &error)
                .with_hint("name a shared file or folder, or nothing for all files"),
            _ => Self::of(FAILED, &error),
        }
    }
}

impl From<CannotRepair> for Problem {
    fn from(error: CannotRepair) -> Self {
        match error {
            CannotRepair::NotDamaged(_) => Self::of(NOT_FOUND, &error),
            CannotRepair::Fetch(error) => error.into(),
            _ => Self::of(REFUSED, &error),
        }
    }
}
