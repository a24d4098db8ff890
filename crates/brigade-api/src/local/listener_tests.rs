//! Tests of local sockets: who can open one, sockets that were left behind, two programs in one folder, and how a program
//! is found.
//!
//! They use folders of their own, not the runtime directory.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{BindError, LocalListener, SocketRecord};
use crate::{
    local::{Choice, FindError, ProgramKind, Target, connect, find, running_programs},
    problem::Problem,
};

/// A runtime folder, and folders of programs.
struct Folders {
    temp: tempfile::TempDir,
    runtime: PathBuf,
}

impl Folders {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let runtime = temp.path().join("run");
        fs::create_dir(&runtime).unwrap();
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
        Self { temp, runtime }
    }

    /// Makes a folder.
    fn folder(&self, name: &str) -> PathBuf {
        let path = self.temp.path().canonicalize().unwrap().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn bind(&self, kind: ProgramKind, folder: &Path) -> Result<LocalListener, BindError> {
        let version = "1.2.3".to_owned();
        let username = Some("anna".to_owned());
        let folder = folder.to_owned();
        LocalListener::bind_in(
            &self.runtime,
            SocketRecord { kind, folder, pid: 7, since_s: 8, version, username },
        )
    }

    fn choice(&self) -> Choice {
        Choice { runtime_folders: Some(vec![self.runtime.clone()]), ..Choice::default() }
    }

    fn find(&self, folder: &Path) -> Result<Target, FindError> {
        find(&Choice { folder: Some(folder.to_owned()), ..self.choice() })
    }
}

#[tokio::test]
async fn a_program_is_found_from_its_folder_whatever_the_length_of_its_path() {
    let folders = Folders::new();
    let long = folders.folder(&["x".repeat(200).as_str(); 15].join("/"));
    let link = folders.temp.path().join("link");
    std::os::unix::fs::symlink(&long, &link).unwrap();
    let mut listener = folders.bind(ProgramKind::Peer, &link).unwrap();
    let found = folders.find(&long).unwrap();
    assert_eq!((found.kind, &found.folder), (ProgramKind::Peer, &long));
    assert_eq!(found.record.as_ref().unwrap().username.as_deref(), Some("anna"));
    assert_eq!(folders.find(&link).unwrap(), found);
    let client = async { connect(&found.socket).await.unwrap().write_u8(1).await };
    let server = async {
        // The searches connected, too, and sent nothing.
        while listener.accept().await.unwrap().read_u8().await.is_err() {}
    };
    tokio::join!(client, server).0.unwrap();
}

#[cfg(target_os = "linux")] // other systems refuse such names
#[tokio::test]
async fn a_program_is_found_from_a_folder_whose_path_is_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let folders = Folders::new();
    let folder = folders.folder("").join(std::ffi::OsStr::from_bytes(b"films \xff%"));
    fs::create_dir(&folder).unwrap();
    let _listener = folders.bind(ProgramKind::Peer, &folder).unwrap();
    assert_eq!(folders.find(&folder).unwrap().record.unwrap().folder, folder);
    let listed = find(&folders.choice()).unwrap();
    assert_eq!(listed.folder, folder, "it is the only one that runs");
}

