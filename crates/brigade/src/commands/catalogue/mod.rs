//! The commands that show the catalogue of the network: its files and its peers.
//!
//! [`files`] lists names and contents, [`peers`] lists the members that are here; the prompt prints the same rows.
//! [`reader`] asks a running peer or the manager. Nothing here changes anything.

pub(super) mod file_row;
pub(super) mod files;
mod folded_files;
pub(super) mod peer_columns;
pub(super) mod peers;
pub(super) mod reader;
