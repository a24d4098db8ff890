//! Peers and managers as services: waiting for a manager, messages to the service manager, SIGHUP, the format of the
//! log, the log of transfers, and the units.
//!
//! The service manager is played by a socket; where systemd is installed, its own checker reads the units.

use std::{os::unix::net::UnixDatagram, path::Path, process::Command};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    test_network::{Network, bytes, free_port},
    test_process::{PATIENCE, Process, until},
    test_skipping::skip,
};

/// The command of a peer without a prompt, for the manager on `port`.
fn headless(network: &Network, port: u16, arguments: &[&str]) -> Command {
    let mut command = network.brigade("peer");
    command
        .args(["--headless", "--username", "fire_user", "--manager-port", &port.to_string()])
        .args(arguments);
    command
}

/// A socket that receives the messages to the service manager.
struct Notifications(UnixDatagram);

impl Notifications {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// Waits for a message that contains `needle`; the messages before it.
    #[track_caller]
    fn until(&self, needle: &str) -> Vec<String> {
        let mut before = vec![];
        loop {
            let mut bytes = [0; 4096];
            let length =
                self.0.recv(&mut bytes).unwrap_or_else(|error| panic!("{needle}: {error}: {before:?}"));
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            let is_found = message.contains(needle);
            before.push(message);
            if is_found {
                return before;
            }
        }
    }
}

#[test]
fn a_service_waits_for_a_manager_that_is_not_there_yet() {
    let port = free_port();
    let mut network = Network::start_with(&["--port", &port.to_string()]);
    network.stop_manager().with_code(143);
    let socket = Notifications::at(&network.path("notify"));
    let mut command = headless(&network, port, &[]);
    command.env("NOTIFY_SOCKET", network.path("notify"));
    let fire = Process::start(command);
    let waiting = "waiting for the manager at localhost:";
    fire.prints_error(waiting);
    socket.until("READY=1\nSTATUS=waiting for the manager at localhost:");
    assert!(!network.path("fire_user").exists(), "nothing is made before the manager accepted the name");
    // Further attempts change only the status.
    socket.until("STATUS=waiting");
    network.start_manager("state", &["--port", &port.to_string()]);
    fire.prints("ready\n");
    socket.until("READY=1\nSTATUS=sharing fire_user with the network of localhost:");
    assert_eq!(fire.error_output().matches(waiting).count(), 1, "{}", fire.error_output());
    fire.terminate().with_code(143);
    socket.until("STOPPING=1");
}

#[test]
fn a_service_waits_for_an_address_and_ends_at_a_refusal() {
    let network = Network::start();
    let mut command = network.brigade("peer");
    command.args(["--headless", "--username", "fire_user", "--manager-host", "nosuch.invalid"]);
    let fire = Process::start(command);
    fire.prints_error("finding the address of nosuch.invalid");
    fire.terminate().with_code(143);
    // No waiting mends another key.
    let other_key = "0".repeat(63) + "1";
    let refused = Process::start(headless(&network, network.port(), &["--manager-key", &other_key])).end();
    refused.with_code(4).prints_error(&["another key than the one that was given"]);
    let _fire = network.peer("fire_user", &[]);
    let mut command = headless(&network, network.port(), &["--folder", "other"]);
    command.stdin(std::process::Stdio::null());
    Process::start(command).end().with_code(4).prints_error(&["belongs to another key"]);
}

#[test]
fn a_service_gives_signs_of_life_and_reads_its_settings_again() {
    let network = Network::start();
    let socket = Notifications::at(&network.path("notify"));
    let mut command = headless(&network, network.port(), &["--log-format", "json"]);
    command.env("NOTIFY_SOCKET", network.path("notify")).env("WATCHDOG_USEC", "100000");
    let fire = Process::start(command);
    fire.prints("ready\n");
    socket.until("WATCHDOG=1");

    network
        .write("home/brigade.toml", b"[limits]\nup = \"2MB\"\n[log]\nfilter = \"debug\"\n[peer]\nmax = 7\n");
    fire.signal(Signal::HUP);
    socket.until("RELOADING=1");
    socket.until("READY=1");
    let text = fire.prints_error("the settings were read again");
    for part in ["up 2.0 MB/s", "the filter of the log is debug", "a restart is needed for peer.max"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    network.write("home/brigade.toml", b"[limits]\nup = \"fast\"\n");
    fire.signal(Signal::HUP);
    fire.prints_error("the settings have mistakes, and nothing was changed");
    let ended = fire.terminate().with_code(143);
    for line in ended.err.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            record["time"].is_string() && record["level"].is_string() && record["message"].is_string(),
            "{line}"
        );
    }
    assert!(ended.err.contains("brigade.toml:2:6"), "{}", ended.err);
}

