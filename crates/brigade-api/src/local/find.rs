//! Chooses the running program that a command talks to.
//!
//! The first of these decides: the folder that was named, `BRIGADE_FOLDER`, the current folder or one above it, and the
//! only program that runs. Nothing is started here.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use brigade_node::peer::{is_manager_folder, is_peer_folder};

use super::{
    connection::is_answering, program_kind::ProgramKind, record::Target, runtime_folder::client_folders,
};
use crate::problem::{NOT_FOUND, Problem, UNREACHED, USAGE};

/// The variable that names the folder of the program.
const VARIABLE: &str = "BRIGADE_FOLDER";

/// Which program is meant.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only a program of this kind; `None` for any.
    pub kind: Option<ProgramKind>,
    /// The folder that was named.
    pub folder: Option<PathBuf>,
    /// The folder in `BRIGADE_FOLDER`.
    pub variable: Option<PathBuf>,
    /// The current folder.
    pub current: Option<PathBuf>,
    /// The folders in which sockets are looked for; `None` for the usual ones.
    pub runtime_folders: Option<Vec<PathBuf>>,
}

impl Choice {
    /// A program of a kind; `folder` is the one that the user named. The environment and the current folder are read.
    pub fn of(kind: Option<ProgramKind>, folder: Option<PathBuf>) -> Self {
        let variable = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { kind, folder, variable, current: env::current_dir().ok(), runtime_folders: None }
    }

    fn kinds(&self) -> Vec<ProgramKind> {
        self.kind.map_or_else(|| ProgramKind::ALL.to_vec(), |kind| vec![kind])
    }

    fn runtime_folders(&self) -> Vec<PathBuf> {
        self.runtime_folders.clone().unwrap_or_else(client_folders)
    }
}

/// Why there is no program to talk to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The folder belongs to a peer or a manager that does not run.
    #[error("no {} runs in {}", .kind.name(), .folder.display())]
    NotRunning {
        /// The kind of program that the folder has.
        kind: ProgramKind,
        /// The folder.
        folder: PathBuf,
    },
    /// The folder that was named belongs to no peer and no manager.
    #[error("{} is not the folder of a {}", .folder.display(), kind_text(*.kind))]
    NotAFolder {
        /// The kind of program that was asked for.
        kind: Option<ProgramKind>,
        /// The folder.
        folder: PathBuf,
    },
    /// The folder that was named cannot be read.
    #[error("finding the folder {}", .folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The folder that was named belongs to another account, and none of this account runs in it.
    #[error(
        "no {} of this account runs in {}, which belongs to another account: one of that account may run",
        kind_text(*.kind), .folder.display()
    )]
    OtherAccount {
        /// The kind of program that was asked for.
        kind: Option<ProgramKind>,
        /// The folder.
        folder: PathBuf,
        /// The number of the account.
        owner: u32,
    },
    /// Several run, and none was named.
    #[error("{} programs run: it is not clear which one is meant", .0.len())]
    Several(Vec<Target>),
    /// None runs.
    #[error("no {} runs for this account", kind_text(*.0))]
    NoneRuns(Option<ProgramKind>),
}

fn kind_text(kind: Option<ProgramKind>) -> &'static str {
    kind.map_or("peer or manager", ProgramKind::name)
}

/// Finds the program that is meant. It reads folders and tries sockets, which takes a few milliseconds.
///
/// # Errors
/// If none of this account runs, or it is not clear which one is meant.
pub fn find(choice: &Choice) -> Result<Target, FindError> {
    if let Some(folder) = choice.folder.as_ref().or(choice.variable.as_ref()) {
        return of_named_folder(choice, folder);
    }
    let current = choice.current.as_ref().and_then(|current| current.canonicalize().ok());
    for folder in current.iter().flat_map(|current| current.ancestors()) {
        if let Some(target) = running_in(choice, folder) {
            return Ok(target);
        }
        if let Some(kind) = kind_of_folder(choice, folder) {
            return Err(FindError::NotRunning { kind, folder: folder.to_owned() });
        }
    }
    let mut running = running_programs(choice);
    match running.len() {
        0 => Err(FindError::NoneRuns(choice.kind)),
        1 => Ok(running.remove(0)),
        _ => Err(FindError::Several(running)),
    }
}

/// The running programs of a kind that this user may use, by kind and folder.
pub fn running_programs(choice: &Choice) -> Vec<Target> {
    let folders = choice.runtime_folders();
    let listed = folders.iter().flat_map(|folder| Target::listed(folder));
    let is_wanted = |target: &Target| choice.kind.is_none_or(|kind| kind == target.kind);
    let mut running: Vec<Target> =
        listed.filter(|target| is_wanted(target) && answers(target).is_ok()).collect();
    running.sort_by(|a, b| (a.kind, &a.folder).cmp(&(b.kind, &b.folder)));
    running.dedup_by(|a, b| (a.kind, &a.folder) == (b.kind, &b.folder));
    running
}

