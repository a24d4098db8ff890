//! `brigade doctor`: each fault is named, with what to do; without one the exit code is 0.
//!
//! Each test stages a fault: clock, wrong key, blocked port, read-only folder, no inotify watches, no hard links, full
//! disk, no inodes, few descriptors, manager away.

use std::process::Command;

use rustix::process::{Resource, getrlimit};
use serde_json::Value;

use crate::{test_disk::Disk, test_network::Network, test_process::Process, test_skipping::skip};

/// The lines of `brigade doctor --json`, from a command that may have a changed environment.
#[track_caller]
fn diagnosed(command: Command, code: i32) -> Vec<Value> {
    Process::start(command).end().with_code(code).json()
}

fn doctor(network: &Network, folder: &str) -> Command {
    let mut command = network.brigade("doctor");
    command.args(["--json", "--folder", folder, "--manager-port", &network.port().to_string()]);
    command
}

/// Checks that `check` has this severity, with `text` in its text and `remedy` in its remedy.
#[track_caller]
fn has(lines: &[Value], check: &str, severity: &str, text: &str, remedy: &str) {
    let line =
        lines.iter().find(|line| line["check"] == check).unwrap_or_else(|| panic!("no {check}: {lines:?}"));
    let part = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(part("state"), severity, "{line}");
    assert!(part("text").contains(text) && part("remedy").contains(remedy), "{line}");
}

#[test]
fn without_a_fault_everything_is_ok_beside_a_running_peer_and_without_one() {
    let network = Network::start();
    std::fs::create_dir(network.path("fire_user")).unwrap();
    let checks = [
        "manager",
        "versions",
        "clock",
        "reachability",
        "space",
        "inodes",
        "watches",
        "folder",
        "descriptors",
    ];
    let lines = diagnosed(doctor(&network, "fire_user"), 0);
    assert_eq!(lines.iter().map(|line| line["check"].as_str().unwrap()).collect::<Vec<_>>(), checks);
    has(&lines, "manager", "ok", network.key(), "");
    has(&lines, "versions", "ok", "protocol 1", "");
    has(&lines, "reachability", "ok", "can connect to this peer at 127.0.0.1:", "");
    assert!(std::fs::read_dir(network.path("fire_user")).unwrap().next().is_none(), "nothing is left behind");
    let fire = network.peer("fire_user", &[]);
    let lines = diagnosed(doctor(&network, "fire_user"), 0);
    let note = std::fs::read_to_string(network.path("fire_user/.brigade/lock")).unwrap();
    let port = note
        .lines()
        .find_map(|line| line.strip_prefix("address "))
        .unwrap()
        .rsplit_once(':')
        .unwrap()
        .1
        .to_owned();
    has(&lines, "reachability", "ok", &format!(":{port}"), "");
    fire.terminate().with_code(143);
    // For people, a line for each check.
    let mut command = network.brigade("doctor");
    command.args(["--folder", "fire_user", "--manager-port", &network.port().to_string()]);
    let text = Process::start(command).end().with_code(0).out;
    assert!(text.lines().any(|line| line.starts_with("ok       clock")), "{text}");
}

#[test]
fn a_manager_that_is_away_or_another_one_is_a_fault() {
    let mut network = Network::start();
    let mut command = doctor(&network, ".");
    command.args(["--manager-key", &("0".repeat(63) + "1")]);
    has(
        &diagnosed(command, 1),
        "manager",
        "fault",
        "another key than the one that was given",
        "trust it only if",
    );
    network.stop_manager().with_code(143);
    let lines = diagnosed(doctor(&network, "."), 1);
    has(&lines, "manager", "fault", "no manager answers at localhost:", "start one with `brigade manager`");
    // The checks of the disk are made all the same.
    has(&lines, "folder", "ok", "can be made", "");
    assert!(lines.iter().all(|line| line["check"] != "clock"));
}

#[test]
fn a_clock_that_is_an_hour_behind_is_a_fault() {
    let network = Network::start();
    let mut command = doctor(&network, ".");
    command.env("BRIGADE_TEST_CLOCK_SHIFT_S", "-3600");
    has(&diagnosed(command, 1), "clock", "fault", "60 min behind the manager's", "timedatectl");
}

