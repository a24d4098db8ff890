//! Why a peer did not start, why the manager did not let it join, and why a question was not answered; and the text of
//! an error with its causes.
//!
//! The errors of fetches are in [`crate::fetch_error`].

use std::{error::Error, io, net::SocketAddr, path::PathBuf, time::Duration};

use brigade_core::{id::PeerKey, limits, name::NameError, wire::Reason};

use crate::{
    identity::{key::KeyError, known_managers::KnownManagersError},
    listen_addresses::TakenPort,
    shares_in_place::CannotShare,
    store::folder::FolderError,
    transport::{
        connection::ConnectionError, dial::DialError, greeting::GreetError, port_listener::ListenError,
    },
    user_account::too_many_open_files::OpenFilesLimit,
};

/// How long the manager may take to answer a question or a join.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a peer did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The manager did not let it in.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Its folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A folder or file cannot be shared in place.
    #[error(transparent)]
    Share(#[from] CannotShare),
    /// Its key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No port can be taken.
    #[error(transparent)]
    Port(#[from] ListenError),
    /// The keeper of the folder did not start.
    #[error("starting to watch over the folder")]
    Keeper(#[source] io::Error),
    /// A name of its own could not be made.
    #[error("making a username: {0}")]
    Username(#[from] NameError),
    /// The port cannot be used.
    #[error("answering on {address}")]
    Answer {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
}

/// A peer that did not start, and the port that it had taken, for another attempt.
#[derive(Debug, thiserror::Error)]
#[error("the peer did not start")]
#[non_exhaustive]
pub struct NotJoined {
    /// The cause.
    #[source]
    pub error: PeerError,
    /// The port, where it is still free for another attempt.
    pub port: Option<TakenPort>,
}

/// Why the manager was not reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReachError {
    /// There is no answer, or none with Brigade's encryption.
    #[error("reaching the manager at {address}")]
    Dial {
        /// The address.
        address: String,
        /// The cause.
        source: DialError,
    },
    /// The manager has another key than before.
    #[error("the manager at {address} is not the one that was there before")]
    WrongKey {
        /// The address.
        address: String,
        /// The key that is remembered.
        expected: PeerKey,
        /// The key of the manager that answered.
        found: PeerKey,
        /// The file where it is remembered.
        remembered_in: PathBuf,
    },
    /// Another key answers than the one that was given.
    #[error("the manager at {address} has another key than the one that was given")]
    NotTheKey {
        /// The address.
        address: String,
        /// The key that was given.
        given: PeerKey,
        /// The key that answered.
        found: PeerKey,
    },
    /// The answer is not a greeting.
    #[error("greeting the manager at {address}")]
    Greet {
        /// The address.
        address: String,
        /// The cause.
        source: GreetError,
    },
    /// A peer answers there.
    #[error("a peer, not a manager, answers at {address}")]
    NotAManager {
        /// The address.
        address: String,
    },
    /// The file of known managers cannot be used.
    #[error(transparent)]
    Known(#[from] KnownManagersError),
}

/// Why the manager refused a peer, or was not reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It was not reached.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// It refused.
    #[error("the manager refused: {}", .reason.with(.text))]
    Refused {
        /// The cause, for programs.
        reason: Reason,
        /// The cause, for people.
        text: String,
    },
    /// The connection broke, or the manager did not answer in time.
    #[error("joining the network")]
    Connection(#[from] ConnectionError),
}

impl ReachError {
    /// Whether the manager may be reached later although no person changes anything. A wrong key, or another program at
    /// the address, does not pass.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Dial {
                source: DialError::Resolve { source, .. } | DialError::Connect { source, .. },
                ..
            } => OpenFilesLimit::of_error(source).is_none(),
            // A manager that stops during the handshake; other data than a handshake are another program's.
            Self::Dial { source: DialError::Handshake { source, .. }, .. } => {
                source.kind() != io::ErrorKind::InvalidData
            }
            Self::Greet { source, .. } => match source {
                GreetError::Refused(goodbye) => matches!(goodbye.reason, Reason::Stopping | Reason::Full),
                GreetError::TimedOut => true,
                GreetError::Connection(error) => is_lost(error),
                GreetError::Version(_) => false,
            },
            _ => false,
        }
    }
}

/// Whether a connection broke, and the other end did not break the protocol.
const fn is_lost(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::Io(_))
}

