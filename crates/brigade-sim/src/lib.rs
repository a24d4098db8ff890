//! A world in a seed: many of Brigade's cores in virtual time, on one thread.
//!
//! [`World`] runs the very [`Downloads`](brigade_core::download::Downloads),
//! [`Upload`](brigade_core::upload::Upload), [`Limiter`](brigade_core::rate::Limiter) and
//! [`Manager`](brigade_core::manager::Manager) of the product over links with bandwidth and delay. A [`Plan`] says who
//! is in it and what happens, and a [`Crowd`] makes plans of many; the same plan and seed give the same world, event
//! for event. [`Checks`] watches every step. Nothing here knows of sockets, disks or tasks: if it
//! has to, a decision was put on the wrong side of the core.

#![forbid(unsafe_code)]

mod checks;
mod copies;
mod crowd;
mod deeds;
mod network;
mod newcomer;
mod orders;
mod queue;
mod sending;
mod serving;
mod tracker;
mod workload;
mod world;

pub use checks::Checks;
pub use crowd::{Crowd, Report, Scenario};
pub use network::Link;
pub use workload::{Deed, Manners, PeerPlan, Plan};
pub use world::{ContentNumber, Outcome, PeerNumber, World};