#[test]
fn a_manager_reads_the_filter_of_its_log_again() {
    let network = Network::start();
    let socket = Notifications::at(&network.path("notify"));
    let mut command = network.brigade("manager");
    command.args(["--port", "0", "--state", "other", "--log-format", "text"]);
    command.env("NOTIFY_SOCKET", network.path("notify")).env("WATCHDOG_USEC", "100000");
    let manager = Process::start(command);
    manager.prints("ready\n");
    manager.prints_error(" INFO the manager listens on ");
    socket.until("READY=1\nSTATUS=listening on ");
    socket.until("WATCHDOG=1");
    network.write("home/brigade.toml", b"[log]\nfilter = \"info\"\n[manager]\nmax = 7\n");
    manager.signal(Signal::HUP);
    let text = manager.prints_error("a restart is needed for manager.max");
    assert!(text.contains("the filter of the log is info now"), "{text}");
    manager.terminate().with_code(143);
    socket.until("STOPPING=1");
}

#[test]
fn the_journal_gets_priorities_and_no_times() {
    let network = Network::start();
    network.write("fire_user/film.bin", b"film");
    std::os::unix::fs::symlink("film.bin", network.path("fire_user/link")).unwrap();
    // Standard error is a file, and the variable names it, as systemd does for its streams.
    let file = network.path("journal");
    network.write("journal", b"");
    let script = r#"JOURNAL_STREAM="$(stat -L -c %d:%i "$0")"; export JOURNAL_STREAM; exec "$@" 2>>"$0""#;
    let mut command = Command::new("sh");
    let peer = headless(&network, network.port(), &[]);
    command.args(["-c", script]).arg(&file).arg(peer.get_program()).args(peer.get_args());
    for (name, value) in peer.get_envs() {
        command.envs(value.map(|value| (name, value)));
    }
    command.current_dir(network.path(""));
    let fire = Process::start(command);
    fire.prints("ready\n");
    let read = || std::fs::read_to_string(&file).unwrap();
    until("what is not shared is in the log", PATIENCE, || read().contains("<4>not shared").then_some(()));
    fire.terminate().with_code(143);
    assert!(read().lines().all(|line| line.starts_with('<')), "{}", read());
    assert!(read().contains("what=link"), "{}", read());
}

#[test]
fn transfers_are_logged() {
    let network = Network::start();
    let film = bytes("film", 1_000_000);
    network.write("fire_user/film.bin", &film);
    let fire = network.peer("fire_user", &["--transfer-log", "fire.jsonl"]);
    network.has_file("film.bin", 1, PATIENCE);
    let mut earth = network.run("peer", &["--transfer-log", "earth.jsonl"]);
    earth.types("0\nearth_user\nfetch film.bin\n");
    let read = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(network.path(name)).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let fetched = until("the fetch is logged", PATIENCE, || read("earth.jsonl").pop());
    assert_eq!((&fetched["event"], &fetched["result"]), (&"fetch".into(), &"done".into()), "{fetched}");
    assert_eq!((&fetched["name"], &fetched["bytes_received"]), (&"film.bin".into(), &film.len().into()));
    assert_eq!(fetched["from"][0]["username"], "fire_user");
    earth.types("q\n");
    earth.end().with_code(0);
    fire.terminate().with_code(143);
    let sent = read("fire.jsonl").pop().unwrap();
    assert_eq!((&sent["event"], &sent["to"]), (&"upload".into(), &"earth_user".into()), "{sent}");
    assert_eq!(sent["bytes"], film.len());
    // A full disk is reported once, and fetches go on.
    network.write("water/film.bin", &film);
    let _water = network.peer("water_user", &["--folder", "water"]);
    network.has_file("film.bin", 1, PATIENCE);
    let mut air = network.run("peer", &["--transfer-log", "/dev/full"]);
    air.types("0\nair_user\nfetch film.bin\n");
    let report = "a line cannot be written to the log of transfers /dev/full";
    air.prints_error(report);
    std::fs::remove_file(network.path("air_user/film.bin")).unwrap();
    air.types("fetch film.bin\n");
    until("the second fetch is done", PATIENCE, || network.path("air_user/film.bin").exists().then_some(()));
    air.types("q\n");
    let ended = air.end().with_code(0);
    assert_eq!(ended.err.matches(report).count(), 1, "{}", ended.err);
    // It is opened before anything else is done.
    let ended =
        network.run("peer", &["--headless", "--username", "a", "--transfer-log", "no/such/log"]).end();
    ended.with_code(6).prints_error(&["the log of transfers", "--transfer-log"]);
}

