//! The help of the commands that need no running program, word for word.
//!
//! A changed text here changes the program for users: check `docs/operating.md` too.

use crate::printed;

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
      transfers    Lists the fetches of a running peer, and what it sends
      pause        Pauses fetches of a running peer: no more bytes arrive, and what is here is kept
      resume       Resumes paused fetches of a running peer
      cancel       Ends fetches of a running peer; verified pieces are kept, and the same fetch resumes
      prioritize   Sets which fetches of a running peer come first
      limit        Shows the limits of a running peer, or sets one
      status       Shows what a running peer shares, sends and fetches, and what it does not share and
                   why
      share        Shares an existing folder or file in place, with a running peer
      unshare      Ends the sharing of a folder or file that is shared in place
      shares       Lists the folders and files that a running peer shares in place
      verify       Hashes the shared files of a running peer again, and names those that are damaged on
                   the disk
      log          Prints the log of a running peer or manager
      stop         Stops a running peer or manager
      ui           Shows the screen of a running peer or manager
      members      Lists the members of the network, at its running manager
      backup       Copies the key and the members of the running manager into one file
      restore      Restores the state of a manager from a backup
      doctor       Checks everything that a peer needs, and says what to do about each fault
      service      Installs, removes and shows services that start with the machine or the session
      demo         Shows Brigade at work: a manager and four peers on this machine, with a real file
      completions  Prints a script for command line completion: `brigade completions bash`
      man          Prints the manual in roff, or writes a page for each command
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
          --host <HOST>          Where to listen: a name or an address of this machine [default:
                                 localhost]
          --port <PORT>          The TCP port to listen on [default: 12000]
          --max <COUNT>          The largest number of peers at the same time [default: 20]
          --state <DIR>          The folder for the manager's key and members [default: in BRIGADE_HOME,
                                 one for each port]
          --open                 Start although other machines can reach HOST: everyone who reaches the
                                 port may join, and read everything that is shared
          --log-format <FORMAT>  The format of all lines on standard error: text or json [default: text]
          --log-filter <FILTER>  The log lines to write: info, debug, warn,brigade_node=trace, …
                                 [default: warn]
          --plain                Log lines instead of the screen, also at a terminal
      -h, --help                 Print help

    Examples:
      brigade manager
          runs the manager of a network on this machine alone
      brigade manager --host 0.0.0.0 --open
          runs a manager that other machines can reach

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
          --plain                  Lines instead of the screen, also at a terminal
          --share <PATH[=NAME]>    A folder or a file elsewhere to share too, where it is, under its
                                   last component or under NAME; nothing is written there. May be given
                                   several times
          --headless               No prompt: run until terminated, and print `ready` when everything in
                                   the folder is announced
          --log-format <FORMAT>    The format of all lines on standard error: text or json [default:
                                   text]
          --log-filter <FILTER>    The log lines to write: info, debug, warn,brigade_node=trace, …
                                   [default: warn]
          --transfer-log <PATH>    Write a line of JSON to this file for each fetch that ends and each
                                   downloader that was served
      -h, --help                   Print help

    Examples:
      brigade peer
          asks for the port and the username, and shares the folder with that name
      brigade peer --headless --username fire_user --folder /srv/share --manager-host alpha
          runs without a prompt, as a service does

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
          --into <DIR>             The folder to fetch into; if a peer runs in it, that peer fetches
                                   [default: .]
          --folder <DIR>           Let the running peer of this folder fetch, into its folder
          --from <USERNAME>        Fetch only files and contents that this member shares
          --replace                Keep an existing file with another content as NAME.~1~, and put the
                                   fetched one in its place
          --stay                   Continue to serve the fetched files, until terminated
          --done-file <PATH>       Create this file when everything is complete
          --wait[=<TIME>]          Wait until somebody shares a name that nobody shares yet, at most for
                                   this time if one is given
          --timeout <TIME>         End with exit code 7 when no byte has arrived for this time; what is
                                   here is kept
          --priority <PRIORITY>    Which fetches come first [possible values: high, normal, low]
          --detach                 Let a running peer fetch, print the numbers of the fetches, and
                                   return at once
          --json                   Print one JSON object per line on standard output; the last one has
                                   the totals
          --quiet                  Print only errors
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

    Examples:
      brigade fetch film.mkv
          fetches a file; in the folder of a running peer, that peer fetches it
      brigade fetch 'data/**/*.bin' --into data --from fire_user
          fetches what matches a pattern
      brigade fetch film.mkv --wait=2h --timeout 5m
          waits for the name, and ends if no byte arrives
      brigade fetch films/ --detach --priority low
          lets the running peer fetch in the background

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
          --fold                 Show each folder as one line; a terminal gets this if the list is
                                 longer than the screen
          --flat                 Show each file, at a terminal too
          --long                 Show the contents of each name, with their holders and the time of the
                                 first announcement
          --folder <DIR>         Ask the running peer of this folder [default: the one of
                                 BRIGADE_FOLDER, of the current directory, or the only one that runs; if
                                 none runs, the manager]
          --json                 Print one JSON object per line
          --quiet                Print only the list and errors
          --manager-host <HOST>  The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>  The manager's TCP port [default: 12000]
          --manager-key <KEY>    The manager's key, if you know it; otherwise the manager must have the
                                 key that it had at the first contact
      -h, --help                 Print help

    Examples:
      brigade files
          lists everything that is shared
      brigade files films/ --long
          lists a folder, with the holders of each file
      brigade files '**/*.bin' --json
          lists what matches a pattern, for a program

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
          --folder <DIR>         Ask the running peer of this folder [default: the one of
                                 BRIGADE_FOLDER, of the current directory, or the only one that runs; if
                                 none runs, the manager]
          --json                 Print one JSON object per line
          --quiet                Print only the list and errors
          --manager-host <HOST>  The manager's host: a name or an address [default: localhost]
          --manager-port <PORT>  The manager's TCP port [default: 12000]
          --manager-key <KEY>    The manager's key, if you know it; otherwise the manager must have the
                                 key that it had at the first contact
      -h, --help                 Print help

    Examples:
      brigade peers
          lists the peers, with what they share and send now

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

    Examples:
      brigade demo
          shows a network of four peers on this machine
    "#);
}

#[test]
fn help_of_completions() {
    insta::assert_snapshot!(printed(&["completions", "--help"], 0), @r#"
    Prints a script for command line completion: `brigade completions bash`

    Usage: brigade completions <SHELL>

    Arguments:
      <SHELL>  The shell [possible values: bash, elvish, fish, powershell, zsh]

    Options:
      -h, --help  Print help

    Examples:
      brigade completions bash > ~/.local/share/bash-completion/completions/brigade
          installs the completion of bash
    "#);
}

#[test]
fn help_of_man() {
    insta::assert_snapshot!(printed(&["man", "--help"], 0), @r#"
    Prints the manual in roff, or writes a page for each command

    Usage: brigade man [OPTIONS] [COMMAND]

    Arguments:
      [COMMAND]  Only the page of this command

    Options:
          --dir <DIR>  Write one file for each page into this folder
      -h, --help       Print help

    Examples:
      brigade man fetch | man -l -
          shows the page of a command
      brigade man --dir /usr/local/share/man/man1
          writes all pages
    "#);
}
