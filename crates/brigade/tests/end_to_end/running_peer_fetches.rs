//! `brigade fetch` with a peer that runs: it fetches into its own folder, and the command shows that as its own fetch.
//!
//! `fetching` tests fetches by a peer of the command's own.

use serde_json::Value;

use crate::{
    test_network::{Network, bytes, given},
    test_process::{PATIENCE, until},
};

/// A network in which `fire_user` has the file, and `earth_user` runs with these arguments.
fn network(name: &str, film: &[u8], arguments: &[&str]) -> (Network, Vec<crate::test_process::Process>) {
    let network = Network::start();
    let fire = network.holder("fire_user", name, film);
    let earth = network.peer("earth_user", arguments);
    (network, vec![fire, earth])
}

#[test]
fn a_fetch_into_the_folder_of_a_running_peer_is_carried_out_by_it() {
    let film = bytes("film", 1 << 20);
    let (network, _peers) = network("film.bin", &film, &[]);
    let ended = network.run("fetch", &["film.bin", "--into", "earth_user"]).end().with_code(0);
    assert!(ended.out.starts_with("film.bin is here: 1.0 MB, "), "{}", ended.out);
    assert!(ended.out.contains("\n  1.0 MB from fire_user ("), "{}", ended.out);
    assert_eq!(ended.err, "", "nothing went wrong");
    network.has("earth_user/film.bin", &film);
    let again = network.run("fetch", &["film.bin", "--into", "earth_user"]).end().with_code(0);
    assert_eq!(again.out, "film.bin is here already (1.0 MB)\n");
    network.has_file("film.bin", 2, PATIENCE);
}

#[test]
fn the_peer_of_the_current_directory_fetches_into_its_own_folder() {
    let film = bytes("film", 300_000);
    let (network, _peers) = network("film.bin", &film, &[]);
    network.write("earth_user/sub/a.txt", b"a");
    let ended = network.start_in("earth_user/sub", "fetch", &["film.bin", "--json"]).end().with_code(0);
    network.has("earth_user/film.bin", &film);
    let totals = ended.totals();
    let into = network.path("earth_user").canonicalize().unwrap();
    assert_eq!(totals["into"], into.to_str().unwrap(), "{totals}");
    // A folder that is named wins.
    let into = ["film.bin", "--into", "../../air", "--manager-port", &network.port().to_string()];
    network.start_in("earth_user/sub", "fetch", &into).end().with_code(0);
    network.has("air/film.bin", &film);
}

#[test]
fn several_fetches_at_once_have_their_own_events() {
    let (film, song) = (bytes("film", 1 << 20), bytes("song", 300_000));
    let (network, _peers) = network("film.bin", &film, &["--download-limit", "2MB"]);
    let _air = network.holder("air_user", "data/song.bin", &song);
    let fetch = |name: &str| network.run("fetch", &["--json", name, "--into", "earth_user"]);
    let fetches = [fetch("film.bin"), fetch("data/")];
    for (fetch, name) in fetches.into_iter().zip(["film.bin", "data"]) {
        let ended = fetch.end().with_code(0);
        let lines = ended.json();
        let progress: Vec<&Value> = lines.iter().filter(|line| line["event"] == "progress").collect();
        assert!(
            !progress.is_empty()
                && progress.iter().all(|one| one["name"].as_str().unwrap().starts_with(name))
        );
        let totals = ended.totals();
        assert_eq!((&totals["done"], &totals["failure"]), (&true.into(), &Value::Null), "{totals}");
        assert_eq!(given(&totals).len(), 1, "{totals}");
    }
    network.has("earth_user/film.bin", &film);
    network.has("earth_user/data/song.bin", &song);
}

#[test]
fn errors_of_a_running_peer_are_those_of_a_fetch() {
    let film = bytes("film", 300_000);
    let (network, _peers) = network("film.bin", &film, &[]);
    let fetch = |arguments: &[&str]| {
        network.run("fetch", &[arguments, &["--into", "earth_user", "--json"]].concat()).end()
    };
    let ended = fetch(&["film.bim"]).with_code(5);
    assert_eq!(ended.err, "error: nobody shares \"film.bim\"\nhint: did you mean film.bin?\n");
    assert_eq!(ended.totals()["failure"]["kind"], "not_found");
    let ended = fetch(&["film.bin", "nothing", "film.bim"]).with_code(5);
    let names: Vec<Value> =
        ended.json().iter().filter(|one| one["event"] == "failure").map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["nothing", "film.bim"]);
    // Only a name that nobody shares yet may come.
    fetch(&["film.bin@00000000", "--wait"]).with_code(5);
    assert!(!network.path("earth_user/film.bin").exists());
    network.write("earth_user/film.bin", b"mine");
    let _air = network.holder("air_user", "film.bin", b"another one");
    let ended = fetch(&["film.bin"]).with_code(5);
    assert!(ended.err.starts_with("error: film.bin has 2 contents"), "{}", ended.err);
    let ended = fetch(&["film.bin", "--from", "fire_user"]).with_code(6);
    assert!(ended.totals()["failure"]["hint"].as_str().unwrap().contains("--replace"));
    fetch(&["film.bin", "--from", "fire_user", "--replace"]).with_code(0);
    network.has("earth_user/film.bin", &film);
    network.has("earth_user/film.bin.~1~", b"mine");
    let ended = fetch(&["film.bin", "--upload-limit", "1MB"]).with_code(2);
    ended.prints_error(&["--upload-limit has no effect on the peer that runs in", "`brigade limit`"]);
    let key = "0".repeat(64);
    fetch(&["film.bin", "--manager-key", &key]).with_code(4).prints_error(&["is in another network"]);
}

#[test]
fn an_interrupted_fetch_is_cancelled_and_a_detached_one_goes_on() {
    let film = bytes("film", 3 << 20);
    let (network, _peers) = network("film.bin", &film, &["--download-limit", "200KB"]);
    let fetch = network.run("fetch", &["--json", "film.bin", "--into", "earth_user"]);
    fetch.prints("\"fetching\"");
    let ended = fetch.terminate().with_code(143);
    assert_eq!(ended.totals()["failure"]["kind"], "ended_by_signal");
    assert_eq!(ended.results()[0]["done"], false);
    let running = || network.order("transfers", &["--json", "--folder", "earth_user"]).with_code(0).json();
    until("no fetch runs", PATIENCE, || running().is_empty().then_some(()));
    let done = network.path("done");
    let detached = ["--json", "film.bin", "--detach", "--priority", "high", "--folder", "earth_user"];
    let begun = network.order("fetch", &detached).with_code(0).json();
    let [begun] = &begun[..] else { panic!("{begun:?}") };
    assert_eq!((&begun["event"], &begun["name"]), (&"begun".into(), &"film.bin".into()));
    let fetch = running().into_iter().find(|one| one["id"] == begun["id"]).unwrap();
    assert_eq!(fetch["priority"], "high");
    network.order("limit", &["down", "off", "--folder", "earth_user"]).with_code(0);
    let done_file = ["film.bin", "--into", "earth_user", "--done-file", done.to_str().unwrap()];
    network.run("fetch", &done_file).end().with_code(0);
    assert!(done.exists());
    network.has("earth_user/film.bin", &film);
}
