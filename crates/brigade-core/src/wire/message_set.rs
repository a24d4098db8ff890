//! A set of messages in one direction, and the macro that makes such a set from its kinds.
//!
//! The sets themselves are in `greeting`, `manager` and `peer`; `frame` writes a message to the stream.

use std::fmt;

use super::error::FrameError;

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

        impl crate::wire::message_set::Message for $set {
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

            fn decode(kind: u8, body: &[u8]) -> Result<Option<Self>, crate::wire::error::FrameError> {
                let wrong = |error: minicbor::decode::Error| crate::wire::error::FrameError::Body {
                    kind,
                    error: error.to_string(),
                };
                match kind {
                    $($kind => minicbor::decode(body).map(|body| Some(Self::$name(body))).map_err(wrong),)+
                    crate::wire::message_set::FIRST_SKIPPED_KIND.. => Ok(None),
                    _ => Err(crate::wire::error::FrameError::UnknownKind(kind)),
                }
            }
        }
    };
}
pub(crate) use messages;
