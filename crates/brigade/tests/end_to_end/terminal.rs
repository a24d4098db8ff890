//! Features for a person at a terminal: questions and typed answers. The terminal is tmux.
//!
//! All other tests run the programs without a terminal. Without tmux these tests are skipped.

use std::process::Command;

use rustix::process::Signal;

use crate::{
    test_network::{Network, bytes, hash},
    test_process::{PATIENCE, Process, until},
    test_skipping::skip,
    test_terminal::Terminal,
};

/// Two peers with different contents under one name.
fn with_versions(network: &Network) -> [(Vec<u8>, crate::test_process::Process); 2] {
    ["fire_user", "water_user"].map(|username| {
        let content = bytes(username, 100_000);
        let peer = network.holder(username, "same.bin", &content);
        (content, peer)
    })
}

#[test]
fn a_person_chooses_among_several_contents() {
    let network = Network::start();
    let [(fires, _fire), (waters, _water)] = with_versions(&network);
    let Some(earth) = Terminal::run(&network, "peer", &["--port", "0", "--username", "earth"]) else {
        return;
    };
    earth.shows("`help` lists the commands");
    earth.types("fetch same.bin");
    let menu = earth.shows("Which one? [1-2, Enter for none]");
    assert!(menu.contains("same.bin has 2 contents"), "{menu}");
    let number = |content: &[u8]| {
        let id = &hash(content)[..10];
        menu.lines().find(|line| line.contains(id)).unwrap().trim_start()[..1].to_owned()
    };
    earth.types("3");
    earth.types(&number(&waters));
    earth.shows("same.bin is here");
    network.has("earth/same.bin", &waters);
    earth.types(&format!("fetch same.bin@{} --replace", &hash(&fires)[..8]));
    earth.shows("the old file is now same.bin.~1~");
    network.has("earth/same.bin", &fires);
    earth.types("Q");
    earth.shows("it ended with 0");
}

#[test]
fn a_person_can_choose_no_content() {
    let network = Network::start();
    let [(fires, _fire), _water] = with_versions(&network);
    let Some(air) = Terminal::run(&network, "fetch", &["same.bin", "--into", "air"]) else { return };
    air.shows("Which one? [1-2, Enter for none]");
    air.types("");
    air.shows("it ended with 5");
    assert!(!network.path("air/same.bin").exists());
    drop(air);
    let of_fire = format!("same.bin@{}", &hash(&fires)[..8]);
    network.fetch(&[&of_fire, "--into", "air"]).with_code(0);
}

#[test]
fn a_wrong_name_is_reported_without_a_question_about_another_name() {
    let network = Network::start();
    let _held = with_versions(&network);
    let names = ["same.bin", "nothing", "--into", "air"];
    let Some(air) = Terminal::run(&network, "fetch", &names) else { return };
    let screen = air.shows("it ended with 5");
    for text in ["nobody shares \"nothing\"", "same.bin has 2 contents"] {
        assert!(screen.contains(text), "{screen}");
    }
    assert!(!screen.contains("Which one?"), "{screen}");
}

#[test]
fn an_existing_folder_is_shared_only_after_a_yes() {
    let network = Network::start();
    network.write("earth/private.txt", b"private");
    let Some(earth) = Terminal::run(&network, "peer", &[]) else { return };
    let screen = earth.shows("Port:");
    assert!(screen.contains("Enter alone takes a free one"), "{screen}");
    earth.types("");
    earth.shows("Username:");
    earth.types("earth");
    earth.shows("exists already. Share all files in it? [y/N]");
    earth.types("n");
    earth.types("earth2");
    earth.shows("earth2 shares earth2 with the network");
    assert!(network.list("files", &[]).is_empty());
    earth.types("Q");
    earth.shows("it ended with 0");
    assert!(!network.path("earth/.brigade").exists());
    assert_eq!(
        std::fs::read_to_string(network.path("home/history")).unwrap().trim_end(),
        "#V2\nQ",
        "answers are no commands"
    );
}

