//! The layout of a TLS 1.3 record (RFC 8446, section 5): its sizes in bytes.
//!
//! [`super::record_buffer`] has plaintext in the layout of many records. The back ends encrypt them.

/// Bytes before the plaintext of a record: its type, a version, its length.
pub(crate) const HEADER_BYTES: usize = 5;

/// The limit on the bytes of plaintext in a record.
pub(crate) const PLAIN_BYTES: usize = 1 << 14;

/// Bytes after the plaintext: the type of the content, and the authentication tag.
pub(crate) const TRAILER_BYTES: usize = 1 + 16;

/// Bytes of a full record of this program.
pub(crate) const RECORD_BYTES: usize = HEADER_BYTES + PLAIN_BYTES + TRAILER_BYTES;
