//! `brigade files`: the files in the network, page by page.
//!
//! Programs get each file; at a terminal, a list that is longer than the screen has a line for each folder.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use brigade_api::values::{FileVersion, NameHolders};
use brigade_core::name::FileName;
use brigade_node::peer::has_wildcard;
use serde_json::Value;

use super::{
    file_row::row,
    folded_files::FoldedFiles,
    reader::{CatalogueReader, ListedFile},
};
use crate::{
    command_line::{args::FilesArgs, given_options::GivenOptions},
    commands::{json_events, running::json as value_json},
    failure::Failure,
    notices::incomplete_catalogue::print_incomplete_note,
    terminal::{self, standard_error::print_error_line, standard_output::record_write},
    text::{escape::escape, format, value_suggestions},
};

/// Lists names, sizes, holders and ids. With `--json`, the reason of a failure is an object too.
pub(crate) async fn run(args: FilesArgs, given: &GivenOptions) -> Result<ExitCode, Failure> {
    json_events::with_failure(list(&args, given).await, args.of.json)
}

async fn list(args: &FilesArgs, given: &GivenOptions) -> Result<ExitCode, Failure> {
    let mut reader = CatalogueReader::of(&args.of, given.names_manager()).await?;
    let mut pages = reader.files(&args.prefix)?;
    let mut output = FileOutput::new(args);
    let (mut count, mut incomplete_ms) = (0_u64, None);
    let mut last_long: Option<FileName> = None;
    while let Some(page) = reader.next_files(&mut pages).await? {
        incomplete_ms = page.incomplete_ms;
        for file in page.rows {
            count += 1;
            let holders = match args.long {
                // All contents of a name are in one answer.
                true if last_long.as_ref() == Some(&file.entry.name) && !args.of.json => continue,
                true => Some(reader.holders(&file.entry.name).await?),
                false => None,
            };
            last_long = holders.as_ref().map(|_| file.entry.name.clone());
            if !output.add(&file, holders.as_ref(), incomplete_ms) {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    output.finish();
    pages.ended()?;
    if !args.of.quiet {
        if count == 0 {
            print_error_line(&no_files(&args.prefix));
        }
        print_incomplete_note(incomplete_ms);
    }
    Ok(ExitCode::SUCCESS)
}

/// The output of the list: line by line, or folded.
struct FileOutput {
    out: io::BufWriter<io::StdoutLock<'static>>,
    json: bool,
    /// The list in its folded form, if it may be printed so.
    folded: Option<FoldedFiles>,
    /// The lines that fit on the screen: if there are more, the folded form is printed.
    unfolded: Vec<String>,
    /// How many lines fit; 0 if the list is folded in any case.
    rows: usize,
}

impl FileOutput {
    fn new(args: &FilesArgs) -> Self {
        let out = io::stdout();
        let may_fold = !args.of.json && !args.long && !args.flat && (args.fold || out.is_terminal());
        let rows = if args.fold { 0 } else { usize::from(terminal::size().map_or(24, |(_, rows)| rows)) };
        Self {
            out: io::BufWriter::new(out.lock()),
            json: args.of.json,
            folded: may_fold.then(|| FoldedFiles::new(&args.prefix)),
            unfolded: vec![],
            rows: rows.saturating_sub(1),
        }
    }

    /// Adds a file. Returns false if standard output is closed.
    fn add(&mut self, file: &ListedFile, holders: Option<&NameHolders>, incomplete_ms: Option<u64>) -> bool {
        let line = match holders {
            _ if self.json => json(file, holders, incomplete_ms),
            Some(holders) => long(holders),
            None => row(&file.entry),
        };
        match &mut self.folded {
            Some(folded) => {
                folded.add(&file.entry);
                if self.unfolded.len() <= self.rows {
                    self.unfolded.push(line);
                }
                true
            }
            None => record_write(writeln!(self.out, "{line}")),
        }
    }

    fn finish(&mut self) {
        if let Some(folded) = &self.folded {
            let is_long = self.unfolded.len() > self.rows;
            let lines = if is_long { folded.lines() } else { std::mem::take(&mut self.unfolded) };
            for line in lines {
                if !record_write(writeln!(self.out, "{line}")) {
                    return;
                }
            }
        }
        record_write(self.out.flush());
    }
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

/// A name with its contents and their holders, for people.
fn long(name: &NameHolders) -> String {
    let line =
        |version: &FileVersion| version.to_core().map(|version| format!("\n  {}", format::version(&version)));
    let versions: String = name.versions.iter().filter_map(line).collect();
    format!("{}{versions}", escape(&name.name))
}

fn json(file: &ListedFile, holders: Option<&NameHolders>, incomplete_ms: Option<u64>) -> String {
    let entry = &file.entry;
    let mut object = serde_json::json!({
        "name": entry.name.as_str(),
        "id": entry.id.to_string(),
        "size": entry.size,
        "mtime_s": entry.mtime_s,
        "executable": entry.executable,
        "holders": entry.holders,
    });
    if let Some(local_copy) = file.local_copy {
        object["here"] = value_json(&local_copy);
    }
    if let Some(holders) = holders {
        let id = entry.id.to_string();
        let of_it = holders.versions.iter().find(|version| version.id == id && version.size == entry.size);
        object["held_by"] = of_it.map_or(Value::Null, |version| value_json(&version.holders));
        object["first_s"] = of_it.map_or(Value::Null, |version| version.first_s.into());
    }
    json_events::list_row(object, incomplete_ms)
}
