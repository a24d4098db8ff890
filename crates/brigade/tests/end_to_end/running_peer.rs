//! Commands for a peer that runs: how it is found, its status, its limits, its log, and its end.
//!
//! `running_peer_fetches` tests the fetches that such a peer carries out, `running_peer_transfers` their changes.

use rustix::process::Signal;

use crate::{
    test_network::{Network, bytes},
    test_process::{PATIENCE, until},
};

#[test]
fn a_peer_is_found_from_its_folder_and_the_folders_below() {
    let network = Network::start();
    network.write("fire_user/sub/deep/a.txt", b"a");
    let _fire = network.peer("fire_user", &[]);
    for arguments in [&["--folder", "fire_user"][..], &[]] {
        let ended = network.order("status", arguments).with_code(0);
        assert!(ended.out.starts_with("fire_user at 127.0.0.1:"), "{}", ended.out);
        assert!(ended.out.contains("\nmanager: connected, everything is announced\n"), "{}", ended.out);
        assert_eq!(ended.err, "");
    }
    let earth = network.peer("earth_user", &[]);
    let below = network.start_in("fire_user/sub/deep", "status", &["--json"]).end().with_code(0);
    let [status] = &below.json()[..] else { panic!("{}", below.out) };
    assert_eq!((&status["username"], &status["files"]), (&"fire_user".into(), &1.into()));
    let ended = network.order("status", &["--json"]).with_code(2);
    ended.prints_error(&["2 programs run", "earth_user", "fire_user", "--folder"]);
    let mut command = network.brigade("status");
    command.env("BRIGADE_FOLDER", network.path("earth_user"));
    let ended = crate::test_process::Process::start(command).end().with_code(0);
    assert!(ended.out.starts_with("earth_user at "), "{}", ended.out);
    earth.terminate().with_code(143);
    network.order("status", &["--folder", "earth_user"]).with_code(3).prints_error(&["no peer runs in"]);
    network.order("status", &["--folder", "nowhere"]).with_code(5).prints_error(&["finding the folder"]);
}

#[test]
fn without_a_running_peer_every_command_says_what_to_do() {
    let network = Network::start();
    for (subcommand, arguments) in [
        ("transfers", &[][..]),
        ("pause", &["1"]),
        ("resume", &["--all"]),
        ("cancel", &["film.bin"]),
        ("prioritize", &["1", "high"]),
        ("limit", &[]),
        ("status", &[]),
        ("stop", &[]),
        ("log", &[]),
        ("fetch", &["film.bin", "--detach"]),
    ] {
        let ended = network.order(subcommand, &[arguments, &["--json"]].concat()).with_code(3);
        assert!(ended.err.contains("no peer runs") && ended.err.contains("\nhint: "), "{}", ended.err);
        let failure = ended.json().pop().unwrap();
        let reason = if subcommand == "fetch" { &failure["failure"] } else { &failure };
        assert_eq!(reason["kind"], "unreached", "{failure}");
    }
}

#[test]
fn a_limit_is_shown_and_set_from_outside() {
    let network = Network::start();
    let _fire = network.peer("fire_user", &["--upload-limit", "3MB"]);
    let shown = |arguments: &[&str]| network.order("limit", arguments).with_code(0).out;
    assert_eq!(shown(&[]), "up    3.0 MB/s (--upload-limit)\ndown  off (no limit is set)\n");
    assert_eq!(shown(&["up", "1.5MB"]), "up    1.5 MB/s (typed here)\ndown  off (no limit is set)\n");
    assert_eq!(shown(&["down", "off", "--quiet"]), "");
    let limits = network.order("limit", &["--json"]).with_code(0).json().pop().unwrap();
    assert_eq!(limits["up"]["bytes_per_second"], 1_500_000, "{limits}");
    assert_eq!(limits["down"]["origin"], "typed", "{limits}");
    assert!(shown(&["up", "auto"]).starts_with("up    3.0 MB/s (--upload-limit)"));
    let ended = network.order("limit", &["up", "fast"]).with_code(2);
    ended.prints_error(&["expected a rate like 10MB", "or auto"]);
    network.order("limit", &["up"]).with_code(2).prints_error(&["<RATE> is missing"]);
}

