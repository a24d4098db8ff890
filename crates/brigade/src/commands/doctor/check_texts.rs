//! The texts of the checks: what was found, and what to do about it.
//!
//! Text from other machines is escaped here. The text of an error of the manager is that of `failure`.

use std::{io, path::Path};

use brigade_core::plural::count;
use brigade_node::diagnosis::{
    ClockComparison, Finding, FolderFault, FolderTrial, FreeDiskSpace, OpenFiles, PROTOCOL, PortReach,
    WatchFault, WatchedFolders,
};

use crate::{
    failure::Failure,
    text::{escape::escape, format},
};

/// The result of a check for people.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CheckText {
    /// What was found, on one line.
    pub(super) text: String,
    /// What to do, if there is something to do.
    pub(super) remedy: Option<String>,
}

impl CheckText {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), remedy: None }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl From<Failure> for CheckText {
    fn from(failure: Failure) -> Self {
        Self { text: failure.summary(), remedy: failure.hint_text() }
    }
}

/// The text for a finding about the manager at the address `manager`, or about `folder`.
pub(super) fn check_text(finding: Finding, manager: &str, folder: &Path) -> CheckText {
    match finding {
        Finding::Manager(Ok(report)) => {
            CheckText::new(format!("the manager at {manager} answers; its key is {}", report.key))
        }
        Finding::Manager(Err(error)) => Failure::from(error).into(),
        Finding::Versions { agent, protocol } => versions(&agent, protocol),
        Finding::Clock(Ok(compared)) => clock(compared),
        Finding::Clock(Err(error)) => Failure::from(error).into(),
        Finding::Reachability(reach) => reachability(reach),
        Finding::Space(Ok(space)) => free_bytes(space, folder),
        Finding::Inodes(Ok(space)) => free_inodes(space, folder),
        Finding::Space(Err(fault)) | Finding::Inodes(Err(fault)) => folder_fault(&fault),
        Finding::Watches(watches) => watched(&watches, folder),
        Finding::Folder(trial) => trial_text(&trial, folder),
        Finding::Descriptors(files) => open_files(files),
        other => CheckText::new(other.check()),
    }
}

fn versions(agent: &str, protocol: u32) -> CheckText {
    let own = env!("CARGO_PKG_VERSION");
    CheckText::new(format!(
        "this program is brigade/{own} (protocol {PROTOCOL}), the manager is {} (protocol {protocol})",
        escape(agent)
    ))
    .remedy("install the same version on both machines; they work together as long as they have a protocol in common")
}

fn clock(compared: ClockComparison) -> CheckText {
    match compared {
        ClockComparison::Close => CheckText::new("this machine's clock agrees with the manager's"),
        ClockComparison::Apart(difference) => CheckText::new(difference.to_string())
            .remedy("set the clock that is wrong, for example with `timedatectl set-ntp true`"),
        _ => CheckText::new("the manager does not tell its time").remedy("install a newer version there"),
    }
}

fn reachability(reach: PortReach) -> CheckText {
    match reach {
        PortReach::Reached { address } => {
            CheckText::new(format!("the manager's machine can connect to this peer at {}", escape(&address)))
        }
        PortReach::Blocked { address, failure } => CheckText::new(format!(
            "the manager's machine cannot connect to this peer at {}: {}",
            escape(&address),
            escape(&failure)
        ))
        .remedy(
            "allow incoming TCP connections to this port in the firewall of this machine; behind a router, forward the \
             port, and name it with --port. Peers that do not reach this one can still serve it",
        ),
        PortReach::NoPort(error) => Failure::from(error).into(),
        PortReach::Unanswered(error) => Failure::from(error).into(),
        _ => CheckText::new("the manager is an older version that does not test ports")
            .remedy("install a newer version there, or connect to the port from another machine"),
    }
}

fn free_bytes(space: FreeDiskSpace, folder: &Path) -> CheckText {
    let free = space.bytes.map_or_else(|| "an unknown number of bytes".to_owned(), format::bytes);
    let folder = shown(folder);
    CheckText::new(format!("{free} are free on the disk of {folder}"))
        .remedy("free some space there, or use another folder")
}

