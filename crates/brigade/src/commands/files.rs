//! `brigade files`: what there is in the network, page by page.
//!
//! It asks without joining, under a key that is forgotten afterwards: it takes up neither a username nor a place
//! among the manager's `--max`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use brigade_core::wire::manager::Listed;
use brigade_node::peer::Observer;

use super::manager_address;
use crate::{args::FilesArgs, escape::escape, exit::Failure, format, output::note};

/// Lists names, sizes, holders and ids.
pub(crate) async fn run(args: FilesArgs) -> Result<ExitCode, Failure> {
    let mut observer = Observer::reach(&manager_address(&args.manager)).await?;
    let mut after = None;
    let mut out = io::BufWriter::new(io::stdout().lock());
    loop {
        let page = observer.files(&args.prefix, after).await?;
        for file in &page.entries {
            let line = if args.json { json(file) } else { row(file) };
            if !note(writeln!(out, "{line}")) {
                return Ok(ExitCode::SUCCESS);
            }
        }
        after = page.entries.last().map(|last| last.name.clone());
        if !page.more || after.is_none() {
            break;
        }
    }
    note(out.flush());
    Ok(ExitCode::SUCCESS)
}

/// A line for people.
pub(crate) fn row(file: &Listed) -> String {
    let holders = if file.holders == 1 { "holder " } else { "holders" };
    format!(
        "{:>10}  {:>3} {holders}  {}  {}",
        format::bytes(file.size),
        file.holders,
        file.id.short(),
        escape(&file.name)
    )
}

fn json(file: &Listed) -> String {
    serde_json::json!({
        "name": file.name.as_str(),
        "id": file.id.to_string(),
        "size": file.size,
        "mtime_s": file.mtime_s,
        "executable": file.executable,
        "holders": file.holders,
    })
    .to_string()
}
