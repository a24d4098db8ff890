//! `brigade files`: what there is in the network, page by page.
//!
//! It asks without joining, under a key that is forgotten afterwards: it takes up neither a username nor a place
//! among the manager's `--max`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use brigade_core::{plural::noun, wire::manager::CatalogueEntry};
use brigade_node::peer::{FileListing, Observer};

use super::connect::manager_address;
use crate::{
    command_line::{args::FilesArgs, hints},
    exit::Failure,
    notices::catalogue::note_remark,
    terminal::{
        escape::escape,
        format,
        output::{note, say},
    },
};

/// Lists names, sizes, holders and ids. With `--json`, the reason of a failure is an object too.
pub(crate) async fn run(args: FilesArgs) -> Result<ExitCode, Failure> {
    let listed = list(&args).await;
    if let Err(failure) = &listed
        && args.json
    {
        say(&failure.event().to_string());
    }
    listed
}

#[allow(clippy::print_stderr)]
async fn list(args: &FilesArgs) -> Result<ExitCode, Failure> {
    let mut browsing = FileListing::of(&args.prefix)?;
    let mut observer = Observer::reach(&manager_address(&args.manager)).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut count, mut incomplete_ms) = (0_u64, None);
    while let Some((prefix, after)) = browsing.question() {
        let page = observer.files(&prefix, after).await?;
        incomplete_ms = page.incomplete_ms;
        for file in browsing.take(page) {
            count += 1;
            let line = if args.json { json(&file, incomplete_ms) } else { row(&file) };
            if !note(writeln!(out, "{line}")) {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    note(out.flush());
    browsing.ended()?;
    if count == 0 {
        eprintln!("{}", nothing(&args.prefix));
    }
    note_remark(incomplete_ms);
    Ok(ExitCode::SUCCESS)
}

/// What is said where nothing begins with `text`, and no name fits it.
pub(crate) fn nothing(text: &str) -> String {
    let hint = hints::name(text).map(|hint| format!("\nhint: {}", escape(&hint))).unwrap_or_default();
    let such = if text.is_empty() { "" } else { " under such a name" };
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
    let mut object = serde_json::json!({
        "name": file.name.as_str(),
        "id": file.id.to_string(),
        "size": file.size,
        "mtime_s": file.mtime_s,
        "executable": file.executable,
        "holders": file.holders,
    });
    if let Some(left) = incomplete_ms {
        object["incomplete_ms"] = left.into();
    }
    object.to_string()
}
