//! Checks that need the manager: its key, the versions, the clocks, and whether its machine can connect to this peer.
//!
//! They ask over a connection of their own, which takes no peer slot and no username. If no peer runs in the folder, a
//! port is taken for the moment of the check.

use std::{fs::File, path::Path, time::Instant};

use brigade_core::{
    id::PeerKey,
    wire::{greeting::VERSION, manager::Probed},
};

use super::severity::Severity;
use crate::{
    clock,
    identity::{clock_check::ClockDifference, key::SecretKey},
    manager_questions::Observer,
    peer_config::ManagerAddress,
    peer_error::{AskError, ReachError},
    store::folder::LockHolder,
    transport::{own_hello::own_hello, port_listener::ListenError},
};

/// The answers of a manager about itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ManagerReport {
    /// Its key.
    pub key: PeerKey,
    /// Its program and version, as it names itself; the text is the other machine's.
    pub agent: String,
    /// The highest version of the protocol that it speaks.
    pub protocol: u32,
}

/// The result of the comparison of two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClockComparison {
    /// The manager does not tell its time.
    Unknown,
    /// The difference is small enough.
    Close,
    /// The difference is larger than memberships allow.
    Apart(ClockDifference),
}

/// Whether the manager's machine can connect to the port of this peer.
#[derive(Debug)]
#[non_exhaustive]
pub enum PortReach {
    /// It connected to this address.
    Reached {
        /// The address and port, as the manager sees them.
        address: String,
    },
    /// It could not connect.
    Blocked {
        /// The address and port, as the manager sees them.
        address: String,
        /// Why not; the text is the other machine's.
        failure: String,
    },
    /// The manager is an older one that does not test ports.
    Untested,
    /// The port cannot be taken, and no peer listens on it.
    NoPort(ListenError),
    /// The manager did not answer the question.
    Unanswered(AskError),
}

impl ClockComparison {
    pub(super) const fn severity(&self) -> Severity {
        match self {
            Self::Close => Severity::Ok,
            Self::Unknown => Severity::Warning,
            Self::Apart(_) => Severity::Fault,
        }
    }
}

impl PortReach {
    pub(super) const fn severity(&self) -> Severity {
        match self {
            Self::Reached { .. } => Severity::Ok,
            Self::Untested | Self::Unanswered(_) => Severity::Warning,
            Self::Blocked { .. } | Self::NoPort(_) => Severity::Fault,
        }
    }
}

/// The name and version of this program, as it names itself to others.
pub(super) fn own_agent() -> String {
    own_hello(None).agent
}

/// The version of the protocol of this program, for people.
pub const PROTOCOL: u32 = VERSION;

/// All that the manager answered.
pub(super) struct ManagerAnswers {
    pub(super) report: ManagerReport,
    pub(super) clock: Result<ClockComparison, AskError>,
    pub(super) reach: PortReach,
}

/// The checks that need the manager.
pub(super) async fn question_manager(
    manager: &ManagerAddress,
    folder: &Path,
    port: u16,
) -> Result<ManagerAnswers, ReachError> {
    let (mut observer, report) = ask_manager(manager).await?;
    let asked = Instant::now();
    let time = observer.manager_time().await;
    let clock = time.map(|time| match time {
        None => ClockComparison::Unknown,
        Some(time) => ClockDifference::compare(time, clock::unix_now(), asked.elapsed())
            .map_or(ClockComparison::Close, ClockComparison::Apart),
    });
    let reach = reach_back(&mut observer, port_in_use(folder).unwrap_or(port)).await;
    Ok(ManagerAnswers { report, clock, reach })
}

/// Reaches the manager and greets it.
///
/// # Errors
/// If it does not answer, or has another key than the given or remembered one.
pub async fn ask_manager(manager: &ManagerAddress) -> Result<(Observer, ManagerReport), ReachError> {
    let observer = Observer::reach(manager).await?;
    let (agent, protocol) = observer.program();
    let report = ManagerReport { key: observer.key(), agent: agent.to_owned(), protocol };
    Ok((observer, report))
}

/// Asks the manager to connect to `port`, 0 for a free one. If nothing listens there, this listens for the moment of the
/// check, where a peer would.
pub async fn reach_back(observer: &mut Observer, port: u16) -> PortReach {
    let contact = observer.contact();
    // It is dropped at the end. The system completes connections to it; they need not be accepted.
    let taken = contact.take_port(None, port);
    let (port, _listener) = match taken {
        Ok(taken) => {
            let port = taken.address().port();
            match taken.answer_as(&SecretKey::generate(), contact) {
                Ok((listener, watch, _)) => (port, Some((listener, watch))),
                Err(source) => {
                    let address = ([0, 0, 0, 0], port).into();
                    return PortReach::NoPort(ListenError { address, source });
                }
            }
        }
        Err(error) if error.source.kind() == std::io::ErrorKind::AddrInUse => (port, None),
        Err(error) => return PortReach::NoPort(error),
    };
    match observer.probe(port).await {
        Ok(Some(Probed { address, failure: None, .. })) => PortReach::Reached { address },
        Ok(Some(Probed { address, failure: Some(failure), .. })) => PortReach::Blocked { address, failure },
        Ok(None) => PortReach::Untested,
        Err(error) => PortReach::Unanswered(error),
    }
}

/// The port of the peer that runs in `folder`, as far as the note in the folder's lock names it. If that peer has ended,
/// the port is free or another program's.
fn port_in_use(folder: &Path) -> Option<u16> {
    let lock = File::open(folder.join(".brigade").join("lock")).ok()?;
    let holder = LockHolder::read(&lock);
    let port = holder.address?.port();
    is_running(holder.process?).then_some(port)
}

#[cfg(unix)]
fn is_running(process: u32) -> bool {
    use rustix::{
        io::Errno,
        process::{Pid, test_kill_process},
    };
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    process.is_some_and(|process| matches!(test_kill_process(process), Ok(()) | Err(Errno::PERM)))
}

/// Elsewhere the note cannot be read while the peer runs.
#[cfg(not(unix))]
const fn is_running(_: u32) -> bool {
    false
}