/// A `systemctl` that records its arguments, in a folder for `PATH`.
fn fake_systemctl(network: &Network, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    network.write(
        "bin/systemctl",
        format!("#!/bin/sh\necho \"$@\" >>'{}'\n{script}\n", network.path("calls").display()).as_bytes(),
    );
    let file = network.path("bin/systemctl");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", network.path("bin").display())
}

#[test]
fn a_service_of_a_user_is_installed_shown_and_removed() {
    let network = Network::start();
    let path =
        fake_systemctl(&network, "[ \"$2\" != show ] || printf 'ActiveState=active\\nStatusText=sharing\\n'");
    let run = |path: &str, arguments: &[&str]| {
        let mut command = network.brigade("service");
        command.args(arguments).env("PATH", path).env("XDG_CONFIG_HOME", network.path("config"));
        Process::start(command).end()
    };
    let install =
        ["install", "--user", "peer", "--name", "second", "--username", "fire_user", "--folder", "share"];
    let printed = run(&path, &[&install[..], &["--dry-run"]].concat()).with_code(0).out;
    assert!(!network.path("config").exists() && !network.path("share").exists());
    let share = network.path("share").canonicalize().unwrap_or(network.path("share"));
    for line in ["Type=notify", "WatchdogSec=60", "SuccessExitStatus=143", "NoNewPrivileges=yes"] {
        assert!(printed.lines().any(|found| found == line), "{line}\n{printed}");
    }
    assert!(printed.contains("peer --headless --username fire_user --folder "), "{printed}");

    let unit = network.path("config/systemd/user/brigade-peer-second.service");
    let installed = run(&path, &install).with_code(0).out;
    assert!(
        installed.contains("was written") && installed.contains("done: systemctl --user enable --now"),
        "{installed}"
    );
    assert_eq!(std::fs::read_to_string(&unit).unwrap(), printed);
    assert!(share.is_dir());
    // Once more changes nothing.
    assert!(run(&path, &install).with_code(0).out.contains("is up to date"));
    let calls = std::fs::read_to_string(network.path("calls")).unwrap();
    assert!(
        calls.contains("--user daemon-reload") && calls.contains("brigade-peer-second.service"),
        "{calls}"
    );
    let shown = run(&path, &["status", "--user"]).with_code(0).out;
    assert!(
        shown.contains("brigade-peer-second") && shown.contains("active") && shown.contains("sharing"),
        "{shown}"
    );
    run(&path, &["remove", "--user", "peer"]).with_code(5).prints_error(&["is not installed"]);
    let removed = run(&path, &["remove", "--user", "peer", "--name", "second"]).with_code(0).out;
    assert!(removed.contains("was removed") && !unit.exists() && share.is_dir(), "{removed}");

    // Without systemd the unit is written all the same.
    let offline = fake_systemctl(&network, "echo 'Failed to connect to bus: No medium found' >&2; exit 1");
    let written = run(&offline, &install).with_code(0).out;
    assert!(
        written.contains("run these commands where it does:\n  systemctl --user daemon-reload"),
        "{written}"
    );
    // A file of another program stays.
    std::fs::write(&unit, "[Unit]\n").unwrap();
    run(&path, &install).with_code(1).prints_error(&["was not written by this command"]);
    run(&path, &["remove", "--user", "peer", "--name", "second"]).with_code(1);
}

