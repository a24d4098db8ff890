//! What Brigade does: sockets, disk, tasks, TLS and hashing around the decisions of `brigade-core`.
//!
//! It never prints and never exits; the crate `brigade` speaks to people. `transport` and `store` do not know
//! each other, nor do `manager` and `peer`. Start at [`manager::ManagerServer`] and [`peer::Peer`].

#![deny(unsafe_code)]

pub mod clock;
pub mod config;
pub mod durable;
#[cfg(unix)]
#[cfg(test)]
mod few_open_files;
pub mod identity;
pub mod manager;
pub mod peer;
pub mod store;
pub mod transport;
