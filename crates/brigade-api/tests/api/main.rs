//! Tests of the API against real peers and a real manager on this machine, in the same process.
//!
//! `test_network` starts them; the other modules have the tests of one theme each.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // all of it is a test

mod errors;
mod events;
mod fetches;
mod files;
mod manager_api;
mod openapi_documents;
mod shares;
mod sockets;
mod test_network;
