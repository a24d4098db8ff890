//! Internal types for the tests of other crates and for the fuzz targets: a test can act as a peer or as a manager.
//!
//! The feature `testing` compiles it. It is no part of the interface, and may change at any time.

use crate::{peer_config::ManagerAddress, peer_error::ReachError};

#[cfg(feature = "fuzzing")]
pub use crate::transport::fuzzing::{frames, records};
pub use crate::{
    identity::{
        key::SecretKey,
        membership::{Claims, sign, verify},
    },
    transport::{
        connection::{Reader, Writer},
        greeting::GreetedConnection,
        port_listener::PortListener,
        tls::record_buffer::RecordBuffer,
    },
};

/// Dials a manager as the owner of `key`, checks the manager's key, and greets.
///
/// # Errors
/// If the manager is not reached, or has another key than before.
pub async fn reach(manager: &ManagerAddress, key: &SecretKey) -> Result<GreetedConnection, ReachError> {
    manager.reach(key).await
}
