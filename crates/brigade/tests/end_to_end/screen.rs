//! The screen of a peer at a terminal: fetching, filtering, pausing, cancelling, other sizes, and the screen of a peer that
//! runs elsewhere. The terminal is tmux.
//!
//! Without tmux these tests are skipped. `screen_end` tests how the screen ends, `terminal` the plain prompt.

use rustix::process::Signal;

use crate::{
    test_network::{Network, bytes, hash},
    test_process::{PATIENCE, until},
    test_terminal::Terminal,
};

/// A peer with its screen, after its questions are answered.
fn earth(network: &Network, columns: u16, arguments: &[&str]) -> Option<Terminal> {
    let earth = Terminal::screen(network, columns, &[], "peer", arguments)?;
    let screen = earth.shows("Port:");
    assert!(screen.contains("Enter alone takes a free one"), "{screen}");
    earth.types("");
    earth.shows("Username:");
    earth.types("earth");
    earth.shows("`help` lists the commands");
    Some(earth)
}

/// Quits, and checks the exit code.
#[track_caller]
fn quits(terminal: &Terminal, line: &str) {
    let program = terminal.program();
    terminal.types(line);
    terminal.has_ended(program);
    terminal.types("echo it ended with $?");
    terminal.shows("it ended with 0");
}

#[test]
fn a_peer_with_a_screen_fetches_from_two_holders_at_once() {
    let network = Network::start();
    let film = bytes("film", 8 << 20);
    let _held = ["fire_user", "water_user"].map(|username| network.holder(username, "films/film.bin", &film));
    let Some(earth) = earth(&network, 80, &["--download-limit", "1500KB"]) else { return };
    let screen = earth.shows("▸ films/");
    for text in ["Transfers", "Files", "Peers", "Log", "fire_user", "water_user", "earth at "] {
        assert!(screen.contains(text), "{text}: {screen}");
    }
    earth.types("fetch films/film.bin");
    // Each holder's share, and the map of the pieces.
    let screen = until("both holders send", PATIENCE, || {
        let screen = earth.rows().join("\n");
        let has_share = |username: &str| {
            screen.lines().any(|row| row.contains(&format!("{username} ")) && row.contains('['))
        };
        (has_share("fire_user") && has_share("water_user")).then_some(screen)
    });
    let row = screen.lines().find(|row| row.contains("film.bin") && row.contains("% ")).unwrap();
    assert!(row.contains("kB/s") || row.contains("MB/s"), "{screen}");
    // A pause: no more bytes arrive.
    earth.presses(&["Tab"]);
    let is_paused = || earth.rows().iter().any(|row| row.contains("% ") && row.contains("paused"));
    earth.presses(&["p"]);
    until("it is paused", PATIENCE, || is_paused().then_some(()));
    earth.presses(&["p"]);
    until("it goes on", PATIENCE, || (!is_paused()).then_some(()));
    for (columns, rows) in [(40, 10), (120, 40), (80, 24)] {
        earth.resize_to(columns, rows);
        until(&format!("{columns} columns are drawn"), PATIENCE, || {
            let drawn = earth.rows();
            let widest = drawn.iter().map(|row| row.chars().count()).max()?;
            let has_transfers = drawn.iter().any(|row| row.starts_with("Transfers"));
            let is_single = !drawn.iter().any(|row| row.starts_with("Files"));
            (has_transfers && widest <= columns.into() && is_single == (columns == 40)).then_some(())
        });
    }
    earth.presses(&["Escape"]);
    earth.types("limit down off");
    earth.shows("films/film.bin is here");
    network.has("earth/films/film.bin", &film);
    quits(&earth, "Q");
}

#[test]
fn a_person_filters_fetches_and_cancels_with_single_keys() {
    let network = Network::start();
    let film = bytes("film", 8 << 20);
    network.write("fire_user/data/b.bin", b"b");
    let _fire = network.holder("fire_user", "data/a.bin", &film);
    let Some(earth) = earth(&network, 80, &["--download-limit", "300KB"]) else { return };
    earth.shows("▸ data/");
    earth.presses(&["Tab", "Tab", "Right"]);
    earth.shows("b.bin");
    earth.presses(&["/"]);
    earth.types("data/a");
    until("only what fits is listed", PATIENCE, || {
        let rows = earth.rows();
        (rows.iter().any(|row| row.contains("a.bin")) && !rows.iter().any(|row| row.contains("b.bin")))
            .then_some(())
    });
    // The first row is the folder.
    earth.presses(&["End"]);
    earth.presses(&["f"]);
    earth.shows("> fetch data/a.bin");
    earth.shows("kB/s");
    earth.presses(&["BTab"]);
    earth.presses(&["x"]);
    earth.shows("Cancel the fetch of data/a.bin?");
    earth.presses(&["y"]);
    earth.shows("data/a.bin was stopped at");
    // Quitting asks while something runs.
    earth.presses(&["Tab"]);
    earth.presses(&["Enter"]);
    earth.shows("kB/s");
    earth.presses(&["q"]);
    earth.shows("1 fetch will stop, and can be resumed. Quit? [y/N]");
    earth.types("n");
    earth.presses(&["?"]);
    earth.shows("Right and Left open and close a folder");
    earth.presses(&["Escape"]);
    earth.presses(&["l"]);
    earth.shows("limit down");
    earth.presses(&["C-u"]);
    earth.types("down 400KB");
    earth.shows("400.0 kB/s (typed here)");
    let program = earth.program();
    earth.presses(&["q"]);
    earth.shows("Quit? [y/N]");
    earth.types("y");
    earth.has_ended(program);
}

