//! The kinds of programs that have a local socket, and the name of a socket.
//!
//! The name does not depend on the length of a path, so that a socket of any folder can be made.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Hexadecimal digits in the name of a socket. Two folders of one user get the same name once in 2⁶⁴.
const NAME_DIGITS: usize = 16;

/// A kind of program that has an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgramKind {
    /// A peer; its folder is the shared one.
    Peer,
    /// A manager; its folder is that of its state.
    Manager,
}

impl ProgramKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Peer, Self::Manager];

    /// Its name, for people and in the name of a socket.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Manager => "manager",
        }
    }
}

/// The name of the socket of a program, without an ending: its length does not depend on the path of the folder.
pub(super) fn socket_name(kind: ProgramKind, canonical_folder: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind.name().as_bytes());
    hasher.update(b"\0");
    hasher.update(canonical_folder.as_os_str().as_encoded_bytes());
    let digits = hasher.finalize().to_hex();
    format!("{}-{}", kind.name(), &digits[..NAME_DIGITS])
}
