//! What Brigade's programs say to each other, as types; how the types become bytes is in `frame`.
//!
//! The bodies are CBOR maps with integer keys (RFC 8949). A key that is not known is ignored, so that old and new
//! versions live together; a kind that is not known is skipped from 0x80 on and ends the connection below that.
//! `docs/protocol.md` documents every message; a test holds the two together.

mod catalogue;
mod claims;
pub mod frame;
pub mod hello;
pub mod manager;
pub mod peer;

use std::fmt;

pub use claims::Claimed;
pub use frame::{FrameError, Header};

/// Why something was refused, or a connection ended; the numbers are part of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// 1: the one who says it is stopping.
    Stopping,
    /// 2: a frame or a message that breaks the protocol.
    Protocol,
    /// 3: no version of the protocol that both speak.
    Version,
    /// 4: the membership is missing, expired, for another key or of another network.
    NotAMember,
    /// 5: as many peers, or connections, as there may be.
    Full,
    /// 6: the username is bound to another key.
    NameTaken,
    /// 7: the username is in use by another session.
    AlreadyHere,
    /// 8: the content is not known, or its file is no longer what was announced.
    NotFound,
    /// 9: the piece is not there (yet).
    NoPiece,
    /// 10: a bound of the protocol was passed.
    TooMuch,
    /// 11: the file could not be read.
    Unreadable,
    /// 12: the port that was named cannot be used.
    BadPort,
    /// 13: the one who was asked could not do it: its disk or its system failed.
    Failed,
    /// 14: nothing was heard for too long.
    Silent,
    /// 15: another peer is reached at this address and port.
    PortTaken,
    /// 16: a name breaks the rule for names.
    BadName,
    /// Any other number: a reason of a later version.
    Other(u32),
}

impl Reason {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::Stopping => 1,
            Self::Protocol => 2,
            Self::Version => 3,
            Self::NotAMember => 4,
            Self::Full => 5,
            Self::NameTaken => 6,
            Self::AlreadyHere => 7,
            Self::NotFound => 8,
            Self::NoPiece => 9,
            Self::TooMuch => 10,
            Self::Unreadable => 11,
            Self::BadPort => 12,
            Self::Failed => 13,
            Self::Silent => 14,
            Self::PortTaken => 15,
            Self::BadName => 16,
            Self::Other(number) => number,
        }
    }

    /// The reason of that number.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Stopping,
            2 => Self::Protocol,
            3 => Self::Version,
            4 => Self::NotAMember,
            5 => Self::Full,
            6 => Self::NameTaken,
            7 => Self::AlreadyHere,
            8 => Self::NotFound,
            9 => Self::NoPiece,
            10 => Self::TooMuch,
            11 => Self::Unreadable,
            12 => Self::BadPort,
            13 => Self::Failed,
            14 => Self::Silent,
            15 => Self::PortTaken,
            16 => Self::BadName,
            other => Self::Other(other),
        }
    }
}

impl Reason {
    /// What people are told of a refusal: the reason and the `text` that came with it, or that alone where it begins with
    /// the reason.
    pub fn with(self, text: &str) -> String {
        let reason = self.to_string();
        match text {
            "" => reason,
            text if text.starts_with(&reason) => text.to_owned(),
            text => format!("{reason} ({text})"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => f.write_str("it is stopping"),
            Self::Protocol => f.write_str("the protocol was broken"),
            Self::Version => f.write_str("no version of the protocol is common to both"),
            Self::NotAMember => f.write_str("not a member of this network"),
            Self::Full => f.write_str("the network is full"),
            Self::NameTaken => f.write_str("the username belongs to somebody else"),
            Self::AlreadyHere => f.write_str("the username is in use"),
            Self::NotFound => f.write_str("it is not shared (any more)"),
            Self::NoPiece => f.write_str("the piece is not there"),
            Self::TooMuch => f.write_str("more than the protocol allows"),
            Self::Unreadable => f.write_str("the file could not be read"),
            Self::BadPort => f.write_str("the port cannot be used"),
            Self::Failed => f.write_str("it failed at the other side"),
            Self::Silent => f.write_str("nothing was heard for too long"),
            Self::PortTaken => f.write_str("the port is somebody else's"),
            Self::BadName => f.write_str("a name breaks the rule for names"),
            Self::Other(number) => write!(f, "reason {number}"),
        }
    }
}

impl<C> minicbor::Encode<C> for Reason {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u32(self.number())?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Reason {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.u32().map(Self::from_number)
    }
}

/// A set of messages that travel in one direction: each knows its kind and its body.
pub trait Message: Sized + fmt::Debug {
    /// The byte that tells what the body is.
    fn kind(&self) -> u8;

