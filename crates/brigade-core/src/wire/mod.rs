//! The messages of Brigade's protocol as types; `frame` converts them to bytes.
//!
//! The bodies are CBOR maps with integer keys (RFC 8949). A key that is not known is ignored, so that old and new
//! versions live together; a kind that is not known is skipped from 0x80 on and ends the connection below that.
//! `docs/protocol.md` documents every message; a test holds the two together.

mod catalogue;
mod error;
pub mod frame;
pub mod greeting;
mod item_validation;
pub mod manager;
mod message_set;
pub mod peer;
mod reason;

pub use error::FrameError;
pub use frame::Header;
pub use item_validation::Checked;
pub(crate) use item_validation::split_valid;
pub use message_set::{FIRST_SKIPPED_KIND, Message};
pub use reason::Reason;

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::{
        greeting::Greeting,
        manager::{FromManager, ToManager},
        message_set::{FIRST_SKIPPED_KIND, Message},
        peer::{FromHolder, ToHolder},
        reason::Reason,
    };

    #[test]
    fn a_reason_is_told_once() {
        assert_eq!(
            Reason::Full.with("the network is full: it has a peer"),
            "the network is full: it has a peer"
        );
        assert_eq!(Reason::NameTaken.with("a is b's"), "the username belongs to another key (a is b's)");
        assert_eq!(Reason::Stopping.with(""), "it is stopping");
    }

    #[test]
    fn kinds_are_unique_and_only_the_test_of_a_port_may_be_skipped() {
        for kinds in
            [ToManager::KINDS, FromManager::KINDS, ToHolder::KINDS, FromHolder::KINDS, Greeting::KINDS]
        {
            let mut seen: Vec<u8> = kinds.iter().map(|(kind, _)| *kind).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), kinds.len());
            let skipped = kinds.iter().filter(|(kind, _)| *kind >= FIRST_SKIPPED_KIND);
            assert!(skipped.into_iter().all(|(_, name)| ["Probe", "Probed"].contains(name)));
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
    }
}
