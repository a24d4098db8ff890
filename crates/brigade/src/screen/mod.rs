//! The screens of a running peer and of a running manager, for a person at a terminal.
//!
//! `model` is what is shown and typed, `view` draws it, `input` translates keys, `data` talks to the peer by the API, and
//! `run` has the loop on the terminal. Nothing here decides about transfers: a command does, or the peer.

mod data;
mod input;
mod manager;
mod model;
mod run;
mod screen_thread;
mod view;

pub(crate) use self::{
    manager::{ScreenEnd, show_manager},
    run::{PeerScreen, ScreenOptions},
};
