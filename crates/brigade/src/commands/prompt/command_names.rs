//! The names of the commands of the prompt, and their help.
//!
//! The prompt runs the commands; `completion` completes their names.

use crate::failure::{Failure, USAGE};

/// All commands, as Tab completes them.
pub(super) const COMMANDS: [&str; 18] = [
    "files",
    "peers",
    "fetch",
    "transfers",
    "pause",
    "resume",
    "cancel",
    "prioritize",
    "limit",
    "status",
    "share",
    "unshare",
    "shares",
    "verify",
    "help",
    "quit",
    "ls",
    "get",
];

/// Options of the commands at the prompt; the others name a peer or a form of the output.
pub(super) const OPTIONS: [&str; 3] = ["--all", "--as", "--repair"];

/// Commands without arguments.
pub(super) const WITHOUT_ARGUMENTS: [&str; 8] = ["q", "Q", "quit", "exit", "peers", "status", "help", "?"];

pub(super) const HELP: &str = "\
files [PREFIX|PATTERN]         the files in the network: all of them, those that
                               begin with PREFIX, or those that match PATTERN
peers                          the peers in the network
fetch NAME [OPTION]... [&]     fetch a file, all files of a folder, or all that
                               match a pattern such as data/**/*.bin; & runs it
                               in the background, Ctrl-C stops it
      NAME                     may have spaces, and stand in quotation marks;
                               NAME@ID-PREFIX chooses one of several contents
      --from USERNAME          fetch only files that this user shares
      --replace                keep a file that is in the way as NAME.~1~
transfers [--all]              the fetches with their numbers, and what is sent;
                               --all adds those that have ended
pause, resume, cancel FETCH... change fetches, by number or name, or all of them
                               with --all; several names with spaces stand in
                               quotation marks: pause 'my film.mkv' 3
prioritize FETCH... PRIORITY   high, normal or low
limit                          the limits in effect and their origin
limit up|down RATE|off|auto    a new limit (10MB, off); auto removes it again
status                         what is shared, sent and fetched, and what is not
                               shared and why
share PATH [--as NAME]         share a folder or a file in place; nothing is
                               written there; a path with spaces stands in
                               quotation marks
unshare NAME, shares           end such a share, list them
verify [NAME] [--repair]       hash the shared files again, and name those that
                               are damaged; --repair fetches them again
help, ?                        this text
q, Q, quit, exit               quit
Tab completes commands and names; `ls` means `files`, and `get` means `fetch`";

/// The error for a word that is no command; a similar command is suggested.
pub(super) fn unknown_command(word: &str) -> Failure {
    let similar = COMMANDS.iter().map(|command| (strsim::jaro_winkler(word, command), command));
    let similar = similar.filter(|(similarity, _)| *similarity > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = similar.map_or_else(
        || "`help` lists the commands".to_owned(),
        |(_, command)| format!("did you mean `{command}`? `help` lists the commands"),
    );
    Failure::new(USAGE, format!("{word:?} is not a command")).hint(hint)
}
