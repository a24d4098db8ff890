//! The output of `--json`: the progress of a fetch, and the reason of a failure.
//!
//! The tests of each feature check the texts for people.

use serde_json::Value;

use crate::{
    test_network::{Network, bytes, free_port},
    test_process::ExitedProcess,
};

#[test]
fn a_fetch_prints_progress_then_the_result_and_the_totals() {
    let network = Network::start();
    let film = bytes("film", 3 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let ended = network.fetch(&["film.bin", "--into", "earth", "--download-limit", "2MB"]).with_code(0);
    let lines = ended.json();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let [progress @ .., "result", "done"] = &events[..] else { panic!("{events:?}") };
    assert!(!progress.is_empty() && progress.iter().all(|event| *event == "progress"), "{events:?}");
    let first = &lines[progress.len() - 1];
    assert_eq!((&first["name"], &first["bytes"]), (&"film.bin".into(), &film.len().into()));
    for key in ["bytes_done", "pieces", "pieces_done", "files", "files_done", "rate", "holders"] {
        assert!(first[key].is_u64(), "{key}: {first}");
    }
    let done: Vec<u64> =
        lines[..progress.len()].iter().map(|one| one["bytes_done"].as_u64().unwrap()).collect();
    // All pieces may be written some time before the file is durable and has its name.
    assert!(done.is_sorted() && *done.last().unwrap() <= film.len() as u64, "{done:?}");
    assert!(done[0] < film.len() as u64, "{done:?}");
    assert_eq!(ended.totals()["failure"], Value::Null);
}

#[test]
fn a_fetch_counts_only_the_holders_of_its_own_files() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 3 << 20));
    let _earth = network.holder("earth_user", "song.bin", &bytes("song", 3 << 20));
    let fetch = network.fetch(&["film.bin", "song.bin", "--into", "air", "--download-limit", "2MB"]);
    let lines = fetch.with_code(0).json();
    for name in ["film.bin", "song.bin"] {
        let of_it = lines.iter().filter(|line| line["event"] == "progress" && line["name"] == name);
        let most = of_it.map(|line| line["holders"].as_u64().unwrap()).max();
        assert_eq!(most, Some(1), "{name}: {lines:?}");
    }
}

/// The reason in the last line of a fetch that ended with `code`.
#[track_caller]
fn reason(ended: ExitedProcess, code: i32) -> Value {
    let ended = ended.with_code(code);
    let reason = ended.totals()["failure"].clone();
    assert_eq!(reason["code"], code, "{reason}");
    reason
}

#[test]
fn the_reason_of_a_failure_is_in_the_last_line() {
    let mut network = Network::start_with(&["--port", &free_port().to_string()]);
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 1000));
    network.write("earth/film.bin", b"mine");
    let of_disk = reason(network.fetch(&["film.bin", "--into", "earth"]), 6);
    assert_eq!(of_disk["kind"], "disk");
    assert!(of_disk["causes"][0].as_str().unwrap().contains("film.bin"), "{of_disk}");
    assert!(of_disk["hint"].as_str().unwrap().contains("--replace"), "{of_disk}");

    let ended = network.fetch(&["film.bim", "nothing", "--into", "air"]);
    let failures = ended.json().into_iter().filter(|line| line["event"] == "failure").collect::<Vec<_>>();
    let names: Vec<&Value> = failures.iter().map(|failure| &failure["name"]).collect();
    assert_eq!(names, ["film.bim", "nothing"]);
    let of_name = reason(ended, 5);
    assert_eq!((&of_name["kind"], &of_name["hint"]), (&"not_found".into(), &"did you mean film.bin?".into()));

    let of_folder = reason(network.fetch(&["film.bin", "--into", "earth/film.bin"]), 6);
    assert_eq!(of_folder["kind"], "disk");

    network.stop_manager();
    let of_manager = reason(network.fetch(&["film.bin", "--into", "air"]), 3);
    assert_eq!(of_manager["kind"], "unreached");
    assert!(of_manager["error"].as_str().unwrap().starts_with("no manager answers"), "{of_manager}");
    for subcommand in ["files", "peers"] {
        let ended =
            network.run(subcommand, &["--json"]).end().with_code(3).prints_error(&["no manager answers"]);
        let [failure] = &ended.json()[..] else { panic!("{}", ended.out) };
        assert_eq!((&failure["event"], &failure["code"]), (&"failure".into(), &3.into()));
        assert_eq!((&failure["kind"], &failure["error"]), (&of_manager["kind"], &of_manager["error"]));
    }
}

#[test]
fn a_stopped_fetch_reports_the_signal() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 3 << 20));
    let fetch = network.run("fetch", &["--json", "film.bin", "--into", "earth", "--download-limit", "200KB"]);
    fetch.prints("\"fetching\"");
    let reason = reason(fetch.terminate(), 143);
    assert_eq!(reason["kind"], "ended_by_signal");
}
