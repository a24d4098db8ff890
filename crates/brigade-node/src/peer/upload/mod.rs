//! Serving downloaders: the listener, one connection to a downloader, its queue, reading and sending.
//!
//! Start at `listener`. `slots` and `turns` matter only where the uplink has a limit.

pub(crate) mod connection;
pub(crate) mod listener;
pub(crate) mod queue;
pub(crate) mod read;
pub(crate) mod send;
pub(crate) mod slots;
pub(crate) mod turns;
