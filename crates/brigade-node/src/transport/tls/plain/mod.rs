//! The TLS back end on plain rustls: its buffered interface does the handshake, encrypts and decrypts.
//!
//! It makes copies that `in_place` avoids, and both halves of a connection share one [`session::TlsSession`] under a
//! lock. But it does not need the interface that the next version of rustls does not have (docs/decisions/0012).

pub(crate) mod handshake;
pub(crate) mod record_reader;
pub(crate) mod record_writer;
pub(crate) mod session;
