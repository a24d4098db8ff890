//! `brigade peers`: who is in the network, page by page.
//!
//! It asks without joining, as `files` does; the manager's own table is in `tui`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use brigade_core::wire::manager::PeerRow;
use brigade_node::peer::Observer;

use super::manager_address;
use crate::{
    args::PeersArgs,
    exit::Failure,
    format,
    incomplete::note_remark,
    output::{note, say},
};

/// The table's head, for people.
pub(crate) const HEAD: &str =
    "username              address                   files      shared     sending   receiving";

/// Lists names, addresses and what they share. With `--json`, the reason of a failure is an object too.
pub(crate) async fn run(args: PeersArgs) -> Result<ExitCode, Failure> {
    let listed = list(&args).await;
    if let Err(failure) = &listed
        && args.json
    {
        say(&failure.event().to_string());
    }
    listed
}

async fn list(args: &PeersArgs) -> Result<ExitCode, Failure> {
    let mut observer = Observer::reach(&manager_address(&args.manager)).await?;
    let mut after = None;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if !args.json {
        note(writeln!(out, "{HEAD}"));
    }
    let incomplete_ms = loop {
        let page = observer.peers(after).await?;
        for peer in &page.rows {
            let line = if args.json { json(peer, page.incomplete_ms) } else { row(peer) };
            if !note(writeln!(out, "{line}")) {
                return Ok(ExitCode::SUCCESS);
            }
        }
        after = page.rows.last().map(|last| last.username.clone());
        if !page.more || after.is_none() {
            break page.incomplete_ms;
        }
    };
    note(out.flush());
    note_remark(incomplete_ms);
    Ok(ExitCode::SUCCESS)
}

/// A line for people.
pub(crate) fn row(peer: &PeerRow) -> String {
    format!(
        "{:<20}  {:<22}  {:>7}  {:>10}  {:>10}  {:>10}",
        peer.username.as_str(),
        crate::escape::escape(&peer.address),
        peer.files,
        format::bytes(peer.bytes),
        format::rate(peer.sending),
        format::rate(peer.receiving)
    )
}

fn json(peer: &PeerRow, incomplete_ms: Option<u64>) -> String {
    let mut object = serde_json::json!({
        "username": peer.username.as_str(),
        "address": peer.address,
        "files": peer.files,
        "bytes": peer.bytes,
        "sending": peer.sending,
        "receiving": peer.receiving,
        "since_s": peer.since_s,
    });
    if let Some(left) = incomplete_ms {
        object["incomplete_ms"] = left.into();
    }
    object.to_string()
}
