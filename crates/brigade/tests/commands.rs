//! What the command line says of itself, word for word: the help of each command, and some errors.
//!
//! Who changes a text here changes what people see: look at `docs/operating.md` too. Errors that need a network are
//! in `end_to_end`.

#![allow(clippy::unwrap_used)] // all of it is a test: a panic is a finding

use std::time::Duration;

use assert_cmd::Command;

/// What a command says on standard output, or on standard error where it fails with `code`.
#[track_caller]
fn said(arguments: &[&str], code: i32) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brigade"));
    command.args(arguments).env_remove("COLUMNS").env_remove("BRIGADE_LOG").timeout(Duration::from_secs(30));
    let home = tempfile::tempdir().unwrap();
    let output = command.env("BRIGADE_HOME", home.path()).current_dir(home.path()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    let (said, silent) = if code == 0 { (out, err) } else { (err, out) };
    assert_eq!(silent, "", "{arguments:?}");
    said
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
          --host <HOST>            Where to listen for other peers [default: the address here that leads
                                   to the manager]
          --port <PORT>            The TCP port to listen on; 0 takes a free one
          --username <USERNAME>    The name in the network; it belongs to the folder's key from then on
          --max <COUNT>            How many connections with other peers at once, both ways together
                                   [default: 20]
          --upload-limit <RATE>    Send at most so many bytes a second, over all connections: 10MB is
                                   10⁷
          --download-limit <RATE>  Receive at most so many bytes a second, over all connections
          --folder <DIR>           The folder to share; made where it is not there [default: the
                                   username, in the current directory]
          --headless               No prompt: run until terminated, and print `ready` once everything in
                                   the folder is announced
      -h, --help                   Print help
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
          --host <HOST>            Where to listen for other peers [default: the address here that leads
                                   to the manager]
          --port <PORT>            The TCP port to listen on; 0 takes a free one
          --username <USERNAME>    The name in the network; it belongs to the folder's key from then on
          --max <COUNT>            How many connections with other peers at once, both ways together
                                   [default: 20]
          --upload-limit <RATE>    Send at most so many bytes a second, over all connections: 10MB is
                                   10⁷
          --download-limit <RATE>  Receive at most so many bytes a second, over all connections
      -h, --help                   Print help
    "#);
}

#[test]
fn help_of_files() {
    insta::assert_snapshot!(said(&["files", "--help"], 0), @r#"
    Lists what there is in the network

    Usage: brigade files [OPTIONS] [PREFIX]

    Arguments:
      [PREFIX]  Only names that begin so [default: ""]

    Options:
          --json                 One JSON object a line
          --manager-host <HOST>  The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>  The manager's TCP port [default: 12000]
          --manager-key <KEY>    The manager's key, where it is known; else the one that answered before
                                 must answer again
      -h, --help                 Print help
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
fn a_bad_rate_is_explained() {
    insta::assert_snapshot!(said(&["fetch", "film.mkv", "--download-limit", "10XB"], 2), @r#"
    error: invalid value '10XB' for '--download-limit <RATE>': a rate like 10MB, 500KB or 1.5MB (bytes a second) is wanted

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(said(&["peer", "--upload-limit", "0"], 2), @r#"
    error: invalid value '0' for '--upload-limit <RATE>': a rate of at least one byte a second is wanted

    For more information, try '--help'.
    "#);
}

#[test]
fn a_count_is_at_least_one() {
    insta::assert_snapshot!(said(&["manager", "--max", "0"], 2), @r#"
    error: invalid value '0' for '--max <COUNT>': a number from 1 to 100000 is wanted

    For more information, try '--help'.
    "#);
}

#[test]
fn without_a_prompt_a_username_is_needed() {
    insta::assert_snapshot!(said(&["peer", "--headless"], 2), @r#"
    error: the following required arguments were not provided:
      --username <USERNAME>

    Usage: brigade peer --username <USERNAME> --headless

    For more information, try '--help'.
    "#);
}

#[test]
fn a_command_that_is_not_there_is_named() {
    insta::assert_snapshot!(said(&["fecth"], 2), @r#"
    error: unrecognized subcommand 'fecth'

      tip: a similar subcommand exists: 'fetch'

    Usage: brigade <COMMAND>

    For more information, try '--help'.
    "#);
}

#[test]
fn a_manager_for_everybody_has_to_be_meant() {
    insta::assert_snapshot!(said(&["manager", "--host", "0.0.0.0"], 2), @r#"
    error: 0.0.0.0:12000 can be reached from other machines: there, anyone who can reach the port may join, read everything that is shared and announce files (encrypted on the way, but there is no guest list yet); only --open starts a manager there
    hint: --host localhost keeps it to this machine
    "#);
}
