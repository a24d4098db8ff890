//! A world in a seed: many of Brigade's cores in virtual time, on one thread.
//!
//! [`World`] runs the very [`Downloads`](brigade_core::download::Downloads),
//! [`Upload`](brigade_core::upload::Upload) and [`Limiter`](brigade_core::rate::Limiter) of the product over
//! links with bandwidth and delay. A [`Plan`] says who is in it and what happens; the same plan and seed give the
//! same world, event for event. [`Checks`] watches every step. Nothing here knows of sockets, disks or tasks: if it
//! has to, a decision was put on the wrong side of the core.

#![forbid(unsafe_code)]

mod checks;
mod network;
mod newcomer;
mod serving;
mod workload;
mod world;

pub use checks::Checks;
pub use network::Link;
pub use workload::{Deed, Manners, PeerPlan, Plan};
pub use world::{ContentNumber, Outcome, PeerNumber, World};
