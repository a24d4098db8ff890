//! Peers that join and leave, and a manager that ends: the table of the peers afterwards, and all ways to end.
//!
//! `failed_starts` tests joins that are refused, `startup_questions` tests what a peer asks before it joins.

use std::{fs, os::unix::fs::PermissionsExt};

use rustix::process::Signal;

use crate::{
    test_network::{Network, bytes, hash},
    test_process::{ENDING, PATIENCE, Process, SLACK},
};

/// A peer at a pipe that asks for port and username.
fn asked(network: &Network, username: &str) -> Process {
    let port = network.port().to_string();
    let mut command = network.brigade("peer");
    command.args([
        "--manager_host",
        "localhost",
        "--manager_port",
        &port,
        "--host",
        "localhost",
        "--max",
        "20",
    ]);
    let mut peer = Process::start(command);
    peer.types(&format!("0\n{username}\n"));
    peer.prints(&format!("{username} shares {username} with the network"));
    peer
}

#[test]
fn three_peers_join_by_pipe_and_one_fetches_from_the_others() {
    let network = Network::start();
    let film = bytes("film", 3 << 20);
    let mut fire = asked(&network, "fire_user");
    let mut water = asked(&network, "water_user");
    let mut earth = asked(&network, "earth_user");
    network.has_peers(&["earth_user", "fire_user", "water_user"], PATIENCE);
    for folder in ["fire_user", "water_user", "earth_user"] {
        let key = fs::metadata(network.path(folder).join(".brigade/key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }

    network.write("fire_user/film.bin", &film);
    network.write("water_user/film.bin", &film);
    let entry = network.has_file("film.bin", 2, PATIENCE);
    assert_eq!(entry["id"], *hash(&film));
    earth.types("files\npeers\nstatus\nfetch film.bin\nq\n");
    let ended = earth.end().with_code(0);
    for text in ["Port: 0\n", "Username: earth_user\n", "> fetch film.bin\n", "film.bin is here"] {
        assert!(ended.out.contains(text), "{text:?} is not in\n{}", ended.out);
    }
    network.has("earth_user/film.bin", &film);
    network.has_peers(&["fire_user", "water_user"], SLACK);

    fire.types("Q\n");
    fire.end().with_code(0);
    water.end_input();
    water.end().with_code(0);
    network.has_peers(&[], SLACK);
}

#[test]
fn a_peer_that_quits_at_once_leaves_no_row() {
    let network = Network::start();
    let mut brief = network.run("peer", &[]);
    brief.types("0\nbrief_user\nq\n");
    brief.end().with_code(0);
    network.has_peers(&[], SLACK);
    assert!(network.path("brief_user/.brigade/key").exists());
}

#[test]
fn a_killed_peer_leaves_the_table_and_the_catalogue() {
    let network = Network::start();
    let fire = network.holder("fire_user", "film.bin", &bytes("film", 1000));
    assert_eq!(network.usernames(), ["fire_user"]);
    fire.kill();
    // Its connection broke: its lease would last longer.
    network.has_peers(&[], SLACK);
    assert!(network.list("files", &[]).is_empty());
}

#[test]
fn signals_end_a_peer_in_good_order() {
    let network = Network::start();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let headless = network.peer("fire_user", &[]);
        let prompted = asked(&network, "water_user");
        for peer in [headless, prompted] {
            peer.signal(signal);
            peer.end_within(ENDING + SLACK).with_code(code);
        }
        network.has_peers(&[], SLACK);
    }
}

#[test]
fn a_manager_ends_in_good_order_and_its_peers_reconnect() {
    let port = crate::test_network::free_port().to_string();
    let mut network = Network::start_with(&["--port", &port]);
    let mut fire = network.holder("fire_user", "film.bin", &bytes("film", 1000));
    network.stop_manager().with_code(143);
    assert!(fire.is_running());
    network.start_manager("state", &["--port", &port]);
    network.has_file("film.bin", 1, PATIENCE);
    assert_eq!(network.usernames(), ["fire_user"]);
}

/// A reader that closes the pipe does not end a manager that runs as a service; a disk that takes no data does.
#[test]
fn the_standard_output_of_a_manager_may_be_closed_or_full() {
    let network = Network::start();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    let port = crate::test_network::free_port().to_string();
    let start = |port: &str, state: &str, into: std::process::Stdio| {
        let mut manager = network.brigade("manager");
        manager.args(["--port", port, "--state", state]).stdout(into).stderr(std::process::Stdio::piped());
        manager.spawn().unwrap()
    };
    let mut manager = start(&port, "closed", closed.into());
    let answers = || {
        let mut peers = network.brigade("peers");
        peers.args(["--manager-port", &port]);
        peers.output().unwrap().status.success().then_some(())
    };
    crate::test_process::until("the manager answers", PATIENCE, answers);
    let pid = rustix::process::Pid::from_child(&manager);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(manager.wait().unwrap().code(), Some(143));
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        return crate::test_skipping::skip("/dev/full");
    };
    let ended = start("0", "full", full.into()).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(6), "{text}");
    assert!(text.starts_with("error: writing to standard output: No space"), "{text}");
}
