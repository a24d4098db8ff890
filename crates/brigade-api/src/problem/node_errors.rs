//! The exit code and the hint for each error of the node, except those of the disk, which
//! `disk_errors` has, and those of a manager (`manager_errors`).
//!
//! The parent prints a [`Problem`]; an error with its own text and causes needs only a line here.

use std::io;

use brigade_core::{
    plural::count,
    wire::{Reason, manager::Version},
};
use brigade_node::{
    error::{DialError, ListenError},
    peer::{AmbiguousName, AskError, FetchError, JoinError, PeerError, ReachError, ResolveError},
};

use super::{AmbiguousChoice, DISK, FAILED, NOT_FOUND, Problem, REFUSED, UNREACHED, USAGE};
use crate::text::{format, hints, value_suggestions};

impl From<ReachError> for Problem {
    fn from(error: ReachError) -> Self {
        match &error {
            ReachError::Dial { address, source: DialError::Connect { source, .. } }
                if source.kind() == io::ErrorKind::ConnectionRefused =>
            {
                Self::new(UNREACHED, format!("no manager answers at {address}")).with_hint(
                    "start one with `brigade manager`, or name its address with --manager-host and --manager-port",
                )
            }
            ReachError::Dial { source: DialError::Handshake { source, .. }, .. }
                if source.kind() == io::ErrorKind::TimedOut =>
            {
                Self::of(UNREACHED, &error)
                    .with_hint("a program listens there and does not answer: a manager that hangs, or another program")
            }
            ReachError::Dial { source: DialError::Handshake { source, .. }, .. }
                if source.kind() == io::ErrorKind::InvalidData =>
            {
                Self::of(UNREACHED, &error).with_hint(
                    "another program may answer there, such as a web server: check the host and port of the manager \
                     (--manager-host, --manager-port)",
                )
            }
            ReachError::Dial { .. } => Self::of(UNREACHED, &error)
                .with_hint("check the host and port of the manager (--manager-host, --manager-port)"),
            ReachError::NotAManager { .. } => Self::of(UNREACHED, &error).with_hint(
                "give the host and port of the manager, not those of a peer (--manager-host, --manager-port)",
            ),
            ReachError::Greet { .. } => Self::of(UNREACHED, &error),
            ReachError::Known(known) if known.is_damaged() => Self::of(DISK, &error).with_hint(
                "correct or remove the damaged lines: the next contact with their managers then counts as the first one; \
                 or give --manager-key, which does not need this list",
            ),
            ReachError::Known(_) => Self::of(DISK, &error).with_hint(
                "make it readable, or give --manager-key, which does not need this list, or set BRIGADE_HOME to another folder",
            ),
            ReachError::WrongKey { expected, found, remembered_in, .. } => {
                let message = format!("{error}\n  expected: {expected}\n  found:    {found}");
                Self::new(REFUSED, message).with_hint(format!(
                    "this may be an attack. If the manager was set up again and you trust it, give --manager-key \
                     {found} once, or remove its line from {}",
                    remembered_in.display()
                ))
            }
            ReachError::NotTheKey { given, found, .. } => {
                Self::new(REFUSED, format!("{error}\n  given:    {given}\n  answered: {found}")).with_hint(
                    "check the host and port of the manager, and that the key is complete as in its log. If they are right, \
                     another program answers: trust it only if you know why its key is different",
                )
            }
            _ => Self::of(UNREACHED, &error),
        }
    }
}

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::Reach(error) => error.into(),
            JoinError::Refused { reason, .. } => {
                let problem = Self::of(REFUSED, &error);
                match reason {
                    Reason::NameTaken => problem.with_hint("choose another username, or use the folder that this one is bound to"),
                    Reason::AlreadyHere => problem.with_hint(
                        "a peer with this folder, or with a copy of it and its `.brigade/`, is running already: stop it, or \
                         delete `.brigade/` in the copy",
                    ),
                    Reason::PortTaken => problem.with_hint(
                        "machines behind one address share its ports: choose another port (--port), or 0 for a free one",
                    ),
                    Reason::BadName => problem.with_hint("choose another username: names with `@` are for fetches without a username"),
                    Reason::Failed => problem.with_hint(
                        "the manager's log has the cause, such as a full disk; try again when that is mended",
                    ),
                    Reason::Full => problem.with_hint("the manager's --max is reached; try again when a peer has left"),
                    _ => problem,
                }
            }
            _ => Self::of(UNREACHED, &error),
        }
    }
}

impl From<PeerError> for Problem {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Join(error) => error.into(),
            PeerError::Folder(error) => error.into(),
            PeerError::Share(error) => error.into(),
            PeerError::Key(error) => error.into(),
            PeerError::Keeper(_) => Self::of(DISK, &error),
            PeerError::Port(error) => error.into(),
            _ => Self::of(FAILED, &error),
        }
    }
}