#[test]
fn a_question_of_a_command_is_asked_in_a_dialog() {
    let network = Network::start();
    let contents = ["fire_user", "water_user"].map(|username| {
        let content = bytes(username, 100_000);
        let peer = network.holder(username, "same.bin", &content);
        (content, peer)
    });
    let Some(earth) = earth(&network, 120, &[]) else { return };
    earth.types("fetch same.bin");
    let menu = earth.shows("Which one? [1-2, Enter for none]");
    assert!(menu.contains("same.bin has 2 contents"), "{menu}");
    let id = &hash(&contents[1].0)[..10];
    let row = menu.lines().find(|row| row.contains(id)).unwrap();
    let number = row.trim_start_matches(['│', ' ']).chars().next().unwrap().to_string();
    earth.types(&number);
    earth.shows("same.bin is here");
    network.has("earth/same.bin", &contents[1].0);
    quits(&earth, "Q");
}

#[test]
fn pasted_lines_are_commands_and_the_history_is_that_of_the_prompt() {
    let network = Network::start();
    let Some(earth) = earth(&network, 80, &[]) else { return };
    earth.pastes("fetch nothing1\nfetch nothing2\nfetch noth");
    for number in 1..=2 {
        earth.shows(&format!("nobody shares \"nothing{number}\""));
    }
    earth.types("ing3");
    earth.shows("nobody shares \"nothing3\"");
    earth.presses(&["Up", "Up"]);
    earth.shows("> fetch nothing2");
    earth.presses(&["C-u"]);
    earth.types("hel");
    earth.shows("is not a command");
    earth.presses(&["h", "e", "l", "Tab"]);
    earth.types("");
    earth.shows("`ls` means `files`");
    quits(&earth, "Q");
    let history = std::fs::read_to_string(network.path("home/history")).unwrap();
    assert!(history.starts_with("#V2\nfetch nothing1\n") && history.ends_with("Q\n"), "{history}");
}

#[test]
fn a_screen_shows_a_peer_of_another_process_and_leaves_it_running() {
    let network = Network::start();
    let film = bytes("film", 8 << 20);
    let _fire = network.holder("fire_user", "film.bin", &film);
    let _earth = network.peer("earth", &["--download-limit", "300KB"]);
    let Some(ui) = Terminal::screen(&network, 100, &[], "ui", &["--folder", "earth"]) else { return };
    ui.shows("film.bin");
    ui.types("fetch film.bin");
    ui.shows("kB/s");
    ui.presses(&["Tab", "p"]);
    ui.shows("paused");
    let program = ui.program();
    ui.presses(&["q"]);
    ui.has_ended(program);
    ui.shows("goes on");
    assert!(network.usernames().contains(&"earth".to_owned()));
}

/// What a person without colours sees is text, and what is selected is reversed.
#[test]
fn the_files_are_listed_again_when_the_manager_is_back() {
    let mut network = Network::start();
    let _fire = network.holder("fire_user", "film.bin", b"film");
    let Some(earth) = earth(&network, 100, &[]) else { return };
    earth.shows("film.bin");
    network.stop_manager();
    until("the files cannot be listed", PATIENCE, || {
        (!earth.rows().iter().any(|row| row.contains("film.bin"))).then_some(())
    });
    let port = network.port().to_string();
    network.start_manager("state", &["--port", &port]);
    earth.shows("film.bin");
    quits(&earth, "Q");
}

#[test]
fn no_color_gets_no_colours() {
    let network = Network::start();
    network.write("earth/data/a.bin", b"a");
    let arguments = ["--port", "0", "--username", "earth"];
    let Some(earth) = Terminal::screen(&network, 80, &["NO_COLOR=1"], "peer", &arguments) else { return };
    earth.shows("Share all files in it? [y/N]");
    earth.types("y");
    earth.shows("▸ data/");
    let drawn = String::from_utf8(earth.tmux(&["capture-pane", "-p", "-e"]).stdout).unwrap();
    let sequences = drawn.split('\u{1b}').skip(1).map(|rest| rest.split('m').next().unwrap());
    let is_colour =
        |number: &str| number.parse::<u32>().is_ok_and(|number| (30..=48).contains(&number) && number != 39);
    for sequence in sequences {
        assert!(!sequence.trim_start_matches('[').split(';').any(is_colour), "{sequence:?} in {drawn:?}");
    }
    rustix::process::kill_process(earth.program(), Signal::TERM).unwrap();
}
