//! What the command line says of itself, word for word: the help of each command, and some errors.
//!
//! Who changes a text here changes what people see: look at `docs/operating.md` too. Errors that need a network are
//! in `end_to_end`, mistakes of a line and of the settings in `mistakes`.

#![allow(clippy::unwrap_used)] // all of it is a test: a panic is a finding

#[path = "commands/mistakes.rs"]
mod mistakes;

use std::time::Duration;

use assert_cmd::Command;

/// What a command says on standard output, or on standard error where it fails with `code`.
#[track_caller]
fn said(arguments: &[&str], code: i32) -> String {
    said_with("", &[], arguments, code)
}

/// What it says where there are a settings file and environment variables; the path of the home folder is `HOME`.
#[track_caller]
fn said_with(settings: &str, variables: &[(&str, &str)], arguments: &[&str], code: i32) -> String {
    let [out, err] = output(settings, variables, arguments, code);
    let (said, silent) = if code == 0 { (out, err) } else { (err, out) };
    assert_eq!(silent, "", "{arguments:?}");
    said
}

/// Standard output and standard error of a command, as in [`said_with`].
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
    insta::assert_snapshot!(said(&["--help"], 0), @r#"
    A private peer-to-peer network for files: fetched from every holder at once, verified piece by
    piece, passed on from the first piece on

    Usage: brigade <COMMAND>

    Commands:
      manager      Runs the network's manager: it knows who is there and who holds what, and never sees
                   a byte of a file
      peer         Shares a folder, and fetches what others share, at a prompt
      fetch        Fetches files or folders without a prompt
      files        Lists what there is in the network
      peers        Lists who is in the network
      demo         Shows all of it at work: a manager and four peers on this machine, with a real file
      completions  Prints a script that completes the command line: `brigade completions bash`
      man          Prints the manual page
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version
    "#);
}

#[test]
fn help_of_manager() {
    insta::assert_snapshot!(said(&["manager", "--help"], 0), @r#"
    Runs the network's manager: it knows who is there and who holds what, and never sees a byte of a
    file

    Usage: brigade manager [OPTIONS]

    Options:
          --host <HOST>  Where to listen: a name or an address of this machine [default: localhost]
          --port <PORT>  The TCP port to listen on [default: 12000]
          --max <COUNT>  How many peers may be there at once [default: 20]
          --state <DIR>  The folder of the manager's key and members [default: below BRIGADE_HOME, by
                         port]
          --open         Start although HOST can be reached from other machines: anyone who reaches the
                         port may join, and read everything that is shared
      -h, --help         Print help

    What is not given here is taken from environment variables and from brigade.toml in BRIGADE_HOME,
    before the defaults: see docs/operating.md.
    "#);
}

