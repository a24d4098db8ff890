//! What people are told of each error of the node: the exit code and the hint that belong to it.
//!
//! How a [`Failure`] looks is in the parent; an error with its own text and causes needs no more than a line here.

use std::io;

use brigade_core::{
    plural::count,
    wire::{Reason, manager::Version},
};
use brigade_node::{
    error::{DialError, ListenError},
    manager::{ManagerError, PersistError},
    peer::{AmbiguousName, AskError, FetchError, JoinError, PeerError, ReachError, ResolveError},
};

use super::{DISK, FAILED, Failure, NOT_FOUND, REFUSED, UNREACHED, USAGE};
use crate::{command_line::hints, commands::choosing::version};

impl From<ReachError> for Failure {
    fn from(error: ReachError) -> Self {
        match &error {
            ReachError::Dial { address, source: DialError::Connect { source, .. } }
                if source.kind() == io::ErrorKind::ConnectionRefused =>
            {
                Self::new(UNREACHED, format!("no manager answers at {address}")).hint(
                    "start one with `brigade manager`, or say where it is with --manager-host and --manager-port",
                )
            }
            ReachError::Dial { source: DialError::Handshake { source, .. }, .. }
                if source.kind() == io::ErrorKind::TimedOut =>
            {
                Self::of(UNREACHED, &error)
                    .hint("something listens there and does not answer: a manager that hangs, or no manager")
            }
            ReachError::Dial { .. } => Self::of(UNREACHED, &error)
                .hint("is that the manager's host and port? (--manager-host, --manager-port)"),
            ReachError::Greet { .. } => Self::of(UNREACHED, &error),
            ReachError::Known(_) => Self::of(DISK, &error).hint(
                "make it readable; or give --manager-key, which needs no such list; or let BRIGADE_HOME name another folder",
            ),
            ReachError::WrongKey { expected, found, remembered_in, .. } => {
                let message = format!("{error}\n  expected: {expected}\n  found:    {found}");
                Self::new(REFUSED, message).hint(format!(
                    "somebody may be listening in. If the manager was set up anew and you trust it, give \
                     --manager-key {found} once, or remove its line from {}",
                    remembered_in.display()
                ))
            }
            ReachError::NotTheKey { given, found, .. } => {
                Self::new(REFUSED, format!("{error}\n  given:    {given}\n  answered: {found}")).hint(
                    "is it the manager's host and port, and the whole key as its log has it? Then something else answers \
                     in its place: trust it only if you know why its key is another",
                )
            }
            _ => Self::of(UNREACHED, &error),
        }
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Reach(error) => error.into(),
            JoinError::Refused { reason, .. } => {
                let failure = Self::of(REFUSED, &error);
                match reason {
                    Reason::NameTaken => failure.hint("choose another username, or run it from the folder that it belongs to"),
                    Reason::AlreadyHere => failure.hint(
                        "this folder, or a copy of it with its `.brigade/`, is being run already: end that, or delete \
                         `.brigade/` in the copy",
                    ),
                    Reason::PortTaken => failure.hint(
                        "machines behind one address share its ports: choose another port (--port), or 0 for a free one",
                    ),
                    Reason::BadName => failure.hint("choose another username: one with `@` is for fetches, which have none of their own"),
                    Reason::Full => failure.hint("the manager's --max is reached; try again when somebody has left"),
                    _ => failure,
                }
            }
            _ => Self::of(UNREACHED, &error),
        }
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Join(error) => error.into(),
            PeerError::Folder(error) => error.into(),
            PeerError::Key(error) => error.into(),
            PeerError::Keeper(_) => Self::of(DISK, &error),
            PeerError::Port(error) => error.into(),
            _ => Self::of(FAILED, &error),
        }
    }
}

impl From<ListenError> for Failure {
    fn from(error: ListenError) -> Self {
        let address = error.address;
        // An address that is not this machine's is a mistake of the command line: no port makes it right.
        let code = if error.source.kind() == io::ErrorKind::AddrNotAvailable { USAGE } else { FAILED };
        let failure = Self::of(code, &error);
        match error.source.kind() {
            io::ErrorKind::AddrInUse => failure.hint(format!(
                "something listens on port {} here already; choose another --port, or 0 for a free one",
                address.port()
            )),
            io::ErrorKind::PermissionDenied => {
                failure.hint("ports below 1024 are the system's; choose a higher --port")
            }
            io::ErrorKind::AddrNotAvailable => {
                failure.hint("--host must be a name or an address of this machine")
            }
            _ => failure,
        }
    }
}

