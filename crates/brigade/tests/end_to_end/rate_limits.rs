//! Limits on sending and receiving: that they are kept, and that they come from options, from a schedule, or are typed
//! during a fetch.
//!
//! At 2 KB/s a fetch of these tests would take half an hour; a fetch that ends in time was not limited to that rate.
//! `fetching` tests a limit on receiving from two holders, `failed_starts` and the tests of the command line test wrong
//! limits.

use std::fs;

use crate::{
    test_network::{Network, bytes, given},
    test_process::{ExitedProcess, PATIENCE, Process, until},
};

/// Sixteen pieces, half an hour at 2 KB/s.
const FILM_BYTES: usize = 4 << 20;

/// Four pieces: 35 s at 30 KB/s.
const FOUR_PIECES: usize = 1 << 20;

/// Every day and all day, so that a test at any time is in it.
const CRAWL_DOWN: &str = "[[limits.schedule]]\ndown = \"2KB\"\n";

/// A peer with a prompt.
fn prompted(network: &Network, username: &str, arguments: &[&str]) -> Process {
    let mut peer = network.run("peer", arguments);
    peer.types(&format!("0\n{username}\n"));
    peer.prints("`help` lists the commands");
    peer
}

/// Waits until a peer has begun to receive into `folder`.
fn has_begun(network: &Network, folder: &str) {
    until(&format!("{folder} has a part file"), PATIENCE, || {
        let mut parts = fs::read_dir(network.path(&format!("{folder}/.brigade/parts"))).ok()?;
        parts.next().map(drop)
    });
}

fn settings(network: &Network, text: &str) {
    network.write("home/brigade.toml", text.as_bytes());
}

#[test]
fn an_upload_limit_is_kept() {
    let network = Network::start();
    let film = bytes("film", 2 << 20);
    network.write("fire_user/film.bin", &film);
    let _fire = network.peer("fire_user", &["--upload-limit", "2MB"]);
    network.has_file("film.bin", 1, PATIENCE);
    let ended = network.fetch(&["film.bin", "--into", "earth"]).with_code(0);
    assert!(ended.results()[0]["seconds"].as_f64().unwrap() > 0.8, "{}", ended.out);
}

#[test]
fn a_slow_fetch_ends_soon_after_its_limit_is_removed_at_the_prompt() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let mut earth = prompted(&network, "earth_user", &["--download-limit", "2KB"]);
    earth.types("limit\nfetch film.bin\n");
    earth.prints("down  2.0 kB/s (--download-limit)");
    has_begun(&network, "earth_user");
    earth.types("limit down 3KB\nlimit down auto\nlimit down off\n");
    for text in ["down  3.0 kB/s (typed here)", "down  off (typed here)", "film.bin is here"] {
        earth.prints(text);
    }
    network.has("earth_user/film.bin", &film);
    earth.types("q\n");
    earth.end().with_code(0);
}

#[test]
fn holders_continue_to_send_when_their_limit_is_set_and_removed() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    network.write("fire_user/film.bin", &film);
    let mut fire = prompted(&network, "fire_user", &["--upload-limit", "2KB"]);
    network.has_file("film.bin", 1, PATIENCE);
    // More fetches than slots, so that some wait for one.
    let into = ["a", "b", "c", "d", "e"];
    let fetches = into.map(|into| network.run("fetch", &["film.bin", "--into", into]));
    into.iter().for_each(|into| has_begun(&network, into));
    // Limits with slots, then none, then one again: the last is high enough to end in time if no slot was lost.
    for _ in 0..5 {
        fire.types("limit up 1MB\nlimit up off\nlimit up auto\n");
    }
    fire.types("limit up 20MB\n");
    fire.prints("up    20.0 MB/s (typed here)");
    fetches.into_iter().map(Process::end).for_each(|ended| drop(ended.with_code(0)));
    into.iter().for_each(|into| network.has(&format!("{into}/film.bin"), &film));

    fire.types("limit up auto\n");
    let into = ["f", "g", "h"];
    let crawling = into.map(|into| network.run("fetch", &["film.bin", "--into", into]));
    into.iter().for_each(|into| has_begun(&network, into));
    fire.types("limit up off\n");
    crawling.into_iter().map(Process::end).for_each(|ended| drop(ended.with_code(0)));
    into.iter().for_each(|into| network.has(&format!("{into}/film.bin"), &film));
}

