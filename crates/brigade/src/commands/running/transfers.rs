//! `brigade transfers`: the fetches of a running peer, and what it sends; with `--watch` until it is interrupted.
//!
//! A terminal that can draw shows the table in place; elsewhere it is printed again when it has changed.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use brigade_api::{
    client::PeerClient,
    values::{Fetch, Upload},
};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    json, peer,
    transfer_table::{listed, text},
};
use crate::{
    command_line::args::running::TransfersArgs,
    commands::json_events::with_failure,
    failure::Failure,
    terminal::{self, signals::Signals, standard_output::print_line},
};

/// How often the peer is asked with `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Prints the transfers.
pub(crate) async fn run(args: TransfersArgs) -> Result<ExitCode, Failure> {
    with_failure(list(&args).await, args.peer.output.json)
}

async fn list(args: &TransfersArgs) -> Result<ExitCode, Failure> {
    let client = peer(&args.peer)?;
    if args.watch {
        let mut signals = Signals::install();
        return tokio::select! {
            result = watch(&client, args) => result,
            signal = signals.first() => Ok(signal.exit_code()),
        };
    }
    let (fetches, uploads) = ask(&client, args.all).await?;
    if args.peer.output.json {
        objects(&fetches, &uploads).iter().for_each(|object| print_line(&object.to_string()));
    } else {
        print_line(&text(&fetches, &uploads, terminal::output_columns()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The fetches and the uploads of a peer.
pub(crate) async fn ask(client: &PeerClient, all: bool) -> Result<(Vec<Fetch>, Vec<Upload>), Failure> {
    let fetches = client.fetches().await?;
    let uploads = client.uploads().await?;
    Ok((listed(fetches, all), uploads.uploads))
}

/// An object for each transfer; `transfer` has its kind.
fn objects(fetches: &[Fetch], uploads: &[Upload]) -> Vec<Value> {
    let of_kind = |kind: &str, mut object: Value| {
        object["transfer"] = kind.into();
        object
    };
    let fetches = fetches.iter().map(|fetch| of_kind("fetch", json(fetch)));
    fetches.chain(uploads.iter().map(|upload| of_kind("upload", json(upload)))).collect()
}

async fn watch(client: &PeerClient, args: &TransfersArgs) -> Result<ExitCode, Failure> {
    let mut tick = interval(WATCH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last, mut printed) = (String::new(), vec![]);
    let draws = io::stdout().is_terminal() && terminal::draws();
    loop {
        tick.tick().await;
        let (fetches, uploads) = ask(client, args.all).await?;
        if args.peer.output.json {
            let now = objects(&fetches, &uploads);
            let timeless: Vec<Value> = now.iter().map(without_time).collect();
            for (object, _) in now.iter().zip(&timeless).filter(|(_, one)| !printed.contains(*one)) {
                print_line(&object.to_string());
            }
            printed = timeless;
            continue;
        }
        let now = text(&fetches, &uploads, terminal::output_columns());
        if draws {
            draw(&last, &now);
        } else if now != last {
            print_line(&format!("{}{now}", if last.is_empty() { "" } else { "\n" }));
        }
        last = now;
    }
}

/// The object without the time that it has run: while a transfer waits, only that changes.
fn without_time(object: &Value) -> Value {
    let mut object = object.clone();
    object["seconds"] = Value::Null;
    object
}

/// Replaces the lines of `last` by those of `now`. Lines that would scroll the terminal are left out.
fn draw(last: &str, now: &str) {
    let rows = usize::from(terminal::size().map_or(24, |(_, rows)| rows)).saturating_sub(1);
    let up = last.lines().take(rows).count();
    let back = if up > 0 { format!("\u{1b}[{up}A\r") } else { String::new() };
    let shown: String = now.lines().take(rows).map(|line| format!("{line}\u{1b}[K\n")).collect();
    let mut out = io::stdout().lock();
    // An error means that the terminal is closed.
    let _ = write!(out, "{back}{shown}\u{1b}[J").and_then(|()| out.flush());
}
