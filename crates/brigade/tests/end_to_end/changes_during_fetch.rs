//! Files that change or are removed while they are fetched: no copy is a mixture, and a fetch that cannot continue
//! reports the reason.
//!
//! `sharing` tests that the catalogue follows a folder; `resuming` tests holders that leave.

use std::fs;

use crate::{
    test_network::{Network, bytes, given, pieces_recorded},
    test_process::{PATIENCE, Process, until},
};

/// The size of the fetched file: 64 pieces, more than five seconds.
const FILM_BYTES: usize = 16 << 20;

/// A fetch of the film into `earth` that has written some pieces.
fn begun(network: &Network) -> Process {
    let fetch = network.run("fetch", &["film.bin", "--into", "earth", "--download-limit", "3MB", "--json"]);
    until("8 pieces are recorded", PATIENCE, || (pieces_recorded(&network.path("earth")) >= 8).then_some(()));
    fetch
}

#[test]
fn a_fetch_ends_if_its_only_holder_changes_the_file() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", FILM_BYTES));
    let fetch = begun(&network);
    let other = bytes("another film", FILM_BYTES);
    network.write("fire_user/film.bin", &other);
    let ended = fetch.end().with_code(5);
    let totals = ended.totals();
    assert_eq!((&totals["done"], &totals["failed"]), (&false.into(), &1.into()), "{totals}");
    assert!(ended.out.contains("it was changed while it was fetched"), "{}", ended.out);
    assert!(!network.path("earth/film.bin").exists());
    network.fetch(&["film.bin", "--into", "earth"]).with_code(0);
    network.has("earth/film.bin", &other);
}

/// No event reports such a change: the holder notices that it cannot serve the file.
#[test]
fn a_fetch_ends_if_its_only_holder_changes_the_file_through_a_link() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", FILM_BYTES));
    let link = network.path("link.bin");
    fs::hard_link(network.path("fire_user/film.bin"), &link).unwrap();
    let fetch = begun(&network);
    fs::write(&link, bytes("another film", FILM_BYTES)).unwrap();
    let ended = fetch.end().with_code(5);
    assert!(ended.out.contains("it was changed while it was fetched"), "{}", ended.out);
}

#[test]
fn a_file_changed_by_one_holder_comes_from_the_other() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let _water = network.holder("water_user", "film.bin", &film);
    network.has_file("film.bin", 2, PATIENCE);
    let fetch = begun(&network);
    network.write("fire_user/film.bin", &bytes("another film", FILM_BYTES));
    let totals = fetch.end().with_code(0).totals();
    network.has("earth/film.bin", &film);
    let from_water =
        given(&totals).iter().find(|(username, _)| username == "water_user").map(|(_, bytes)| *bytes);
    assert!(from_water.is_some_and(|bytes| bytes > FILM_BYTES as u64 / 2), "{totals}");
}

#[test]
fn a_fetch_waits_until_a_lost_holder_is_back() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let fetch = begun(&network);
    fs::rename(network.path("fire_user/film.bin"), network.path("hidden.bin")).unwrap();
    fetch.prints_error("waiting: no connected peer has the missing pieces");
    // The same content under another name.
    fs::rename(network.path("hidden.bin"), network.path("fire_user/movie.bin")).unwrap();
    fetch.end().with_code(0).prints_error(&["it continues"]);
    network.has("earth/film.bin", &film);
}

/// One of several files has no holder any more, while the others arrive.
#[test]
fn a_fetch_of_a_folder_names_the_file_that_its_only_holder_deleted() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    network.write("fire_user/films/a.bin", &film);
    let _fire = network.holder("fire_user", "films/z.bin", &bytes("another film", FILM_BYTES));
    network.has_file("films/a.bin", 1, PATIENCE);
    let fetch = network.run("fetch", &["films", "--into", "earth", "--download-limit", "2MB"]);
    until("8 pieces are recorded", PATIENCE, || (pieces_recorded(&network.path("earth")) >= 8).then_some(()));
    fs::rename(network.path("fire_user/films/z.bin"), network.path("hidden.bin")).unwrap();
    fetch.prints_error("no holder now: films/z.bin");
    fs::rename(network.path("hidden.bin"), network.path("fire_user/films/z.bin")).unwrap();
    fetch.end().with_code(0);
    network.has("earth/films/a.bin", &film);
}
