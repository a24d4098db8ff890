//! The error of reading a frame or the message in it.
//!
//! After such an error nothing more is read from the connection.

/// Why bytes are not a frame that may be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// Shorter than its kind, or longer than the limit.
    #[error("a frame of {bytes} bytes is outside the bounds of 1 to {limit}")]
    Length {
        /// The length it claims.
        bytes: u32,
        /// The longest that is read.
        limit: usize,
    },
    /// A kind that this direction does not have.
    #[error("a message of the unknown kind {0:#04x}")]
    UnknownKind(u8),
    /// A body that is not what its kind says.
    #[error("a message of kind {kind:#04x} cannot be read: {error}")]
    Body {
        /// The message's kind.
        kind: u8,
        /// What the decoder found.
        error: String,
    },
}
