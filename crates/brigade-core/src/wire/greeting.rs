//! The greeting: the first message of both sides on every connection; and the goodbye, the last one.
//!
//! Nothing is read before a hello, and there is one hello only. This module decides the version of the protocol. TLS
//! proves the key of the other side; the membership proves that it belongs to the network.

use minicbor::{Decode, Encode};

use super::{message_set::messages, reason::Reason};

/// The version of the protocol that this program speaks; the lowest of both sides' is used.
pub const VERSION: u32 = 1;

/// The oldest version that this program still speaks.
pub const OLDEST_VERSION: u32 = 1;

messages! {
    /// What may stand at the beginning and at the end of every connection.
    Greeting {
        /// The first message of either side.
        0x01 Hello,
        /// The last message of either side.
        0x02 Goodbye,
    }
}

/// Who one is and what one speaks.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Hello {
    /// The highest version of the protocol that the sender speaks.
    #[n(0)]
    pub version: u32,
    /// The sender's program and version, for logs: `brigade/0.1.0`.
    #[n(1)]
    pub agent: String,
    /// The sender's membership, between peers: a PASETO v4.public token.
    #[n(2)]
    pub membership: Option<String>,
    /// From a manager: whether other machines reach it. It stands here and not in the answer to a join alone because
    /// a peer takes its port, and with it the addresses on which it listens, before it joins.
    #[n(3)]
    pub reached_from_elsewhere: Option<bool>,
}

/// Why the connection ends.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Goodbye {
    /// The cause, for programs.
    #[n(0)]
    pub reason: Reason,
    /// The cause, for people.
    #[n(1)]
    pub text: String,
}

/// The other side does not speak any version of the protocol that this program speaks; its highest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("version {0} is not spoken here")]
pub struct NoCommonVersion(pub u32);

impl Hello {
    /// The version that the connection speaks: the lower one of both sides' highest.
    ///
    /// # Errors
    /// Where this program does not speak that one any more.
    pub fn common_version(&self) -> Result<u32, NoCommonVersion> {
        let version = self.version.min(VERSION);
        if version < OLDEST_VERSION { Err(NoCommonVersion(self.version)) } else { Ok(version) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Hello, NoCommonVersion, OLDEST_VERSION, VERSION};

    #[test]
    fn the_lower_of_both_versions_is_spoken() {
        let common = |version| {
            Hello { version, agent: String::new(), membership: None, reached_from_elsewhere: None }
                .common_version()
        };
        assert_eq!(common(VERSION), Ok(VERSION));
        assert_eq!(common(VERSION + 7), Ok(VERSION));
        assert_eq!(common(OLDEST_VERSION), Ok(OLDEST_VERSION));
        assert_eq!(common(OLDEST_VERSION - 1), Err(NoCommonVersion(OLDEST_VERSION - 1)));
    }
}
