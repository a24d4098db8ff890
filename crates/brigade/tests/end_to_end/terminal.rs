//! Features for a person at a terminal: questions and typed answers. The terminal is tmux.
//!
//! All other tests run the programs without a terminal. Without tmux these tests are skipped.

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    skipped_tests::skip,
    test_network::{Network, bytes, hash},
    test_process::{PATIENCE, Process, until},
};

/// A terminal and the program in it; both end with the test.
struct Terminal {
    /// The folder with the socket of a separate tmux server.
    folder: PathBuf,
    /// The name of that server.
    server: String,
}

impl Terminal {
    /// Runs a command of `network` in a new terminal; `None` without tmux.
    fn run(network: &Network, subcommand: &str, arguments: &[&str]) -> Option<Self> {
        Self::open(network, 120, &[], subcommand, arguments)
    }

    /// Like [`Self::run`], with this width and these arguments of `env`.
    fn open(
        network: &Network,
        columns: u16,
        environment: &[&str],
        subcommand: &str,
        arguments: &[&str],
    ) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skip("tmux");
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let terminal = Self { folder: network.path(""), server: number.to_string() };
        let home = format!("BRIGADE_HOME={}", network.path("home").display());
        let port = network.port().to_string();
        let folder = network.path("");
        let folder = folder.to_str().unwrap();
        let env = [&["env"], environment].concat();
        let port_option = if subcommand == "manager" { "--port" } else { "--manager-port" };
        let port = if subcommand == "manager" { "0" } else { &port };
        let program = [env!("CARGO_BIN_EXE_brigade"), subcommand, port_option, port];
        let columns = columns.to_string();
        let shell = ["sh", "-c", "trap : INT; \"$@\"; echo \"it ended with $?\"; read end", "sh"];
        let session =
            ["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", "50", "-c", folder, "-e", &home];
        let made = terminal.tmux(&[&session[..], &shell, &env, &program, arguments].concat());
        assert!(made.status.success(), "{made:?}");
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.env("TMUX_TMPDIR", &self.folder)
            .env_remove("TMUX")
            .args(["-L", &self.server])
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Types a line.
    fn types(&self, line: &str) {
        assert!(self.tmux(&["send-keys", "-l", line]).status.success());
        assert!(self.tmux(&["send-keys", "Enter"]).status.success());
    }

    /// Pastes text as terminals do: in brackets if the program enabled that.
    fn pastes(&self, text: &str) {
        assert!(self.tmux(&["set-buffer", text]).status.success());
        assert!(self.tmux(&["paste-buffer", "-p", "-d"]).status.success());
    }

    /// Changes the width of the terminal.
    fn resize(&self, columns: u16) {
        assert!(self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", "50"]).status.success());
    }

    /// The rows of the screen.
    fn rows(&self) -> Vec<String> {
        let screen = String::from_utf8(self.tmux(&["capture-pane", "-p"]).stdout).unwrap();
        screen.lines().map(str::to_owned).collect()
    }

    /// The process of the program.
    fn program(&self) -> rustix::process::Pid {
        let pids = self.tmux(&["list-panes", "-F", "#{pane_pid}"]);
        let shell: u32 = String::from_utf8(pids.stdout).unwrap().trim().parse().unwrap();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap()
    }

    /// Waits until the screen contains `needle`. Returns the screen.
    #[track_caller]
    fn shows(&self, needle: &str) -> String {
        let screen = || String::from_utf8(self.tmux(&["capture-pane", "-p", "-J"]).stdout).unwrap();
        until(&format!("{needle:?} is on the screen:\n{}", screen()), PATIENCE, || {
            Some(screen()).filter(|screen| screen.contains(needle))
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

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
    rustix::process::kill_process(earth.program(), rustix::process::Signal::TERM).unwrap();
    earth.shows("it ended with 143");
    // The terminal echoes typed text again, and a line ends with Enter.
    let tty = earth.tmux(&["display-message", "-p", "#{pane_tty}"]);
    let tty = String::from_utf8(tty.stdout).unwrap();
    let settings = Command::new("stty").args(["-a", "-F", tty.trim()]).output().unwrap();
    let settings = String::from_utf8(settings.stdout).unwrap();
    assert!(settings.contains(" icanon") && settings.contains(" echo "), "{settings}");
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

        let Some(manager) = Terminal::open(&network, 120, term, "manager", &["--state", username]) else {
            return;
        };
        manager.shows("ready");
        manager.shows("its key is");
        assert!(manager.tmux(&["send-keys", "C-c"]).status.success());
        manager.shows("it ended with 130");
    }
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
    rustix::process::kill_process(program, rustix::process::Signal::STOP).unwrap();
    assert!(fetch.tmux(&["send-keys", "-R"]).status.success());
    until("the screen is empty", PATIENCE, || fetch.rows().iter().all(String::is_empty).then_some(()));
    rustix::process::kill_process(program, rustix::process::Signal::CONT).unwrap();
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
