//! Serving after a fetch: fetched files are served until the peer is stopped.
//!
//! `sharing` tests which files of a folder are shared.

use rustix::process::Signal;

use crate::{
    test_network::{Network, bytes, given},
    test_process::{ENDING, PATIENCE, SLACK, until},
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
