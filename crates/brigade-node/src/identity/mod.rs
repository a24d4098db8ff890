//! The identity of a peer or a manager: keys, memberships, and the managers that a user trusts.
//!
//! [`key`] is a leaf that `transport` uses for TLS; [`membership`] is what a manager signs for a peer, and
//! [`clock_check`] finds a clock that is too wrong for memberships; [`known_managers`] remembers which key answered at an
//! address, as `known_hosts` does for ssh.

pub mod clock_check;
pub mod key;
pub mod known_managers;
pub mod membership;
