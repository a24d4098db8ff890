//! What the tests of other crates and the fuzz targets need of the inside: connections of other peers and managers, played
//! by a test.
//!
//! The feature `testing` compiles it. It is no part of the interface, and may change at any time.

#[cfg(feature = "fuzzing")]
pub use crate::transport::fuzzing::{frames, records};
pub use crate::{
    identity::{
        key::SecretKey,
        membership::{Claims, sign, verify},
    },
    transport::{
        accept::Acceptor,
        connection::{Reader, Writer},
        greeting::Greeted,
        tls::records::Records,
    },
};