#[test]
fn ctrl_c_at_a_question_of_the_start_is_an_interruption() {
    let network = Network::start();
    network.write("earth/private.txt", b"private");
    for (arguments, question) in [
        (&[][..], "Port:"),
        (&["--port", "0"], "Username:"),
        (&["--port", "0", "--username", "earth"], "Share all files in it? [y/N]"),
    ] {
        let Some(earth) = Terminal::run(&network, "peer", arguments) else { return };
        earth.shows(question);
        assert!(earth.tmux(&["send-keys", "C-c"]).status.success());
        earth.shows("it ended with 130");
    }
    assert!(!network.path("earth/.brigade").exists());
}

/// A manager that is stopped answers nothing.
#[test]
fn ctrl_c_ends_only_the_command_that_waits_for_the_manager() {
    let network = Network::start();
    let Some(earth) = Terminal::run(&network, "peer", &["--port", "0", "--username", "earth"]) else {
        return;
    };
    earth.shows("`help` lists the commands");
    earth.reads_keys();
    for command in ["files", "peers"] {
        network.signal_manager(Signal::STOP);
        let before = unread_by_manager(&network);
        earth.types(command);
        until("the question is sent", PATIENCE, || (unread_by_manager(&network) > before).then_some(()));
        assert!(earth.tmux(&["send-keys", "C-c"]).status.success());
        earth.reads_keys();
        network.signal_manager(Signal::CONT);
        earth.types(&format!("fetch {command}.bin"));
        earth.shows(&format!("nobody shares \"{command}.bin\""));
        earth.reads_keys();
    }
    earth.types("Q");
    let screen = earth.shows("it ended with 0");
    assert!(!screen.contains("did not answer"), "{screen}");
}

/// The bytes that the manager has received and not read.
fn unread_by_manager(network: &Network) -> u64 {
    let port = format!(":{:04X}", network.port());
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let sockets: String = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default()).concat();
    let unread = sockets.lines().filter_map(|socket| {
        let fields: Vec<&str> = socket.split_whitespace().collect();
        let [_, local, _, _, queues, ..] = fields[..] else { return None };
        let (_, received) = queues.split_once(':')?;
        local.ends_with(&port).then(|| u64::from_str_radix(received, 16).unwrap())
    });
    unread.sum()
}

#[test]
fn all_pasted_lines_are_executed() {
    let network = Network::start();
    let Some(earth) = Terminal::run(&network, "peer", &["--port", "0", "--username", "earth"]) else {
        return;
    };
    earth.shows("`help` lists the commands");
    let lines: String = (1..=5).map(|number| format!("fetch nothing{number}\n")).collect();
    assert!(earth.tmux(&["send-keys", "-l", &lines]).status.success());
    for number in 1..=5 {
        earth.shows(&format!("nobody shares \"nothing{number}\""));
    }
    let lines: String = (6..=9).map(|number| format!("fetch nothing{number}\n")).collect();
    earth.pastes(&lines);
    earth.types("");
    for number in 6..=9 {
        earth.shows(&format!("nobody shares \"nothing{number}\""));
    }
    let screen = earth.shows("nothing9");
    let at = |number| screen.find(&format!("nobody shares \"nothing{number}\"")).unwrap();
    assert!((6..9).all(|number| at(number) < at(number + 1)), "not in order:\n{screen}");
    earth.types("Q");
    earth.shows("it ended with 0");
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let network = Network::start();
    let Some(earth) = Terminal::run(&network, "peer", &["--port", "0", "--username", "earth"]) else {
        return;
    };
    earth.shows("`help` lists the commands");
    rustix::process::kill_process(earth.program(), Signal::TERM).unwrap();
    earth.shows("it ended with 143");
    // The terminal echoes typed text again, and a line ends with Enter.
    let settings = earth.settings();
    assert!(settings.contains(" icanon") && settings.contains(" echo "), "{settings}");
}