#[test]
fn a_peer_is_stopped_from_outside() {
    let network = Network::start();
    let fire = network.peer("fire_user", &[]);
    let ended = network.order("stop", &[]).with_code(0);
    assert!(ended.out.starts_with("the peer in ") && ended.out.ends_with(" has ended\n"), "{}", ended.out);
    fire.end().with_code(0);
    let left = std::fs::read_dir(network.path("run/brigade")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| !name.starts_with("peer-") || name.ends_with(".lock")), "{left:?}");
    // The folder is free at once.
    network.peer("fire_user", &[]).terminate().with_code(143);
    let mut prompt = network.run("peer", &[]);
    prompt.types("0\nfire_user\n");
    prompt.prints("`help` lists the commands");
    network.order("stop", &["--quiet"]).with_code(0);
    prompt.end().with_code(0);
}

#[test]
fn the_log_of_a_peer_is_printed_and_followed() {
    let network = Network::start();
    let fire = network.peer("fire_user", &[]);
    let lines = network.order("log", &["--json"]).with_code(0).json();
    assert!(lines.iter().all(|line| line["number"].is_u64() && line["level"].is_string()), "{lines:?}");
    network.order("log", &["-n", "0"]).with_code(2).prints_error(&["expected a number from 1 to 1000"]);
    let following = network.start_in("", "log", &["--follow"]);
    network.order("status", &[]).with_code(0);
    network.order("stop", &[]).with_code(0);
    fire.end().with_code(0);
    following.end().with_code(0).prints_error(&["the program has ended"]);
}

#[test]
fn a_list_has_the_copies_of_the_running_peer() {
    let network = Network::start();
    let film = bytes("film", 300_000);
    let _fire = network.holder("fire_user", "films/film.bin", &film);
    network.write("earth_user/own.txt", b"own");
    let _earth = network.peer("earth_user", &[]);
    network.has_file("own.txt", 1, PATIENCE);
    let local_copy = |name: &str| {
        let list = network.order("files", &[name, "--json", "--folder", "earth_user"]).with_code(0).json();
        list[0]["here"].as_str().unwrap().to_owned()
    };
    assert_eq!((local_copy("own.txt").as_str(), local_copy("films/").as_str()), ("whole", "no"));
    let long = network.order("files", &["films/", "--long", "--folder", "earth_user"]).with_code(0).out;
    assert!(long.starts_with("films/film.bin\n  ") && long.ends_with("  fire_user\n"), "{long}");
    let folded = network.order("files", &["--fold", "--folder", "earth_user"]).with_code(0).out;
    let lines: Vec<&str> = folded.lines().collect();
    assert!(lines.len() == 2 && lines[0].ends_with("1 file      films/"), "{folded}");
    // The manager gives the same list to a command without a peer.
    let long = network.run("files", &["films/", "--long", "--json"]).end().with_code(0).json();
    assert_eq!(long[0]["held_by"], serde_json::json!(["fire_user"]), "{long:?}");
    let peers = network.order("peers", &["--json", "--folder", "earth_user"]).with_code(0).json();
    assert_eq!(peers.len(), 2, "{peers:?}");
}

#[test]
fn the_fetches_of_a_killed_peer_go_on_at_its_next_start() {
    let network = Network::start();
    let film = bytes("film", 3 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let earth = network.peer("earth_user", &["--download-limit", "200KB"]);
    let begun = network.order("fetch", &["film.bin", "--detach", "--folder", "earth_user"]).with_code(0);
    assert_eq!((begun.out.as_str(), begun.err.as_str()), ("1  film.bin\n", ""));
    until("a piece is here", PATIENCE, || {
        let list = network.order("transfers", &["--json", "--folder", "earth_user"]).json();
        (list.first()?["bytes_done"].as_u64()? > 0).then_some(())
    });
    earth.signal(Signal::KILL);
    drop(earth);
    let _earth = network.peer("earth_user", &[]);
    until("the film is here", PATIENCE, || network.path("earth_user/film.bin").exists().then_some(()));
    network.has("earth_user/film.bin", &film);
    let list = network.order("transfers", &["--all", "--json", "--folder", "earth_user"]).json();
    let done = list.iter().find(|one| one["transfer"] == "fetch").unwrap();
    assert_eq!((&done["id"], &done["state"]), (&1.into(), &"done".into()), "{done}");
}
