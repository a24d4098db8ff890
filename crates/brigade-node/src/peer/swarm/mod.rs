//! Fetching one content from many holders: connections, requests, buffers, and partial contents.
//!
//! Start at `driver`, which carries out what the core decides. `pool` has the connections, `connection` runs one of
//! them, `writer` stores verified pieces, and `partial` is what other peers are served from meanwhile. Nothing here
//! knows a job or why a content is wanted.

mod active_downloads;
mod connection;
mod driver;
mod holders;
mod message;
pub(crate) mod partial;
mod pool;
mod requests;
mod writer;

pub(crate) use self::{
    driver::Swarm,
    message::{
        ConnectionConfig, EndedDownload, LandedContent, ManagerUpdate, OpenPart, ReceiveCounter, SwarmConfig,
        SwarmEvent,
    },
    partial::Parts,
};

#[cfg(test)]
pub(crate) use self::{message::ReceivedBytes, partial::PartOwner};
