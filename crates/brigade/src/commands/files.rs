//! `brigade files`: the files in the network, page by page.
//!
//! It asks without joining, with a new key that is not kept: it needs no username and does not count for `--max` of the
//! manager.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use brigade_core::{plural::noun, wire::manager::CatalogueEntry};
use brigade_node::peer::{FileListing, Observer, has_wildcard};

use super::json_events;
use crate::{
    command_line::args::FilesArgs,
    failure::Failure,
    notices::incomplete_catalogue::print_incomplete_note,
    terminal::{standard_error::print_error_line, standard_output::record_write},
    text::{escape::escape, format, value_suggestions},
};

/// Lists names, sizes, holders and ids. With `--json`, the reason of a failure is an object too.
pub(crate) async fn run(args: FilesArgs) -> Result<ExitCode, Failure> {
    json_events::with_failure(list(&args).await, args.json)
}

async fn list(args: &FilesArgs) -> Result<ExitCode, Failure> {
    let mut browsing = FileListing::of(&args.prefix)?;
    let mut observer = Observer::reach(&args.manager.address()).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut count, mut incomplete_ms) = (0_u64, None);
    while let Some((prefix, after)) = browsing.question() {
        let page = observer.files(&prefix, after).await?;
        incomplete_ms = page.incomplete_ms;
        for file in browsing.take(page) {
            count += 1;
            let line = if args.json { json(&file, incomplete_ms) } else { row(&file) };
            if !record_write(writeln!(out, "{line}")) {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    record_write(out.flush());
    browsing.ended()?;
    if count == 0 {
        print_error_line(&no_files(&args.prefix));
    }
    print_incomplete_note(incomplete_ms);
    Ok(ExitCode::SUCCESS)
}

/// The message if no name begins with `text` or matches it.
pub(crate) fn no_files(text: &str) -> String {
    let hint =
        value_suggestions::name(text).map(|hint| format!("\nhint: {}", escape(&hint))).unwrap_or_default();
    let such = match text {
        "" => "",
        _ if has_wildcard(text) => " whose name matches this pattern",
        _ => " under this name",
    };
    format!("nothing is shared{such}{hint}")
}

/// A line for people.
pub(crate) fn row(file: &CatalogueEntry) -> String {
    format!(
        "{:>10}  {:>3} {:<7}  {}  {}",
        format::bytes(file.size),
        file.holders,
        noun(file.holders, "holder"),
        file.id.short(),
        escape(&file.name)
    )
}

fn json(file: &CatalogueEntry, incomplete_ms: Option<u64>) -> String {
    let object = serde_json::json!({
        "name": file.name.as_str(),
        "id": file.id.to_string(),
        "size": file.size,
        "mtime_s": file.mtime_s,
        "executable": file.executable,
        "holders": file.holders,
    });
    json_events::list_row(object, incomplete_ms)
}