#[tokio::test]
async fn a_socket_is_for_its_owner_only_and_is_removed_at_the_end() {
    let folders = Folders::new();
    let listener = folders.bind(ProgramKind::Peer, &folders.folder("films")).unwrap();
    let found = fs::metadata(listener.path()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    drop(listener);
    let left: Vec<_> = fs::read_dir(&folders.runtime).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn another_user_cannot_open_a_socket() {
    const NOBODY: &str = "65534";
    /// Another one may be in a folder that only root can open.
    const PYTHON: &str = "/usr/bin/python3";
    let is_root = rustix::process::getuid().is_root();
    let has_setpriv =
        Command::new("setpriv").arg("--version").output().is_ok_and(|done| done.status.success());
    if !is_root || !has_setpriv || !Path::new(PYTHON).exists() {
        return skip("it needs root, setpriv and /usr/bin/python3");
    }
    let folders = Folders::new();
    let mut listener = folders.bind(ProgramKind::Peer, &folders.folder("films")).unwrap();
    let socket = listener.path().to_owned();
    let opener = socket.clone();
    let opens = move || {
        let code = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\nsys.exit(0 if s.recv(1) else 9)";
        let mut child = Command::new("setpriv");
        child.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", PYTHON, "-c", code]).arg(&opener);
        child
    };
    let is_refused = |opened: std::process::Output, reason: &str| {
        let error = String::from_utf8_lossy(&opened.stderr);
        assert!(error.contains("PermissionError"), "{reason} keeps it out: {opened:?}");
    };
    is_refused(opens().output().unwrap(), "the folder");
    for folder in [folders.temp.path(), &folders.runtime] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    is_refused(opens().output().unwrap(), "the mode of the socket");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    let child = tokio::task::spawn_blocking(move || opens().output().unwrap());
    let refused = tokio::select! {
        child = child => child.unwrap(),
        _ = listener.accept() => panic!("the credentials keep it out"),
    };
    assert_eq!(refused.status.code(), Some(9), "it was disconnected: {refused:?}");
}

/// A tool or a right is missing: the test says so and passes, unless all tests are required.
fn skip(reason: &str) {
    assert!(std::env::var_os("BRIGADE_REQUIRE_ALL").is_none(), "{reason}");
    eprintln!("skipped: {reason}");
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced() {
    let folders = Folders::new();
    let films = folders.folder("films");
    let listener = folders.bind(ProgramKind::Peer, &films).unwrap();
    let socket = listener.path().to_owned();
    let record = socket.with_extension("json");
    let text = fs::read(&record).unwrap();
    drop(listener);
    // As after a kill: the socket and its record are there, and nobody has the lock.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    fs::write(&record, text).unwrap();
    assert!(matches!(folders.find(&films), Err(FindError::NotAFolder { .. })));
    assert_eq!(running_programs(&folders.choice()), []);
    let _listener = folders.bind(ProgramKind::Peer, &films).unwrap();
    assert!(folders.find(&films).is_ok());
}

#[tokio::test]
async fn two_programs_never_have_one_socket() {
    let folders = Folders::new();
    let films = folders.folder("films");
    let first = folders.bind(ProgramKind::Peer, &films).unwrap();
    assert!(matches!(folders.bind(ProgramKind::Peer, &films), Err(BindError::InUse { .. })));
    assert!(folders.find(&films).is_ok(), "the first one keeps it");
    let _manager = folders.bind(ProgramKind::Manager, &films).unwrap();
    drop(first);
    let _second = folders.bind(ProgramKind::Peer, &films).unwrap();
    let of_kind =
        |kind| find(&Choice { kind, folder: Some(films.clone()), ..folders.choice() }).unwrap().kind;
    assert_eq!(of_kind(None), ProgramKind::Peer);
    assert_eq!(of_kind(Some(ProgramKind::Manager)), ProgramKind::Manager);
}

#[tokio::test]
async fn the_current_folder_and_those_above_it_come_before_the_only_one_that_runs() {
    let folders = Folders::new();
    let (films, below) = (folders.folder("films"), folders.folder("films/a/b"));
    let elsewhere = folders.folder("elsewhere");
    let in_folder = |current: &Path| find(&Choice { current: Some(current.to_owned()), ..folders.choice() });
    assert!(matches!(in_folder(&elsewhere), Err(FindError::NoneRuns(None))));
    let _films = folders.bind(ProgramKind::Peer, &films).unwrap();
    assert_eq!(in_folder(&below).unwrap().folder, films);
    assert_eq!(in_folder(&elsewhere).unwrap().folder, films, "the only one");
    let music = folders.folder("music");
    let _music = folders.bind(ProgramKind::Peer, &music).unwrap();
    assert_eq!(in_folder(&below).unwrap().folder, films);
    let several = in_folder(&elsewhere).unwrap_err();
    assert!(matches!(&several, FindError::Several(running) if running.len() == 2));
    let text = Problem::from(several);
    assert!(
        text.message().contains("films (peer, anna)") && text.hint().unwrap().contains("--folder"),
        "{text:?}"
    );
    let named = Choice { variable: Some(music.clone()), current: Some(below.clone()), ..folders.choice() };
    assert_eq!(find(&named).unwrap().folder, music, "the variable comes before the current folder");
}

#[tokio::test]
async fn a_folder_whose_peer_does_not_run_is_named() {
    let folders = Folders::new();
    let (films, music) = (folders.folder("films"), folders.folder("music"));
    fs::create_dir(films.join(".brigade")).unwrap();
    fs::write(films.join(".brigade/key"), [0]).unwrap();
    let _music = folders.bind(ProgramKind::Peer, &music).unwrap();
    for choice in [
        Choice { folder: Some(films.clone()), ..folders.choice() },
        Choice { current: Some(folders.folder("films/a")), ..folders.choice() },
    ] {
        let error = find(&choice).unwrap_err();
        assert!(matches!(&error, FindError::NotRunning { folder, .. } if *folder == films), "{error:?}");
        assert!(Problem::from(error).hint().unwrap().contains("brigade peer"));
    }
    let missing = folders.find(&films.join("nothing"));
    assert!(matches!(missing, Err(FindError::Missing { .. })));
}
