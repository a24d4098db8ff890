//! Outages of the manager: killed, frozen, or replaced while peers are busy. No fetch fails, each message is printed
//! once, and everything is announced again when the manager is back.
//!
//! `waiting_fetches` tests that a waiting fetch learns of holders afterwards.

use std::{collections::BTreeMap, time::Duration};

use rustix::process::Signal;

use crate::{
    test_network::{Network, bytes, free_port, pieces_recorded},
    test_process::{PATIENCE, Process, SLACK, until},
};

/// The time after which the catalogue is complete again when the manager is back.
const BACK: Duration = Duration::from_secs(5);

/// The number of commands while the manager is away.
const REFUSED: usize = 5;

/// The number of files that each of the three peers shares, besides the film.
const FILES: usize = 300;

/// All shared names, and the number of their holders.
fn catalogue(network: &Network) -> Vec<(String, u64)> {
    let listed = network.list("files", &[]);
    listed
        .iter()
        .map(|file| (file["name"].as_str().unwrap().to_owned(), file["holders"].as_u64().unwrap()))
        .collect()
}

/// Three peers with some hundred files each, and the same film.
fn three_peers(network: &Network, film: &[u8]) -> Vec<Process> {
    let peers = ["fire_user", "water_user", "air_user"].map(|username| {
        for number in 0..FILES {
            let name = format!("{username}/{username}-files/{number}");
            network.write(&name, &bytes(&name, 500 + number));
        }
        network.write(&format!("{username}/film.bin"), film);
        network.peer(username, &[])
    });
    until("everything is announced", PATIENCE, || (catalogue(network).len() == 3 * FILES + 1).then_some(()));
    peers.into()
}

#[test]
fn a_killed_manager_has_the_whole_catalogue_five_seconds_after_its_restart() {
    let port = free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    let film = bytes("film", 16 << 20);
    let peers = three_peers(&network, &film);
    let before = catalogue(&network);
    let slow =
        |into: &str| network.run("fetch", &["film.bin", "--into", into, "--download-limit", "2MB", "--json"]);
    let fetches = [slow("earth"), slow("moon")];
    let folder = network.run("fetch", &["fire_user-files", "--into", "stars", "--download-limit", "20KB"]);
    for into in ["earth", "moon"] {
        until("the fetch has begun", PATIENCE, || (pieces_recorded(&network.path(into)) >= 4).then_some(()));
    }

    network.kill_manager();
    network.start_manager("state", &["--port", &port]);
    until("everything is in the catalogue again", BACK + SLACK, || {
        let now: BTreeMap<String, u64> = catalogue(&network).into_iter().collect();
        // A file that was fetched meanwhile has one more holder.
        before.iter().all(|(name, holders)| now.get(name).is_some_and(|now| now >= holders)).then_some(())
    });
    for fetch in fetches {
        let ended = fetch.end().with_code(0);
        assert_eq!(ended.err.matches("the manager is back").count(), 1, "{}", ended.err);
    }
    folder.end_within(2 * PATIENCE).with_code(0);
    for into in ["earth", "moon"] {
        network.has(&format!("{into}/film.bin"), &film);
    }
    for number in 0..FILES {
        let name = format!("fire_user/fire_user-files/{number}");
        network.has(&format!("stars/fire_user-files/{number}"), &bytes(&name, 500 + number));
    }
    for peer in peers {
        let log = peer.terminate().with_code(143).err;
        assert!(!log.contains("ERROR"), "{log}");
    }
}

#[test]
fn a_frozen_manager_is_detected_and_its_peers_reconnect() {
    let port = free_port().to_string();
    let network = Network::start_with(&["--port", &port]);
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 1000));
    let mut water = network.run("peer", &["--port", "0", "--username", "water_user"]);
    water.prints("`help` lists the commands");
    network.signal_manager(Signal::STOP);

    // Commands get an error meanwhile, instead of no answer.
    water.types("files\n");
    water.prints_error("the manager did not answer within 10 s");
    water.prints("the manager is away; serving and fetching continue");
    // Further commands do not wait, even during a connection attempt: ten seconds for each would exceed the deadline.
    for _ in 0..REFUSED {
        water.types("fetch film.bin\n");
    }
    water.types("status\n");
    water.prints("manager: away (");

    network.signal_manager(Signal::CONT);
    water.prints("the manager is back");
    network.has_peers(&["fire_user", "water_user"], BACK + SLACK);
    network.has_file("film.bin", 1, BACK + SLACK);
    water.types("q\n");
    // The exit code is that of the first command that failed.
    let ended = water.end().with_code(3);
    for text in ["the manager is away", "the manager is back"] {
        assert_eq!(ended.out.matches(text).count(), 1, "{}", ended.out);
    }
    assert_eq!(ended.err.matches("error: the manager is away").count(), REFUSED, "{}", ended.err);
}

#[test]
fn a_frozen_manager_is_a_clear_error_for_new_commands() {
    let network = Network::start();
    network.signal_manager(Signal::STOP);
    let port = network.port();
    let text = [&format!("reaching the manager at localhost:{port}")[..], "does not answer"];
    let commands = [network.run("files", &[]), network.run("fetch", &["film.bin", "--into", "earth"])];
    for command in commands {
        command.end().with_code(3).prints_error(&text);
    }
    assert!(!network.path("earth").exists());
}

#[test]
fn a_fetch_at_the_prompt_without_a_manager_is_an_error_at_once() {
    let port = free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    let mut fire = network.run("peer", &["--port", "0", "--username", "fire_user"]);
    fire.prints("`help` lists the commands");
    network.kill_manager();
    fire.prints("the manager is away");
    for command in ["fetch film.bin", "files", "peers"] {
        fire.types(&format!("{command}\n"));
    }
    fire.types("status\nq\n");
    let ended = fire.end().with_code(3);
    assert_eq!(ended.err.matches("error: the manager is away").count(), 3, "{}", ended.err);
    assert!(ended.out.contains("manager: away ("), "{}", ended.out);
}
