//! Identifiers of contents and keys.
//!
//! Both are 32 bytes, shown as 64 hex digits. A [`ContentId`] is the BLAKE3 of the bytes, exactly what
//! `b3sum FILE` prints; a [`PeerKey`] is an Ed25519 public key (RFC 8032).

use std::{cmp::Ordering, fmt, str::FromStr};

/// The BLAKE3 of a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentId(pub [u8; 32]);

/// The order of the bytes. The first eight are compared as one number: those of two hashes nearly always differ, and
/// tables of contents compare ids many times for each small file.
impl Ord for ContentId {
    fn cmp(&self, other: &Self) -> Ordering {
        let first = |id: &Self| id.0.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        first(self).cmp(&first(other)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for ContentId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An Ed25519 public key. It identifies a peer or a manager.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub [u8; 32]);

/// The bytes of one file, whatever its name: their BLAKE3 and their number.
///
/// The size belongs to it because a piece list alone does not prove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content {
    /// The BLAKE3 of all its bytes.
    pub id: ContentId,
    /// Its length in bytes.
    pub size: u64,
}

/// The error for a text that is not 64 hex digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not 64 hexadecimal digits")]
pub struct ParseIdError {
    text: String,
}

impl ContentId {
    /// The id of no bytes at all, `b3sum /dev/null`.
    pub const EMPTY: Self = Self([
        0xaf, 0x13, 0x49, 0xb9, 0xf5, 0xf9, 0xa1, 0xa6, 0xa0, 0x40, 0x4d, 0xea, 0x36, 0xdc, 0xc9, 0x49, 0x9b,
        0xcb, 0x25, 0xc9, 0xad, 0xc1, 0x12, 0xb7, 0xcc, 0x9a, 0x93, 0xca, 0xe4, 0x1f, 0x32, 0x62,
    ]);

    /// The first ten hex digits: enough to tell versions apart on a screen.
    pub fn short(&self) -> String {
        self.to_string()[..10].to_owned()
    }
}

impl PeerKey {
    /// The first ten hex digits: enough for a log line.
    pub fn short(&self) -> String {
        self.to_string()[..10].to_owned()
    }
}

macro_rules! hex_id {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($type))
            }
        }

        impl FromStr for $type {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hex(text).map(Self)
            }
        }

        impl<C> minicbor::Encode<C> for $type {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $type {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let bytes = d.bytes()?;
                bytes.try_into().map(Self).map_err(|_| {
                    minicbor::decode::Error::message(concat!(stringify!($type), " is not 32 bytes long"))
                })
            }
        }
    };
}

hex_id!(ContentId);
hex_id!(PeerKey);

fn parse_hex(text: &str) -> Result<[u8; 32], ParseIdError> {
    let wrong = || ParseIdError { text: text.chars().take(80).collect() };
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(wrong());
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
    }
    Ok(bytes)
}

const fn digit(hex: u8) -> Option<u8> {
    match hex {
        b'0'..=b'9' => Some(hex - b'0'),
        b'a'..=b'f' => Some(hex - b'a' + 10),
        b'A'..=b'F' => Some(hex - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::ContentId;

    #[test]
    fn an_id_reads_back_what_it_shows() {
        let id = ContentId(std::array::from_fn(|i| u8::try_from(i * 7).unwrap()));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn other_texts_than_64_hex_digits_are_refused() {
        for text in ["", "af", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65), &"é".repeat(32)] {
            assert!(text.parse::<ContentId>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_are_in_the_order_of_their_bytes() {
        let mut ids: Vec<[u8; 32]> =
            (0..32).map(|at| std::array::from_fn(|i| if i == at { 2 } else { 1 })).collect();
        ids.extend((0..100_u8).map(|number| *blake3::hash(&[number]).as_bytes()));
        for (one, other) in ids.iter().flat_map(|one| ids.iter().map(move |other| (one, other))) {
            assert_eq!(ContentId(*one).cmp(&ContentId(*other)), one.cmp(other));
        }
    }

    #[test]
    fn the_empty_id_is_the_hash_of_nothing() {
        assert_eq!(ContentId::EMPTY.0, *blake3::hash(b"").as_bytes());
    }
}
