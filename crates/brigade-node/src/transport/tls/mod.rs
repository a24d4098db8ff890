//! TLS 1.3 over a socket: its configuration, the handshake, and the records in both directions.
//!
//! rustls does the handshake (`handshake`); the records after it are encrypted and decrypted here, in place.

pub(crate) mod config;
pub(crate) mod handshake;
pub(crate) mod inbound;
pub(crate) mod keys;
#[cfg(test)]
mod oracle;
pub(crate) mod outbound;
pub mod records;
