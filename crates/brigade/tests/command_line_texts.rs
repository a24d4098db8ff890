//! The texts of the command line, word for word: the help of each command, and some errors.
//!
//! A changed text here changes the program for users: check `docs/operating.md` too. `end_to_end` has errors that need
//! a network, `mistakes` has mistakes in the command line and in the settings.

#![allow(clippy::unwrap_used)] // all of it is a test: a panic is a finding

#[path = "command_line_texts/mistakes.rs"]
mod mistakes;

use std::time::Duration;

use assert_cmd::Command;

/// The standard output of a command, or its standard error if it fails with `code`.
#[track_caller]
fn printed(arguments: &[&str], code: i32) -> String {
    printed_with("", &[], arguments, code)
}

/// The same with a settings file and environment variables; the path of the home folder is replaced by `HOME`.
#[track_caller]
fn printed_with(settings: &str, variables: &[(&str, &str)], arguments: &[&str], code: i32) -> String {
    let [out, err] = output(settings, variables, arguments, code);
    let (printed, silent) = if code == 0 { (out, err) } else { (err, out) };
    assert_eq!(silent, "", "{arguments:?}");
    printed
}

/// Standard output and standard error of a command, as in [`printed_with`].
#[track_caller]
fn output(settings: &str, variables: &[(&str, &str)], arguments: &[&str], code: i32) -> [String; 2] {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brigade"));
    let of_the_user = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("BRIGADE_"));
    for name in of_the_user {
        command.env_remove(name);
    }
    command.args(arguments).env_remove("COLUMNS").timeout(Duration::from_secs(30));
    command.envs(variables.iter().copied());
    let home = tempfile::tempdir().unwrap();
    if !settings.is_empty() {
        std::fs::write(home.path().join("brigade.toml"), settings).unwrap();
    }
    let output = command.env("BRIGADE_HOME", home.path()).current_dir(home.path()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    [out, err].map(|text| text.replace(home.path().to_str().unwrap(), "HOME"))
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(printed(&["--help"], 0), @r#"
    A private peer-to-peer network for files: a file is fetched from all holders at once, and each piece
    is verified and passed on

    Usage: brigade <COMMAND>

    Commands:
      manager      Runs the network's manager: it knows the peers and their files, and never receives
                   the content of a file
      peer         Shares a folder, and fetches files of others at a prompt
      fetch        Fetches files or folders without a prompt
      files        Lists the files in the network
      peers        Lists the peers in the network
      demo         Shows Brigade at work: a manager and four peers on this machine, with a real file
      completions  Prints a script for command line completion: `brigade completions bash`
      man          Prints the manual page
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version
    "#);
}

#[test]
fn help_of_manager() {
    insta::assert_snapshot!(printed(&["manager", "--help"], 0), @r#"
    Runs the network's manager: it knows the peers and their files, and never receives the content of a
    file

    Usage: brigade manager [OPTIONS]

    Options:
          --host <HOST>  Where to listen: a name or an address of this machine [default: localhost]
          --port <PORT>  The TCP port to listen on [default: 12000]
          --max <COUNT>  The largest number of peers at the same time [default: 20]
          --state <DIR>  The folder for the manager's key and members [default: in BRIGADE_HOME, one for
                         each port]
          --open         Start although other machines can reach HOST: everyone who reaches the port may
                         join, and read everything that is shared
      -h, --help         Print help

    Options that are not given are taken from environment variables, then from brigade.toml in
    BRIGADE_HOME, then from the defaults: see docs/operating.md.
    "#);
}

#[test]
fn help_of_peer() {
    insta::assert_snapshot!(printed(&["peer", "--help"], 0), @r#"
    Shares a folder, and fetches files of others at a prompt

    Usage: brigade peer [OPTIONS]

    Options:
          --manager-host <HOST>    The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>    The manager's TCP port [default: 12000]
          --manager-key <KEY>      The manager's key, if you know it; otherwise the manager must have
                                   the key that it had at the first contact
          --host <HOST>            Where to listen for other peers [default: all addresses, or only this
                                   machine if the manager listens only there]
          --port <PORT>            The TCP port to listen on; 0 takes a free one
          --username <USERNAME>    The name in the network; it is bound to the key of the folder
          --max <COUNT>            The largest number of connections with other peers, in both
                                   directions together [default: 20]
          --upload-limit <RATE>    Send at most this many bytes per second, over all connections: 10MB
                                   is 10⁷; off for no limit
          --download-limit <RATE>  Receive at most this many bytes per second, over all connections
          --keep-parts <TIME>      How long to keep parts of files that are not being fetched: 30d, 12h;
                                   off to keep them forever [default: 30d]
          --folder <DIR>           The folder to share; created if it does not exist [default: the
                                   username, in the current directory]
          --headless               No prompt: run until terminated, and print `ready` when everything in
                                   the folder is announced
      -h, --help                   Print help

    Options that are not given are taken from environment variables, then from brigade.toml in
    BRIGADE_HOME, then from the defaults: see docs/operating.md.
    "#);
}

#[test]
fn help_of_fetch() {
    insta::assert_snapshot!(printed(&["fetch", "--help"], 0), @r#"
    Fetches files or folders without a prompt

    Usage: brigade fetch [OPTIONS] <NAME>...

    Arguments:
      <NAME>...  Files or folders, by name, or patterns such as 'data/**/*.bin'; NAME@ID-PREFIX chooses
                 one of several contents

    Options:
          --into <DIR>             The folder to fetch into [default: .]
          --from <USERNAME>        Fetch only files and contents that this member shares
          --replace                Keep an existing file with another content as NAME.~1~, and put the
                                   fetched one in its place
          --stay                   Continue to serve the fetched files, until terminated
          --done-file <PATH>       Create this file when everything is complete
          --json                   Print one JSON object per line on standard output; the last one has
                                   the totals
          --manager-host <HOST>    The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>    The manager's TCP port [default: 12000]
          --manager-key <KEY>      The manager's key, if you know it; otherwise the manager must have
                                   the key that it had at the first contact
          --host <HOST>            Where to listen for other peers [default: all addresses, or only this
                                   machine if the manager listens only there]
          --port <PORT>            The TCP port to listen on; 0 takes a free one
          --username <USERNAME>    The name in the network; it is bound to the key of the folder
          --max <COUNT>            The largest number of connections with other peers, in both
                                   directions together [default: 20]
          --upload-limit <RATE>    Send at most this many bytes per second, over all connections: 10MB
                                   is 10⁷; off for no limit
          --download-limit <RATE>  Receive at most this many bytes per second, over all connections
          --keep-parts <TIME>      How long to keep parts of files that are not being fetched: 30d, 12h;
                                   off to keep them forever [default: 30d]
      -h, --help                   Print help

    Options that are not given are taken from environment variables, then from brigade.toml in
    BRIGADE_HOME, then from the defaults: see docs/operating.md.
    "#);
}

#[test]
fn help_of_files() {
    insta::assert_snapshot!(printed(&["files", "--help"], 0), @r#"
    Lists the files in the network

    Usage: brigade files [OPTIONS] [PREFIX]

    Arguments:
      [PREFIX]  Only names that begin with this text, or that match a pattern such as '**/*.bin'

    Options:
          --json                 Print one JSON object per line
          --manager-host <HOST>  The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>  The manager's TCP port [default: 12000]
          --manager-key <KEY>    The manager's key, if you know it; otherwise the manager must have the
                                 key that it had at the first contact
      -h, --help                 Print help

    Options that are not given are taken from environment variables, then from brigade.toml in
    BRIGADE_HOME, then from the defaults: see docs/operating.md.
    "#);
}

#[test]
fn help_of_peers() {
    insta::assert_snapshot!(printed(&["peers", "--help"], 0), @r#"
    Lists the peers in the network

    Usage: brigade peers [OPTIONS]

    Options:
          --json                 Print one JSON object per line
          --manager-host <HOST>  The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>  The manager's TCP port [default: 12000]
          --manager-key <KEY>    The manager's key, if you know it; otherwise the manager must have the
                                 key that it had at the first contact
      -h, --help                 Print help

    Options that are not given are taken from environment variables, then from brigade.toml in
    BRIGADE_HOME, then from the defaults: see docs/operating.md.
    "#);
}

#[test]
fn help_of_demo() {
    insta::assert_snapshot!(printed(&["demo", "--help"], 0), @r#"
    Shows Brigade at work: a manager and four peers on this machine, with a real file

    Usage: brigade demo [PATH]

    Arguments:
      [PATH]  The file to fetch [default: this program itself]

    Options:
      -h, --help  Print help
    "#);
}

#[test]
fn without_a_manager_there_is_a_hint() {
    insta::assert_snapshot!(printed(&["files", "--manager-port", "1"], 3), @r#"
    error: no manager answers at localhost:1
    hint: start one with `brigade manager`, or name its address with --manager-host and --manager-port
    "#);
}

#[test]
fn help_shows_the_defaults_that_the_settings_make() {
    let settings = "[peer]\nmax = 7\nfolder = \"/a\"\n[network]\nport = 13000\n";
    let help = printed_with(settings, &[("BRIGADE_MANAGER_HOST", "there")], &["peer", "--help"], 0);
    for shown in ["[default: 7]", "[default: /a]", "[default: 13000]", "[default: there]"] {
        assert!(help.contains(shown), "{shown} is not in\n{help}");
    }
    assert!(!help.contains("[default: the username"), "{help}");
}

#[test]
fn options_take_precedence_over_variables_and_the_file() {
    let settings = "[network]\nhost = \"localhost\"\nport = 1\n";
    let manager = |variables: &[(&str, &str)], arguments: &[&str]| {
        let printed = printed_with(settings, variables, &[&["files"], arguments].concat(), 3);
        printed.lines().next().unwrap().to_owned()
    };
    let variable = [("BRIGADE_MANAGER_PORT", "2")];
    assert_eq!(manager(&[], &[]), "error: no manager answers at localhost:1");
    assert_eq!(manager(&variable, &[]), "error: no manager answers at localhost:2");
    assert_eq!(manager(&variable, &["--manager-port", "3"]), "error: no manager answers at localhost:3");
    assert_eq!(manager(&[("BRIGADE_MANAGER_PORT", "")], &[]), "error: no manager answers at localhost:1");
}

#[test]
fn a_manager_for_other_machines_needs_the_option_open() {
    insta::assert_snapshot!(printed(&["manager", "--host", "0.0.0.0"], 2), @r#"
    error: 0.0.0.0:12000 can be reached from other machines: there, anyone who can reach the port may join, read all shared files and announce files (connections are encrypted, but there are no invites yet); only --open starts a manager there
    hint: with --host localhost, only this machine can reach it
    "#);
}
