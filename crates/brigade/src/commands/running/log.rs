//! `brigade log`: the last lines of the log of a running peer or manager, and with `--follow` the new ones.
//!
//! The program keeps a bounded number of lines; lines that were lost are counted.

use std::{process::ExitCode, time::Duration};

use brigade_api::{
    client::ClientError,
    values::{LogLevel, LogLine, LogLines},
};
use brigade_core::{plural::count, time::UnixTime};
use tokio::time::sleep;

use super::{RunningProgram, json, program};
use crate::{
    command_line::args::running::LogArgs,
    commands::json_events::with_failure,
    failure::Failure,
    terminal::{signals::Signals, standard_error::print_error_line, standard_output::print_line},
    text::{escape::escape, format},
};

/// The most lines that are asked for at once: as many as a program keeps.
const MOST_LINES: usize = 1000;

/// How often new lines are asked for.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Prints the lines.
pub(crate) async fn run(args: LogArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::install();
    let result = tokio::select! {
        result = print_log(&args) => result,
        signal = signals.first() => Ok(signal.exit_code()),
    };
    with_failure(result, args.of.peer.output.json)
}

async fn print_log(args: &LogArgs) -> Result<ExitCode, Failure> {
    let program = program(&args.of)?;
    let last = print_lines(&ask(&program, args.lines).await?.lines, args.of.peer.output.json);
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    // The lines that were not asked for are not new.
    let last = match last {
        Some(last) => last,
        None => ask(&program, MOST_LINES).await?.lines.last().map_or(0, |line| line.number),
    };
    follow(&program, last, args).await
}

/// Prints the lines after the number `last` until the program ends. If it is started again meanwhile, all its lines are
/// new.
async fn follow(program: &RunningProgram, mut last: u64, args: &LogArgs) -> Result<ExitCode, Failure> {
    let mut start = start(program).await?;
    loop {
        sleep(FOLLOW_EVERY).await;
        let lines = match ask_with_start(program).await {
            Ok((_, now)) if now != start => {
                (start, last) = (now, 0); // the lines may still be those of the process before
                continue;
            }
            Ok((lines, _)) => lines.lines,
            Err(ClientError::NotRunning { .. } | ClientError::Broken(_)) => {
                if !args.of.peer.output.quiet {
                    print_error_line("the program has ended");
                }
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => return Err(error.into()),
        };
        let Some(new) = lines.iter().position(|line| line.number > last) else { continue };
        let lost = lines[new].number.saturating_sub(last + 1);
        if lost > 0 {
            print_error_line(&format!("{} of the log came too fast, and were not kept", count(lost, "line")));
        }
        last = print_lines(&lines[new..], args.of.peer.output.json).unwrap_or(last);
    }
}

/// The lines, and then the process that gave them, or the one after it.
async fn ask_with_start(program: &RunningProgram) -> Result<(LogLines, (u32, u64)), ClientError> {
    let lines = ask(program, MOST_LINES).await?;
    Ok((lines, start(program).await?))
}

/// The number of the process, and when it started.
async fn start(program: &RunningProgram) -> Result<(u32, u64), ClientError> {
    match program {
        RunningProgram::Peer(_, client) => client.status().await.map(|status| (status.pid, status.since_s)),
        RunningProgram::Manager(_, client) => {
            client.status().await.map(|status| (status.pid, status.since_s))
        }
    }
}

async fn ask(program: &RunningProgram, lines: usize) -> Result<LogLines, ClientError> {
    match program {
        RunningProgram::Peer(_, client) => client.log(lines).await,
        RunningProgram::Manager(_, client) => client.log(lines).await,
    }
}

/// Prints lines. Returns the number of the last one.
fn print_lines(lines: &[LogLine], as_json: bool) -> Option<u64> {
    for line in lines {
        print_line(&if as_json { json(line).to_string() } else { text(line) });
    }
    lines.last().map(|line| line.number)
}

fn text(line: &LogLine) -> String {
    let level = match line.level {
        LogLevel::Error => "ERROR",
        LogLevel::Warn => " WARN",
        LogLevel::Info => " INFO",
        LogLevel::Debug => "DEBUG",
        LogLevel::Trace => "TRACE",
    };
    format!("{} {level} {}", format::time(UnixTime(line.time_ms / 1000)), escape(&line.message))
}
