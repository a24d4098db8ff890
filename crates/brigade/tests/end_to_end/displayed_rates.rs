//! The rates that people and scripts see, and fetches that their own limit makes slow.
//!
//! A limit bounds each rate from both sides; on a busy machine it only takes longer until a rate is shown.

use crate::{
    test_network::{Network, bytes, given},
    test_process::{PATIENCE, Process, until},
};

/// Four pieces: 35 s at the limit.
const FILM_BYTES: usize = 1 << 20;

#[test]
fn a_fetch_with_a_low_limit_keeps_its_holders_and_receives_nothing_twice() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let _water = network.holder("water_user", "film.bin", &film);
    network.has_file("film.bin", 2, PATIENCE);
    let mut command = network.brigade("fetch");
    command.args(["film.bin", "--into", "earth", "--json", "--download-limit", "30KB"]);
    command.args(["--manager-port", &network.port().to_string()]);
    command.env("BRIGADE_LOG", "brigade_node::peer=debug");
    let ended = Process::start(command).end_within(4 * PATIENCE).with_code(0);
    network.has("earth/film.bin", &film);
    let totals = ended.totals();
    assert_eq!(totals["fetched_twice_bytes"], 0, "{totals}");
    assert_eq!(given(&totals).len(), 2, "{totals}");
    // The log would show a dropped holder, or a broken connection.
    assert!(!ended.err.contains("connection to a holder"), "{}", ended.err);
}

#[test]
fn rates_match_the_limits() {
    const LIMIT: u64 = 3_000_000;
    let network = Network::start();
    // Longer than any part of this test, at both limits together.
    let film = bytes("film", 200_000_000);
    for username in ["fire_user", "water_user"] {
        network.write(&format!("{username}/film.bin"), &film);
    }
    let holder = |username: &str| network.peer(username, &["--upload-limit", "3MB"]);
    let _holders = ["fire_user", "water_user"].map(holder);
    network.has_file("film.bin", 2, PATIENCE);
    let _fetch = network.run("fetch", &["film.bin", "--into", "earth", "--username", "earth_user"]);
    let near = |rate: u64, limit: u64| rate.abs_diff(limit) <= limit / 10;
    let mut seen = vec![];
    until("the rates are those of the limits", PATIENCE, || {
        let rows = network.list("peers", &[]);
        let rate = |username: &str, field: &str| {
            rows.iter().find(|row| row["username"] == username).map_or(0, |row| row[field].as_u64().unwrap())
        };
        let sending = ["fire_user", "water_user"].map(|holder| rate(holder, "sending"));
        let receiving = rate("earth_user", "receiving");
        seen.push((sending, receiving));
        assert!(sending.iter().all(|sent| *sent <= LIMIT + LIMIT / 10), "more than the limit: {seen:?}");
        let all = sending.iter().all(|sent| near(*sent, LIMIT)) && near(receiving, 2 * LIMIT);
        all.then_some(())
    });
}
