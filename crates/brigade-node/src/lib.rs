//! A private peer-to-peer network for files, as a library: sockets, disk, tasks, TLS and hashing for `brigade-core`.
//!
//! It never prints and never exits. The program `brigade` is built on it.
//!
//! A **manager** ([`manager::ManagerServer`]) knows which peers are in the network and which files they share. A
//! **peer** ([`peer::Peer`]) shares the files of a folder, and fetches files of other peers, from all their holders at
//! the same time. Every piece is verified before it is written. Both run in tasks of the current Tokio runtime, which
//! end when the manager or the peer is stopped or dropped. `transport` and `store` do not know each other, nor do
//! `manager` and `peer`.
//!
//! # Example
//!
//! ```
//! use brigade_node::{
//!     manager::{ManagerConfig, ManagerServer},
//!     peer::{FetchRequest, ManagerAddress, Peer, PeerConfig},
//! };
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let temp = tempfile::tempdir()?;
//! let (anna, ben) = (temp.path().join("anna"), temp.path().join("ben"));
//! let manager = ManagerServer::start(ManagerConfig::new(temp.path().join("manager"))).await?;
//! let address = ManagerAddress::new("localhost", manager.address().port()).key(Some(manager.key()));
//!
//! std::fs::create_dir(&anna)?;
//! std::fs::write(anna.join("film.mkv"), [7; 300_000])?;
//! let holder = Peer::start(PeerConfig::new(address.clone(), &anna)).await?;
//! holder.announced().await; // now the manager knows the file
//!
//! let downloader = Peer::start(PeerConfig::new(address, &ben)).await?;
//! let files = downloader.resolve(&FetchRequest::new("film.mkv"), &mut |_| {}).await?;
//! let progress = downloader.fetch(files).await?.finished().await;
//! assert_eq!((progress.bytes_done, progress.failed), (300_000, 0));
//! assert_eq!(std::fs::read(ben.join("film.mkv"))?, [7; 300_000]);
//!
//! downloader.stop().await;
//! holder.stop().await;
//! manager.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`peer::Peer`] is the place to start reading; a file can also be fetched by its content id
//! ([`peer::FetchRequest::by_id`]).

#![deny(unsafe_code)]
#![deny(missing_docs)]
// With the feature, tests of other crates reach these items; without it, they are public without need.
#![cfg_attr(not(feature = "testing"), allow(unreachable_pub))]

pub mod clock;
pub mod diagnosis;
pub mod durable_folders;
mod fetch_error;
mod fetch_request;
mod file_listing;
mod folder_setup;
pub(crate) mod identity;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod internals_for_tests;
mod listen_addresses;
pub mod manager;
mod manager_questions;
pub mod peer;
mod peer_config;
mod peer_error;
mod peer_status;
mod progress;
mod share_keepers;
mod shares_in_place;
pub(crate) mod store;
#[cfg(test)]
mod test_helpers;
pub(crate) mod transport;
pub mod user_account;
mod verification;
mod verifier;

/// The identifiers, names, limits and messages that appear in this interface.
pub use brigade_core;

/// Errors of files, keys and connections, which are the causes of the errors of peers and managers.
pub mod error {
    pub use crate::{
        identity::{key::KeyError, known_managers::KnownManagersError},
        store::folder::FolderError,
        transport::{
            connection::ConnectionError, dial::DialError, greeting::GreetError, port_listener::ListenError,
        },
        user_account::too_many_open_files::OpenFilesLimit,
    };
}
