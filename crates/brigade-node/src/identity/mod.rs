//! Who one is, and how others know it: keys, memberships, and the managers that a user trusts.
//!
//! [`key`] is a leaf that `net` uses for TLS; [`membership`] is what a manager signs for a peer;
//! [`known_managers`] is the memory of which key answered at an address, as `known_hosts` is for ssh.

pub mod key;
pub mod known_managers;
pub mod membership;