impl From<ManagerError> for Failure {
    fn from(error: ManagerError) -> Self {
        match error {
            ManagerError::Listen(error) => error.into(),
            ManagerError::Key(error) => error.into(),
            ManagerError::NotOpen { .. } => {
                Self::of(USAGE, &error).hint("--host localhost keeps it to this machine")
            }
            ManagerError::Host(_) => {
                Self::of(USAGE, &error).hint("--host must be a name or an address of this machine")
            }
            ManagerError::State { .. } => Self::of(DISK, &error)
                .hint("--state names another folder for the manager's key and members; so does BRIGADE_HOME"),
            ManagerError::Members(PersistError::InUse { .. }) => Self::of(FAILED, &error)
                .hint("it runs on this port already; --port and --state are for another network beside it"),
            ManagerError::Members(_) => Self::of(DISK, &error),
            _ => Self::of(FAILED, &error),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Away => {
                Self::of(UNREACHED, &error).hint("it is tried again all the while; ask again when it is back")
            }
            AskError::Silent | AskError::Connection(_) => Self::of(UNREACHED, &error),
            AskError::Refused { .. } | AskError::RefusedForGood { .. } => Self::of(REFUSED, &error),
            _ => Self::of(FAILED, &error),
        }
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Ask(error) => error.into(),
            ResolveError::NotFound { ref closest, .. } if !closest.is_empty() => {
                let names: Vec<&str> = closest.iter().map(|name| name.as_str()).collect();
                Self::of(NOT_FOUND, &error).hint(format!("did you mean {}?", names.join(", ")))
            }
            ResolveError::NotFound { ref name, .. } => {
                let hint = hints::name(name).unwrap_or_else(|| "`files` lists what there is".to_owned());
                Self::of(NOT_FOUND, &error).hint(hint)
            }
            ResolveError::Ambiguous { ref choices, rest } => ambiguous(choices, rest),
            ResolveError::NoSuchVersion { ref versions, .. } => {
                Self::new(NOT_FOUND, format!("{error}{}", listed(versions)))
            }
            ResolveError::NotHere { .. } => Self::of(NOT_FOUND, &error).hint("`peers` lists the usernames"),
            ResolveError::BadPattern { ref pattern, .. } => {
                let meant = hints::name(pattern).filter(|_| pattern.contains('\\'));
                Self::of(NOT_FOUND, &error).hint(meant.unwrap_or_else(|| {
                    "* and ? stand for anything but a slash, ** for any folders, [a-z] for one letter"
                        .to_owned()
                }))
            }
            ResolveError::BadName { ref name, .. } => {
                let failure = Self::of(NOT_FOUND, &error);
                match hints::name(name) {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
            _ => Self::of(NOT_FOUND, &error),
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::NotEnoughSpace(error) => error.into(),
            FetchError::CannotLand(error) => error.into(),
            _ => Self::of(FAILED, &error),
        }
    }
}

/// Names with several contents, each with its list.
fn ambiguous(choices: &[AmbiguousName], rest: usize) -> Failure {
    let list = |choice: &AmbiguousName| {
        format!("{} has {}{}", choice.name, count(choice.versions.len(), "content"), listed(&choice.versions))
    };
    let mut message = choices.iter().map(list).collect::<Vec<_>>().join("\n");
    if rest > 0 {
        message += &format!("\nand {} with several contents", count(rest, "more name"));
    }
    let hint = match choices {
        [AmbiguousName { name, versions, .. }] => {
            let id = versions.first().map_or_else(String::new, |version| version.id.short());
            format!("choose one with `{name}@{id}`, or with --from and a username")
        }
        _ => "choose with --from and a username, or fetch those names by themselves".to_owned(),
    };
    Failure::new(NOT_FOUND, message).hint(hint)
}

/// Versions of a name, a line each.
fn listed(versions: &[Version]) -> String {
    versions.iter().map(|one| format!("\n  {}", version(one))).collect()
}
