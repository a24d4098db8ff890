//! The transfers of a running peer, and their changes: pause, resume, priority and cancel; the same at its prompt.
//!
//! Transfers are slow here, so that they still run when they are changed.

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    test_network::{Network, bytes, parts_in},
    test_process::{PATIENCE, Process, until},
};

/// The fetches of the only running peer with the folder `earth_user`.
#[track_caller]
fn fetches(network: &Network) -> Vec<Value> {
    let list = network.order("transfers", &["--all", "--json", "--folder", "earth_user"]).with_code(0).json();
    list.into_iter().filter(|one| one["transfer"] == "fetch").collect()
}

/// Waits until the fetch with this number is in a state. Returns it.
#[track_caller]
fn wait_for_state(network: &Network, id: u64, state: &str) -> Value {
    until(&format!("fetch {id} is {state}"), PATIENCE, || {
        fetches(network).into_iter().find(|fetch| fetch["id"] == id && fetch["state"] == state)
    })
}

/// A network in which `earth_user` fetches a film slowly.
fn slow_fetch() -> (Network, Vec<Process>, Vec<u8>) {
    let network = Network::start();
    let film = bytes("film", 3 << 20);
    network.write("fire_user/song.bin", b"song");
    let fire = network.holder("fire_user", "film.bin", &film);
    let earth = network.peer("earth_user", &["--download-limit", "300KB"]);
    network.order("fetch", &["film.bin", "--detach", "--folder", "earth_user"]).with_code(0);
    (network, vec![fire, earth], film)
}

#[test]
fn a_paused_fetch_receives_nothing_until_it_is_resumed() {
    let (network, _peers, film) = slow_fetch();
    wait_for_state(&network, 1, "fetching");
    let order = |subcommand: &str, arguments: &[&str]| {
        network.order(subcommand, &[arguments, &["--folder", "earth_user"]].concat())
    };
    let watch = ["--watch", "--json", "--folder", "earth_user"];
    let watching = network.start_in("", "transfers", &watch);
    watching.prints("\"state\":\"fetching\"");
    let paused = order("pause", &["1"]).with_code(0);
    assert_eq!((paused.out.as_str(), paused.err.as_str()), ("paused: 1  film.bin\n", ""));
    let before = wait_for_state(&network, 1, "paused");
    watching.prints("\"state\":\"paused\"");
    watching.signal(Signal::INT);
    watching.end().with_code(130);
    // Another fetch of the same peer goes on meanwhile.
    order("fetch", &["song.bin"]).with_code(0);
    network.has("earth_user/song.bin", b"song");
    let after = wait_for_state(&network, 1, "paused");
    assert_eq!(before["bytes_done"], after["bytes_done"]);
    let table = order("transfers", &[]).with_code(0).out;
    assert!(table.lines().nth(1).unwrap().starts_with(" 1  film.bin  paused "), "{table}");
    assert_eq!(order("resume", &["--all", "--json"]).with_code(0).json()[0]["change"], "resumed");
    wait_for_state(&network, 1, "fetching");
    order("limit", &["down", "off"]).with_code(0);
    wait_for_state(&network, 1, "done");
    network.has("earth_user/film.bin", &film);
    let table = order("transfers", &[]).with_code(0).out;
    assert_eq!(table, "nothing is being fetched or sent\n");
}

