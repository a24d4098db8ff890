//! The reason for a refusal or for the end of a connection: a number on the wire, a sentence for people.
//!
//! A number that this version does not know is kept as it is: a later version may add reasons.

use std::fmt;

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
    /// 14: no message for too long.
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
    /// What people are told of a refusal: the reason and the `text` that came with it, or that alone where it says the
    /// reason.
    pub fn with(self, text: &str) -> String {
        let reason = self.to_string();
        match text {
            "" => reason,
            text if self.is_part_of_its_text() || text.starts_with(&reason) => text.to_owned(),
            text => format!("{reason} ({text})"),
        }
    }

    /// Whether a text that comes with the reason says it too, and says more precisely what is full, or who is stopping.
    const fn is_part_of_its_text(self) -> bool {
        matches!(self, Self::Full | Self::Stopping)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => f.write_str("it is stopping"),
            Self::Protocol => f.write_str("protocol error"),
            Self::Version => f.write_str("no version of the protocol is common to both"),
            Self::NotAMember => f.write_str("not a member of this network"),
            Self::Full => f.write_str("the maximum number of peers or connections is reached"),
            Self::NameTaken => f.write_str("the username belongs to another key"),
            Self::AlreadyHere => f.write_str("the username is in use"),
            Self::NotFound => f.write_str("it is not shared (any more)"),
            Self::NoPiece => f.write_str("the piece is not there"),
            Self::TooMuch => f.write_str("more than the protocol allows"),
            Self::Unreadable => f.write_str("the file could not be read"),
            Self::BadPort => f.write_str("the port cannot be used"),
            Self::Failed => f.write_str("the other side failed"),
            Self::Silent => f.write_str("nothing was heard for too long"),
            Self::PortTaken => f.write_str("another peer uses this address and port"),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::Reason;

    #[test]
    fn a_text_that_says_the_reason_is_enough() {
        assert_eq!(Reason::Stopping.with("the manager is stopping"), "the manager is stopping");
        assert_eq!(Reason::Full.with("the network is full: 20 peers"), "the network is full: 20 peers");
        let text_of_a_peer = "all connection slots are in use";
        assert_eq!(Reason::Full.with(text_of_a_peer), text_of_a_peer);
        assert_eq!(Reason::Full.with(""), "the maximum number of peers or connections is reached");
        assert_eq!(Reason::Silent.with("no frame"), "nothing was heard for too long (no frame)");
        assert_eq!(Reason::Silent.with(""), "nothing was heard for too long");
    }

    proptest! {
        #[test]
        fn a_reason_keeps_its_number(number in any::<u32>()) {
            prop_assert_eq!(Reason::from_number(number).number(), number);
        }
    }
}
