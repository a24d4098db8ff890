//! What is said while holders and the manager come and go, at the prompt and by `brigade fetch`.
//!
//! That a fetch goes on afterwards, and what is kept of it, is in `resuming`.

use rustix::process::Signal;

use crate::{
    network::{Network, PIECE_BYTES, bytes, free_port, pieces_recorded},
    process::{PATIENCE, Process, until},
};

/// The file that is fetched: 64 pieces, more than five seconds.
const FILM_BYTES: usize = 16 << 20;

const LIMIT: [&str; 2] = ["--download-limit", "3MB"];

/// A network whose manager can come back, with the film and its only holder.
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
fn a_fetch_in_the_background_says_how_it_fares() {
    let (mut network, film, fire) = with_film();
    let arguments = [&["--port", "0", "--username", "earth"], &LIMIT[..]].concat();
    let mut earth = network.run("peer", &arguments);
    earth.types("fetch film.bin &\n");
    earth.complains("film.bin  ");
    has_begun(&network);
    fire.kill();
    earth.complains("waiting: nobody who is here has what is missing");
    // The end of the input waits for the fetch, and goes on hearing.
    earth.types("q\n");
    earth.says("> q\n");
    network.stop_manager().with_code(143);
    earth.says("the manager is away");
    network.start_manager("state", &["--port", &port_of(&network)]);
    earth.says("the manager is back");
    let _fire = network.peer("fire_user", &[]);
    earth.complains("it goes on");
    let ended = earth.end().with_code(0);
    assert!(ended.out.contains("film.bin is here"), "{}", ended.out);
    for said in ["the manager is away", "the manager is back"] {
        assert_eq!(ended.out.matches(said).count(), 1, "{}", ended.out);
    }
    network.has("earth/film.bin", &film);
}

#[test]
fn a_manager_that_goes_and_comes_back_is_spoken_of_once() {
    let (mut network, film, fire) = with_film();
    let fetch = slow_fetch(&network);
    has_begun(&network);
    fire.kill();
    fetch.complains("waiting");
    network.stop_manager().with_code(143);
    fetch.complains("the manager is away");
    network.start_manager("state", &["--port", &port_of(&network)]);
    fetch.complains("the manager is back");
    let _fire = network.peer("fire_user", &[]);
    let ended = fetch.end().with_code(0).complains(&["it goes on"]);
    for said in ["the manager is away", "the manager is back"] {
        assert_eq!(ended.err.matches(said).count(), 1, "{}", ended.err);
    }
    assert_eq!(ended.totals()["done"], true);
    network.has("earth/film.bin", &film);
}

#[test]
fn a_fetch_that_waits_ends_where_the_manager_refuses_for_good() {
    let (mut network, _, fire) = with_film();
    let fetch = slow_fetch(&network);
    has_begun(&network);
    fire.kill();
    fetch.complains("waiting");
    let port = port_of(&network);
    network.stop_manager().with_code(143);
    network.start_manager("another", &["--port", &port]);
    let ended = fetch.end().with_code(4);
    let totals = ended.totals();
    assert_eq!(totals["done"], false);
    assert!(totals["from"][0]["bytes"].as_u64().unwrap() >= 8 * PIECE_BYTES, "{totals}");
    ended.complains(&["error: the manager refuses this peer", "another manager answers there"]);
}

/// A network whose manager has just been started again, with a holder that could not follow: it is stopped meanwhile.
fn just_started() -> (Network, Vec<u8>, Process) {
    let (mut network, film, fire) = with_film();
    fire.signal(Signal::STOP);
    network.kill_manager();
    let port = port_of(&network);
    network.start_manager("state", &["--port", &port]);
    (network, film, fire)
}

#[test]
fn a_manager_that_has_just_started_is_not_believed_that_nobody_shares_it() {
    let (network, film, fire) = just_started();
    let listed = network.run("files", &[]).end().with_code(0);
    assert!(listed.out.is_empty(), "{}", listed.out);
    listed.complains(&["the list is not complete yet: the manager has just started"]);
    network.run("peers", &[]).end().with_code(0).complains(&["the list is not complete yet"]);

    let fetch = network.run("fetch", &["film.bin", "--into", "earth"]);
    let mut asked = network.run("peer", &["--port", "0", "--username", "water_user"]);
    asked.types("files\nfetch film.bin\nq\n");
    let waits = "the manager has just started; waiting up to ";
    fetch.complains(waits);
    asked.says(waits);
    fire.signal(Signal::CONT);
    fetch.end().with_code(0);
    network.has("earth/film.bin", &film);
    let ended = asked.end().with_code(0);
    assert!(ended.out.contains("the list is not complete yet"), "{}", ended.out);
    assert_eq!(ended.out.matches(waits).count(), 1, "{}", ended.out);
    network.has("water_user/film.bin", &film);
}

#[test]
fn a_no_is_believed_when_the_catalogue_is_complete() {
    let (network, _, fire) = just_started();
    let fetch = network.run("fetch", &["film.bin", "--into", "earth"]);
    let interrupted = network.run("fetch", &["*.bin", "--into", "air"]);
    let waits = "the manager has just started; waiting up to ";
    interrupted.complains(waits);
    interrupted.signal(Signal::INT);
    interrupted.end().with_code(130);
    fetch.end().with_code(5).complains(&[waits, "nobody shares \"film.bin\""]);
    drop(fire);
}
