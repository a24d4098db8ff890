//! The one binary. It speaks with people and scripts: arguments, prompts, tables, exit codes and hints.
//!
//! What is done is done in `brigade-node`, what is decided in `brigade-core`; only this crate prints. Start at
//! [`args`] and [`command_line`], then the command's own file below `commands/`.

#![forbid(unsafe_code)]

mod args;
mod clock_news;
mod command_line;
mod commands;
mod escape;
mod exit;
mod folder_news;
mod format;
mod hints;
mod home;
mod incomplete;
mod input;
mod log;
mod manager_news;
mod mistakes;
mod output;
mod progress_bar;
mod progress_line;
mod reach_news;
mod settings;
mod signals;
mod terminal;
mod tui;
mod unshared_log;

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
    input::give_back_terminal();
    match result {
        Ok(code) => output::all_written(code),
        Err(failure) => failure.report(),
    }
}