impl From<ListenError> for Problem {
    fn from(error: ListenError) -> Self {
        let address = error.address;
        // An address of another machine is a mistake in the command line: no port would help.
        let code = if error.source.kind() == io::ErrorKind::AddrNotAvailable { USAGE } else { FAILED };
        let problem = Self::of(code, &error);
        match error.source.kind() {
            io::ErrorKind::AddrInUse => problem.with_hint(format!(
                "another program listens on port {} already; choose another --port, or 0 for a free one",
                address.port()
            )),
            io::ErrorKind::PermissionDenied => {
                problem.with_hint("ports below 1024 are reserved for the system; choose a higher --port")
            }
            io::ErrorKind::AddrNotAvailable => problem.with_hint(hints::OWN_HOST),
            _ => problem,
        }
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Away => Self::of(UNREACHED, &error)
                .with_hint("Brigade tries again all the time; ask again when the manager is back"),
            AskError::Silent | AskError::Connection(_) => Self::of(UNREACHED, &error),
            AskError::Refused { .. } | AskError::RefusedForGood { .. } => Self::of(REFUSED, &error),
            AskError::TooLong { .. } => Self::of(USAGE, &error),
            _ => Self::of(FAILED, &error),
        }
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        let is_missing = matches!(error, ResolveError::NotFound { .. } | ResolveError::NotHere { .. });
        let problem = of_name(error);
        if is_missing { problem.with_details(|details| details.missing = true) } else { problem }
    }
}

/// The problem of a name, whether or not it may pass.
fn of_name(error: ResolveError) -> Problem {
    match error {
        ResolveError::Ask(error) => error.into(),
        ResolveError::NotFound { ref name, .. } if has_short_id(name) => Problem::of(NOT_FOUND, &error)
            .with_hint("to choose a content with NAME@ID-PREFIX, give at least four digits of its ID"),
        ResolveError::NotFound { ref closest, .. } if !closest.is_empty() => {
            let names: Vec<&str> = closest.iter().map(|name| name.as_str()).collect();
            let closest = names.iter().map(|name| (*name).to_owned()).collect();
            Problem::of(NOT_FOUND, &error)
                .with_hint(format!("did you mean {}?", names.join(", ")))
                .with_details(|details| details.closest = closest)
        }
        ResolveError::NotFound { ref name, .. } => {
            let hint = value_suggestions::name(name).unwrap_or_else(|| hints::LIST_NAMES.to_owned());
            Problem::of(NOT_FOUND, &error).with_hint(hint)
        }
        ResolveError::Ambiguous { ref choices, rest } => ambiguous(choices, rest),
        ResolveError::NoSuchVersion { ref versions, .. } => {
            Problem::new(NOT_FOUND, format!("{error}{}", listed(versions)))
        }
        ResolveError::NotHere { .. } => {
            Problem::of(NOT_FOUND, &error).with_hint("`peers` lists the usernames")
        }
        ResolveError::BadPattern { ref pattern, .. } => {
            let suggestion = value_suggestions::name(pattern).filter(|_| pattern.contains('\\'));
            Problem::of(NOT_FOUND, &error).with_hint(suggestion.unwrap_or_else(|| hints::PATTERNS.to_owned()))
        }
        ResolveError::BadName { ref name, .. } => {
            let problem = Problem::of(NOT_FOUND, &error);
            match value_suggestions::name(name) {
                Some(hint) => problem.with_hint(hint),
                None => problem,
            }
        }
        _ => Problem::of(NOT_FOUND, &error),
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::NotEnoughSpace(error) => error.into(),
            FetchError::CannotLand(error) => error.into(),
            _ => Self::of(FAILED, &error),
        }
    }
}

/// Whether `name` ends like `NAME@ID-PREFIX`, but has too few digits of the ID.
fn has_short_id(name: &str) -> bool {
    name.rsplit_once('@').is_some_and(|(name, digits)| {
        !name.is_empty() && digits.len() < 4 && digits.chars().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// The error for names with several contents, each with its list.
fn ambiguous(choices: &[AmbiguousName], rest: usize) -> Problem {
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
        _ => "choose with --from and a username, or fetch these names one by one".to_owned(),
    };
    Problem::new(NOT_FOUND, message).with_hint(hint).with_details(|details| {
        details.choices = choices.iter().map(AmbiguousChoice::from).collect();
        details.more_choices = (rest > 0).then(|| u64::try_from(rest).unwrap_or(u64::MAX));
    })
}

/// The versions of a name, one per line.
fn listed(versions: &[Version]) -> String {
    versions.iter().map(|one| format!("\n  {}", format::version(one))).collect()
}
