//! A network in a temporary folder, with its own manager and `BRIGADE_HOME`, and the commands that tests run in it.
//!
//! All commands run in that folder, so that tests use relative paths. The system chooses the ports, except for a
//! manager that is restarted on the same one.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::test_process::{ExitedProcess, PATIENCE, Process, until};

/// The size of a piece of the contents in these tests.
pub(crate) const PIECE_BYTES: u64 = 256 << 10;

/// A running manager, and a folder for all other files.
pub(crate) struct Network {
    manager: Option<Process>,
    /// The level of the log lines of the manager; `None` for the default.
    log: Option<String>,
    port: u16,
    key: String,
    /// The machine for commands without a machine: a network namespace, or `None` for this machine.
    machine: Option<String>,
    temp: TempDir,
}

/// `size` pseudorandom bytes that depend on `seed`.
pub(crate) fn bytes(seed: &str, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// The plain BLAKE3 of `bytes`, in hexadecimal digits.
pub(crate) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// A port that is free now, and that the system does not choose by itself.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Far from the ports of another test run that started at nearly the same time.
    let start = u16::try_from(std::process::id() % 375 * 32).unwrap();
    let mut tried = 0;
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
        tried += 1;
        assert!(tried < 1000, "no port is free");
    }
}

impl Network {
    /// Starts a network with a manager on a free port.
    pub(crate) fn start() -> Self {
        Self::start_with(&["--port", "0"])
    }

