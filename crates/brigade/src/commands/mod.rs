//! One file for each command, from the arguments to the exit code.
//!
//! Errors are returned as a [`Failure`] and printed once, in `main`. [`run`] chooses the command.

mod catalogue;
mod demo;
mod doctor;
mod fetch;
mod headless;
mod json_events;
mod listen_and_join;
mod local_api;
mod manager;
mod manager_state;
mod peer;
mod prompt;
mod running;
mod service;
mod shell;
mod ui;

use std::process::ExitCode;

use self::running::fetch_changes::{self, FetchChange};
use crate::{
    command_line::{
        Invocation,
        args::{Command, LogFormat},
    },
    failure::Failure,
    log::LogChoice,
    terminal::{signals::handle_size_limit_signal, standard_error::log_records::is_journal_stream},
};

/// How the command writes its log lines. A service writes records by itself; a manager whose lines somebody reads in a
/// file or a pipe writes them to standard output, as long as no format is chosen.
pub(crate) fn log_choice(invocation: &Invocation) -> LogChoice {
    let (log, is_service) = match &invocation.args.command {
        Command::Peer(args) => (&args.log, args.headless),
        Command::Manager(args) => (&args.log, is_journal_stream()),
        _ => return LogChoice::default(),
    };
    let is_json = log.log_format.map(|format| format == LogFormat::Json);
    LogChoice { is_json, filter: log.log_filter.clone(), is_service }
}

/// Runs the command.
pub(crate) async fn run(invocation: Invocation) -> Result<ExitCode, Failure> {
    let Invocation { args, limits, options, given } = invocation;
    handle_size_limit_signal();
    match args.command {
        Command::Manager(args) => manager::run(args, options).await,
        Command::Peer(args) if args.headless => headless::run(args, options).await,
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
        Command::Doctor(args) => doctor::run(args).await,
        Command::Service(args) => service::run(args),
        Command::Demo(args) => demo::run(args).await,
        Command::Completions { shell } => Ok(shell::scripts::run(shell)),
        Command::Man { page, dir } => shell::manual::run(page.as_deref(), dir.as_deref()),
        Command::Complete(args) => Ok(shell::completion::run(args).await),
    }
}
