//! The hello that this program sends on every connection.
//!
//! Managers and peers send the same version and agent. Only the membership and the manager's note about its address
//! differ.

use brigade_core::wire::greeting::{Hello, VERSION};

/// The name and version of the program, for the other end.
const AGENT: &str = concat!("brigade/", env!("CARGO_PKG_VERSION"));

/// The hello of this program, with its membership if it has one.
pub(crate) fn own_hello(membership: Option<String>) -> Hello {
    Hello { version: VERSION, agent: AGENT.to_owned(), membership, reached_from_elsewhere: None }
}
