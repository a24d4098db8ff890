//! `status` at the prompt: the manager, the shared, sent and fetched files, and the files that are not shared, with the
//! reason.
//!
//! The peer knows all of it; no other machine is asked.

use brigade_core::plural::count;
use brigade_node::peer::{Fetch, HashingProgress, ManagerState, Peer};

use crate::{
    notices::{
        clock,
        fetch_progress::{line, unreached},
        folder,
    },
    text::{escape::escape, format},
};

/// The status of the peer, a line for each part.
pub(super) fn text(peer: &Peer, fetches: &[Fetch]) -> String {
    let status = peer.status();
    let is_behind = status.backlog.files + status.backlog.settling > 0;
    let manager = match &status.manager {
        ManagerState::Here { announced: true } if is_behind => {
            "connected, all hashed files are announced".to_owned()
        }
        ManagerState::Here { announced: true } => "connected, everything is announced".to_owned(),
        ManagerState::Here { announced: false } => "connected, announcing".to_owned(),
        ManagerState::Away { cause } => format!("away ({})", escape(cause)),
        ManagerState::Refused { cause } => format!("refuses this peer ({})", escape(cause)),
        _ => "unknown".to_owned(),
    };
    let mut rows = vec![
        format!("{} at {}, key {}", status.username, status.address, status.key.short()),
        format!("manager: {manager}"),
        format!("shared: {}, {}", count(status.files, "file"), format::bytes(status.bytes)),
    ];
    rows.extend(status.unreached.map(|unreached| unreached.to_string()));
    rows.extend(backlog_lines(&status.backlog));
    rows.push(format!(
        "now: sending {}, receiving {}",
        format::rate(status.sending),
        format::rate(status.receiving)
    ));
    rows.extend(format::traffic(&status.sent, |downloader, bytes, pieces| {
        format!("sent to {downloader}: {bytes} ({pieces})")
    }));
    let going_on = |fetch: &Fetch| {
        let progress = fetch.progress().borrow().clone();
        (!progress.is_over()).then(|| format!("fetching: {}{}", line(&progress), unreached(&progress)))
    };
    rows.extend(fetches.iter().filter_map(going_on));
    rows.extend(status.clock.as_ref().map(clock::message));
    if status.kept.parts > 0 {
        rows.push(format!(
            "unfinished: {} of files that are not being fetched, {} on the disk",
            count(status.kept.parts, "part"),
            format::bytes(status.kept.bytes)
        ));
    }
    rows.extend(status.problems.keeper_problems.iter().map(folder::message));
    let ignored = status.problems.ignored;
    if ignored.files > 0 {
        rows.push(format!(
            "ignored: {} (files and folders), by {} in {}",
            count(ignored.entries, "entry"),
            count(ignored.patterns, "pattern"),
            count(ignored.files, "ignore file")
        ));
    }
    let problem =
        |(what, reason): &(String, String)| format!("not shared: {} ({})", escape(what), escape(reason));
    rows.extend(status.problems.listed.iter().map(problem));
    if status.problems.rest > 0 {
        rows.push(format!("not shared: {} more", status.problems.rest));
    }
    rows.join("\n")
}

/// The files that are not hashed yet: how far that is, and how long it takes.
fn backlog_lines(backlog: &HashingProgress) -> Vec<String> {
    let mut rows = vec![];
    if backlog.files > 0 {
        let left =
            backlog.time_left().map(|left| format!(", {} left", format::duration(left))).unwrap_or_default();
        let current =
            backlog.current.as_ref().map(|name| format!(", now {}", escape(name))).unwrap_or_default();
        rows.push(format!(
            "hashing: {} of {}, {} remaining{left}{current}",
            format::bytes(backlog.bytes_done),
            format::bytes(backlog.bytes),
            count(backlog.files, "file"),
        ));
    }
    if backlog.settling > 0 {
        let files = count(backlog.settling, "file");
        rows.push(format!("being written, or just written: {files}, hashed when no longer changed"));
    }
    rows
}