fn free_inodes(space: FreeDiskSpace, folder: &Path) -> CheckText {
    let folder = shown(folder);
    match space.inodes {
        None => CheckText::new(format!("the disk of {folder} has no limit on the number of files")),
        Some(inodes) => {
            CheckText::new(format!("{} can still be made on the disk of {folder}", count(inodes, "file")))
                .remedy("delete files there, or use another folder; free bytes do not help")
        }
    }
}

fn watched(watches: &WatchedFolders, folder: &Path) -> CheckText {
    let folders = count(watches.folders, "folder");
    let shown = shown(folder);
    let advice = |name: &str, value: u64| {
        format!(
            "`sysctl {name}={value}` allows more, and a line in /etc/sysctl.d/ keeps it; without watches, changes are found \
             by scanning the folder every few seconds"
        )
    };
    let wanted = watches.folders.saturating_mul(4).max(1 << 20);
    match (&watches.fault, watches.limit) {
        (Some(WatchFault::NoWatches), _) => {
            CheckText::new(format!("{shown} cannot be watched: this account has no inotify watches left"))
                .remedy(advice("fs.inotify.max_user_watches", wanted))
        }
        (Some(WatchFault::NoInstances), _) => CheckText::new(format!(
            "{shown} cannot be watched: too many programs of this account watch folders"
        ))
        .remedy(advice("fs.inotify.max_user_instances", 1024)),
        (Some(WatchFault::Other(error)), _) => CheckText::new(format!("{shown} cannot be watched: {error}"))
            .remedy("use a folder on a local disk that this account may read"),
        (_, Some(limit)) => CheckText::new(format!(
            "{shown} has {folders} to watch; this account may watch {limit}, with all its programs"
        ))
        .remedy(advice("fs.inotify.max_user_watches", wanted)),
        _ => CheckText::new(format!("{shown} has {folders} to watch, and can be watched")),
    }
}

fn trial_text(trial: &FolderTrial, folder: &Path) -> CheckText {
    if let Some(fault) = &trial.fault {
        return folder_fault(fault);
    }
    let shown = shown(folder);
    match &trial.no_hard_links {
        None => CheckText::new(format!("files in {shown} can be made, written, linked, renamed and removed")),
        Some(error) => CheckText::new(format!("files in {shown} cannot have hard links: {error}")).remedy(
            "nothing has to be done: Brigade works without them, and a fetch into this folder is a little less safe against \
             programs that make files at the same time. Other file systems (ext4, XFS, Btrfs, NTFS) have them",
        ),
    }
}

fn folder_fault(fault: &FolderFault) -> CheckText {
    let text = format!("could not {} {}: {}", fault.action, shown(&fault.path), fault.source);
    let remedy = match fault.source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space or delete files there, or use another folder"
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount the disk for writing, or use another folder",
        io::ErrorKind::PermissionDenied => {
            "give this account the right to write there (`ls -ld` shows the owner), or use another folder"
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "make the folder, or correct --folder",
        _ => "use a folder on a disk that works",
    };
    CheckText::new(text).remedy(remedy)
}

fn open_files(OpenFiles { limit, needed, .. }: OpenFiles) -> CheckText {
    match limit {
        None => CheckText::new("this account may open any number of files"),
        Some(limit) => CheckText::new(format!(
            "this account may open {limit} files; with this --max, a peer may need {needed}"
        ))
        .remedy(
            "raise the hard limit (`ulimit -Hn`, or LimitNOFILE= of the service), or give a smaller --max",
        ),
    }
}

fn shown(path: &Path) -> String {
    escape(&path.display().to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::{ClockComparison, Finding, check_text};

    #[test]
    fn a_fault_of_the_disk_has_its_own_remedy() {
        let temp = tempfile::tempdir().unwrap();
        let missing = temp.path().join("none");
        let trial = brigade_node::diagnosis::try_folder(&missing);
        let text = check_text(Finding::Folder(trial), "localhost:1", &missing);
        assert!(text.text.starts_with("could not make a folder in "), "{text:?}");
        assert_eq!(text.remedy.as_deref(), Some("make the folder, or correct --folder"));
        let clock = check_text(Finding::Clock(Ok(ClockComparison::Close)), "localhost:1", Path::new("."));
        assert!(clock.text.contains("agrees"));
        let full: io::Error = io::ErrorKind::StorageFull.into();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    }
}
