//! The program `brigade`. It handles arguments, prompts, tables, exit codes and hints.
//!
//! `brigade-node` does the work, `brigade-core` makes the decisions; only this crate prints. Start at [`command_line`],
//! then read the command's own file below `commands/`.

#![forbid(unsafe_code)]

mod checked_home;
mod command_line;
mod commands;
mod failure;
mod folder_argument_checks;
mod log;
mod manager_display;
mod notices;
mod screen;
mod service_manager;
mod settings;
mod terminal;
mod text;
mod transfer_log;

use std::{env, ffi::OsString, process::ExitCode};

use crate::failure::Failure;

fn main() -> ExitCode {
    let line: Vec<OsString> = env::args_os().collect();
    #[cfg(unix)]
    if let Some(code) = terminal::restoring_process::run_if_asked(&line) {
        return code;
    }
    let invocation = match command_line::read(&line) {
        Ok(invocation) => invocation,
        Err(code) => return code,
    };
    log::log_to_stderr(&commands::log_choice(&invocation));
    brigade_node::user_account::allow_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::other("starting", &error).report(),
    };
    let result = runtime.block_on(commands::run(invocation));
    // Does not wait for threads that read the disk or standard input.
    runtime.shutdown_background();
    terminal::mode::restore_terminal();
    match result {
        Ok(code) => terminal::standard_output::all_written(code),
        Err(failure) => failure.report(),
    }
}
