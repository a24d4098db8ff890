//! One file for each command, from the arguments to the exit code.
//!
//! Errors are returned as a [`Failure`] and printed once, in `main`. [`run`] chooses the command.

mod catalogue;
mod demo;
mod fetch;
mod json_events;
mod listen_and_join;
mod local_api;
mod manager;
mod manager_state;
mod peer;
mod prompt;
mod running;
mod shell;
mod ui;

use std::process::ExitCode;

use self::running::fetch_changes::{self, FetchChange};
use crate::{
    command_line::{Invocation, args::Command},
    failure::Failure,
    terminal::signals::handle_size_limit_signal,
};

/// Runs the command.
pub(crate) async fn run(invocation: Invocation) -> Result<ExitCode, Failure> {
    let Invocation { args, limits, given } = invocation;
    handle_size_limit_signal();
    match args.command {
        Command::Manager(args) => manager::run(args).await,
        Command::Peer(args) => peer::run(args, limits).await,
        Command::Fetch(args) => fetch::run(args, limits, &given).await,
        Command::Files(args) => catalogue::files::run(args, &given).await,
        Command::Peers(args) => catalogue::peers::run(args, &given).await,
        Command::Transfers(args) => running::transfers::run(args).await,
        Command::Pause(args) => fetch_changes::run(FetchChange::Pause, &args.chosen, &args.peer).await,
        Command::Resume(args) => fetch_changes::run(FetchChange::Resume, &args.chosen, &args.peer).await,
        Command::Cancel(args) => fetch_changes::run(FetchChange::Cancel, &args.chosen, &args.peer).await,
        Command::Prioritize(args) => {
            fetch_changes::run(FetchChange::Prioritize(args.priority), &args.chosen, &args.peer).await
        }
        Command::Limit(args) => running::limits::run(args).await,
        Command::Status(args) => running::status::run(args).await,
        Command::Share(args) => running::shares::share(args).await,
        Command::Unshare(args) => running::shares::unshare(args).await,
        Command::Shares(args) => running::shares::list(args).await,
        Command::Verify(args) => running::verify::run(args).await,
        Command::Log(args) => running::log::run(args).await,
        Command::Stop(args) => running::stop::run(args).await,
        Command::Members(args) => manager_state::members::run(args).await,
        Command::Backup(args) => manager_state::backup::backup(args).await,
        Command::Restore(args) => manager_state::backup::run_restore(&args),
        Command::Ui(args) => ui::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Completions { shell } => Ok(shell::scripts::run(shell)),
        Command::Man { page, dir } => shell::manual::run(page.as_deref(), dir.as_deref()),
        Command::Complete(args) => Ok(shell::completion::run(args).await),
    }
}
