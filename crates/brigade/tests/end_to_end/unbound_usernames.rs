//! A fetch without a username: it gets a name that shows its user, and the name is not bound.
//!
//! The tests of the manager in the core check how such names are distinguished.

use std::process::Command;

use crate::{
    test_network::{Network, bytes, free_port},
    test_process::{PATIENCE, Process},
};

/// A fetch of the user `anna` that continues to serve, after it is complete.
fn annas(network: &Network, arguments: &[&str]) -> Process {
    let mut command: Command = network.brigade("fetch");
    command.env("USER", "anna").env_remove("LOGNAME");
    command.args(["--manager-port", &network.port().to_string(), "film.bin", "--stay"]).args(arguments);
    let fetch = Process::start(command);
    fetch.prints("film.bin is here");
    fetch
}

#[test]
fn a_fetch_without_a_username_is_shown_as_user_and_host() {
    let port = free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    let film = bytes("film", 300_000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = host.split('.').next().unwrap().to_owned();
    let anna = format!("anna@{host}");
    let second = format!("{anna} 2");
    let _one = annas(&network, &["--into", "one"]);
    network.has_peers(&[&anna, "fire_user"], PATIENCE);
    let two = annas(&network, &["--into", "two"]);
    network.has_peers(&[&anna, &second, "fire_user"], PATIENCE);

    // A third fetch shows which holder sent how much.
    network.has_file("film.bin", 3, PATIENCE);
    let from = network.fetch(&["film.bin", "--from", &second, "--into", "three"]).with_code(0).totals();
    assert!(from["from"].as_array().unwrap().iter().all(|one| {
        let name = one["username"].as_str().unwrap();
        name == "fire_user" || name.starts_with(&anna)
    }));

    // After an outage of the manager they have names again.
    network.stop_manager().with_code(143);
    network.start_manager("state", &["--port", &port]);
    network.has_peers(&[&anna, &second, "fire_user"], PATIENCE);
    network.has_file("film.bin", 3, PATIENCE);
    two.terminate().with_code(143);
    network.has_file("film.bin", 2, PATIENCE);

    // Such a name cannot be bound.
    let refused = network.run("peer", &["--headless", "--username", "anna@lab"]).end().with_code(4);
    refused.prints_error(&["a username with `@` is not bound to a key", "choose another username"]);
    assert!(!network.path("anna@lab").exists());
}
