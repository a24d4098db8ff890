//! A folder of sources has only a few files, so that it can be seen at once.
//!
//! Files of tests do not count, and neither do the cases in `tests/` of a crate: they are read one by one.

use std::collections::BTreeMap;

use crate::{Source, no};

/// Files of one folder, beside `mod.rs`, `lib.rs` and `main.rs`.
const FILES: usize = 14;

#[test]
fn folders_have_few_files() {
    let sources = Source::all();
    let findings = crowded(sources.iter().filter(|source| source.module().is_some())).into_iter().map(|(folder, count)| {
        format!("{folder}/mod.rs:1: {count} files beside it are more than {FILES}; make a folder of those with one role")
    });
    no(&findings.collect::<Vec<_>>());
}

/// The folders with too many files.
fn crowded<'a>(sources: impl Iterator<Item = &'a Source>) -> Vec<(&'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources.filter(|source| source.path.contains("/src/") && !source.is_test()) {
        if let Some((folder, file)) = source.path.rsplit_once('/')
            && !["mod.rs", "lib.rs", "main.rs"].contains(&file)
        {
            *counts.entry(folder).or_default() += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count > FILES).collect()
}

#[test]
fn a_folder_with_too_many_files_is_found() {
    let file = |path: String| Source { path, text: String::new() };
    let mut sources: Vec<Source> =
        (0..FILES).map(|number| file(format!("crates/x/src/a/f{number}.rs"))).collect();
    sources.push(file("crates/x/src/a/mod.rs".into()));
    sources.push(file("crates/x/src/a/tests.rs".into()));
    sources.push(file("crates/x/src/a/b/one.rs".into()));
    assert_eq!(crowded(sources.iter()), []);
    sources.push(file("crates/x/src/a/more.rs".into()));
    assert_eq!(crowded(sources.iter()), [("crates/x/src/a", FILES + 1)]);
}
