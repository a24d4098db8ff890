//! The completion of command lines: the words that `brigade complete` prints, and the scripts of the shells with it.
//!
//! A shell that is not there is skipped.

use std::{path::Path, process::Command};

use crate::{
    test_network::Network,
    test_process::{PATIENCE, Process, until},
    test_skipping::skip,
    test_terminal::Terminal,
};

/// A network whose peer shares files with all kinds of names.
fn network() -> (Network, Process) {
    let network = Network::start();
    let names =
        ["film.mkv", "my film.mkv", "films/a.mkv", "films/deep/b.mkv", "it's $5 & more.txt", "a=b@c.txt"];
    for name in names {
        network.write(&format!("fire_user/{name}"), name.as_bytes());
    }
    let fire = network.peer("fire_user", &[]);
    until("all files are announced", PATIENCE, || {
        (network.list("files", &[]).len() == names.len()).then_some(())
    });
    (network, fire)
}

/// The words that complete a line of bash; `part` is the part of the last word that bash replaces.
#[track_caller]
fn in_bash(network: &Network, line: &str, part: &str) -> Vec<String> {
    let ended = network.order("complete", &["bash", "--", line, part]).with_code(0);
    assert_eq!(ended.err, "");
    ended.out.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn names_of_the_network_complete_a_line() {
    let (network, _fire) = network();
    let port = network.port().to_string();
    let all = in_bash(&network, "brigade fetch ", "");
    let expected = ["a\\=b@c.txt", "film.mkv", "films/", "it\\'s\\ \\$5\\ \\&\\ more.txt", "my\\ film.mkv"];
    assert_eq!(all, expected);
    assert_eq!(in_bash(&network, "brigade fetch films/", "films/"), ["films/a.mkv", "films/deep/"]);
    assert_eq!(in_bash(&network, "brigade fetch 'my f", "'my f"), ["my film.mkv"]);
    assert_eq!(in_bash(&network, "brigade fetch a=b@", ""), ["c.txt"]);
    assert_eq!(in_bash(&network, "brigade fetch --from f", "f"), ["fire_user"]);
    assert_eq!(in_bash(&network, "brigade transf", "transf"), ["transfers"]);
    let by_manager = format!("brigade files --manager-port {port} films/d");
    assert_eq!(in_bash(&network, &by_manager, "films/d"), ["films/deep/"]);
    let nowhere = in_bash(&network, "brigade fetch --manager-port 1 f", "f");
    assert!(nowhere.is_empty(), "{nowhere:?}");
    let fish = network.order("complete", &["fish", "--", "brigade", "fetch", "my"]).with_code(0);
    assert_eq!(fish.out, "values\nmy film.mkv\n");
    let files = network.order("complete", &["zsh", "--", "brigade", "fetch", "--into", ""]).with_code(0);
    assert_eq!(files.out, "folders\n");
}

/// Runs a script in a shell, with `brigade` in its path and the script of its completion in `script`.
fn shell(network: &Network, shell: &str, text: &str) -> Option<String> {
    let found = Command::new(shell).arg("-c").arg("true").output();
    if !found.is_ok_and(|output| output.status.success()) {
        skip(shell);
        return None;
    }
    let script = network.order("completions", &[shell]).with_code(0);
    std::fs::write(network.path("script"), script.out).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_brigade")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = network.brigade("unused");
    let variables: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = Command::new(shell);
    command.arg("-c").arg(text).current_dir(network.path("")).env("PATH", path);
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && err.is_empty(), "{err}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_script_of_bash_puts_in_words_that_bash_reads_again() {
    let (network, _fire) = network();
    let text = r#"
        source ./script
        complete_line() { # LINE CURRENT
            COMP_LINE=$1; COMP_POINT=${#1}; _brigade brigade "$2" ''
            printf '%s\n' "${COMPREPLY[@]}"
        }
        complete_line 'brigade fetch my' 'my'
        complete_line 'brigade fetch it' 'it'
        complete_line 'brigade pau' 'pau'
        complete_line 'brigade fetch --into fire_' 'fire_'
        complete -p brigade
    "#;
    let Some(printed) = shell(&network, "bash", text) else { return };
    let expected = [
        "my\\ film.mkv",
        "it\\'s\\ \\$5\\ \\&\\ more.txt",
        "pause",
        "fire_user",
        "complete -F _brigade brigade",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_script_of_fish_completes_names() {
    let (network, _fire) = network();
    let text = "source ./script; complete -C 'brigade fetch my'; complete -C 'brigade fetch films/d'";
    let Some(printed) = shell(&network, "fish", text) else { return };
    assert_eq!(printed.lines().map(str::trim_end).collect::<Vec<_>>(), ["my film.mkv", "films/deep/"]);
}

#[test]
fn the_script_of_zsh_is_read_without_an_error() {
    let (network, _fire) = network();
    let text = "autoload -Uz compinit && compinit -u -D; source ./script; print ${_comps[brigade]}";
    let Some(printed) = shell(&network, "zsh", text) else { return };
    assert_eq!(printed, "_brigade\n");
}

#[test]
fn tab_completes_commands_and_names_at_the_prompt() {
    let (network, _fire) = network();
    let Some(earth) = Terminal::run(&network, "peer", &["--port", "0", "--username", "earth"]) else {
        return;
    };
    earth.shows("`help` lists the commands");
    earth.reads_keys();
    let keys = |text: &str, key: &str| {
        assert!(earth.tmux(&["send-keys", "-l", text]).status.success());
        assert!(earth.tmux(&["send-keys", key]).status.success());
    };
    keys("fetch my", "Tab");
    earth.shows("> fetch my film.mkv");
    keys("", "Enter");
    earth.shows("my film.mkv is here");
    keys("fetch films/d", "Tab");
    earth.shows("> fetch films/deep/");
    keys("b", "Tab");
    earth.shows("> fetch films/deep/b.mkv");
    keys("", "Enter");
    earth.shows("films/deep/b.mkv is here");
    keys("transf", "Tab");
    earth.shows("> transfers");
    keys(" --all", "Enter");
    earth.shows(" 2  films/deep/b.mkv  done");
    earth.types("Q");
    earth.shows("it ended with 0");
}
