//! The behaviour of peers, as methods of the simulation: they carry out the decisions of their cores.
//!
//! A peer as a downloader is in `downloader` and `downloader_actions`, as a holder in `holder` and `sending`, with the
//! manager in `manager_session`; planned events are applied in `planned_events`.

mod downloader;
mod downloader_actions;
mod holder;
mod manager_session;
mod planned_events;
mod sending;
