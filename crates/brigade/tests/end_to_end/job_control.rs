//! Programs that a person suspends (Ctrl-Z), continues, or runs in the background. The terminal is tmux.
//!
//! Without tmux these tests are skipped.

use crate::{
    test_network::{Network, bytes, free_port, pieces_recorded},
    test_process::{PATIENCE, until},
    test_terminal::Terminal,
};

#[test]
fn a_suspended_prompt_continues_with_the_typed_text() {
    let network = Network::start();
    let Some(earth) = Terminal::job(&network, "peer", &["--port", "0", "--username", "earth"]) else {
        return;
    };
    earth.shows("`help` lists the commands");
    for round in ["1", "2"] {
        assert!(earth.tmux(&["send-keys", "-l", &format!("fetch nothing{round}")]).status.success());
        earth.shows(&format!("> fetch nothing{round}"));
        earth.suspends();
        earth.types(&format!("clear; echo sh''ell {round}"));
        let screen = earth.shows(&format!("shell {round}"));
        assert!(!screen.contains("nothing"), "{screen}");
        earth.types("fg");
        earth.shows(&format!("> fetch nothing{round}"));
        earth.types("again");
        earth.shows(&format!("nobody shares \"nothing{round}again\""));
    }
    let program = earth.program();
    earth.types("Q");
    earth.has_ended(program);
    earth.types("echo the mode is ri''ght");
    earth.shows("the mode is right");
}

/// The system stops a program in the background that reads the terminal.
#[test]
fn a_suspended_prompt_works_in_the_background() {
    let Some((_network, earth)) = with_prompt_after_bg(&[]) else { return };
    let program = earth.program();
    earth.types("Q");
    earth.has_ended(program);
    earth.types("echo the mode is ri''ght");
    earth.shows("the mode is right");
}

/// The system reads the line there, so the program has no editor that it could detach.
#[test]
fn a_suspended_prompt_without_an_editor_works_in_the_background() {
    let Some((_network, earth)) = with_prompt_after_bg(&["TERM=dumb"]) else { return };
    let program = earth.program();
    earth.types("Q");
    earth.has_ended(program);
}

/// A peer that was suspended at its prompt, served its file in the background, and takes commands again. It has these
/// arguments of `env`. `None` without tmux.
fn with_prompt_after_bg(environment: &[&str]) -> Option<(Network, Terminal)> {
    let network = Network::start();
    let film = bytes("film", 600_000);
    network.write("earth/film.bin", &film);
    let arguments = ["--port", "0", "--username", "earth"];
    let earth = Terminal::job_with(&network, environment, "peer", &arguments)?;
    earth.shows("Share all files in it? [y/N]");
    earth.types("y");
    earth.shows("`help` lists the commands");
    network.has_file("film.bin", 1, PATIENCE);
    earth.suspends();
    earth.types("bg");
    for round in ["1", "2"] {
        earth.types(&format!("clear; echo sh''ell {round}"));
        earth.shows(&format!("shell {round}"));
        network.fetch(&["film.bin", "--into", round]).with_code(0);
        network.has(&format!("{round}/film.bin"), &film);
    }
    earth.types("fg");
    earth.shows("\n>");
    earth.types("fetch nothing");
    earth.shows("nobody shares \"nothing\"");
    Some((network, earth))
}

/// The shell writes on the terminal then.
#[test]
fn a_peer_in_the_background_prints_messages_without_its_prompt() {
    for environment in [&[][..], &["TERM=dumb"]] {
        let mut network = Network::start();
        let arguments = ["--port", "0", "--username", "earth"];
        let Some(earth) = Terminal::job_with(&network, environment, "peer", &arguments) else { return };
        earth.shows("`help` lists the commands");
        earth.shows("\n>");
        earth.suspends();
        earth.types("bg");
        earth.types("clear; echo sh''ell");
        earth.shows("shell");
        network.stop_manager().with_code(143);
        earth.shows("the manager is away");
        earth.types("echo on''ce more");
        let screen = earth.shows("once more");
        assert!(!screen.lines().any(|row| row.starts_with('>')), "{environment:?}: {screen}");
        assert!(screen.contains("shell"), "{environment:?}: {screen}");
    }
}

#[test]
fn a_fetch_in_the_background_draws_no_line() {
    let network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", &bytes("film", 8 << 20));
    let slowly = ["film.bin", "--into", "earth", "--download-limit", "200KB"];
    let Some(fetch) = Terminal::job(&network, "fetch", &slowly) else { return };
    fetch.shows("1 holder");
    fetch.suspends();
    fetch.types("bg");
    fetch.types("clear; echo sh''ell");
    fetch.shows("shell");
    let stored = || pieces_recorded(&network.path("earth"));
    let before = stored();
    until("two more pieces are stored", PATIENCE, || (stored() > before + 1).then_some(()));
    let screen = fetch.shows("shell");
    assert!(!screen.contains('%') && !screen.contains("holder"), "{screen}");
    fetch.types("fg");
    fetch.shows("1 holder");
}

/// The system stops a program in the background that changes the mode of the terminal.
#[test]
fn a_manager_that_starts_in_the_background_has_its_table_in_the_foreground() {
    let mut network = Network::start_with(&["--port", &free_port().to_string()]);
    network.stop_manager().with_code(143); // the next one has its port
    let Some(manager) = Terminal::background_job(&network, "manager", &["--state", "state"]) else { return };
    until("the manager listens", PATIENCE, || {
        std::net::TcpStream::connect(("127.0.0.1", network.port())).ok().map(drop)
    });
    network.has_peers(&[], PATIENCE);
    manager.types("clear; echo sh''ell");
    let screen = manager.shows("shell");
    assert!(!screen.contains("username"), "{screen}");
    manager.types("fg");
    manager.shows("username");
    let program = manager.program();
    assert!(manager.tmux(&["send-keys", "q"]).status.success());
    manager.has_ended(program);
}

/// As `kill` of some shells does for a job that is suspended. A program that then changes the mode of the terminal is
/// stopped by the system.
#[test]
fn a_suspended_program_ends_when_it_is_terminated() {
    let mut network = Network::start();
    let peer: (&str, &[&str]) = ("peer", &["--port", "0", "--username", "earth"]);
    for (subcommand, arguments) in [peer, ("manager", &["--state", "another"])] {
        let Some(job) = Terminal::job(&network, subcommand, arguments) else { return };
        job.shows(if subcommand == "peer" { "`help` lists the commands" } else { "username" });
        let program = job.program();
        job.suspends();
        job.types("kill %1; kill -s CONT %1");
        job.has_ended(program);
        job.types("echo the mode is ri''ght");
        job.shows("the mode is right");
    }
    let events = network.stop_manager().out;
    assert!(events.contains("earth left: it quit"), "{events}");
}

#[test]
fn a_suspended_table_is_drawn_again() {
    let network = Network::start();
    let Some(manager) = Terminal::job(&network, "manager", &["--state", "another"]) else { return };
    for round in ["1", "2"] {
        manager.shows("username");
        manager.suspends();
        manager.types(&format!("clear; echo sh''ell {round}"));
        let screen = manager.shows(&format!("shell {round}"));
        assert!(!screen.contains("username"), "{screen}");
        manager.types("fg");
    }
    manager.shows("username");
    let program = manager.program();
    assert!(manager.tmux(&["send-keys", "q"]).status.success());
    manager.has_ended(program);
    manager.types("echo the mode is ri''ght");
    let screen = manager.shows("the mode is right");
    assert!(!screen.contains("username"), "{screen}");
}
