//! Why a peer did not start.
//!
//! The port comes back with the error, so that another attempt can use it.

use std::{io, net::SocketAddr};

use brigade_core::name::NameError;

use super::{listening::TakenPort, session::JoinError};
use crate::{identity::key::KeyError, store::folder::FolderError};

/// Why a peer did not come up.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The manager did not let it in.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The keeper of the folder did not start.
    #[error("starting to watch over the folder")]
    Keeper(#[source] io::Error),
    /// A name of its own could not be made.
    #[error("making a username: {0}")]
    Username(#[from] NameError),
    /// Nobody can be answered on the port.
    #[error("answering on {address}")]
    Answer {
        /// Where.
        address: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
}

/// A peer that did not come up, and the port that it had taken, for another attempt.
#[derive(Debug)]
pub struct NotJoined {
    /// What went wrong.
    pub error: PeerError,
    /// The port, where it is still free for another attempt.
    pub port: Option<TakenPort>,
}
