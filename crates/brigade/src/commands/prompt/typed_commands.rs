//! The commands of the prompt that a shell has, too: `transfers`, `pause`, `share`, `verify` and others. Their words are
//! read as those of a command line, and the peer is asked over its API.
//!
//! `running` has the commands themselves and their texts.

use std::ffi::OsString;

use brigade_api::client::PeerClient;
use clap::CommandFactory;

use super::{arguments::words, command_names::OPTIONS};
use crate::{
    command_line::{
        args::{Brigade, Command, running::ChosenFetches},
        typed_command::read_typed,
    },
    commands::running::{
        fetch_changes::{self, FetchChange},
        shares, transfer_table, transfers, verify,
    },
    failure::{Failure, REFUSED, USAGE},
    terminal::{self, input::Printer},
};

/// Runs `command` with the arguments `rest`.
pub(super) async fn run(
    command: &str,
    rest: &str,
    client: &PeerClient,
    printer: &Printer,
) -> Result<(), Failure> {
    let changes = async |change: FetchChange, chosen: &ChosenFetches| {
        let changed = fetch_changes::apply(client, change, &chosen.fetches, chosen.all).await?;
        let lines: Vec<String> = changed.iter().map(|fetch| fetch_changes::line(change, fetch)).collect();
        let text = if lines.is_empty() { "no fetch runs".to_owned() } else { lines.join("\n") };
        printer.print(&text);
        Ok(())
    };
    match typed(command, rest)? {
        Command::Transfers(args) if args.watch => {
            Err(Failure::new(USAGE, "--watch has no use here: repeat `transfers`")
                .hint("`help` lists the commands"))
        }
        Command::Transfers(args) => {
            let (fetches, uploads) = transfers::ask(client, args.all).await?;
            printer.print(&transfer_table::text(&fetches, &uploads, terminal::output_columns()));
            Ok(())
        }
        Command::Pause(args) => changes(FetchChange::Pause, &args.chosen).await,
        Command::Resume(args) => changes(FetchChange::Resume, &args.chosen).await,
        Command::Cancel(args) => changes(FetchChange::Cancel, &args.chosen).await,
        Command::Prioritize(args) => changes(FetchChange::Prioritize(args.priority), &args.chosen).await,
        Command::Share(args) => {
            let share = shares::add(client, &args.path, args.name.as_ref()).await?;
            printer.print(&shares::shared_text(&share));
            Ok(())
        }
        Command::Unshare(args) => {
            let share = shares::remove(client, &args.share).await?;
            printer.print(&shares::ended_text(&share));
            Ok(())
        }
        Command::Shares(_) => {
            printer.print(&shares::text(&client.shares().await?, terminal::output_columns()));
            Ok(())
        }
        Command::Verify(args) => {
            let repairs = verify::repair_follower(client, args.repair).await?;
            let began = verify::begin(client, args.name.as_deref().unwrap_or_default(), args.repair).await?;
            printer.print("verifying in the background; the result follows");
            let (client, printer) = (client.clone(), printer.clone());
            tokio::spawn(async move {
                match verify::follow(&client, began, |_| ()).await {
                    Ok(ended) => {
                        let repaired = verify::wait_for_repairs(repairs, &ended).await;
                        printer.print(&verify::text(&ended, &repaired));
                    }
                    Err(failure) if failure.code == REFUSED => printer.print(&failure.text()),
                    Err(_) => {} // the peer stops
                }
            });
            Ok(())
        }
        _ => Err(Failure::new(USAGE, format!("`{command}` is not a command of the prompt"))),
    }
}

/// The command with its arguments, as in a shell; options that name another peer or a form of the output are refused.
fn typed(command: &str, rest: &str) -> Result<Command, Failure> {
    let mut line: Vec<OsString> = vec!["brigade".into(), command.into()];
    line.extend(words(rest)?.into_iter().map(OsString::from));
    let command_line = read_typed(&line).map_err(|mistakes| {
        let usage = usage(command);
        let failure = Failure::new(USAGE, mistakes.join("; "));
        failure.hint(format!("{usage}; names with spaces stand in quotation marks"))
    })?;
    match command_line.given.first_other(&OPTIONS) {
        Some(option) => {
            let message = format!("--{option} has no use at the prompt, which is that of one peer");
            Err(Failure::new(USAGE, message).hint(usage(command)))
        }
        None => Ok(command_line.args.command),
    }
}

/// The usage of a command, with the options that it has at the prompt.
fn usage(command: &str) -> String {
    let grammar = Brigade::command();
    let known = grammar.find_subcommand(command);
    let arguments = known.into_iter().flat_map(clap::Command::get_arguments).filter_map(|argument| {
        let long = argument.get_long().map(|long| format!("--{long}"));
        match long {
            Some(long) if !OPTIONS.contains(&long.as_str()) => None,
            Some(long) if argument.get_action().takes_values() => Some(format!("[{long} NAME]")),
            Some(long) => Some(format!("[{long}]")),
            None if argument.is_required_set() => Some(argument.to_string()),
            None => Some(format!("[{}]", argument.get_id().as_str().to_uppercase())),
        }
    });
    [command.to_owned()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Command, typed};

    #[track_caller]
    fn error(command: &str, rest: &str) -> String {
        typed(command, rest).err().unwrap().text()
    }

    #[test]
    fn commands_are_read_as_in_a_shell() {
        let Command::Pause(args) = typed("pause", "3 'my film.mkv'").unwrap() else { panic!() };
        assert_eq!(args.chosen.fetches, ["3", "my film.mkv"]);
        let Command::Prioritize(args) = typed("prioritize", "--all high").unwrap() else { panic!() };
        assert!(args.chosen.all);
        let Command::Share(args) = typed("share", "'/a b' --as c").unwrap() else { panic!() };
        assert_eq!(
            (args.path.to_str(), args.name.as_ref().map(|name| name.as_str())),
            (Some("/a b"), Some("c"))
        );
    }

    #[test]
    fn mistakes_say_what_is_expected() {
        assert!(error("pause", "").contains("is missing"), "{}", error("pause", ""));
        assert!(error("prioritize", "3 hgih").contains("possible values: 'high', 'normal', 'low'"));
        assert!(error("pause", "3 --folder x").contains("--folder has no use at the prompt"));
        assert!(error("transfers", "--al").contains("a similar argument exists: '--all'"));
        assert!(error("pause", "'a").contains("is not closed"));
    }
}