fn of_named_folder(choice: &Choice, folder: &Path) -> Result<Target, FindError> {
    let missing = |source| FindError::Missing { folder: folder.to_owned(), source };
    let canonical = folder.canonicalize().map_err(missing)?;
    if let Some(target) = running_in(choice, &canonical) {
        return Ok(target);
    }
    if let Some(owner) = other_owner(&canonical) {
        return Err(FindError::OtherAccount { kind: choice.kind, folder: canonical, owner });
    }
    Err(match kind_of_folder(choice, &canonical) {
        Some(kind) => FindError::NotRunning { kind, folder: canonical },
        None => FindError::NotAFolder { kind: choice.kind, folder: canonical },
    })
}

/// The kind of program to which the folder belongs.
fn kind_of_folder(choice: &Choice, folder: &Path) -> Option<ProgramKind> {
    let belongs = |kind: &ProgramKind| match kind {
        ProgramKind::Peer => is_peer_folder(folder),
        ProgramKind::Manager => is_manager_folder(folder),
    };
    choice.kinds().into_iter().find(belongs)
}

/// The program that runs in the folder, if one does.
fn running_in(choice: &Choice, folder: &Path) -> Option<Target> {
    for runtime in choice.runtime_folders() {
        for kind in choice.kinds() {
            let target = Target::in_folder(&runtime, kind, folder);
            if answers(&target).is_ok() {
                return Some(target);
            }
        }
    }
    None
}

/// The account of the folder, if it is another one. Root finds the programs of others itself.
#[cfg(unix)]
fn other_owner(folder: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let own = rustix::process::getuid().as_raw();
    let owner = folder.metadata().ok()?.uid();
    (own != 0 && owner != own).then_some(owner)
}

/// Whether there are sockets of services that this account cannot read.
fn has_services_of_others() -> bool {
    let is_denied = |folder: &PathBuf| {
        std::fs::read_dir(folder).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    client_folders().iter().any(is_denied)
}

/// The access lists of Windows decide whether a pipe can be opened; its error says so.
#[cfg(windows)]
fn other_owner(_folder: &Path) -> Option<u32> {
    None
}

/// Whether the program answers.
#[cfg(unix)]
fn answers(target: &Target) -> io::Result<()> {
    is_answering(&target.socket)
}

/// Whether the program has its lock: that is beside its record.
#[cfg(windows)]
fn answers(target: &Target) -> io::Result<()> {
    let name = super::program_kind::socket_name(target.kind, &target.folder);
    let tried =
        client_folders().into_iter().map(|runtime| is_answering(&runtime.join(format!("{name}.lock"))));
    tried.reduce(|before, next| before.or(next)).unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
}

impl From<FindError> for Problem {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NotRunning { kind, .. } => Self::of(UNREACHED, &error).with_hint(format!(
                "start it with `brigade {}`, or name another folder with --folder",
                kind.name()
            )),
            FindError::NotAFolder { .. } => {
                Self::of(NOT_FOUND, &error).with_hint("name the folder of one that runs with --folder")
            }
            FindError::Missing { .. } => Self::of(NOT_FOUND, &error).with_hint("check the path"),
            FindError::OtherAccount { owner, .. } => Self::of(UNREACHED, &error).with_hint(format!(
                "run the command as that account: `sudo -u '#{owner}' brigade …`; or start a program of your own there"
            )),
            FindError::Several(ref running) => {
                let lines = running.iter().map(|target| {
                    let username = target.record.as_ref().and_then(|record| record.username.as_ref());
                    let username = username.map(|username| format!(", {username}")).unwrap_or_default();
                    format!("\n  {} ({}{username})", target.folder.display(), target.kind.name())
                });
                let message = format!("{error}{}", lines.collect::<String>());
                Self::new(USAGE, message).with_hint("name its folder with --folder, or with BRIGADE_FOLDER")
            }
            FindError::NoneRuns(kind) => {
                let hint = format!("start one with `brigade {}`", kind.unwrap_or(ProgramKind::Peer).name());
                let hint = match has_services_of_others() {
                    true => format!("{hint}; a service of another account has one, perhaps: `sudo -u brigade brigade …`"),
                    false => hint,
                };
                Self::of(UNREACHED, &error).with_hint(hint)
            }
        }
    }
}
