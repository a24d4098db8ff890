//! Messages while holders and the manager leave and come back, at the prompt and by `brigade fetch`.
//!
//! `resuming` tests that a fetch continues afterwards, and which pieces it keeps.

use rustix::process::Signal;

use crate::{
    test_network::{Network, PIECE_BYTES, bytes, free_port, pieces_recorded},
    test_process::{PATIENCE, Process, until},
};

/// The size of the fetched file: 64 pieces, more than five seconds.
const FILM_BYTES: usize = 16 << 20;

const LIMIT: [&str; 2] = ["--download-limit", "3MB"];

/// A network whose manager can be restarted, with the film and its only holder.
fn with_film() -> (Network, Vec<u8>, Process) {
    let port = free_port().to_string();
    let network = Network::start_with(&["--port", &port]);
    let film = bytes("film", FILM_BYTES);
    let fire = network.holder("fire_user", "film.bin", &film);
    (network, film, fire)
}

/// A fetch of the film into `earth`.
fn slow_fetch(network: &Network) -> Process {
    network.run("fetch", &[&["film.bin", "--into", "earth", "--json"], &LIMIT[..]].concat())
}

/// Waits until some of the film has been written.
fn has_begun(network: &Network) {
    until("8 pieces are recorded", PATIENCE, || (pieces_recorded(&network.path("earth")) >= 8).then_some(()));
}

fn port_of(network: &Network) -> String {
    network.port().to_string()
}

#[test]
fn a_fetch_in_the_background_reports_its_state() {
    let (mut network, film, fire) = with_film();
    let arguments = [&["--port", "0", "--username", "earth"], &LIMIT[..]].concat();
    let mut earth = network.run("peer", &arguments);
    earth.types("fetch film.bin &\n");
    earth.prints_error("film.bin  ");
    has_begun(&network);
    fire.kill();
    earth.prints_error("waiting: no connected peer has the missing pieces");
    // The end of the input waits for the fetch, and notices are still printed.
    earth.types("q\n");
    earth.prints("> q\n");
    network.stop_manager().with_code(143);
    earth.prints("the manager is away");
    network.start_manager("state", &["--port", &port_of(&network)]);
    earth.prints("the manager is back");
    let _fire = network.peer("fire_user", &[]);
    earth.prints_error("it continues");
    let ended = earth.end().with_code(0);
    assert!(ended.out.contains("film.bin is here"), "{}", ended.out);
    for text in ["the manager is away", "the manager is back"] {
        assert_eq!(ended.out.matches(text).count(), 1, "{}", ended.out);
    }
    network.has("earth/film.bin", &film);
}

#[test]
fn an_outage_of_the_manager_is_reported_once() {
    let (mut network, film, fire) = with_film();
    let fetch = slow_fetch(&network);
    has_begun(&network);
    fire.kill();
    fetch.prints_error("waiting");
    network.stop_manager().with_code(143);
    fetch.prints_error("the manager is away");
    network.start_manager("state", &["--port", &port_of(&network)]);
    fetch.prints_error("the manager is back");
    let _fire = network.peer("fire_user", &[]);
    let ended = fetch.end().with_code(0).prints_error(&["it continues"]);
    for text in ["the manager is away", "the manager is back"] {
        assert_eq!(ended.err.matches(text).count(), 1, "{}", ended.err);
    }
    assert_eq!(ended.totals()["done"], true);
    network.has("earth/film.bin", &film);
}

#[test]
fn a_waiting_fetch_ends_if_the_manager_refuses_for_good() {
    let (mut network, _, fire) = with_film();
    let fetch = slow_fetch(&network);
    has_begun(&network);
    fire.kill();
    fetch.prints_error("waiting");
    let port = port_of(&network);
    network.stop_manager().with_code(143);
    network.start_manager("another", &["--port", &port]);
    let ended = fetch.end().with_code(4);
    let totals = ended.totals();
    assert_eq!(totals["done"], false);
    assert!(totals["from"][0]["bytes"].as_u64().unwrap() >= 8 * PIECE_BYTES, "{totals}");
    ended.prints_error(&["error: the manager refuses this peer", "another manager answers there"]);
}

/// A network whose manager was just restarted, with a holder that could not reconnect: it is stopped.
fn just_started() -> (Network, Vec<u8>, Process) {
    let (mut network, film, fire) = with_film();
    fire.signal(Signal::STOP);
    network.kill_manager();
    let port = port_of(&network);
    network.start_manager("state", &["--port", &port]);
    (network, film, fire)
}

#[test]
fn a_fetch_waits_for_the_catalogue_of_a_manager_that_has_just_started() {
    let (network, film, fire) = just_started();
    let listed = network.run("files", &[]).end().with_code(0);
    assert!(listed.out.is_empty(), "{}", listed.out);
    listed.prints_error(&["the list may be incomplete: the manager has just started"]);
    network.run("peers", &[]).end().with_code(0).prints_error(&["the list may be incomplete"]);

    let fetch = network.run("fetch", &["film.bin", "--into", "earth"]);
    let mut asked = network.run("peer", &["--port", "0", "--username", "water_user"]);
    asked.types("files\nfetch film.bin\nq\n");
    let waits = "the manager has just started; waiting up to ";
    fetch.prints_error(waits);
    asked.prints(waits);
    fire.signal(Signal::CONT);
    fetch.end().with_code(0);
    network.has("earth/film.bin", &film);
    let ended = asked.end().with_code(0);
    assert!(ended.out.contains("the list may be incomplete"), "{}", ended.out);
    assert_eq!(ended.out.matches(waits).count(), 1, "{}", ended.out);
    network.has("water_user/film.bin", &film);
}

#[test]
fn a_fetch_ends_when_the_complete_catalogue_lacks_the_name() {
    let (network, _, fire) = just_started();
    let fetch = network.run("fetch", &["film.bin", "--into", "earth"]);
    let interrupted = network.run("fetch", &["*.bin", "--into", "air"]);
    let waits = "the manager has just started; waiting up to ";
    interrupted.prints_error(waits);
    interrupted.signal(Signal::INT);
    interrupted.end().with_code(130);
    fetch.end().with_code(5).prints_error(&[waits, "nobody shares \"film.bin\""]);
    drop(fire);
}
