//! Messages that the program prints by itself while it runs: changes of the manager, the folder, the clock and the
//! reachability.
//!
//! Each file watches one of them and turns a change into a message.

pub(crate) mod catalogue;
pub(crate) mod clock;
pub(crate) mod folder;
pub(crate) mod manager;
pub(crate) mod reachability;
pub(crate) mod unshared;