    /// Appends the body to `out`.
    fn encode_body(&self, out: &mut Vec<u8>);

    /// The message of that kind; `None` for a kind that is unknown and may be skipped.
    fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, FrameError>;
}

/// Kinds from here on that a program does not know are skipped; unknown ones below end the connection.
pub const FIRST_SKIPPED_KIND: u8 = 0x80;

/// Makes an enum of messages from lines `0xKIND Name`, where `Name` is also the body's type.
macro_rules! messages {
    ($(#[$doc:meta])* $set:ident { $($(#[$variant_doc:meta])* $kind:literal $name:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $set {
            $($(#[$variant_doc])* $name($name),)+
        }

        impl $set {
            /// Every kind of this direction with its name, for the test that compares them with the document.
            pub const KINDS: &[(u8, &str)] = &[$(($kind, stringify!($name)),)+];
        }

        $(impl From<$name> for $set {
            fn from(body: $name) -> Self {
                Self::$name(body)
            }
        })+

        impl crate::wire::Message for $set {
            fn kind(&self) -> u8 {
                match self {
                    $(Self::$name(_) => $kind,)+
                }
            }

            fn encode_body(&self, out: &mut Vec<u8>) {
                let encoded = match self {
                    $(Self::$name(body) => minicbor::encode(body, out),)+
                };
                // Writing to a vector cannot fail, and no message's encoder fails on its own.
                debug_assert!(encoded.is_ok());
            }

            fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, crate::wire::FrameError> {
                let wrong = |error: minicbor::decode::Error| crate::wire::FrameError::Body {
                    kind,
                    error: error.to_string(),
                };
                match kind {
                    $($kind => minicbor::decode(body).map(|body| Some(Self::$name(body))).map_err(wrong),)+
                    crate::wire::FIRST_SKIPPED_KIND.. => Ok(None),
                    _ => Err(crate::wire::FrameError::UnknownKind(kind)),
                }
            }
        }
    };
}
pub(crate) use messages;

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::{
        Message, Reason,
        hello::Greeting,
        manager::{FromManager, ToManager},
        peer::{FromHolder, ToHolder},
    };

    #[test]
    fn a_reason_is_told_once() {
        assert_eq!(
            Reason::Full.with("the network is full: it has a peer"),
            "the network is full: it has a peer"
        );
        assert_eq!(Reason::NameTaken.with("a is b's"), "the username belongs to somebody else (a is b's)");
        assert_eq!(Reason::Stopping.with(""), "it is stopping");
    }

    #[test]
    fn kinds_are_unique_and_none_may_be_skipped() {
        for kinds in
            [ToManager::KINDS, FromManager::KINDS, ToHolder::KINDS, FromHolder::KINDS, Greeting::KINDS]
        {
            let mut seen: Vec<u8> = kinds.iter().map(|(kind, _)| *kind).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), kinds.len());
            assert!(seen.iter().all(|kind| *kind < super::FIRST_SKIPPED_KIND));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(kind in any::<u8>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Greeting::decode(kind, &body);
            let _ = ToManager::decode(kind, &body);
            let _ = FromManager::decode(kind, &body);
            let _ = ToHolder::decode(kind, &body);
            let _ = FromHolder::decode(kind, &body);
        }

        #[test]
        fn a_reason_keeps_its_number(number in any::<u32>()) {
            prop_assert_eq!(Reason::from_number(number).number(), number);
        }
    }
}
