//! Identities: keys, memberships, and the managers that a user trusts.
//!
//! [`key`] has the keys, which `transport` uses for TLS; a manager signs a [`membership`] for each peer;
//! [`clock_check`] finds a clock that is too wrong for memberships; [`known_managers`] stores the keys of managers by
//! address, as `known_hosts` does for ssh.

pub(crate) mod clock_check;
pub(crate) mod key;
pub(crate) mod known_managers;
pub(crate) mod membership;
