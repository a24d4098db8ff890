//! TLS 1.3 over a socket: its configuration, the handshake, and the records in both directions.
//!
//! `record_traits` has the traits that a back end implements. There are two back ends: in `in_place`, rustls does the
//! handshake, and records are encrypted and decrypted in their own buffers; `plain` is only rustls. `selected_backend`
//! chooses one of them by the feature `plain-tls` (docs/decisions/0012); `rustls_interoperation` tests the chosen one.

pub(crate) mod config;
#[cfg(any(test, not(feature = "plain-tls"), feature = "fuzzing"))]
#[cfg_attr(feature = "plain-tls", allow(dead_code, unreachable_pub))]
// tests and fuzz targets use a part of it
pub(crate) mod in_place;
#[cfg(feature = "plain-tls")]
pub(crate) mod plain;
pub(crate) mod record_buffer;
pub(crate) mod record_layout;
pub(crate) mod record_traits;
#[cfg(test)]
mod rustls_interoperation;
pub(crate) mod selected_backend;
