//! The one binary. It speaks with people and scripts: arguments, prompts, tables, exit codes and hints.
//!
//! What is done is done in `brigade-node`, what is decided in `brigade-core`; only this crate prints. Start at
//! [`args`], then the command's own file below `commands/`.

#![forbid(unsafe_code)]

mod args;
mod commands;
mod escape;
mod exit;
mod folder_news;
mod format;
mod input;
mod manager_news;
mod progress_bar;
mod signals;
mod tui;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Brigade, exit::Failure};

fn main() -> ExitCode {
    let args = Brigade::parse();
    exit::log_to_stderr();
    brigade_node::config::allow_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::other("starting", &error).report(),
    };
    let result = runtime.block_on(commands::run(args));
    // Threads that wait for the disk, or for a line of standard input, are not waited for.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
