//! `brigade demo`: a whole network on one machine fetches a file.
//!
//! The other files test the single commands of a network.

use crate::{
    test_network::{Network, bytes, hash},
    test_process::Process,
};

#[test]
fn a_demo_without_its_file_says_what_to_do() {
    let network = Network::start();
    let mut command = network.brigade("demo");
    command.arg("nosuch.bin");
    Process::start(command)
        .end()
        .with_code(1)
        .prints_error(&["nosuch.bin", "hint: name a file that you can read"]);
}

#[test]
fn the_demo_succeeds() {
    let network = Network::start();
    // Two pieces may come from one holder alone, but not this many.
    for size in [0, 300_000, 24 << 20] {
        let film = bytes("film", size);
        network.write("film.bin", &film);
        let mut command = network.brigade("demo");
        command.arg("film.bin");
        let ended = Process::start(command).end().with_code(0);
        for text in ["earth_user: film.bin is here", "air_user: film.bin is here", &hash(&film)] {
            assert!(ended.out.contains(text), "{text:?} is not in\n{}", ended.out);
        }
    }
}
