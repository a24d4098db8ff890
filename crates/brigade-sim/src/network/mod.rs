//! The network between peers: links with bandwidth and delay, and connections over them that may break.
//!
//! Data types only: `behaviour` sends over them.

pub(crate) mod connection;
pub(crate) mod link;
