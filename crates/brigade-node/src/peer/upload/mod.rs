//! Serving downloaders: the listener, one connection to a downloader, its queue, reading and sending.
//!
//! Start at `listener`. `slots` and `turns` are used only while sending has a limit.

mod connection;
mod listener;
mod queue;
mod read;
mod send;
mod slots;
mod turns;

pub(crate) use self::{
    connection::ServeContext,
    listener::{ConnectionCounts, ListenContext, listen},
};
