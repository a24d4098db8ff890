//! `brigade status`: a running peer (the manager, the shared, sent and fetched files, and the files that are not shared,
//! with the reason) or a running manager. The prompt prints the same text.
//!
//! The program knows all of it; no other machine is asked.

use std::{process::ExitCode, time::Duration};

use brigade_api::{
    client::PeerClient,
    values::{
        Fetch, Hashing, ManagerConnection, ManagerLink, ManagerStatus, PeerStatus, Traffic, UnsharedPage,
    },
};
use brigade_core::{plural::count, time::UnixTime};
use brigade_node::peer::MemberTraffic;

use super::{RunningProgram, print_result, program};
use crate::{
    command_line::args::running::StatusArgs,
    commands::json_events::with_failure,
    failure::Failure,
    notices::progress_texts::{line, unreached},
    terminal::standard_output::print_line,
    text::{escape::escape, format},
};

/// Digits of a key that people compare.
const KEY_DIGITS: usize = 10;

/// What a peer knows about itself.
pub(crate) struct PeerReport {
    pub(crate) status: PeerStatus,
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) unshared: UnsharedPage,
}

impl PeerReport {
    /// Asks the peer.
    pub(crate) async fn of(client: &PeerClient) -> Result<Self, Failure> {
        let status = client.status().await?;
        let fetches = client.fetches().await?;
        Ok(Self { status, fetches, unshared: client.problems(None).await? })
    }
}

/// Prints the status.
pub(crate) async fn run(args: StatusArgs) -> Result<ExitCode, Failure> {
    with_failure(show(&args).await, args.of.peer.output.json)
}

async fn show(args: &StatusArgs) -> Result<ExitCode, Failure> {
    let output = args.of.peer.output;
    match program(&args.of)? {
        RunningProgram::Peer(_, client) if output.json => {
            print_result(output, "", &client.status().await?);
        }
        RunningProgram::Peer(_, client) => {
            let report = PeerReport::of(&client).await?;
            let about = &report.status;
            let process = format!(
                "in {}, process {}, since {}, version {}",
                escape(&about.folder),
                about.pid,
                format::time(UnixTime(about.since_s)),
                escape(&about.version)
            );
            print_line(&format!("{}\n{process}", text(&report)));
        }
        RunningProgram::Manager(_, client) => {
            let status = client.status().await?;
            if output.json {
                print_result(output, "", &status);
            } else {
                print_line(&manager_text(&status));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The status of a manager, a line for each part.
fn manager_text(status: &ManagerStatus) -> String {
    let reach = if status.open { "other machines may reach it" } else { "only this machine can reach it" };
    [
        format!("manager at {}, key {}; {reach}", escape(&status.address), escape(&status.key)),
        format!("peers: {} of at most {}", status.peers, status.max_peers),
        format!(
            "catalogue: {}, {}, {}",
            count(status.names, "name"),
            count(status.contents, "content"),
            format::bytes(status.bytes)
        ),
        format!(
            "in {}, process {}, since {}, version {}",
            escape(&status.folder),
            status.pid,
            format::time(UnixTime(status.since_s)),
            escape(&status.version)
        ),
    ]
    .join("\n")
}

/// The status of a peer, a line for each part.
pub(crate) fn text(report: &PeerReport) -> String {
    let PeerReport { status, fetches, unshared } = report;
    let key = status.key.get(..KEY_DIGITS).unwrap_or(&status.key);
    let mut rows = vec![
        format!("{} at {}, key {}", escape(&status.username), escape(&status.address), escape(key)),
        format!("manager: {}", manager(&status.manager, &status.hashing)),
        format!("shared: {}, {}", count(status.files, "file"), format::bytes(status.bytes)),
    ];
    rows.extend(status.unreached.as_ref().map(|unreached| escape(unreached).into_owned()));
    rows.extend(hashing_lines(&status.hashing));
    rows.push(format!(
        "now: sending {}, receiving {}",
        format::rate(status.sending),
        format::rate(status.receiving)
    ));
    let sent: Vec<MemberTraffic> = status.sent.iter().filter_map(Traffic::to_node).collect();
    rows.extend(format::traffic(&sent, |downloader, bytes, pieces| {
        format!("sent to {downloader}: {bytes} ({pieces})")
    }));
    let running = fetches.iter().filter(|fetch| !fetch.state.is_over()).map(Fetch::to_progress);
    rows.extend(running.map(|progress| format!("fetching: {}{}", line(&progress), unreached(&progress))));
    rows.extend(
        status
            .clock
            .as_ref()
            .map(|clock| format!("{}\nhint: {}", escape(&clock.text), crate::notices::clock::HINT)),
    );
    if status.kept.parts > 0 {
        rows.push(format!(
            "unfinished: {} of files that are not being fetched, {} on the disk",
            count(status.kept.parts, "part"),
            format::bytes(status.kept.bytes)
        ));
    }
    for (at, problem) in unshared.folder.iter().enumerate() {
        rows.push(escape(problem).into_owned());
        rows.extend(unshared.folder_hints.get(at).map(|hint| format!("hint: {}", escape(hint))));
    }
    let ignored = unshared.ignored;
    if ignored.files > 0 {
        rows.push(format!(
            "ignored: {} (files and folders), by {} in {}",
            count(ignored.entries, "entry"),
            count(ignored.patterns, "pattern"),
            count(ignored.files, "ignore file")
        ));
    }
    let problem = unshared.files.iter();
    rows.extend(problem.map(|one| format!("not shared: {} ({})", escape(&one.path), escape(&one.reason))));
    if unshared.rest > 0 {
        rows.push(format!("not shared: {} more", unshared.rest));
    }
    rows.join("\n")
}

fn manager(link: &ManagerLink, hashing: &Hashing) -> String {
    let is_behind = hashing.files + hashing.settling > 0;
    let cause = escape(link.cause.as_deref().unwrap_or("unknown cause"));
    match link.state {
        ManagerConnection::Connected if link.announced && is_behind => {
            "connected, all hashed files are announced".to_owned()
        }
        ManagerConnection::Connected if link.announced => "connected, everything is announced".to_owned(),
        ManagerConnection::Connected => "connected, announcing".to_owned(),
        ManagerConnection::Away => format!("away ({cause})"),
        ManagerConnection::Refused => format!("refuses this peer ({cause})"),
        ManagerConnection::Unknown => "unknown".to_owned(),
    }
}

/// The files that are not hashed yet: how far that is, and how long it takes.
fn hashing_lines(hashing: &Hashing) -> Vec<String> {
    let mut rows = vec![];
    if hashing.files > 0 {
        let left = hashing.seconds_left.map(Duration::from_secs);
        let left = left.map(|left| format!(", {} left", format::duration(left))).unwrap_or_default();
        let current =
            hashing.current.as_ref().map(|name| format!(", now {}", escape(name))).unwrap_or_default();
        rows.push(format!(
            "hashing: {} of {}, {} remaining{left}{current}",
            format::bytes(hashing.bytes_done),
            format::bytes(hashing.bytes),
            count(hashing.files, "file"),
        ));
    }
    if hashing.settling > 0 {
        let files = count(hashing.settling, "file");
        rows.push(format!("being written, or just written: {files}, hashed when no longer changed"));
    }
    rows
}