impl JoinError {
    /// Whether the same join may succeed later although no person changes this peer: the manager or its machine is away,
    /// its name has no address for now, or the network is full.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Reach(error) => error.may_pass(),
            Self::Refused { reason, .. } => {
                matches!(reason, Reason::Stopping | Reason::Full | Reason::Silent)
            }
            Self::Connection(error) => is_lost(error),
        }
    }

    /// Whether it may succeed after [`limits::LEASE`]: an earlier session of this peer may still have its name.
    pub const fn may_pass_after_lease(&self) -> bool {
        matches!(self, Self::Refused { reason: Reason::AlreadyHere, .. })
    }

    /// Whether the manager has certainly bound no username. That is unknown if the answer is missing, and if the
    /// manager failed or stopped: it may have stored the name before.
    pub(crate) const fn bound_nothing(&self) -> bool {
        use Reason::{AlreadyHere, BadName, BadPort, Full, NameTaken, NotAMember, PortTaken, TooMuch};
        match self {
            Self::Reach(_) => true,
            Self::Refused { reason, .. } => matches!(
                reason,
                AlreadyHere | BadName | BadPort | Full | NameTaken | NotAMember | PortTaken | TooMuch
            ),
            Self::Connection(_) => false,
        }
    }
}

impl PeerError {
    /// As [`JoinError::may_pass`]; an error of the folder, the key or the port does not pass.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Join(error) if error.may_pass())
    }
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// There is no connection to the manager; the session goes on dialling it.
    #[error("the manager is away")]
    Away,
    /// It refused.
    #[error("the manager refused: {}", .reason.with(.text))]
    Refused {
        /// The cause, for programs.
        reason: Reason,
        /// The cause, for people.
        text: String,
    },
    /// It refused this peer for good, and is not dialled again.
    #[error("the manager refuses this peer: {cause}")]
    RefusedForGood {
        /// The cause.
        cause: String,
    },
    /// A text in the question is longer than any name, and the question was not sent.
    #[error("asking the manager for a text of {bytes} bytes, but a name has at most {}", limits::NAME_BYTES)]
    TooLong {
        /// Bytes of the text.
        bytes: usize,
    },
    /// It does not answer.
    #[error("the manager did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Silent,
    /// It sent an answer to another kind of question.
    #[error("the manager sent an unexpected answer")]
    Confused,
    /// The connection broke.
    #[error("asking the manager")]
    Connection(#[from] ConnectionError),
}

impl AskError {
    /// Whether the manager answered that a peer is not in the network.
    pub(crate) const fn is_not_here(&self) -> bool {
        matches!(self, Self::Refused { reason: Reason::NotFound, .. })
    }
}

/// An error and its causes, for people, in at most [`limits::TEXT_BYTES`]. A cause that the text contains already is
/// left out.
pub(crate) fn text_with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        next = cause.source();
    }
    text.truncate(text.floor_char_boundary(limits::TEXT_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::{DialError, ReachError, io, limits, text_with_causes};

    #[test]
    fn an_error_is_shown_with_its_causes() {
        let source = io::Error::other("refused by the firewall");
        let error = DialError::Connect { address: "10.0.0.1:7001".into(), source };
        assert_eq!(text_with_causes(&error), "connecting to 10.0.0.1:7001: refused by the firewall");
        let source = DialError::Resolve { host: "alpha".into(), source: io::Error::other("no such name") };
        let error = ReachError::Dial { address: "alpha:12000".into(), source };
        let expected = "reaching the manager at alpha:12000: finding the address of alpha: no such name";
        assert_eq!(text_with_causes(&error), expected);
        assert_eq!(text_with_causes(&io::Error::other("é".repeat(1000))).len(), limits::TEXT_BYTES);
    }
}
