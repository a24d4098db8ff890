//! The help of the commands for a running peer or manager, word for word.
//!
//! A changed text here changes the program for users: check `docs/operating.md` too.

use crate::printed;

#[test]
fn help_of_transfers() {
    insta::assert_snapshot!(printed(&["transfers", "--help"], 0), @r#"
    Lists the fetches of a running peer, and what it sends

    Usage: brigade transfers [OPTIONS]

    Options:
          --watch         Show the changes until interrupted
          --all           Show the fetches that have ended, too
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
      -h, --help          Print help

    Examples:
      brigade transfers
          lists the fetches that have not ended, and what is sent
      brigade transfers --watch
          shows them until Ctrl-C
      brigade transfers --all --json
          lists the fetches that have ended, too, for a program
    "#);
}

#[test]
fn help_of_pause() {
    insta::assert_snapshot!(printed(&["pause", "--help"], 0), @r#"
    Pauses fetches of a running peer: no more bytes arrive, and what is here is kept

    Usage: brigade pause [OPTIONS] [FETCH]...

    Arguments:
      [FETCH]...  Numbers of fetches, or their names; `brigade transfers` lists them

    Options:
          --all           All fetches that have not ended
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
      -h, --help          Print help

    Examples:
      brigade pause 3 film.mkv
          pauses two fetches, by number and by name
      brigade pause --all
          pauses all fetches
    "#);
}

#[test]
fn help_of_resume() {
    insta::assert_snapshot!(printed(&["resume", "--help"], 0), @r#"
    Resumes paused fetches of a running peer

    Usage: brigade resume [OPTIONS] [FETCH]...

    Arguments:
      [FETCH]...  Numbers of fetches, or their names; `brigade transfers` lists them

    Options:
          --all           All fetches that have not ended
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
      -h, --help          Print help

    Examples:
      brigade resume 3
          resumes a paused fetch
    "#);
}

#[test]
fn help_of_cancel() {
    insta::assert_snapshot!(printed(&["cancel", "--help"], 0), @r#"
    Ends fetches of a running peer; verified pieces are kept, and the same fetch resumes

    Usage: brigade cancel [OPTIONS] [FETCH]...

    Arguments:
      [FETCH]...  Numbers of fetches, or their names; `brigade transfers` lists them

    Options:
          --all           All fetches that have not ended
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
      -h, --help          Print help

    Examples:
      brigade cancel film.mkv
          ends a fetch; the same fetch resumes
    "#);
}

#[test]
fn help_of_prioritize() {
    insta::assert_snapshot!(printed(&["prioritize", "--help"], 0), @r#"
    Sets which fetches of a running peer come first

    Usage: brigade prioritize [OPTIONS] [FETCH]... <PRIORITY>

    Arguments:
      [FETCH]...  Numbers of fetches, or their names; `brigade transfers` lists them
      <PRIORITY>  The new priority [possible values: high, normal, low]

    Options:
          --all           All fetches that have not ended
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
      -h, --help          Print help

    Examples:
      brigade prioritize film.mkv high
          fetches a file before the others
      brigade prioritize --all low
          fetches everything that runs now after later fetches
    "#);
}

#[test]
fn help_of_limit() {
    insta::assert_snapshot!(printed(&["limit", "--help"], 0), @r#"
    Shows the limits of a running peer, or sets one

    Usage: brigade limit [OPTIONS] [DIRECTION] [RATE]

    Arguments:
      [DIRECTION]  The direction: what the peer sends, or what it receives [possible values: up, down]
      [RATE]       Bytes per second, such as 10MB; off for no limit; auto for the limit of options,
                   schedule and settings

    Options:
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
      -h, --help          Print help

    Examples:
      brigade limit
          shows the limits and their origin
      brigade limit up 10MB
          sends at most 10⁷ bytes per second from now on
      brigade limit down auto
          brings back the limit of options, schedule and settings
    "#);
}

#[test]
fn help_of_status() {
    insta::assert_snapshot!(printed(&["status", "--help"], 0), @r#"
    Shows what a running peer shares, sends and fetches, and what it does not share and why

    Usage: brigade status [OPTIONS]

    Options:
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
          --manager       The manager that runs on this machine, not a peer
          --state <DIR>   The manager with this state folder
      -h, --help          Print help

    Examples:
      brigade status
          shows the state of the running peer
      brigade status --manager --json
          shows the state of the running manager, for a program
    "#);
}

#[test]
fn help_of_share() {
    insta::assert_snapshot!(printed(&["share", "--help"], 0), @r#"
    Shares an existing folder or file in place, with a running peer

    Usage: brigade share [OPTIONS] <PATH>

    Arguments:
      <PATH>  The folder or file; nothing is written into it

    Options:
          --as <NAME>     The name in the network [default: the last part of PATH]
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
      -h, --help          Print help

    Examples:
      brigade share /media/films
          shares a folder under its own name, without writing into it
      brigade share /iso/linux.iso --as linux-latest.iso
          shares a file under another name
    "#);
}

#[test]
fn help_of_unshare() {
    insta::assert_snapshot!(printed(&["unshare", "--help"], 0), @r#"
    Ends the sharing of a folder or file that is shared in place

    Usage: brigade unshare [OPTIONS] <NAME|PATH>

    Arguments:
      <NAME|PATH>  The name in the network, or the path; `brigade shares` lists them

    Options:
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
      -h, --help          Print help

    Examples:
      brigade unshare films
          ends a share, by its name or its path
    "#);
}

#[test]
fn help_of_shares() {
    insta::assert_snapshot!(printed(&["shares", "--help"], 0), @r#"
    Lists the folders and files that a running peer shares in place

    Usage: brigade shares [OPTIONS]

    Options:
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
      -h, --help          Print help

    Examples:
      brigade shares
          lists what is shared in place
    "#);
}

#[test]
fn help_of_verify() {
    insta::assert_snapshot!(printed(&["verify", "--help"], 0), @r#"
    Hashes the shared files of a running peer again, and names those that are damaged on the disk

    Usage: brigade verify [OPTIONS] [NAME]

    Arguments:
      [NAME]  Only the file of this name, or the files below it

    Options:
          --repair        Fetch the damaged files again from other holders
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
      -h, --help          Print help

    Examples:
      brigade verify
          hashes all shared files again
      brigade verify films --repair
          fetches the damaged files of a folder again
    "#);
}

#[test]
fn help_of_log() {
    insta::assert_snapshot!(printed(&["log", "--help"], 0), @r#"
    Prints the log of a running peer or manager

    Usage: brigade log [OPTIONS]

    Options:
      -n, --lines <COUNT>  The number of the last lines to print [default: 100]
      -f, --follow         Print new lines until interrupted
          --folder <DIR>   The folder of the running peer [default: BRIGADE_FOLDER, the current
                           directory or one above it, or that of the only peer that runs]
          --json           Print one JSON object per line on standard output
          --quiet          Print only what was asked for, and errors
          --manager        The manager that runs on this machine, not a peer
          --state <DIR>    The manager with this state folder
      -h, --help           Print help

    Examples:
      brigade log -n 20
          prints the last 20 lines
      brigade log --follow --manager
          prints the lines of the running manager as they are written
    "#);
}

#[test]
fn help_of_stop() {
    insta::assert_snapshot!(printed(&["stop", "--help"], 0), @r#"
    Stops a running peer or manager

    Usage: brigade stop [OPTIONS]

    Options:
          --folder <DIR>  The folder of the running peer [default: BRIGADE_FOLDER, the current directory
                          or one above it, or that of the only peer that runs]
          --json          Print one JSON object per line on standard output
          --quiet         Print only what was asked for, and errors
          --manager       The manager that runs on this machine, not a peer
          --state <DIR>   The manager with this state folder
      -h, --help          Print help

    Examples:
      brigade stop
          stops the running peer, as SIGTERM does
      brigade stop --manager
          stops the running manager
    "#);
}

#[test]
fn help_of_members() {
    insta::assert_snapshot!(printed(&["members", "--help"], 0), @r#"
    Lists the members of the network, at its running manager

    Usage: brigade members [OPTIONS]

    Options:
          --state <DIR>  The state folder of the running manager [default: that of the only manager that
                         runs]
          --json         Print one JSON object per line on standard output
          --quiet        Print only what was asked for, and errors
      -h, --help         Print help

    Examples:
      brigade members
          lists usernames and keys, and who is connected
    "#);
}

#[test]
fn help_of_backup() {
    insta::assert_snapshot!(printed(&["backup", "--help"], 0), @r#"
    Copies the key and the members of the running manager into one file

    Usage: brigade backup [OPTIONS] <FILE>

    Arguments:
      <FILE>  The new file; an existing one is not replaced

    Options:
          --state <DIR>  The state folder of the running manager [default: that of the only manager that
                         runs]
          --json         Print one JSON object per line on standard output
          --quiet        Print only what was asked for, and errors
      -h, --help         Print help

    Examples:
      brigade backup /var/backups/brigade.backup
          copies the state while the manager runs
    "#);
}

#[test]
fn help_of_restore() {
    insta::assert_snapshot!(printed(&["restore", "--help"], 0), @r#"
    Restores the state of a manager from a backup

    Usage: brigade restore [OPTIONS] --state <DIR> <FILE>

    Arguments:
      <FILE>  The backup

    Options:
          --state <DIR>  The state folder of the new manager; it must not have the state of a manager
          --json         Print one JSON object per line on standard output
          --quiet        Print only what was asked for, and errors
      -h, --help         Print help

    Examples:
      brigade restore brigade.backup --state /srv/brigade/manager
          makes a state folder for `brigade manager --state`
    "#);
}
