//! A deterministic simulation: many of Brigade's cores in virtual time, on one thread.
//!
//! [`Simulation`] runs the very [`Downloads`](brigade_core::download::Downloads),
//! [`Upload`](brigade_core::upload::Upload), [`Limiter`](brigade_core::rate::Limiter) and
//! [`Manager`](brigade_core::manager::Manager) of the product over links with bandwidth and delay. A [`Plan`] says who
//! is in it and what happens, and a [`Crowd`] makes plans of many; the same plan and seed give the same simulation,
//! event for event. [`Checks`] watches every step. Nothing here knows of sockets, disks or tasks: if it has to, a
//! decision was put on the wrong side of the core.

#![forbid(unsafe_code)]

mod behaviour;
mod crowd;
mod event_loop;
mod event_queue;
mod identifiers;
mod invariants;
mod manager_state;
mod network;
mod outcome;
mod peer;
mod piece_copies;
mod plan;
mod scheduled_event;
mod simulation;

pub use crowd::{Crowd, Report, Scenario};
pub use identifiers::{ContentNumber, PeerNumber};
pub use invariants::Checks;
pub use network::link::LinkRates;
pub use outcome::Outcome;
pub use plan::{HolderBehaviour, PeerPlan, Plan, PlannedEvent};
pub use simulation::Simulation;
