//! An account without a folder for Brigade: it works, and gets one note about what is not remembered.
//!
//! The path of the folder is below a file, so that no account can create it. Two tests are about a folder whose list of
//! managers cannot be used.

use std::process::Command;

use crate::{
    test_network::{Network, bytes},
    test_process::Process,
};

/// A command of an account without a home.
fn without_home(network: &Network, subcommand: &str, arguments: &[&str]) -> Command {
    network.write("file", b"no folder");
    let mut command = network.brigade(subcommand);
    command.env_remove("BRIGADE_HOME").env_remove("XDG_STATE_HOME").env("HOME", network.path("file/home"));
    if subcommand != "manager" {
        command.args(["--manager-port", &network.port().to_string()]);
    }
    command.args(arguments);
    command
}

#[test]
fn an_account_without_a_home_fetches_lists_and_shares() {
    let network = Network::start();
    let film = bytes("film", 1000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    for arguments in [&["film.bin"][..], &["film.bin", "--into", "water", "--manager-key", network.key()]] {
        let ended = Process::start(without_home(&network, "fetch", arguments)).end().with_code(0);
        let ended = ended.prints_error(&["cannot be used", "set BRIGADE_HOME to another folder", "HOME"]);
        assert_eq!(ended.err.matches("note: ").count(), 1, "{}", ended.err);
    }
    network.has("film.bin", &film);
    network.has("water/film.bin", &film);
    for subcommand in ["files", "peers"] {
        let ended = Process::start(without_home(&network, subcommand, &["--json"])).end().with_code(0);
        assert_eq!(ended.json().len(), 1, "{}", ended.out);
    }
    let mut earth = Process::start(without_home(&network, "peer", &[]));
    earth.types("0\nearth_user\nfiles\nq\n");
    let ended = earth
        .end()
        .with_code(0)
        .prints_error(&["the keys of managers and the typed commands are not remembered"]);
    assert!(ended.out.contains("film.bin"), "{}", ended.out);
}

#[test]
fn a_manager_without_a_home_needs_a_folder_for_its_state() {
    let network = Network::start();
    let ended = Process::start(without_home(&network, "manager", &["--port", "0"])).end().with_code(6);
    ended.prints_error(&[
        "file/home",
        "name another folder for the manager's key and members with --state",
        "BRIGADE_HOME",
    ]);
    let manager = Process::start(without_home(&network, "manager", &["--port", "0", "--state", "elsewhere"]));
    manager.prints("ready\n");
    manager.terminate().with_code(143);
}

#[test]
fn with_a_manager_key_an_unreadable_list_of_managers_is_no_error() {
    let network = Network::start();
    std::fs::create_dir_all(network.path("home/known_managers")).unwrap(); // a folder instead of the list
    let ended = network.run("files", &[]).end().with_code(6);
    ended.prints_error(&["known_managers", "--manager-key"]);
    network.run("files", &["--manager-key", network.key()]).end().with_code(0);
}

#[test]
fn the_hint_about_a_damaged_list_of_managers_names_the_lines() {
    let network = Network::start();
    let line = format!("localhost:{} 74c0b7a2\n", network.port());
    for (damaged, cause) in [(line.as_bytes(), "line 1 has no valid key"), (&b"\xff\n"[..], "UTF-8")] {
        network.write("home/known_managers", damaged);
        let ended = network.run("files", &[]).end().with_code(6);
        ended.prints_error(&[cause, "hint: correct or remove the damaged lines", "--manager-key"]);
    }
}

#[test]
fn every_command_works_or_says_what_it_needs_without_a_home() {
    let network = Network::start();
    let port = network.port().to_string();
    for variables in
        [&[("HOME", None)][..], &[("HOME", Some("/nonexistent/home"))], &[("HOME", Some("file/home"))]]
    {
        let run = |arguments: &[&str]| {
            let mut command = without_home(&network, arguments[0], &arguments[1..]);
            for (name, value) in variables {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            command
        };
        let manager_options = ["--manager-port", &port];
        for arguments in [&["completions", "bash"][..], &["man"]] {
            let mut command = network.brigade(arguments[0]);
            command.args(&arguments[1..]).env_remove("BRIGADE_HOME").env_remove("HOME");
            Process::start(command).end().with_code(0);
        }
        // `without_home` names the manager, which `service` does not take.
        let ended = Process::start(run(&["doctor", "--json"])).end();
        assert!(
            ended.json().iter().any(|line| line["check"] == "manager" && line["state"] == "ok"),
            "{}",
            ended.out
        );
        let mut fire =
            Process::start(run(&["peer", "--headless", "--username", "fire_user", "--folder", "fire"]));
        fire.prints("ready\n");
        assert!(fire.is_running());
        fire.terminate().with_code(143);
        let mut service = network.brigade("service");
        service
            .args(["install", "--user", "peer", "--username", "a", "--folder", "share"])
            .args(manager_options);
        service
            .env_remove("BRIGADE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .env_remove("HOME");
        service.env("HOME", "relative");
        Process::start(service).end().with_code(1).prints_error(&["set HOME", "--system"]);
    }
}
