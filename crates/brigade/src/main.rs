//! The program: arguments, prompts, tables, exit codes and hints.
//!
//! `brigade-node` does the work, `brigade-core` makes the decisions; only this crate prints. Start at [`command_line`],
//! then read the command's own file below `commands/`.

#![forbid(unsafe_code)]

mod command_line;
mod commands;
mod exit;
mod home;
mod log;
mod notices;
mod settings;
mod terminal;
mod tui;

use std::{env, ffi::OsString, process::ExitCode};

use crate::exit::Failure;

fn main() -> ExitCode {
    let line: Vec<OsString> = env::args_os().collect();
    let start = match command_line::read(&line) {
        Ok(start) => start,
        Err(code) => return code,
    };
    log::log_to_stderr();
    brigade_node::config::allow_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::other("starting", &error).report(),
    };
    let result = runtime.block_on(commands::run(start));
    // Threads that wait for the disk, or for a line of standard input, are not waited for.
    runtime.shutdown_background();
    terminal::input::give_back_terminal();
    match result {
        Ok(code) => terminal::output::all_written(code),
        Err(failure) => failure.report(),
    }
}
