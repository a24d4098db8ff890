//! Downloaders of one content pass on to each other the pieces that they received, so that a holder with a limit on
//! sending sends each piece only a few times.
//!
//! The tests of the core check which piece a downloader requests; the simulator has whole crowds. `upload_turns` tests
//! the messages of a holder with a limit.

use crate::{
    test_network::{Network, bytes, given},
    test_process::PATIENCE,
};

/// Sixteen pieces.
const FILM_BYTES: usize = 4 << 20;

#[test]
fn downloaders_pass_on_pieces_of_a_limited_source() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    network.write("fire_user/film.bin", &film);
    let _fire = network.peer("fire_user", &["--upload-limit", "1MB"]);
    network.has_file("film.bin", 1, PATIENCE);
    let into = ["a", "b", "c", "d"];
    let fetches = into.map(|into| network.run("fetch", &["film.bin", "--into", into, "--json"]));
    let from_source = |totals: &serde_json::Value| -> u64 {
        given(totals).iter().filter(|(holder, _)| holder == "fire_user").map(|(_, bytes)| bytes).sum()
    };
    let sent: u64 = fetches.into_iter().map(|fetch| from_source(&fetch.end().with_code(0).totals())).sum();
    into.iter().for_each(|into| network.has(&format!("{into}/film.bin"), &film));
    // It must send each piece once; without the downloaders it would send four times as much.
    let copies = sent as f64 / FILM_BYTES as f64;
    assert!((1.0..3.0).contains(&copies), "the source sent {copies} copies");
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
