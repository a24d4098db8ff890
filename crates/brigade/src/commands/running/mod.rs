//! The commands for a peer or a manager that runs on this machine: each is a client of its local socket.
//!
//! A command finds the program ([`find_program`]), asks or orders one thing, and prints the answer. The prompt uses the
//! same functions for its own peer. Nothing here decides about transfers.

pub(super) mod fetch_changes;
pub(super) mod limits;
pub(super) mod log;
pub(super) mod shares;
pub(super) mod status;
pub(super) mod stop;
pub(super) mod transfer_table;
pub(super) mod transfers;
pub(super) mod verify;

use std::path::PathBuf;

use brigade_api::{
    client::{ManagerClient, PeerClient},
    local::{Choice, FindError, ProgramKind, Target, find},
};
use serde_json::Value;

use crate::{
    command_line::args::running::{OutputOptions, RunningManager, RunningNode, RunningPeer},
    failure::Failure,
    terminal::standard_output::print_line,
};

/// A running program that was found, with its client.
pub(super) enum RunningProgram {
    Peer(Target, PeerClient),
    Manager(Target, ManagerClient),
}

/// Finds the program that runs in `folder`, of this kind if one is given. Without a folder, see [`find_program`].
pub(super) fn find_any_program(
    kind: Option<ProgramKind>,
    folder: Option<PathBuf>,
) -> Result<Target, Failure> {
    match kind {
        Some(kind) => find_program(kind, folder),
        None => find(&Choice::of(None, folder)).map_err(Failure::from),
    }
}

/// Finds the program of this kind that runs in `folder`; without a folder, that of the environment, of the current
/// directory, or the only one.
pub(super) fn find_program(kind: ProgramKind, folder: Option<PathBuf>) -> Result<Target, Failure> {
    search(kind, folder).map_err(|error| failure(kind, error))
}

/// Finds the program of this kind as [`find_program`] does without a folder; `None` if none runs.
pub(super) fn find_program_if_any(kind: ProgramKind) -> Result<Option<Target>, Failure> {
    match search(kind, None) {
        Ok(target) => Ok(Some(target)),
        Err(several @ FindError::Several(_)) => Err(failure(kind, several)),
        Err(_) => Ok(None),
    }
}

fn search(kind: ProgramKind, folder: Option<PathBuf>) -> Result<Target, FindError> {
    let mut choice = Choice::of(Some(kind), folder);
    if kind == ProgramKind::Manager {
        choice.variable = None; // it names the folder of a peer
    }
    let error = match find(&choice) {
        Ok(target) => return Ok(target),
        Err(error) => error,
    };
    // A folder in which a command once fetched is a peer's, too: it must not hide the only peer that runs.
    let is_named = choice.folder.is_some() || choice.variable.is_some();
    if matches!(error, FindError::NotRunning { .. }) && !is_named {
        choice.current = None;
        match find(&choice) {
            Ok(target) => return Ok(target),
            Err(several @ FindError::Several(_)) => return Err(several),
            Err(_) => {}
        }
    }
    Err(error)
}

/// The error, with the option that names a program of this kind.
fn failure(kind: ProgramKind, error: FindError) -> Failure {
    let hint = match (kind, &error) {
        (ProgramKind::Manager, FindError::NotRunning { .. } | FindError::NotAFolder { .. }) => {
            Some("start one with `brigade manager`, or name the state folder of one that runs with --state")
        }
        (ProgramKind::Manager, FindError::Several(_)) => Some("name its state folder with --state"),
        _ => None,
    };
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The client of the peer that a command is for.
pub(super) fn peer(of: &RunningPeer) -> Result<PeerClient, Failure> {
    find_program(ProgramKind::Peer, of.folder.clone()).map(|target| PeerClient::new(&target))
}

/// The client of the manager that a command is for.
pub(super) fn manager(of: &RunningManager) -> Result<ManagerClient, Failure> {
    find_program(ProgramKind::Manager, of.state.clone()).map(|target| ManagerClient::new(&target))
}

/// The peer or manager that a command is for.
pub(super) fn program(of: &RunningNode) -> Result<RunningProgram, Failure> {
    if of.manager || of.state.is_some() {
        let target = find_program(ProgramKind::Manager, of.state.clone())?;
        let client = ManagerClient::new(&target);
        return Ok(RunningProgram::Manager(target, client));
    }
    let target = find_program(ProgramKind::Peer, of.peer.folder.clone())?;
    let client = PeerClient::new(&target);
    Ok(RunningProgram::Peer(target, client))
}

/// Prints the result of a command: an object with `--json`, nothing with `--quiet`, otherwise the text.
pub(super) fn print_result(output: OutputOptions, text: &str, object: &impl serde::Serialize) {
    if output.json {
        print_line(&json(object).to_string());
    } else if !output.quiet {
        print_line(text);
    }
}

/// A value of the API as JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default() // it has only texts, numbers and lists
}
