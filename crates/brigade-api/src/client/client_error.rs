//! Why a request to a running program has no result.
//!
//! As a [`Problem`] it has a hint, like every other error.

use std::{io, path::PathBuf};

use crate::problem::{FAILED, Problem, UNREACHED};

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The program answered with an error.
    #[error("{}", .0.message())]
    Problem(Box<Problem>),
    /// No program answers at the socket: it has ended, or does not accept connections.
    #[error("no program answers at {}", .socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// It did not answer in time.
    #[error("the running program did not answer within {seconds} s")]
    Silent {
        /// The time that it had.
        seconds: u64,
    },
    /// The connection broke: the program has ended.
    #[error("the connection to the running program broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is larger than any answer of the API.
    #[error("the answer of the running program has more than {bytes} bytes")]
    TooLong {
        /// The most bytes.
        bytes: usize,
    },
    /// The answer is not one of the API: the program may have another version.
    #[error("the answer of the running program cannot be read (status {status})")]
    Unreadable {
        /// The HTTP status.
        status: u16,
        /// The first error in it.
        source: serde_json::Error,
    },
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Problem(problem) => *problem,
            ClientError::NotRunning { .. } | ClientError::Broken(_) => Self::of(UNREACHED, &error)
                .with_hint("it may have ended: `brigade status` shows whether one runs"),
            ClientError::Silent { .. } => {
                Self::of(UNREACHED, &error).with_hint("it may hang: its log has the cause")
            }
            ClientError::Unreadable { .. } => Self::of(FAILED, &error)
                .with_hint("the running program may have another version: `brigade status` shows it"),
            _ => Self::of(FAILED, &error),
        }
    }
}
