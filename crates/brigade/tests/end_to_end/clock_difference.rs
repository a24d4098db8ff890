//! Machines with different clocks: both report the cause, and the end of the problem.
//!
//! One process of a test shifts its clock by a number of seconds, which only a debug build does.

use std::process::Command;

use rustix::process::Signal;

use crate::{
    test_network::{Network, bytes},
    test_process::Process,
};

/// A command of the network on a machine whose clock is ahead by this number of seconds.
fn off(network: &Network, subcommand: &str, seconds: i64, arguments: &[&str]) -> Process {
    let mut command: Command = network.brigade(subcommand);
    command.env("BRIGADE_TEST_CLOCK_SHIFT_S", seconds.to_string());
    command.args(["--manager-port", &network.port().to_string()]).args(arguments);
    Process::start(command)
}

#[test]
fn a_fetch_from_a_holder_with_a_wrong_clock_reports_it_on_both_machines() {
    let network = Network::start();
    let film = bytes("film", 300_000);
    network.write("fire_user/film.bin", &film);
    let fire = off(&network, "peer", -47 * 60 - 10, &["--headless", "--username", "fire_user"]);
    fire.prints("ready\n");
    fire.prints_error("this machine's clock is 47 min behind the manager's");
    fire.prints_error("hint: set the clock that is wrong (NTP)");
    let fetch = network.run("fetch", &["film.bin", "--into", "earth", "--json"]);
    let cause = "the membership begins in 47 min by the clock of the machine that refuses it";
    let text = fetch.prints_error(cause);
    assert!(text.contains("fire_user at 127.0.0.1:"), "{text}");
    let log = fire.prints_error("refused a member");
    assert!(log.contains("begins in 47 min by the clock of this machine") && log.contains('@'), "{log}");
    fetch.signal(Signal::INT);
    let ended = fetch.end();
    let lines = ended.json();
    let unreached = lines.iter().find_map(|line| line["unreached"].as_array()?.first()).unwrap();
    assert_eq!(unreached["username"], "fire_user");
    assert!(unreached["cause"].as_str().unwrap().contains(cause), "{unreached}");
    assert_eq!(ended.err.matches(cause).count(), 1, "{}", ended.err);
}

#[test]
fn a_fetch_on_a_machine_with_a_wrong_clock_reports_it() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 300_000));
    let mut earth = off(&network, "peer", 30 * 86_400 + 60, &["--port", "0", "--username", "earth_user"]);
    earth.types("fetch film.bin\n");
    earth.prints("this machine's clock is 30 days ahead of the manager's");
    earth.prints_error("the membership ended 29 days ago by the clock of this machine");
    earth.types("status\n");
    earth.prints("shared: ");
    earth.signal(Signal::TERM);
    let ended = earth.end().with_code(143);
    assert_eq!(ended.out.matches("30 days ahead of the manager's").count(), 2, "{}", ended.out);
}

/// Within the tolerance of memberships, nothing is reported.
#[test]
fn clocks_may_differ_a_little() {
    let network = Network::start();
    let film = bytes("film", 300_000);
    network.write("fire_user/film.bin", &film);
    let fire = off(&network, "peer", 200, &["--headless", "--username", "fire_user"]);
    fire.prints("ready\n");
    network.fetch(&["film.bin", "--into", "earth"]).with_code(0);
    network.has("earth/film.bin", &film);
    let ended = fire.terminate().with_code(143);
    assert!(!ended.err.contains("clock"), "{}", ended.err);
}
