//! `status` at the prompt: the manager, what is shared, sent and fetched, and what is not shared and why.
//!
//! All of it is what the peer knows of itself; nobody is asked.

use brigade_core::plural::count;
use brigade_node::peer::{Backlog, Fetch, ManagerState, MemberTraffic, Peer};

use crate::{
    notices::{clock, folder},
    terminal::{
        escape::escape,
        format,
        progress_bar::{line, unreached},
    },
};

/// How the peer stands, a line for each thing.
pub(super) fn text(peer: &Peer, fetches: &[Fetch]) -> String {
    let status = peer.status();
    let is_behind = status.backlog.files + status.backlog.settling > 0;
    let manager = match &status.manager {
        ManagerState::Here { announced: true } if is_behind => "here, what is hashed is announced".to_owned(),
        ManagerState::Here { announced: true } => "here, everything is announced".to_owned(),
        ManagerState::Here { announced: false } => "here, announcing".to_owned(),
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
    rows.extend(behind(&status.backlog));
    rows.push(format!(
        "now: sending {}, receiving {}",
        format::rate(status.sending),
        format::rate(status.receiving)
    ));
    let of = |given: &MemberTraffic| {
        let pieces = count(given.pieces, "piece");
        format!("sent to {}: {} ({pieces})", given.username, format::bytes(given.bytes))
    };
    rows.extend(status.sent.iter().map(of));
    let going_on = |fetch: &Fetch| {
        let progress = fetch.progress().borrow().clone();
        (!progress.is_over()).then(|| format!("fetching: {}{}", line(&progress), unreached(&progress)))
    };
    rows.extend(fetches.iter().filter_map(going_on));
    rows.extend(status.clock.as_ref().map(clock::text));
    if status.kept.parts > 0 {
        rows.push(format!(
            "unfinished: {} of files that are not being fetched, {} on the disk",
            count(status.kept.parts, "part"),
            format::bytes(status.kept.bytes)
        ));
    }
    rows.extend(status.problems.keeper_problems.iter().map(folder::text));
    let ignored = status.problems.ignored;
    if ignored.files > 0 {
        rows.push(format!(
            "ignored: {} (files and folders), by {} in {}",
            count(ignored.entries, "entry"),
            count(ignored.patterns, "pattern"),
            count(ignored.files, "ignore file")
        ));
    }
    let problem = |(what, why): &(String, String)| format!("not shared: {} ({})", escape(what), escape(why));
    rows.extend(status.problems.listed.iter().map(problem));
    if status.problems.rest > 0 {
        rows.push(format!("not shared: {} more", status.problems.rest));
    }
    rows.join("\n")
}

/// What is not shared yet because it is not hashed: how far that is, and how long it takes.
fn behind(backlog: &Backlog) -> Vec<String> {
    let mut rows = vec![];
    if backlog.files > 0 {
        let left =
            backlog.time_left().map(|left| format!(", {} left", format::duration(left))).unwrap_or_default();
        let current =
            backlog.current.as_ref().map(|name| format!(", now {}", escape(name))).unwrap_or_default();
        rows.push(format!(
            "hashing: {} of {}, {} to go{left}{current}",
            format::bytes(backlog.bytes_done),
            format::bytes(backlog.bytes),
            count(backlog.files, "file"),
        ));
    }
    if backlog.settling > 0 {
        let files = count(backlog.settling, "file");
        rows.push(format!("being written, or written a moment ago: {files}, to be hashed once at rest"));
    }
    rows
}
