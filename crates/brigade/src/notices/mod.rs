//! What the program says by itself while it runs: changes of the manager's state, the folder, the clock and reachability.
//!
//! Each file watches one thing and turns a change into a line on standard error.

pub(crate) mod catalogue;
pub(crate) mod clock;
pub(crate) mod folder;
pub(crate) mod manager;
pub(crate) mod reachability;
pub(crate) mod unshared;
