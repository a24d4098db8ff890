//! The rates in the table of peers, which people and scripts see.
//!
//! A limit bounds each rate from both sides; on a busy machine it only takes longer until a rate is shown.

use crate::{
    test_network::{Network, bytes},
    test_process::{PATIENCE, until},
    test_terminal::Terminal,
};

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

#[test]
fn in_eighty_columns_the_progress_says_how_much_comes_from_each_holder() {
    let network = Network::start();
    let film = bytes("film", 50_000_000);
    for username in ["fire_user", "water_user"] {
        network.write(&format!("{username}/recordings/a film with a long name.bin"), &film);
    }
    let _holders = ["fire_user", "water_user"].map(|username| network.peer(username, &[]));
    let name = "recordings/a film with a long name.bin";
    network.has_file(name, 2, PATIENCE);
    let arguments = [name, "--into", "earth", "--download-limit", "2MB"];
    let Some(earth) = Terminal::open(&network, 80, &[], "fetch", &arguments) else { return };
    let line = until("the shares of both holders are shown", PATIENCE, || {
        let shown = |row: &String| row.contains("fire_user ") && row.contains("% · ");
        earth.rows().into_iter().find(shown)
    });
    for part in ["MB/s", " left", "2 holders", "water_user ", "record"] {
        assert!(line.contains(part), "{part} is not in {line:?}");
    }
}
