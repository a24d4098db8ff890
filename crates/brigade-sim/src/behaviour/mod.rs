//! The behaviour of peers and of the manager, as methods of the simulation: they carry out the decisions of their
//! cores.
//!
//! A peer as a downloader is in `downloader` and `downloader_actions`, as a holder in `holder` and `segment_sending`. Its
//! session with the manager is in `manager_session`, and the manager itself in `manager`. Planned events are applied in
//! `planned_events`.

mod downloader;
mod downloader_actions;
mod holder;
mod manager;
mod manager_session;
mod planned_events;
mod segment_sending;
