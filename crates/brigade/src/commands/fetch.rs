//! `brigade fetch`: files and folders into a folder, without a prompt; a peer while it runs.
//!
//! Standard output has the data: a line for each name, or with `--json` an object for each and one with the totals
//! at the end. Standard error has the progress. The folder's other files are nobody's business: only what was
//! fetched is served.

use std::{
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use brigade_node::peer::{Fetch, Given, Peer, PeerConfig, Progress, Sharing, State};
use serde_json::{Value, json};

use super::{manager_address, take_port};
use crate::{
    args::FetchArgs,
    exit::{DISK, FAILED, Failure},
    progress_bar::{follow, summary},
    signals::{Signal, Signals},
};

/// Fetches all names at once, and stays where it is told to.
pub(crate) async fn run(args: FetchArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::hear();
    let manager = manager_address(&args.peer.manager);
    let port = take_port(args.peer.host.as_deref(), args.peer.port.unwrap_or(0), &manager).await?;
    let config = PeerConfig {
        manager,
        username: args.peer.username.clone(),
        folder: args.into.clone(),
        sharing: Sharing::Fetched,
        max_connections: args.peer.max,
        upload_limit: args.peer.upload_limit,
        download_limit: args.peer.download_limit,
    };
    let peer = Peer::join(config, port).await.map_err(|not| Failure::from(not.error))?;
    let mut going = Going::default();
    let result = tokio::select! {
        result = fetch_all(&peer, &args, &mut going) => result,
        signal = signals.first() => Ok(interrupted(&args, going, signal)),
    };
    let ended = match result {
        Ok(ended) if ended.done && args.stay => stay(ended, &mut signals).await,
        Ok(ended) => ended,
        Err(failure) => {
            peer.stop().await;
            return Err(failure);
        }
    };
    if args.json {
        say(&totals(&ended, &peer.status().sent).to_string());
    }
    peer.stop().await;
    Ok(ended.code)
}

/// What was begun, and the first of it that have ended, in the same order.
#[derive(Default)]
struct Going {
    fetches: Vec<Fetch>,
    ended: Vec<Progress>,
}

/// How it ended.
struct Ended {
    code: ExitCode,
    done: bool,
    fetched: Vec<Progress>,
}

async fn fetch_all(peer: &Peer, args: &FetchArgs, going: &mut Going) -> Result<Ended, Failure> {
    for name in &args.names {
        going.fetches.push(peer.fetch(name, args.from.as_ref()).await?);
    }
    for fetch in &going.fetches {
        let progress = follow(fetch).await;
        say_ended(args, &progress);
        going.ended.push(progress);
    }
    let fetched = std::mem::take(&mut going.ended);
    let done = fetched.iter().all(|progress| progress.state == State::Done);
    if let Some(path) = args.done_file.as_deref().filter(|_| done) {
        make_done_file(path)?;
    }
    let code = if done { ExitCode::SUCCESS } else { ExitCode::from(code_of(&fetched)) };
    Ok(Ended { code, done, fetched })
}

/// How far everything came by the time that a signal ended it.
fn interrupted(args: &FetchArgs, going: Going, signal: Signal) -> Ended {
    let Going { fetches, ended: mut fetched } = going;
    for fetch in &fetches[fetched.len()..] {
        let now = fetch.progress().borrow().clone();
        let state = if now.is_over() { now.state.clone() } else { State::Stopped };
        let progress = Progress { state, ..now };
        say_ended(args, &progress);
        fetched.push(progress);
    }
    Ended { code: signal.exit_code(), done: false, fetched }
}

/// Every error of a file is about the disk; where there is none, it was stopped.
fn code_of(fetched: &[Progress]) -> u8 {
    if fetched.iter().any(|progress| progress.failed > 0) { DISK } else { FAILED }
}

async fn stay(ended: Ended, signals: &mut Signals) -> Ended {
    let signal = signals.first().await;
    Ended { code: signal.exit_code(), ..ended }
}

/// Appears all at once, so that who waits for it never sees half of it.
fn make_done_file(path: &Path) -> Result<(), Failure> {
    let made = fs::OpenOptions::new().create(true).truncate(true).write(true).open(path);
    made.map(drop).map_err(|error| Failure::other(&format!("making {}", path.display()), &error))
}

/// One fetch is over.
fn say_ended(args: &FetchArgs, progress: &Progress) {
    say(&if args.json { event(progress).to_string() } else { summary(progress) });
}

fn event(progress: &Progress) -> Value {
    let errors: Vec<Value> = progress
        .errors
        .iter()
        .map(|(name, error)| json!({ "name": name.as_str(), "error": error }))
        .collect();
    json!({
        "name": progress.name,
        "done": progress.state == State::Done,
        "files": progress.files,
        "files_already": progress.files_already,
        "bytes": progress.bytes,
        "bytes_already": progress.bytes_already,
        "pieces": progress.pieces,
        "seconds": progress.took.as_secs_f64(),
        "from": given(&progress.from),
        "failed": progress.failed,
        "errors": errors,
    })
}

fn totals(ended: &Ended, sent: &[Given]) -> Value {
    let sum = |of: fn(&Progress) -> u64| ended.fetched.iter().map(of).sum::<u64>();
    let mut from: Vec<Given> = vec![];
    for one in ended.fetched.iter().flat_map(|progress| &progress.from) {
        match from.iter_mut().find(|given| given.username == one.username) {
            Some(given) => {
                given.bytes += one.bytes;
                given.pieces += one.pieces;
            }
            None => from.push(one.clone()),
        }
    }
    json!({
        "totals": true,
        "done": ended.done,
        "files": sum(|progress| progress.files),
        "bytes": sum(|progress| progress.bytes),
        "bytes_already": sum(|progress| progress.bytes_already),
        "pieces": sum(|progress| progress.pieces),
        "from": given(&from),
        "sent": given(sent),
        "fetched_twice_bytes": ended.fetched.iter().map(|progress| progress.bytes_twice).max().unwrap_or(0),
        "failed": sum(|progress| progress.failed),
    })
}

fn given(shares: &[Given]) -> Vec<Value> {
    let one = |given: &Given| json!({ "username": given.username.as_str(), "bytes": given.bytes, "pieces": given.pieces });
    shares.iter().map(one).collect()
}

#[allow(clippy::print_stdout)]
fn say(line: &str) {
    println!("{line}");
    let _ = io::stdout().flush();
}
