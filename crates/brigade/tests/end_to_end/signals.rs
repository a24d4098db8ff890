//! Signals: the first one stops a program in good order and keeps its data; a second Ctrl-C stops it at once.
//!
//! `joining_and_leaving` tests that an idle peer ends in good order, `resuming` tests Ctrl-C during a fetch.

use brigade_core::{
    id::ContentId,
    wire::{
        Reason,
        peer::{Open, Request, ToHolder},
    },
};
use rustix::process::Signal;

#[cfg(target_os = "linux")]
use crate::test_skipping::skip;
use crate::{
    scripted_peer::{ScriptedPeer, frame_of},
    test_network::{Network, bytes, free_port, pieces_recorded},
    test_process::{ENDING, PATIENCE, SLACK, until},
};

/// The size of a file that does not fit into the buffers of a socket.
const LARGE_BYTES: usize = 64 << 20;

#[test]
fn sigterm_during_a_fetch_keeps_its_pieces() {
    let network = Network::start();
    let film = bytes("film", 16 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let fetch = network.run("fetch", &["film.bin", "--into", "earth", "--download-limit", "3MB", "--json"]);
    until("8 pieces are recorded", PATIENCE, || (pieces_recorded(&network.path("earth")) >= 8).then_some(()));
    let totals = fetch.terminate().with_code(143).totals();
    assert_eq!(totals["done"], false);
    assert!(!network.path("earth/film.bin").exists());
    let totals = network.fetch(&["film.bin", "--into", "earth"]).with_code(0).totals();
    assert!(totals["bytes_already"].as_u64().unwrap() > 0, "{totals}");
    network.has("earth/film.bin", &film);
}

/// A downloader that requests and does not read delays the end of a peer for as long as the peer allows.
#[test]
fn a_second_ctrl_c_ends_at_once() {
    let network = Network::start();
    let film = bytes("large", LARGE_BYTES);
    let port = free_port();
    network.write("fire_user/film.bin", &film);
    let fire = network.peer("fire_user", &["--port", &port.to_string()]);
    let (_session, membership) = ScriptedPeer::join(network.port(), 1, 1001);

    let mut greedy = ScriptedPeer::greet(port, 1, Some(&membership));
    let id = ContentId(*blake3::hash(&film).as_bytes());
    greedy.send(&frame_of(&ToHolder::from(Open { channel: 0, id, size: LARGE_BYTES as u64 })));
    for piece in 0..200 {
        greedy.send(&frame_of(&ToHolder::from(Request { request: piece, channel: 0, piece, offer: None })));
    }
    let mut idle = ScriptedPeer::greet(port, 1, Some(&membership));

    // SIGTERM first, so that the exit code shows which signal ended it.
    fire.signal(Signal::TERM);
    assert_eq!(idle.goodbye().reason, Reason::Stopping); // it is stopping now
    fire.signal(Signal::INT);
    fire.end_within(SLACK).with_code(130); // not 143, which it has after the longest time of stopping

    // With one signal it ends in good order too, and in time.
    let fire = network.peer("fire_user", &["--port", &port.to_string()]);
    let mut greedy = ScriptedPeer::greet(port, 1, Some(&membership));
    greedy.send(&frame_of(&ToHolder::from(Open { channel: 0, id, size: LARGE_BYTES as u64 })));
    for piece in 0..200 {
        greedy.send(&frame_of(&ToHolder::from(Request { request: piece, channel: 0, piece, offer: None })));
    }
    fire.terminate().with_code(143);
}

/// A terminal that is closed sends SIGHUP. A peer without a prompt and without a terminal reads its settings again instead
/// (`services`).
#[test]
#[cfg(target_os = "linux")]
fn a_hang_up_ends_in_good_order_unless_it_is_ignored() {
    let network = Network::start();
    // As `nohup` starts it.
    let mut ignoring = std::process::Command::new("sh");
    ignoring.args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_brigade"), "manager"]);
    ignoring.args(["--port", "0", "--state"]).arg(network.path("another"));
    let manager = crate::test_process::Process::start(ignoring);
    manager.prints("ready\n");
    manager.signal(Signal::HUP);
    manager.terminate().with_code(143);

    let port = free_port();
    let Some(mut command) = with_default_hang_up(&network.brigade("peer")) else {
        return skip("an `env` with `--default-signal`");
    };
    command.args(["--username", "fire_user", "--port", &port.to_string()]);
    command.args(["--manager-port", &network.port().to_string()]);
    let fire = crate::test_process::Process::start(command);
    fire.prints("`help` lists the commands");
    let (_session, membership) = ScriptedPeer::join(network.port(), 1, 1001);
    let mut idle = ScriptedPeer::greet(port, 1, Some(&membership));
    fire.signal(Signal::HUP);
    assert_eq!(idle.goodbye().reason, Reason::Stopping);
    fire.end().with_code(129);
}

/// The same command with the default action of SIGHUP: a program inherits that the signal is ignored, and `nohup` may
/// have started the tests. `None` if `env` does not have the option.
#[cfg(target_os = "linux")]
fn with_default_hang_up(command: &std::process::Command) -> Option<std::process::Command> {
    let env = || {
        let mut env = std::process::Command::new("env");
        env.arg("--default-signal=HUP");
        env
    };
    env().arg("true").output().ok().filter(|tried| tried.status.success())?;
    let mut same = env();
    same.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => same.env(name, value),
            None => same.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        same.current_dir(folder);
    }
    Some(same)
}

/// Ctrl-C ends each command that waits: here for a manager that accepts connections but sends nothing.
#[test]
fn a_signal_ends_commands_that_wait_for_a_silent_manager() {
    let network = Network::start();
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let at = silent.local_addr().unwrap().port().to_string();
    let commands: [(&str, &[&str]); 3] = [
        ("peer", &["--headless", "--username", "fire_user"]),
        ("fetch", &["film.bin", "--into", "earth"]),
        ("peer", &["--username", "fire_user", "--port", "0"]),
    ];
    for (subcommand, arguments) in commands {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let mut command = network.brigade(subcommand);
            command.args(["--manager-port", &at]).args(arguments);
            let process = crate::test_process::Process::start(command);
            let (_stream, _) = silent.accept().unwrap(); // it waits now
            process.signal(signal);
            // A command that waited for the manager would end with 3, and report that it does not answer.
            process.end_within(ENDING + SLACK).with_code(code);
        }
    }
    assert!(!network.path("earth").exists() && !network.path("fire_user").exists());
}

/// A frozen manager answers nothing; the user can stop each command that waits for it.
#[test]
fn a_command_that_waits_for_the_manager_ends_with_a_signal() {
    let network = Network::start();
    let mut peer = network.run("peer", &["--port", "0", "--username", "fire_user"]);
    peer.prints("`help` lists the commands");
    network.signal_manager(Signal::STOP);
    peer.types("files\n");
    peer.prints("> files\n");
    peer.signal(Signal::TERM);
    let ended = peer.end_within(ENDING + SLACK).with_code(143);
    assert!(!ended.err.contains("did not answer"), "it waited for the manager:\n{}", ended.err);
    network.signal_manager(Signal::CONT);
}
