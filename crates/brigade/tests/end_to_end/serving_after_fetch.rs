//! Serving after a fetch: fetched files are served until the peer is stopped; and `brigade demo`.
//!
//! `sharing` tests which files of a folder are shared.

use rustix::process::Signal;

use crate::{
    test_network::{Network, bytes, given, hash},
    test_process::{ENDING, PATIENCE, Process, SLACK, until},
};

#[test]
fn a_fetch_with_stay_serves_its_files() {
    let network = Network::start();
    let film = bytes("film", 3 << 20);
    let fire = network.holder("fire_user", "film.bin", &film);
    let arguments = ["film.bin", "--into", "earth", "--username", "earth_user", "--json"];
    let mut earth =
        network.run("fetch", &[&arguments[..], &["--stay", "--done-file", "earth.done"]].concat());
    until("the done file is there", PATIENCE, || network.path("earth.done").exists().then_some(()));
    network.has("earth/film.bin", &film);
    network.has_file("film.bin", 2, PATIENCE);
    fire.terminate().with_code(143);
    network.has_file("film.bin", 1, PATIENCE);
    assert!(earth.is_running());

    let totals =
        network.fetch(&["film.bin", "--into", "air", "--username", "air_user"]).with_code(0).totals();
    network.has("air/film.bin", &film);
    assert_eq!(given(&totals), [("earth_user".to_owned(), film.len() as u64)]);

    earth.signal(Signal::TERM);
    let totals = earth.end_within(ENDING + SLACK).with_code(143).totals();
    assert_eq!(given(&totals), [("fire_user".to_owned(), film.len() as u64)]);
    let sent = &totals["sent"][0];
    assert_eq!(sent["username"], "air_user", "{totals}");
    assert_eq!((&sent["bytes"], &totals["done"]), (&film.len().into(), &true.into()), "{totals}");
}

#[test]
fn a_done_file_exists_only_if_everything_is_complete() {
    let network = Network::start();
    let film = bytes("film", 1000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    network.fetch(&["nothing.bin", "--into", "earth", "--done-file", "done"]).with_code(5);
    assert!(!network.path("done").exists());
    network.fetch(&["film.bin", "--into", "earth", "--done-file", "done"]).with_code(0);
    assert!(network.path("done").exists());
}

#[test]
fn downloaders_exchange_pieces() {
    let network = Network::start();
    let film = bytes("film", 8 << 20);
    network.write("fire_user/film.bin", &film);
    let _fire = network.peer("fire_user", &["--upload-limit", "4MB"]);
    network.has_file("film.bin", 1, PATIENCE);
    let fetches = ["earth", "air"].map(|into| {
        let username = format!("{into}_user");
        network.run("fetch", &["film.bin", "--into", into, "--username", &username, "--stay", "--json"])
    });
    for (fetch, into) in fetches.iter().zip(["earth", "air"]) {
        fetch.prints("\"done\":true");
        network.has(&format!("{into}/film.bin"), &film);
    }
    let passed_on: u64 = fetches
        .into_iter()
        .map(|fetch| given(&fetch.terminate().with_code(143).totals()))
        .flat_map(|from| from.into_iter().filter(|(username, _)| username != "fire_user"))
        .map(|(_, bytes)| bytes)
        .sum();
    assert!(passed_on > 0, "all of it came twice from the one holder");
}

#[test]
fn the_demo_succeeds() {
    let network = Network::start();
    // Two pieces may come from one holder alone, but not this many.
    for size in [0, 300_000, 24 << 20] {
        let film = bytes("film", size);
        network.write("film.bin", &film);
        let mut command = network.brigade("demo");
        command.arg("film.bin");
        let ended = Process::start(command).end().with_code(0);
        for text in ["earth_user: film.bin is here", "air_user: film.bin is here", &hash(&film)] {
            assert!(ended.out.contains(text), "{text:?} is not in\n{}", ended.out);
        }
    }
}
