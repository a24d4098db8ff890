//! Frames: a length, a kind and a body; the only place that knows how bytes are laid out on the stream.
//!
//! ```text
//! length  u32, big endian: bytes of kind and body together
//! kind    u8
//! body    CBOR; for a piece: request u32, offset u32 (both big endian), then the bytes
//! ```
//!
//! A length is checked before memory is allocated for it.

use super::{error::FrameError, message_set::Message};
use crate::limits;

/// Bytes of a frame's length and kind.
pub const HEADER_BYTES: usize = 5;

/// The kind of a frame that carries piece data, in the direction from a holder.
pub const PIECE_KIND: u8 = 0x4f;

/// Bytes before the data in the frame of a piece: length, kind, request, offset.
pub const PIECE_HEADER_BYTES: usize = HEADER_BYTES + 8;

/// Bytes of piece data that one frame carries at most.
pub const PIECE_DATA_BYTES: usize = limits::PIECE_FRAME_BYTES + 4 - PIECE_HEADER_BYTES;

/// What stands before every body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the body is.
    pub kind: u8,
    /// Bytes of the body.
    pub body_bytes: usize,
}

/// What stands before the data of a piece, after the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PieceHeader {
    /// Which request it answers.
    pub request: u32,
    /// Where in the piece the data belongs, in bytes.
    pub offset: u32,
}

impl Header {
    /// The header at the start of `bytes`; `None` while it is not all there.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some(&[a, b, c, d, kind]) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]);
        let limit = if kind == PIECE_KIND { limits::PIECE_FRAME_BYTES } else { limits::CONTROL_FRAME_BYTES };
        match usize::try_from(length) {
            Ok(length @ 1..) if length <= limit => Ok(Some(Self { kind, body_bytes: length - 1 })),
            _ => Err(FrameError::Length { bytes: length, limit }),
        }
    }
}

impl PieceHeader {
    /// The header at the start of a piece's body, and the data behind it.
    pub fn parse(body: &[u8]) -> Result<(Self, &[u8]), FrameError> {
        let Some((&[a, b, c, d, e, f, g, h], data)) = body.split_first_chunk::<8>() else {
            return Err(FrameError::Body { kind: PIECE_KIND, error: "its header is cut short".to_owned() });
        };
        let request = u32::from_be_bytes([a, b, c, d]);
        let offset = u32::from_be_bytes([e, f, g, h]);
        Ok((Self { request, offset }, data))
    }

    /// The bytes before `data_bytes` bytes of data, at most [`PIECE_DATA_BYTES`].
    pub fn encode(self, data_bytes: usize) -> [u8; PIECE_HEADER_BYTES] {
        assert!(data_bytes <= PIECE_DATA_BYTES);
        let mut bytes = [0; PIECE_HEADER_BYTES];
        let length = u32::try_from(data_bytes + 9).unwrap_or(u32::MAX); // bounded by the assertion
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes[4] = PIECE_KIND;
        bytes[5..9].copy_from_slice(&self.request.to_be_bytes());
        bytes[9..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }
}

/// Appends `message` as a frame to `out`.
///
/// # Panics
/// Where the message is longer than a control frame: whoever makes one keeps lists to a page.
pub fn encode<M: Message>(message: &M, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, message.kind()]);
    message.encode_body(out);
    let length = out.len() - start - 4;
    assert!(length <= limits::CONTROL_FRAME_BYTES, "a message of {length} bytes was to be sent");
    let length = u32::try_from(length).unwrap_or(u32::MAX); // bounded by the assertion
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::{FrameError, HEADER_BYTES, Header, PIECE_DATA_BYTES, PIECE_KIND, PieceHeader, encode};
    use crate::wire::{
        Message, Reason,
        greeting::{Goodbye, Greeting},
    };

    #[test]
    fn a_frame_reads_back() {
        let message = Greeting::Goodbye(Goodbye { reason: Reason::Full, text: "no room".into() });
        let mut bytes = vec![];
        encode(&message, &mut bytes);
        for cut in 0..HEADER_BYTES {
            assert_eq!(Header::parse(&bytes[..cut]), Ok(None));
        }
        let header = Header::parse(&bytes).unwrap().unwrap();
        assert_eq!(header.body_bytes, bytes.len() - HEADER_BYTES);
        assert_eq!(Greeting::decode(header.kind, &bytes[HEADER_BYTES..]), Ok(Some(message)));
    }

    #[test]
    fn lengths_out_of_bounds_are_refused_before_the_body_is_there() {
        for (length, kind) in [(0u32, 1u8), (65_537, 1), (u32::MAX, 1), (65_533, PIECE_KIND)] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.push(kind);
            assert!(matches!(Header::parse(&bytes), Err(FrameError::Length { .. })), "{length}");
        }
    }

    #[test]
    fn a_full_piece_frame_fills_four_records() {
        let header = PieceHeader { request: 7, offset: 65_523 };
        let bytes = header.encode(PIECE_DATA_BYTES);
        assert_eq!(bytes.len() + PIECE_DATA_BYTES, 4 * 16_384);
        let parsed = Header::parse(&bytes).unwrap().unwrap();
        assert_eq!((parsed.kind, parsed.body_bytes), (PIECE_KIND, 8 + PIECE_DATA_BYTES));
        assert_eq!(PieceHeader::parse(&bytes[5..]), Ok((header, &[][..])));
        assert!(PieceHeader::parse(&bytes[5..12]).is_err());
    }

    #[test]
    fn unknown_kinds_are_skipped_only_from_0x80_on() {
        assert_eq!(Greeting::decode(0x80, b"anything"), Ok(None));
        assert_eq!(Greeting::decode(0x7f, b""), Err(FrameError::UnknownKind(0x7f)));
    }
}
