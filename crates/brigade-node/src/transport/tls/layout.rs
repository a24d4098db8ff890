//! The layout of a TLS 1.3 record (RFC 8446, section 5): its sizes in bytes, and the types of its content.
//!
//! How plaintext is laid out in many of them is in [`super::records`]; how one is encrypted, in a back end.

/// Bytes before the plaintext of a record: its type, a version, its length.
pub(crate) const HEADER_BYTES: usize = 5;

/// Bytes of plaintext that a record carries at most.
pub(crate) const PLAIN_BYTES: usize = 1 << 14;

/// Bytes behind the plaintext: the type of the content, and the authentication tag.
pub(crate) const TRAILER_BYTES: usize = 1 + 16;

/// Bytes of a full record as it is written here.
pub(crate) const RECORD_BYTES: usize = HEADER_BYTES + PLAIN_BYTES + TRAILER_BYTES;
