//! The TLS back end on plain rustls: its buffered interface does the handshake, encrypts and decrypts.
//!
//! It copies what `in_place` does not, and both halves of a connection share one [`session::Session`] under a lock. In
//! return it stands on no interface that rustls takes away (docs/decisions/0012).

pub(crate) mod handshake;
pub(crate) mod record_reader;
pub(crate) mod record_writer;
pub(crate) mod session;
