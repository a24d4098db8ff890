//! The behaviour of peers, as methods of the simulation: they carry out the decisions of their cores.
//!
//! A peer as a downloader is in `downloader` and `actions`, as a holder in `holder` and `sending`, with the manager in
//! `session`; planned events are applied in `planned`.

mod actions;
mod downloader;
mod holder;
mod planned;
mod sending;
mod session;
