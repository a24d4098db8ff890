//! The TLS back end that encrypts and decrypts records in their own buffers, without a copy (docs/decisions/0012).
//!
//! rustls does the handshake and makes the keys (`handshake`, `keys`). `record_reader` and `record_writer` do not use
//! it.

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing_keys;
pub(crate) mod handshake;
pub(crate) mod keys;
pub(crate) mod record_reader;
pub(crate) mod record_writer;