#[test]
fn a_cancelled_fetch_keeps_its_pieces() {
    let (network, _peers, film) = slow_fetch();
    until("a piece is here", PATIENCE, || {
        (fetches(&network).first()?["bytes_done"].as_u64()? > 0).then_some(())
    });
    let order = |subcommand: &str, arguments: &[&str]| {
        network.order(subcommand, &[arguments, &["--folder", "earth_user"]].concat())
    };
    assert_eq!(order("prioritize", &["film.bin", "low"]).with_code(0).out, "low priority: 1  film.bin\n");
    assert_eq!(fetches(&network)[0]["priority"], "low");
    assert_eq!(order("cancel", &["film.bin"]).with_code(0).out, "cancelled: 1  film.bin\n");
    wait_for_state(&network, 1, "stopped");
    assert!(
        !network.path("earth_user/film.bin").exists() && !parts_in(&network.path("earth_user")).is_empty()
    );
    let ended = order("cancel", &["film.bin"]).with_code(5);
    ended.prints_error(&["no running fetch has the number or the name \"film.bin\"", "transfers --all"]);
    assert_eq!(order("pause", &["--all"]).with_code(0).out, "no fetch runs\n");
    order("limit", &["down", "off"]).with_code(0);
    let ended = order("fetch", &["film.bin", "--json"]).with_code(0);
    assert!(ended.totals()["bytes_already"].as_u64().unwrap() > 0);
    network.has("earth_user/film.bin", &film);
}

#[test]
fn a_fetch_that_does_not_exist_is_an_error_that_names_the_others() {
    let (network, _peers, _film) = slow_fetch();
    wait_for_state(&network, 1, "fetching");
    let order = |subcommand: &str, arguments: &[&str]| {
        network.order(subcommand, &[arguments, &["--folder", "earth_user"]].concat())
    };
    for subcommand in ["pause", "resume", "cancel"] {
        let ended = order(subcommand, &["1", "7"]).with_code(5);
        ended.prints_error(&["no running fetch has the number or the name \"7\"", "\n  1  film.bin"]);
    }
    assert_eq!(fetches(&network)[0]["state"], "fetching", "nothing was changed");
    order("pause", &["flim.bin"]).with_code(5).prints_error(&["did you mean \"film.bin\"?"]);
    order("pause", &[]).with_code(2).prints_error(&["is missing"]);
    order("pause", &["1", "--all"]).with_code(2).prints_error(&["cannot be used with"]);
    order("prioritize", &["1", "hgih"])
        .with_code(2)
        .prints_error(&["possible values: 'high', 'normal', 'low'"]);
    order("prioritize", &["high"]).with_code(2).prints_error(&["is missing"]);
}

#[test]
fn the_prompt_has_the_same_commands() {
    let network = Network::start();
    let film = bytes("film", 3 << 20);
    let _fire = network.holder("fire_user", "my film.bin", &film);
    let mut earth = network.run("peer", &["--download-limit", "300KB"]);
    earth.types("0\nearth_user\ntransfers\nfetch my film.bin &\n");
    earth.prints("nothing is being fetched or sent");
    wait_for_state(&network, 1, "fetching");
    earth.types("pause 'my film.bin'\n");
    earth.prints("paused: 1  my film.bin");
    wait_for_state(&network, 1, "paused");
    earth.types("transfers\nresume 2\nresume 1 --folder x\n");
    earth.prints(" 1  my film.bin  paused ");
    earth.prints_error("no running fetch has the number or the name \"2\"");
    earth.prints_error("--folder has no use at the prompt");
    earth.types("prioritize --all high\nresume --all\nlimit down off\n");
    earth.prints("high priority: 1  my film.bin");
    earth.prints("resumed: 1  my film.bin");
    earth.types("help\nq\n");
    let ended = earth.end().with_code(5);
    assert!(ended.out.contains("quotation marks: pause 'my film.mkv' 3"), "{}", ended.out);
    network.has("earth_user/my film.bin", &film);
}

#[test]
fn the_prompt_says_that_fetches_go_on() {
    let (network, mut peers, film) = slow_fetch();
    until("a piece is here", PATIENCE, || {
        (fetches(&network).first()?["bytes_done"].as_u64()? > 0).then_some(())
    });
    peers.pop().unwrap().kill();
    let mut earth = network.run("peer", &[]);
    earth.types("0\nearth_user\n");
    earth.prints("resumed: 1 fetch\n");
    until("the film is here", PATIENCE, || network.path("earth_user/film.bin").exists().then_some(()));
    earth.types("q\n");
    earth.end().with_code(0);
    network.has("earth_user/film.bin", &film);
}