#[test]
fn a_unit_has_the_values_in_effect_and_absolute_paths() {
    let network = Network::start();
    network.write("photos/one", b"1");
    let run = |share: &str| {
        let mut command = network.brigade("service");
        command.args(["install", "--dry-run", "--user", "peer", "--share", share]);
        command.env("BRIGADE_FOLDER", "share").env("BRIGADE_USERNAME", "fire_user");
        command.env("BRIGADE_TRANSFER_LOG", "log").env("XDG_CONFIG_HOME", network.path("config"));
        Process::start(command).end()
    };
    let unit = run("photos=pictures").with_code(0).out;
    for (name, path) in [
        ("--share ", "photos=pictures"),
        ("--folder ", "share"),
        ("--transfer-log ", "log"),
        ("BRIGADE_FOLDER=", "share"),
    ] {
        let at = unit.find(name).unwrap_or_else(|| panic!("{name}\n{unit}")) + name.len();
        let value = unit[at..].split_whitespace().next().unwrap();
        assert!(value.starts_with('/') && value.ends_with(&format!("/{path}")), "{name}{value}\n{unit}");
    }
    assert!(unit.contains("--username fire_user"), "{unit}");
    let refused = run("missing");
    assert!(refused.out.is_empty(), "{}", refused.out);
    refused.prints_error(&["missing"]);
}

#[test]
fn mistakes_in_the_options_of_a_service_are_found_at_its_installation() {
    let network = Network::start();
    let run = |arguments: &[&str]| network_command(&network, arguments).end();
    for (arguments, text) in [
        (&["install", "peer", "--folder", "/tmp/x"][..], "--headless needs --username"),
        (&["install", "peer", "--username", "a"], "a service needs --folder"),
        (
            &["install", "--user", "peer", "--username", "a", "--folder", "x", "--max", "0"],
            "from 1 to 100000",
        ),
        (&["install", "--user", "manager", "--frobnicate"], "--frobnicate"),
        (&["install", "manager", "--user", "--system"], "cannot be used with"),
        (&["install", "manager", "--name", "a/b"], "cannot be the name of an instance"),
        (&["install", "--user", "manager", "--account", "x"], "--account"),
        (&["install", "printer"], "printer"),
    ] {
        run(arguments).with_code(2).prints_error(&[text]);
    }
}

fn network_command(network: &Network, arguments: &[&str]) -> Process {
    let mut command = network.brigade("service");
    command.args(arguments).env("XDG_CONFIG_HOME", network.path("config"));
    Process::start(command)
}

/// systemd's own checker reads the units, and rates how much they may do.
#[test]
fn systemd_understands_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skip("systemd-analyze");
    }
    let network = Network::start();
    for (name, arguments) in [
        (
            "brigade-peer.service",
            &["peer", "--username", "fire_user", "--folder", "share", "--system", "--account", "root"][..],
        ),
        (
            "brigade-manager.service",
            &["manager", "--host", "0.0.0.0", "--open", "--system", "--account", "root"],
        ),
    ] {
        let unit = network_command(&network, &[&["install", "--dry-run"], arguments].concat())
            .end()
            .with_code(0)
            .out;
        network.write(name, unit.as_bytes());
        let verified = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(network.path(name))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&verified.stderr).into_owned();
        let about_unit: Vec<&str> = text.lines().filter(|line| line.contains(name)).collect();
        assert!(about_unit.is_empty(), "{text}\n{unit}");
        let rated = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=45", "--no-pager"])
            .arg(network.path(name))
            .output()
            .unwrap();
        assert!(
            rated.status.success(),
            "{}{}",
            String::from_utf8_lossy(&rated.stdout),
            String::from_utf8_lossy(&rated.stderr)
        );
    }
}