    /// Starts a network with a manager with these further arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut network = Self::empty();
        network.start_manager("state", arguments);
        network
    }

    /// Starts a network with a manager with this log level.
    pub(crate) fn start_logging(level: &str) -> Self {
        let mut network = Self { log: Some(level.to_owned()), ..Self::empty() };
        network.start_manager("state", &["--port", "0"]);
        network
    }

    /// Starts a network with a manager on another machine, with these further arguments. Commands without a machine run
    /// there.
    pub(crate) fn start_on(machine: &str, arguments: &[&str]) -> Self {
        let mut network = Self { machine: Some(machine.to_owned()), ..Self::empty() };
        network.start_manager("state", arguments);
        network
    }

    fn empty() -> Self {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("run")).unwrap();
        Self { manager: None, log: None, port: 0, key: String::new(), machine: None, temp }
    }

    /// Starts a manager, with its key and members in the folder `state`.
    pub(crate) fn start_manager(&mut self, state: &str, arguments: &[&str]) {
        let mut command = self.brigade("manager");
        command.args(["--state", state]).args(arguments);
        command.envs(self.log.iter().map(|level| ("BRIGADE_LOG", level)));
        let manager = Process::start(command);
        manager.prints("ready\n");
        // `… the manager listens on 127.0.0.1:12000, for at most 20 peers; its key is 0123…`
        let text = manager.prints("its key is ");
        let after = |words: &str| {
            let rest = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in {text}")).1;
            rest.split([',', '\n']).next().unwrap().to_owned()
        };
        let address = after("listens on ");
        self.port = address.rsplit_once(':').unwrap().1.parse().unwrap();
        self.key = after("its key is ");
        self.manager = Some(manager);
    }

    /// Terminates the manager and waits until it has ended.
    pub(crate) fn stop_manager(&mut self) -> ExitedProcess {
        self.manager.take().unwrap().terminate()
    }

    /// Waits until the manager has ended by itself.
    pub(crate) fn wait_for_manager(&mut self) -> ExitedProcess {
        self.manager.take().unwrap().end()
    }

    /// Kills the manager as `kill -9` does.
    pub(crate) fn kill_manager(&mut self) {
        self.manager.take().unwrap().kill();
    }

    /// Sends the manager a signal.
    pub(crate) fn signal_manager(&self, signal: Signal) {
        self.manager.as_ref().unwrap().signal(signal);
    }

    /// Whether the manager runs that was started last.
    pub(crate) fn has_manager(&self) -> bool {
        self.manager.is_some()
    }

    /// The manager's port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The manager's key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// A path in the folder of the network.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.temp.path().join(below)
    }

    /// Writes a file, and creates the folders that lead to it.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Checks that a file exists with these bytes.
    #[track_caller]
    pub(crate) fn has(&self, path: &str, bytes: &[u8]) {
        let found = fs::read(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(found == bytes, "{path} has {} bytes and not the expected {}", found.len(), bytes.len());
    }

    /// A command without the options of the network, and without the environment of the user.
    pub(crate) fn brigade(&self, subcommand: &str) -> Command {
        self.brigade_on(self.machine.as_deref(), subcommand)
    }

    /// Like [`Self::brigade`], on a machine: a network namespace, or this one.
    pub(crate) fn brigade_on(&self, machine: Option<&str>, subcommand: &str) -> Command {
        let program = env!("CARGO_BIN_EXE_brigade");
        let mut command = Command::new(if machine.is_some() { "ip" } else { program });
        if let Some(machine) = machine {
            command.args(["netns", "exec", machine, program]); // `ip` becomes the program, so signals reach the program
        }
        command.arg(subcommand).current_dir(self.temp.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BRIGADE_")) {
            command.env_remove(name);
        }
        // The sockets of this network alone.
        command.env("XDG_RUNTIME_DIR", self.path("run")).env_remove("RUNTIME_DIRECTORY");
        command.env("BRIGADE_HOME", self.path("home"));
        command
    }

    /// Starts a command of this network.
    pub(crate) fn run(&self, subcommand: &str, arguments: &[&str]) -> Process {
        let mut command = self.brigade(subcommand);
        command.args(["--manager-port", &self.port.to_string()]).args(arguments);
        Process::start(command)
    }

    /// Starts a command for a running peer or manager, which needs no options of the network, in a folder of it.
    pub(crate) fn start_in(&self, folder: &str, subcommand: &str, arguments: &[&str]) -> Process {
        let mut command = self.brigade(subcommand);
        command.current_dir(self.path(folder)).args(arguments);
        Process::start(command)
    }

    /// Runs a command for a running peer or manager to its end.
    pub(crate) fn order(&self, subcommand: &str, arguments: &[&str]) -> ExitedProcess {
        self.start_in("", subcommand, arguments).end()
    }

    /// Starts a command of this network on another machine, which reaches the manager at `manager`.
    pub(crate) fn run_on(
        &self,
        machine: &str,
        manager: &str,
        subcommand: &str,
        arguments: &[&str],
    ) -> Process {
        let mut command = self.brigade_on(Some(machine), subcommand);
        command.args(["--manager-host", manager, "--manager-port", &self.port.to_string()]).args(arguments);
        Process::start(command)
    }

    /// Starts a peer without a prompt that shares the folder of its name, and waits until it is `ready`.
    pub(crate) fn peer(&self, username: &str, arguments: &[&str]) -> Process {
        let peer = self.run("peer", &[&["--headless", "--username", username][..], arguments].concat());
        peer.prints("ready\n");
        peer
    }

    /// Starts a peer that has the file `name` in the folder of its name, and waits until the file is listed.
    pub(crate) fn holder(&self, username: &str, name: &str, bytes: &[u8]) -> Process {
        self.write(&format!("{username}/{name}"), bytes);
        let peer = self.peer(username, &[]);
        let id = hash(bytes);
        until(&format!("{username}'s {name} is announced"), PATIENCE, || {
            self.list("files", &[name]).iter().any(|file| file["id"] == *id).then_some(())
        });
        peer
    }

    /// Runs a fetch with `--json` to its end.
    pub(crate) fn fetch(&self, arguments: &[&str]) -> ExitedProcess {
        self.run("fetch", &[&["--json"][..], arguments].concat()).end()
    }

    /// The output of `files` or `peers` as JSON.
    #[track_caller]
    pub(crate) fn list(&self, subcommand: &str, arguments: &[&str]) -> Vec<Value> {
        self.run(subcommand, &[&["--json"][..], arguments].concat()).end().with_code(0).json()
    }

    /// The usernames in the table of peers.
    #[track_caller]
    pub(crate) fn usernames(&self) -> Vec<String> {
        self.list("peers", &[]).iter().map(|row| row["username"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the table of peers has exactly these, in alphabetical order.
    #[track_caller]
    pub(crate) fn has_peers(&self, usernames: &[&str], limit: Duration) {
        until(&format!("the peers are {usernames:?}"), limit, || {
            (self.usernames() == usernames).then_some(())
        });
    }

    /// Waits until `name` is listed with one content and this number of holders. Returns its entry.
    #[track_caller]
    pub(crate) fn has_file(&self, name: &str, holders: u64, limit: Duration) -> Value {
        until(&format!("{name} has {holders} holders"), limit, || {
            let listed = self.list("files", &[name]);
            let [entry] = listed.as_slice() else { return None };
            (entry["name"] == name && entry["holders"] == holders).then(|| entry.clone())
        })
    }
}

/// The number of pieces that the records of the parts in `folder` contain.
pub(crate) fn pieces_recorded(folder: &Path) -> u64 {
    let bits =
        |path: PathBuf| fs::read(path).unwrap_or_default().into_iter().map(u8::count_ones).sum::<u32>();
    let records =
        parts_in(folder).into_iter().filter(|path| path.extension().is_some_and(|it| it == "pieces"));
    records.map(|path| u64::from(bits(path))).sum()
}

/// The part files of fetches into the folder itself, or onto the file system that is mounted there.
pub(crate) fn parts_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(private) = fs::read_dir(folder.join(".brigade")) else { return vec![] };
    let is_staging = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("parts");
    let stagings = private.flatten().map(|entry| entry.path()).filter(is_staging);
    stagings.flat_map(|staging| fs::read_dir(staging).unwrap().flatten().map(|entry| entry.path())).collect()
}

/// Checks that no received parts are left in a folder.
#[track_caller]
pub(crate) fn nothing_is_left(folder: &Path) {
    assert_eq!(parts_in(folder), Vec::<PathBuf>::new());
}

/// The number of bytes that each holder sent, by username, from the totals of a fetch.
pub(crate) fn given(totals: &Value) -> Vec<(String, u64)> {
    let from = totals["from"].as_array().unwrap();
    let mut given: Vec<_> = from
        .iter()
        .map(|one| (one["username"].as_str().unwrap().to_owned(), one["bytes"].as_u64().unwrap()))
        .collect();
    given.sort();
    given
}