#[test]
fn a_wrong_limit_is_explained_and_changes_nothing() {
    let network = Network::start();
    let mut peer = network.run("peer", &["--upload-limit", "5MB"]);
    peer.types("0\nfire_user\nlimit up fast\nlimit sideways 3MB\nlimit up\nlimit\nq\n");
    let ended = peer.end().with_code(2);
    insta::assert_snapshot!(ended.err, @r#"
    error: "fast" is not a limit: expected a rate like 10MB, 500KB or 1.5MB (bytes per second, with the unit), or off
    hint: `limit` shows the limits; `limit up 10MB`, `limit down off`, `limit up auto` change them
    error: "sideways" is neither up nor down
    hint: `limit` shows the limits; `limit up 10MB`, `limit down off`, `limit up auto` change them
    error: the limit is missing
    hint: `limit` shows the limits; `limit up 10MB`, `limit down off`, `limit up auto` change them
    "#);
    assert!(
        ended.out.contains("up    5.0 MB/s (--upload-limit)\ndown  off (no limit is set)"),
        "{}",
        ended.out
    );
}

#[test]
fn a_schedule_applies_to_peers_and_fetches_after_options_and_the_environment() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    let _fire = network.holder("fire_user", "film.bin", &film);
    settings(&network, CRAWL_DOWN);
    let fetch = |into: &str, variable: Option<&str>, arguments: &[&str]| -> Process {
        let mut command = network.brigade("fetch");
        command.args(["film.bin", "--into", into, "--manager-port", &network.port().to_string()]);
        command.args(arguments).envs(variable.map(|limit| ("BRIGADE_DOWNLOAD_LIMIT", limit)));
        Process::start(command)
    };
    fetch("by_flag", None, &["--download-limit", "off"]).end().with_code(0);
    fetch("by_variable", Some("off"), &[]).end().with_code(0);
    for into in ["by_flag", "by_variable"] {
        network.has(&format!("{into}/film.bin"), &film);
    }
    let mut crawling = fetch("scheduled", None, &[]);
    has_begun(&network, "scheduled");
    let ended = prompt_says(&network, "earth_user", "limit\nlimit down 1MB\nlimit down auto\nq\n");
    let expected = ["down  2.0 kB/s (the schedule)", "down  1.0 MB/s (typed here)"];
    for text in expected {
        assert!(ended.out.contains(text), "{text:?} is not in\n{}", ended.out);
    }
    assert!(crawling.is_running());
    crawling.terminate().with_code(143);
}

#[test]
fn a_later_rule_and_what_holds_otherwise_are_told_apart() {
    let network = Network::start();
    let rules = "[limits]\nup = \"5MB\"\n[[limits.schedule]]\ndown = \"2KB\"\n\
                 [[limits.schedule]]\nfrom = \"00:00\"\nto = \"24:00\"\ndown = \"off\"\n";
    settings(&network, rules);
    let ended = prompt_says(&network, "earth_user", "limit\nq\n");
    assert!(ended.out.contains("up    5.0 MB/s (the settings)\ndown  off (the schedule)"), "{}", ended.out);
}

#[test]
fn a_peer_without_a_prompt_uses_its_settings() {
    let network = Network::start();
    let film = bytes("film", FILM_BYTES);
    network.write("shared/film.bin", &film);
    let shared = network.path("shared");
    let text = format!(
        "[network]\nport = {}\n[peer]\nusername = \"fire_user\"\nfolder = \"{}\"\n\
         [[limits.schedule]]\nup = \"2KB\"\n",
        network.port(),
        shared.display()
    );
    settings(&network, &text);
    let mut command = network.brigade("peer");
    command.arg("--headless");
    let fire = Process::start(command);
    fire.prints("ready\n");
    network.has_file("film.bin", 1, PATIENCE);
    assert_eq!(network.usernames(), ["fire_user"]);
    let mut crawling = network.run("fetch", &["film.bin", "--into", "earth"]);
    has_begun(&network, "earth");
    assert!(crawling.is_running());
    fire.terminate().with_code(143);
    // With another limit it ends in time.
    settings(&network, &text.replace("2KB", "50MB"));
    let mut command = network.brigade("peer");
    command.arg("--headless");
    let _fire = Process::start(command);
    crawling.end().with_code(0);
    network.has("earth/film.bin", &film);
}

#[test]
fn a_fetch_with_a_low_limit_keeps_its_holders_and_receives_nothing_twice() {
    let network = Network::start();
    let film = bytes("film", FOUR_PIECES);
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

/// The output of a peer with a prompt for a whole script.
fn prompt_says(network: &Network, username: &str, script: &str) -> ExitedProcess {
    let mut peer = network.run("peer", &[]);
    peer.types(&format!("0\n{username}\n{script}"));
    peer.end().with_code(0)
}
