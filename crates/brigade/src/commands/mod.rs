//! One file for each command: its way from the arguments to the exit code.
//!
//! Errors are returned as a [`Failure`] and are printed once, in `main`. [`run`] chooses the command.

pub(crate) mod choosing;
mod connect;
mod demo;
mod done_file;
mod fetch;
mod files;
mod limit;
mod manager;
mod peer;
mod peers;
mod prompt;
mod report;
mod status;
mod typed;

use std::{io::Write, process::ExitCode};

use clap::CommandFactory;

use crate::{
    command_line::{
        Start,
        args::{Brigade, Command},
    },
    exit::Failure,
    terminal::{output::note, signals::outlive_size_limit},
};

/// Runs the command that was read.
pub(crate) async fn run(start: Start) -> Result<ExitCode, Failure> {
    let Start { args, limits } = start;
    outlive_size_limit();
    match args.command {
        Command::Manager(args) => manager::run(args).await,
        Command::Peer(args) => peer::run(args, limits).await,
        Command::Fetch(args) => fetch::run(args, limits).await,
        Command::Files(args) => files::run(args).await,
        Command::Peers(args) => peers::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Brigade::command(), "brigade", &mut script);
            let _ = std::io::stdout().write_all(&script); // a reader that went away has seen enough
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            note(manual(&mut std::io::stdout()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The manual: a page of the program, and one of each command.
fn manual(out: &mut impl std::io::Write) -> std::io::Result<()> {
    let program = Brigade::command();
    clap_mangen::Man::new(program.clone()).render(out)?;
    for command in program.get_subcommands() {
        let title = format!("brigade-{}", command.get_name());
        let shown = command.clone().name(&title).bin_name(title.replacen('-', " ", 1));
        clap_mangen::Man::new(shown).title(title).render(out)?;
    }
    Ok(())
}
