//! One file for each command, from the arguments to the exit code.
//!
//! Errors are returned as a [`Failure`] and printed once, in `main`. [`run`] chooses the command.

pub(crate) mod choose_content;
mod demo;
mod done_file;
mod fetch;
mod files;
mod json_events;
mod listen_and_join;
mod manager;
mod peer;
mod peers;
mod prompt;
mod prompt_arguments;
mod prompt_limit;
mod prompt_status;

use std::{io::Write, process::ExitCode};

use clap::CommandFactory;

use crate::{
    command_line::{
        Invocation,
        args::{Brigade, Command},
    },
    failure::Failure,
    terminal::{signals::handle_size_limit_signal, standard_output::record_write},
};

/// Runs the command.
pub(crate) async fn run(invocation: Invocation) -> Result<ExitCode, Failure> {
    let Invocation { args, limits } = invocation;
    handle_size_limit_signal();
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
            let mut out = std::io::stdout();
            record_write(out.write_all(&script).and_then(|()| out.flush()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            let mut out = std::io::stdout();
            record_write(manual(&mut out).and_then(|()| out.flush()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The manual: a page of the program, and a page of each command.
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
