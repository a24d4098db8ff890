//! Fetching one content from many holders: connections, requests, buffers, and partial contents.
//!
//! `pool` owns the connections, `connection` runs one of them, `writer` stores verified pieces, and `partial` is what other
//! peers are served from meanwhile.

pub(crate) mod buffers;
pub(crate) mod connection;
pub(crate) mod fetching;
pub(crate) mod holder_table;
pub(crate) mod intake;
pub(crate) mod news;
pub(crate) mod partial;
pub(crate) mod piece_data;
pub(crate) mod pool;
pub(crate) mod requests;
pub(crate) mod unreached;
pub(crate) mod writer;
