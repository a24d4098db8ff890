//! The TLS back end of this build: `in_place`, or `plain` with the feature `plain-tls`.
//!
//! All code above uses the handshake and the two halves of a connection through this module, and does not know the back
//! end.

#[cfg(not(feature = "plain-tls"))]
pub(crate) use super::in_place::{
    handshake::{accept, connect},
    record_reader::InPlaceReader as TlsReader,
    record_writer::InPlaceWriter as TlsWriter,
};
#[cfg(feature = "plain-tls")]
pub(crate) use super::plain::{
    handshake::{accept, connect},
    record_reader::PlainReader as TlsReader,
    record_writer::PlainWriter as TlsWriter,
};