#[test]
fn a_port_that_the_manager_cannot_reach_is_a_fault() {
    let network = Network::start();
    // The port is in use, and nothing accepts connections to it on the address from which the manager is reached.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let lines = {
        let mut command = doctor(&network, ".");
        command.args(["--port", &port.to_string()]);
        diagnosed(command, 0)
    };
    has(&lines, "reachability", "ok", &format!("127.0.0.1:{port}"), "");
    drop(taken);
    blocked_by_a_firewall();
}

/// In a namespace of its own, the network refuses connections to one port.
fn blocked_by_a_firewall() {
    const PORT: &str = "7001";
    let script = r#"ip link set lo up && ip rule add pref 100 lookup local && ip rule del pref 0 &&
        ip rule add pref 10 ipproto tcp dport "$PORT" unreachable || exit 99
        "$0" manager --port 0 --state state >out 2>err & manager=$!
        while ! grep -q ready out 2>/dev/null; do kill -0 $manager 2>/dev/null || exit 99; sleep 0.1; done
        while ! grep -q 'its key' out; do sleep 0.1; done
        port=$(sed -n 's/.*listens on 127.0.0.1:\([0-9]*\),.*/\1/p' out)
        "$0" doctor --json --folder . --port "$PORT" --manager-port "$port"; code=$?
        kill $manager; exit $code"#;
    let temp = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["-Urn", "sh", "-c", script, env!("CARGO_BIN_EXE_brigade")]);
    command.current_dir(temp.path()).env("BRIGADE_HOME", temp.path().join("home")).env("PORT", PORT);
    let ended = Process::start(command).end();
    if ended.code != Some(1) {
        return skip("user namespaces, and routing rules for ports");
    }
    has(&ended.json(), "reachability", "fault", &format!("127.0.0.1:{PORT}"), "firewall");
}

#[test]
fn a_folder_that_is_read_only_full_or_without_inodes_is_a_fault() {
    let network = Network::start();
    let Some(disk) = Disk::in_memory(&network, "small", 40) else { return };
    disk.fill("filler");
    let lines = diagnosed(doctor(&network, "small"), 1);
    has(&lines, "space", "fault", "are free", "free some space");
    has(&lines, "folder", "fault", "could not", "free some space");
    let path = network.path("small");
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&path).status().unwrap();
    assert!(remounted.success());
    has(
        &diagnosed(doctor(&network, "small"), 1),
        "folder",
        "fault",
        "make a folder in",
        "mount the disk for writing",
    );

    let Some(_disk) = Disk::of_few_inodes(&network, "few", 3) else { return };
    let _ = std::fs::write(network.path("few/a"), "");
    let _ = std::fs::write(network.path("few/b"), "");
    has(&diagnosed(doctor(&network, "few"), 1), "inodes", "fault", "can still be made", "delete files");
}

#[test]
fn a_disk_without_hard_links_is_a_warning() {
    let network = Network::start();
    let Some(_disk) = Disk::exfat(&network, "card") else { return };
    has(
        &diagnosed(doctor(&network, "card"), 0),
        "folder",
        "warning",
        "cannot have hard links",
        "works without them",
    );
}

#[test]
fn too_few_inotify_watches_and_descriptors_are_faults() {
    let network = Network::start();
    let mut command = doctor(&network, ".");
    command.args(["--max", "100000"]);
    if getrlimit(Resource::Nofile).maximum.is_some_and(|most| most < 200_000) {
        has(&diagnosed(command, 1), "descriptors", "fault", "may open", "LimitNOFILE=");
    }
    let mut few = Command::new("sh");
    few.args(["-c", "ulimit -n 200; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_brigade")]);
    let of_doctor = doctor(&network, ".");
    few.args(of_doctor.get_args()).current_dir(network.path("")).env("BRIGADE_HOME", network.path("home"));
    has(&diagnosed(few, 1), "descriptors", "fault", "may open 200 files", "LimitNOFILE=");

    let limit = "/proc/sys/user/max_inotify_watches";
    let tried = Command::new("unshare").args(["-Ur", "sh", "-c", &format!("echo 0 >{limit}")]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return skip("user namespaces with limits of their own");
    }
    let mut none = Command::new("unshare");
    none.args(["-Ur", "sh", "-c", &format!("echo 0 >{limit}; exec \"$0\" \"$@\"")]);
    none.arg(env!("CARGO_BIN_EXE_brigade")).args(of_doctor.get_args());
    none.current_dir(network.path("")).env("BRIGADE_HOME", network.path("home"));
    has(&diagnosed(none, 1), "watches", "fault", "no inotify watches left", "fs.inotify.max_user_watches");
}
