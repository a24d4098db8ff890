//! What only a person at a terminal meets: questions, and answers that are typed. The terminal is tmux's.
//!
//! The same programs without a terminal are everywhere else here; where tmux is missing these tests are skipped.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use crate::{
    disk::skip,
    network::{Network, bytes, hash},
    process::{PATIENCE, until},
};

/// A terminal with a program in it; both end with the test.
struct Terminal {
    /// The folder that has the socket of its own tmux server.
    folder: PathBuf,
}

impl Terminal {
    /// Runs a command of `network` in a new terminal; `None` where there is no tmux.
    fn run(network: &Network, subcommand: &str, arguments: &[&str]) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skip("tmux");
            return None;
        }
        let terminal = Self { folder: network.path("") };
        let home = format!("BRIGADE_HOME={}", network.path("home").display());
        let port = network.port().to_string();
        let folder = network.path("");
        let folder = folder.to_str().unwrap();
        let program = [env!("CARGO_BIN_EXE_brigade"), subcommand, "--manager-port", &port];
        let shell = ["sh", "-c", "\"$@\"; echo \"it ended with $?\"; read end", "sh"];
        let session =
            ["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "50", "-c", folder, "-e", &home];
        let made = terminal.tmux(&[&session[..], &shell, &program, arguments].concat());
        assert!(made.status.success(), "{made:?}");
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.env("TMUX_TMPDIR", &self.folder).env_remove("TMUX").args(arguments).output().unwrap()
    }

    /// Types a line.
    fn types(&self, line: &str) {
        assert!(self.tmux(&["send-keys", "-l", line]).status.success());
        assert!(self.tmux(&["send-keys", "Enter"]).status.success());
    }

    /// Waits until the screen has `needle`; all of it.
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

/// Two peers with another content each under one name.
fn with_versions(network: &Network) -> [(Vec<u8>, crate::process::Process); 2] {
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
    let menu = earth.shows("Which one? [1-2, nothing for none]");
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
    earth.shows("what was there is same.bin.~1~ now");
    network.has("earth/same.bin", &fires);
    earth.types("Q");
    earth.shows("it ended with 0");
}

#[test]
fn a_person_may_choose_nothing() {
    let network = Network::start();
    let [(fires, _fire), _water] = with_versions(&network);
    let Some(air) = Terminal::run(&network, "fetch", &["same.bin", "--into", "air"]) else { return };
    air.shows("Which one? [1-2, nothing for none]");
    air.types("");
    air.shows("it ended with 5");
    assert!(!network.path("air/same.bin").exists());
    drop(air);
    let of_fire = format!("same.bin@{}", &hash(&fires)[..8]);
    network.fetch(&[&of_fire, "--into", "air"]).with_code(0);
}

#[test]
fn a_folder_that_was_somebodys_is_shared_only_after_a_yes() {
    let network = Network::start();
    network.write("earth/private.txt", b"private");
    let Some(earth) = Terminal::run(&network, "peer", &[]) else { return };
    earth.shows("Port:");
    earth.types("");
    earth.shows("Username:");
    earth.types("earth");
    earth.shows("is there already. Share all files in it? [y/N]");
    earth.types("n");
    earth.types("earth2");
    earth.shows("earth2 shares earth2 with the network");
    assert!(network.list("files", &[]).is_empty());
    earth.types("Q");
    earth.shows("it ended with 0");
    assert!(!network.path("earth/.brigade").exists());
}

#[test]
fn what_is_pasted_is_all_done() {
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
    let pids = earth.tmux(&["list-panes", "-F", "#{pane_pid}"]);
    let shell: u32 = String::from_utf8(pids.stdout).unwrap().trim().parse().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let peer = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(peer, rustix::process::Signal::TERM).unwrap();
    earth.shows("it ended with 143");
    // What is typed now is shown again, and a line ends with Enter.
    let tty = earth.tmux(&["display-message", "-p", "#{pane_tty}"]);
    let tty = String::from_utf8(tty.stdout).unwrap();
    let settings = Command::new("stty").args(["-a", "-F", tty.trim()]).output().unwrap();
    let settings = String::from_utf8(settings.stdout).unwrap();
    assert!(settings.contains(" icanon") && settings.contains(" echo "), "{settings}");
}
