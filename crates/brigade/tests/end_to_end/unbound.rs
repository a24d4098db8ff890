//! A fetch without a username: it has one that says whose it is, and nothing is bound for it.
//!
//! How such names are told apart is tested with the core of the manager.

use std::process::Command;

use crate::{
    network::{Network, bytes, free_port},
    process::{PATIENCE, Process},
};

/// A fetch of the user `anna` that stays, once it has what it wants.
fn annas(network: &Network, arguments: &[&str]) -> Process {
    let mut command: Command = network.brigade("fetch");
    command.env("USER", "anna").env_remove("LOGNAME");
    command.args(["--manager-port", &network.port().to_string(), "film.bin", "--stay"]).args(arguments);
    let fetch = Process::start(command);
    fetch.says("film.bin is here");
    fetch
}

#[test]
fn a_fetch_is_shown_as_the_user_and_the_host_that_it_belongs_to() {
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

    // A third one sees who gave what.
    network.has_file("film.bin", 3, PATIENCE);
    let from = network.fetch(&["film.bin", "--from", &second, "--into", "three"]).with_code(0).totals();
    assert!(from["from"].as_array().unwrap().iter().all(|one| {
        let name = one["username"].as_str().unwrap();
        name == "fire_user" || name.starts_with(&anna)
    }));

    // Where the manager was away they have names again.
    network.stop_manager().with_code(143);
    network.start_manager("state", &["--port", &port]);
    network.has_peers(&[&anna, &second, "fire_user"], PATIENCE);
    network.has_file("film.bin", 3, PATIENCE);
    two.terminate().with_code(143);
    network.has_file("film.bin", 2, PATIENCE);

    // Such a name cannot be taken for good.
    let refused = network.run("peer", &["--headless", "--username", "anna@lab"]).end().with_code(4);
    refused.complains(&["a username with `@` is not bound to a key", "choose another username"]);
    assert!(!network.path("anna@lab").exists());
}
