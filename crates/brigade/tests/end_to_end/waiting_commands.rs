//! `fetch --wait` and `fetch --timeout`: a name that nobody shares yet, and a holder that sends nothing any more; with a
//! peer of the command's own, and with one that runs.

use rustix::process::Signal;

use crate::{
    test_network::{Network, bytes},
    test_process::PATIENCE,
};

#[test]
fn a_fetch_waits_for_a_name_that_nobody_shares_yet() {
    let network = Network::start();
    let _earth = network.peer("earth_user", &[]);
    let film = bytes("film", 300_000);
    let waiting = ["earth_user", "air"].map(|into| {
        let fetch = network.run("fetch", &["film.bin", "--wait", "--into", into]);
        fetch.prints_error("nobody shares film.bin yet; waiting for it");
        fetch
    });
    let _fire = network.holder("fire_user", "film.bin", &film);
    for (fetch, into) in waiting.into_iter().zip(["earth_user", "air"]) {
        let ended = fetch.end().with_code(0);
        assert_eq!(ended.err.matches("nobody shares").count(), 1, "{}", ended.err);
        network.has(&format!("{into}/film.bin"), &film);
    }
    for into in ["earth_user", "water"] {
        let ended =
            network.run("fetch", &["nothing", "--wait=1s", "--quiet", "--into", into]).end().with_code(5);
        assert_eq!(ended.err, "error: nobody shares \"nothing\"\nhint: `files` lists all names\n");
    }
    network
        .run("fetch", &["a", "--wait=soon"])
        .end()
        .with_code(2)
        .prints_error(&["expected a time like 30s"]);
}

#[test]
fn a_fetch_ends_when_no_byte_arrives_for_the_time() {
    let network = Network::start();
    let film = bytes("film", 3 << 20);
    let fire = network.holder("fire_user", "film.bin", &film);
    let _earth = network.peer("earth_user", &["--download-limit", "300KB"]);
    let limited = ["--download-limit", "300KB"];
    for (into, more) in [("air", &limited[..]), ("earth_user", &[])] {
        let arguments = [&["film.bin", "--json", "--timeout", "2s", "--into", into][..], more].concat();
        let fetch = network.run("fetch", &arguments);
        fetch.prints("\"fetching\"");
        fire.signal(Signal::STOP);
        let ended = fetch.end_within(PATIENCE * 2).with_code(7);
        let failure = ended.totals()["failure"].clone();
        assert_eq!(
            (&failure["kind"], &failure["error"]),
            (&"timed_out".into(), &"no byte has arrived for 2.0 s".into())
        );
        fire.signal(Signal::CONT);
        // Its lease may have ended meanwhile.
        network.has_file("film.bin", 1, PATIENCE);
    }
    network.order("limit", &["down", "off", "--folder", "earth_user"]).with_code(0);
    network.run("fetch", &["film.bin", "--timeout", "1h", "--into", "earth_user"]).end().with_code(0);
    network.has("earth_user/film.bin", &film);
}

#[test]
fn a_quiet_fetch_prints_only_errors() {
    let network = Network::start();
    let film = bytes("film", 300_000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let _earth = network.peer("earth_user", &[]);
    for into in ["earth_user", "air"] {
        let fetch = |quiet: &[&str]| {
            let ended = network.run("fetch", &[&["film.bin", "--into", into][..], quiet].concat()).end();
            ended.with_code(0)
        };
        let ended = fetch(&["--quiet"]);
        assert_eq!((ended.out.as_str(), ended.err.as_str()), ("", ""));
        let ended = fetch(&[]);
        assert_eq!((ended.out.as_str(), ended.err.as_str()), ("film.bin is here already (300.0 kB)\n", ""));
    }
}
