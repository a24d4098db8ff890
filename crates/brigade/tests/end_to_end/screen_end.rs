//! The terminal after a screen: it is usable whatever ended the screen (a signal, SIGKILL, a panic), and while the program
//! is suspended. The terminal is tmux.
//!
//! Without tmux these tests are skipped. `job_control` tests the plain prompt.

use std::process::Command;

use rustix::process::{Signal, kill_process};

use crate::{
    test_network::{Network, bytes},
    test_process::{PATIENCE, Process, until},
    test_skipping::skip,
    test_terminal::Terminal,
};

/// A peer that shows its screen, with these arguments of `env`.
fn earth(network: &Network, environment: &[&str]) -> Option<Terminal> {
    let arguments = ["--port", "0", "--username", "earth"];
    let earth = Terminal::screen(network, 80, environment, "peer", &arguments)?;
    earth.shows("`help` lists the commands");
    earth.shows("Transfers");
    Some(earth)
}

/// Checks that a shell can use the terminal: typed text is echoed, the cursor is visible, and the main screen is shown.
#[track_caller]
fn is_restored(terminal: &Terminal) {
    until("the terminal is restored", PATIENCE, || {
        let settings = terminal.settings();
        let has_mode = ["icanon", "echo", "isig"]
            .iter()
            .all(|mode| settings.split_whitespace().any(|word| word == *mode));
        let properties =
            ["alternate_on", "cursor_flag", "mouse_any_flag"].map(|name| terminal.property(name));
        (has_mode && properties == ["0", "1", "0"]).then_some(())
    });
    terminal.types("echo the mode is ri''ght");
    let screen = terminal.shows("the mode is right");
    assert!(!screen.contains("Transfers"), "{screen}");
}

#[test]
fn a_killed_screen_leaves_a_usable_terminal() {
    let network = Network::start();
    for signal in [Signal::KILL, Signal::TERM] {
        let Some(earth) = earth(&network, &[]) else { return };
        let program = earth.program();
        kill_process(program, signal).unwrap();
        earth.has_ended(program);
        is_restored(&earth);
    }
}

/// The terminal does not read any more, as after Ctrl-S or while a connection hangs.
#[test]
fn a_stopped_terminal_does_not_hold_up_the_end() {
    let network = Network::start();
    let Some(earth) = earth(&network, &[]) else { return };
    let manager = Terminal::screen(&network, 80, &[], "manager", &["--state", "another"]).unwrap();
    manager.shows("username");
    for terminal in [earth, manager] {
        let program = terminal.program();
        let reader: i32 = String::from_utf8(terminal.tmux(&["display-message", "-p", "#{pid}"]).stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let reader = rustix::process::Pid::from_raw(reader).unwrap();
        kill_process(reader, Signal::STOP).unwrap();
        kill_process(program, Signal::TERM).unwrap();
        terminal.has_ended(program);
        kill_process(reader, Signal::CONT).unwrap();
        is_restored(&terminal);
    }
}

#[test]
fn a_killed_screen_of_a_manager_leaves_a_usable_terminal() {
    let network = Network::start();
    let Some(manager) = Terminal::screen(&network, 80, &[], "manager", &["--state", "another"]) else {
        return;
    };
    manager.shows("username");
    let program = manager.program();
    kill_process(program, Signal::KILL).unwrap();
    manager.has_ended(program);
    is_restored(&manager);
}

/// Programs for users have no key that panics.
#[test]
#[cfg(debug_assertions)]
fn a_panic_restores_the_terminal_and_its_message_is_visible() {
    let network = Network::start();
    let Some(earth) = earth(&network, &["BRIGADE_TEST_PANIC=1", "RUST_BACKTRACE=0"]) else { return };
    let program = earth.program();
    earth.presses(&["F12"]);
    earth.has_ended(program);
    earth.shows("a panic for a test");
    is_restored(&earth);
}

#[test]
fn a_suspended_screen_is_drawn_again_with_the_typed_text() {
    let network = Network::start();
    let Some(earth) = earth(&network, &[]) else { return };
    for round in ["1", "2"] {
        assert!(earth.tmux(&["send-keys", "-l", &format!("fetch nothing{round}")]).status.success());
        earth.shows(&format!("> fetch nothing{round}"));
        earth.suspends();
        earth.types(&format!("clear; echo sh''ell {round}"));
        let screen = earth.shows(&format!("shell {round}"));
        assert!(!screen.contains("Transfers"), "{screen}");
        earth.types("fg");
        earth.shows(&format!("> fetch nothing{round}"));
        earth.types("again");
        earth.shows(&format!("nobody shares \"nothing{round}again\""));
    }
    let program = earth.program();
    earth.types("Q");
    earth.has_ended(program);
    is_restored(&earth);
}

#[test]
fn a_suspended_screen_serves_in_the_background() {
    let network = Network::start();
    let film = bytes("film", 600_000);
    network.write("earth/film.bin", &film);
    let Some(earth) = Terminal::screen(&network, 80, &[], "peer", &["--port", "0", "--username", "earth"])
    else {
        return;
    };
    earth.shows("Share all files in it? [y/N]");
    earth.types("y");
    earth.shows("Transfers");
    network.has_file("film.bin", 1, PATIENCE);
    earth.suspends();
    earth.types("bg");
    earth.types("clear; echo sh''ell");
    earth.shows("shell");
    network.fetch(&["film.bin", "--into", "air"]).with_code(0);
    let screen = earth.shows("shell");
    assert!(!screen.contains("Transfers"), "{screen}");
    earth.types("fg");
    earth.shows("Transfers");
    let program = earth.program();
    earth.types("Q");
    earth.has_ended(program);
    is_restored(&earth);
}

/// `script` gives the program a terminal, but nobody answers the program's questions about the cursor.
#[test]
fn a_screen_opens_on_a_terminal_that_answers_no_questions() {
    if Command::new("script").arg("--version").output().is_err() {
        return skip("script");
    }
    let network = Network::start();
    let mut script = Command::new("script");
    script.env("TERM", "xterm").env("BRIGADE_HOME", network.path("home")).current_dir(network.path(""));
    let program = env!("CARGO_BIN_EXE_brigade");
    let peer = format!("{program} peer --port 0 --username earth --manager-port {}", network.port());
    let commands = format!("stty rows 24 cols 80; exec {peer}");
    script.arg("-qec").arg(commands).arg(network.path("typescript"));
    let mut script = Process::start(script);
    script.types("Q\n");
    let ended = script.end().with_code(0);
    assert!(ended.out.contains("Transfers"), "{}", ended.out);
}
