//! Messages that the program prints by itself while it runs: changes of the manager, the folder, the clock and the
//! reachability.
//!
//! Each file watches one of them and turns a change into a message. `fetch_progress` shows a fetch that runs, with the
//! messages between.

pub(crate) mod clock;
pub(crate) mod fetch_progress;
pub(crate) mod folder;
pub(crate) mod incomplete_catalogue;
pub(crate) mod manager;
pub(crate) mod reachability;
pub(crate) mod unshared_files;
