//! `brigade peers`: the peers in the network, page by page.
//!
//! `peer_columns` has the layout of the table, which the prompt prints too; `manager_display` has the table of the
//! manager itself.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use brigade_core::wire::manager::PeerRow;

use super::{peer_columns::Columns, reader::CatalogueReader};
use crate::{
    command_line::{args::PeersArgs, given_options::GivenOptions},
    commands::json_events,
    failure::Failure,
    notices::incomplete_catalogue::print_incomplete_note,
    terminal::standard_output::record_write,
};

/// Lists names, addresses and what they share. With `--json`, the reason of a failure is an object too.
pub(crate) async fn run(args: PeersArgs, given: &GivenOptions) -> Result<ExitCode, Failure> {
    json_events::with_failure(list(&args, given).await, args.of.json)
}

async fn list(args: &PeersArgs, given: &GivenOptions) -> Result<ExitCode, Failure> {
    let mut reader = CatalogueReader::of(&args.of, given.names_manager()).await?;
    let mut after = None;
    let columns = Columns::of_output();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut is_first = true;
    let incomplete_ms = loop {
        let (page, more) = reader.peers(after).await?;
        if std::mem::take(&mut is_first) && !args.of.json {
            record_write(writeln!(out, "{}", columns.head()));
        }
        for peer in &page.rows {
            let line = if args.of.json { json(peer, page.incomplete_ms) } else { columns.row(peer) };
            if !record_write(writeln!(out, "{line}")) {
                return Ok(ExitCode::SUCCESS);
            }
        }
        after = page.rows.last().map(|last| last.username.clone());
        if !more || after.is_none() {
            break page.incomplete_ms;
        }
    };
    record_write(out.flush());
    if !args.of.quiet {
        print_incomplete_note(incomplete_ms);
    }
    Ok(ExitCode::SUCCESS)
}

fn json(peer: &PeerRow, incomplete_ms: Option<u64>) -> String {
    let object = serde_json::json!({
        "username": peer.username.as_str(),
        "address": peer.address,
        "files": peer.files,
        "bytes": peer.bytes,
        "sending": peer.sending,
        "receiving": peer.receiving,
        "since_s": peer.since_s,
    });
    json_events::list_row(object, incomplete_ms)
}