#[test]
fn help_of_peer() {
    insta::assert_snapshot!(said(&["peer", "--help"], 0), @r#"
    Shares a folder, and fetches what others share, at a prompt

    Usage: brigade peer [OPTIONS]

    Options:
          --manager-host <HOST>    The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>    The manager's TCP port [default: 12000]
          --manager-key <KEY>      The manager's key, where it is known; else the one that answered
                                   before must answer again
          --host <HOST>            Where to listen for other peers [default: where those that reach the
                                   manager reach it]
          --port <PORT>            The TCP port to listen on; 0 takes a free one
          --username <USERNAME>    The name in the network; it belongs to the folder's key from then on
          --max <COUNT>            How many connections with other peers at once, both ways together
                                   [default: 20]
          --upload-limit <RATE>    Send at most so many bytes a second, over all connections: 10MB is
                                   10⁷; off for no limit
          --download-limit <RATE>  Receive at most so many bytes a second, over all connections
          --keep-parts <TIME>      How long a part of a file is kept that nobody is fetching: 30d, 12h;
                                   off for ever [default: 30d]
          --folder <DIR>           The folder to share; made where it is not there [default: the
                                   username, in the current directory]
          --headless               No prompt: run until terminated, and print `ready` once everything in
                                   the folder is announced
      -h, --help                   Print help

    What is not given here is taken from environment variables and from brigade.toml in BRIGADE_HOME,
    before the defaults: see docs/operating.md.
    "#);
}

#[test]
fn help_of_fetch() {
    insta::assert_snapshot!(said(&["fetch", "--help"], 0), @r#"
    Fetches files or folders without a prompt

    Usage: brigade fetch [OPTIONS] <NAME>...

    Arguments:
      <NAME>...  Files or folders, by name, or patterns such as 'data/**/*.bin'; NAME@ID-PREFIX chooses
                 one of several contents

    Options:
          --into <DIR>             The folder that they go into [default: .]
          --from <USERNAME>        Of several contents under a name, the one that this member shares
          --replace                Keep a file that is there with another content aside, as NAME.~1~,
                                   and put the fetched one in its place
          --stay                   Go on serving what was fetched, until terminated
          --done-file <PATH>       Make this file once everything is there
          --json                   One JSON object a line on standard output; the last one has the
                                   totals
          --manager-host <HOST>    The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>    The manager's TCP port [default: 12000]
          --manager-key <KEY>      The manager's key, where it is known; else the one that answered
                                   before must answer again
          --host <HOST>            Where to listen for other peers [default: where those that reach the
                                   manager reach it]
          --port <PORT>            The TCP port to listen on; 0 takes a free one
          --username <USERNAME>    The name in the network; it belongs to the folder's key from then on
          --max <COUNT>            How many connections with other peers at once, both ways together
                                   [default: 20]
          --upload-limit <RATE>    Send at most so many bytes a second, over all connections: 10MB is
                                   10⁷; off for no limit
          --download-limit <RATE>  Receive at most so many bytes a second, over all connections
          --keep-parts <TIME>      How long a part of a file is kept that nobody is fetching: 30d, 12h;
                                   off for ever [default: 30d]
      -h, --help                   Print help

    What is not given here is taken from environment variables and from brigade.toml in BRIGADE_HOME,
    before the defaults: see docs/operating.md.
    "#);
}

#[test]
fn help_of_files() {
    insta::assert_snapshot!(said(&["files", "--help"], 0), @r#"
    Lists what there is in the network

    Usage: brigade files [OPTIONS] [PREFIX]

    Arguments:
      [PREFIX]  Only names that begin so, or that a pattern such as '**/*.bin' fits

    Options:
          --json                 One JSON object a line
          --manager-host <HOST>  The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>  The manager's TCP port [default: 12000]
          --manager-key <KEY>    The manager's key, where it is known; else the one that answered before
                                 must answer again
      -h, --help                 Print help

    What is not given here is taken from environment variables and from brigade.toml in BRIGADE_HOME,
    before the defaults: see docs/operating.md.
    "#);
}

#[test]
fn help_of_peers() {
    insta::assert_snapshot!(said(&["peers", "--help"], 0), @r#"
    Lists who is in the network

    Usage: brigade peers [OPTIONS]

    Options:
          --json                 One JSON object a line
          --manager-host <HOST>  The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>  The manager's TCP port [default: 12000]
          --manager-key <KEY>    The manager's key, where it is known; else the one that answered before
                                 must answer again
      -h, --help                 Print help

    What is not given here is taken from environment variables and from brigade.toml in BRIGADE_HOME,
    before the defaults: see docs/operating.md.
    "#);
}

#[test]
fn help_of_demo() {
    insta::assert_snapshot!(said(&["demo", "--help"], 0), @r#"
    Shows all of it at work: a manager and four peers on this machine, with a real file

    Usage: brigade demo [PATH]

    Arguments:
      [PATH]  The file to fetch [default: this program itself]

    Options:
      -h, --help  Print help
    "#);
}

#[test]
fn without_a_manager_there_is_a_hint() {
    insta::assert_snapshot!(said(&["files", "--manager-port", "1"], 3), @r#"
    error: no manager answers at localhost:1
    hint: start one with `brigade manager`, or say where it is with --manager-host and --manager-port
    "#);
}

#[test]
fn help_shows_the_defaults_that_the_settings_make() {
    let settings = "[peer]\nmax = 7\nfolder = \"/a\"\n[network]\nport = 13000\n";
    let help = said_with(settings, &[("BRIGADE_MANAGER_HOST", "there")], &["peer", "--help"], 0);
    for shown in ["[default: 7]", "[default: /a]", "[default: 13000]", "[default: there]"] {
        assert!(help.contains(shown), "{shown} is not in\n{help}");
    }
    assert!(!help.contains("[default: the username"), "{help}");
}

#[test]
fn flags_stand_above_variables_above_the_file() {
    let settings = "[network]\nhost = \"localhost\"\nport = 1\n";
    let manager = |variables: &[(&str, &str)], arguments: &[&str]| {
        let said = said_with(settings, variables, &[&["files"], arguments].concat(), 3);
        said.lines().next().unwrap().to_owned()
    };
    let variable = [("BRIGADE_MANAGER_PORT", "2")];
    assert_eq!(manager(&[], &[]), "error: no manager answers at localhost:1");
    assert_eq!(manager(&variable, &[]), "error: no manager answers at localhost:2");
    assert_eq!(manager(&variable, &["--manager-port", "3"]), "error: no manager answers at localhost:3");
    assert_eq!(manager(&[("BRIGADE_MANAGER_PORT", "")], &[]), "error: no manager answers at localhost:1");
}

#[test]
fn a_manager_for_everybody_has_to_be_meant() {
    insta::assert_snapshot!(said(&["manager", "--host", "0.0.0.0"], 2), @r#"
    error: 0.0.0.0:12000 can be reached from other machines: there, anyone who can reach the port may join, read all shared files and announce files (connections are encrypted, but there are no invites yet); only --open starts a manager there
    hint: --host localhost keeps it to this machine
    "#);
}