/// From then on, nothing can be written to the terminal.
#[test]
#[cfg(target_os = "linux")]
fn a_terminal_that_is_closed_ends_its_program_in_good_order() {
    let mut network = Network::start();
    let _fire = network.holder("fire_user", LONG, &bytes("long", 8 << 20));
    let fetch = [&SLOWLY[..], &["--into", "earth", "--username", "earth"]].concat();
    let commands: [(&str, &[&str], &str); 4] = [
        ("manager", &["--state", "another"], "username"),
        ("fetch", &fetch, "1 holder"),
        ("peer", &["--port", "0", "--username", "air"], "`help` lists the commands"),
        ("peer", &["--port", "0"], "Username:"),
    ];
    for (subcommand, arguments, text) in commands {
        let code = network.path("code");
        let _ = std::fs::remove_file(&code);
        let Some(terminal) = Terminal::closable(&network, subcommand, arguments) else { return };
        terminal.shows(text);
        terminal.close();
        let written = until("the program has ended", PATIENCE, || {
            std::fs::read_to_string(&code).ok().filter(|code| code.ends_with('\n'))
        });
        assert_eq!(written, "129\n", "{subcommand} {arguments:?}");
    }
    let events = network.stop_manager().out;
    for username in ["earth", "air"] {
        assert!(events.contains(&format!("{username} left: it quit")), "{events}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_fetch_without_a_question_fails_as_usual_after_its_terminal_was_closed() {
    let network = Network::start();
    let fetch = ["nothing", "--into", "earth"];
    let Some(terminal) = Terminal::run_when_closed(&network, "fetch", &fetch) else { return };
    terminal.shows("it is started");
    terminal.close();
    let written = until("the program has ended", PATIENCE, || {
        std::fs::read_to_string(network.path("code")).ok().filter(|code| code.ends_with('\n'))
    });
    assert_eq!(written, "5\n");
    let printed = std::fs::read_to_string(network.path("printed")).unwrap();
    assert!(printed.contains("nobody shares \"nothing\""), "{printed}");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_lines() {
    let network = Network::start();
    let film = bytes("film", 600_000);
    let _fire = network.holder("fire_user", "film.bin", &film);
    for (username, term) in [("earth", &["TERM=dumb"][..]), ("air", &["-u", "TERM"])] {
        let Some(peer) = Terminal::open(&network, 120, term, "peer", &[]) else { return };
        let screen = peer.shows("Port:");
        assert!(screen.contains("Enter alone takes a free one"), "{screen}");
        peer.types("");
        peer.shows("Username:");
        peer.types(username);
        peer.shows("`help` lists the commands");
        peer.pastes("status\nfetch film.bin\n");
        peer.shows("film.bin is here");
        network.has(&format!("{username}/film.bin"), &film);
        assert!(peer.tmux(&["send-keys", "C-c"]).status.success());
        let screen = peer.shows("it ended with 0");
        assert!(!screen.contains("typewriter"), "{screen}");

        let Some(fetch) = Terminal::open(&network, 120, term, "fetch", &["film.bin", "--into", username])
        else {
            return;
        };
        fetch.shows("film.bin is here already");
        fetch.shows("it ended with 0");

        let Some(manager) =
            Terminal::open(&network, 120, term, "manager", &["--state", &format!("{username}-state")])
        else {
            return;
        };
        manager.shows("ready");
        manager.shows("its key is");
        assert!(manager.tmux(&["send-keys", "C-c"]).status.success());
        manager.shows("it ended with 130");
    }
}

/// `script` gives the program a terminal, but nobody answers the program's questions about the cursor.
#[test]
fn a_manager_starts_on_a_terminal_that_answers_no_questions() {
    let network = Network::start();
    if Command::new("script").arg("--version").output().is_err() {
        return skip("script");
    }
    shows_its_table(&network, 24, 80);
}

/// Some programs that run others in a terminal set no size, or a wrong one.
#[test]
fn a_manager_shows_its_table_on_a_terminal_without_a_usable_size() {
    let network = Network::start();
    if Command::new("script").arg("--version").output().is_err() {
        return skip("script");
    }
    for (rows, columns) in [(0, 0), (u16::MAX, u16::MAX), (u16::MAX, 80), (24, u16::MAX)] {
        shows_its_table(&network, rows, columns);
    }
}

/// Checks that a manager shows its table in a terminal of `script` that reports this size.
#[track_caller]
fn shows_its_table(network: &Network, rows: u16, columns: u16) {
    let program = env!("CARGO_BIN_EXE_brigade");
    let state = network.path("another");
    let mut script = Command::new("script");
    script.env("TERM", "xterm").env("BRIGADE_HOME", network.path("home"));
    let manager = format!("{program} manager --port 0 --state {}", state.display());
    let commands = format!("stty rows {rows} cols {columns}; exec {manager}");
    script.arg("-qec").arg(commands).arg(network.path("typescript"));
    let mut script = Process::start(script);
    script.types("q");
    let ended = script.end().with_code(0);
    assert!(ended.out.contains("q ends the manager"), "{rows} × {columns}: {}", ended.out);
}

const LONG: &str = "recordings of the year/the whole long evening part 7 of 9.mkv";

/// A network in which a file with a long name is fetched for the whole test.
fn with_a_long_name() -> (Network, Process) {
    let network = Network::start();
    let fire = network.holder("fire_user", LONG, &bytes("long", 8 << 20));
    (network, fire)
}

const SLOWLY: [&str; 3] = [LONG, "--download-limit", "200KB"];

#[test]
fn rate_time_left_and_holders_are_visible_beside_a_long_name() {
    let (network, _fire) = with_a_long_name();
    for columns in [80, 40] {
        let into = columns.to_string();
        let arguments = [&SLOWLY[..], &["--into", &into]].concat();
        let Some(fetch) = Terminal::open(&network, columns, &[], "fetch", &arguments) else { return };
        let line = until("a line of progress", PATIENCE, || {
            fetch
                .rows()
                .into_iter()
                .find(|row| row.contains("kB/s") && row.contains(" left") && row.contains("1 holder"))
        });
        assert!(line.contains("% "), "{columns}: {line}");
        assert_eq!(columns == 80, line.contains("record") && line.contains(".mkv"), "{line}");
    }
}

#[test]
fn a_fetch_that_was_suspended_draws_its_line_again() {
    let (network, fire) = with_a_long_name();
    let arguments = [&SLOWLY[..], &["--into", "earth"]].concat();
    let Some(fetch) = Terminal::open(&network, 120, &[], "fetch", &arguments) else { return };
    fetch.shows("1 holder");
    fire.terminate();
    // The line does not change from here on.
    fetch.shows("waiting: no connected peer");
    let program = fetch.program();
    rustix::process::kill_process(program, Signal::STOP).unwrap();
    assert!(fetch.tmux(&["send-keys", "-R"]).status.success());
    until("the screen is empty", PATIENCE, || fetch.rows().iter().all(String::is_empty).then_some(()));
    rustix::process::kill_process(program, Signal::CONT).unwrap();
    fetch.shows("waiting: no connected peer");
}

#[test]
fn a_terminal_that_gets_another_width_shows_one_line_of_progress() {
    let (network, _fire) = with_a_long_name();
    let arguments = [&SLOWLY[..], &["--into", "earth"]].concat();
    let Some(fetch) = Terminal::open(&network, 150, &[], "fetch", &arguments) else { return };
    let drawn = || fetch.rows().into_iter().filter(|row| row.contains('%')).collect::<Vec<_>>();
    let is_progress = |row: &String| row.contains("/s") && row.contains("left");
    until("a line of progress", PATIENCE, || drawn().iter().any(is_progress).then_some(()));
    // Some that end at once, and some that wait.
    for columns in [120, 100, 90, 70, 60, 45, 38, 120, 60, 40] {
        fetch.resize(columns);
        if columns > 60 && columns < 120 {
            continue;
        }
        until("the line fits the new width", PATIENCE, || {
            let rows = fetch.rows();
            let filled: Vec<&String> = rows.iter().filter(|row| !row.is_empty()).collect();
            matches!(filled[..], [row] if is_progress(row)).then_some(())
        });
    }
}
