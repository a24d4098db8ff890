//! Rules for all files of the repository: their sizes, no path of a developer's machine, no space at the end of a line,
//! one title and different headings in each document, and the form of the decisions.
//!
//! It checks the files that git tracks; without git (a source archive), all files.

use std::{collections::BTreeSet, fs, process::Command};

use crate::{no, read, relative, root, walk};

/// The most bytes of a file, so that a clone stays small.
const FILE_BYTES: u64 = 256 * 1024;

/// Paths from the repository's root, of every file in it.
pub(crate) fn tracked() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let mut paths: Vec<String> = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
        }
        _ => {
            let mut paths = vec![];
            walk(&root(), &mut paths);
            paths.iter().map(|path| relative(path)).collect()
        }
    };
    // A tracked file may have been deleted or moved just now.
    paths.retain(|path| root().join(path).is_file());
    assert!(paths.iter().any(|path| path == "Cargo.toml"), "the repository was not found: {paths:?}");
    paths
}

#[test]
fn no_file_is_large() {
    let large =
        |path: &String| fs::metadata(root().join(path)).is_ok_and(|metadata| metadata.len() > FILE_BYTES);
    let findings: Vec<String> = tracked()
        .iter()
        .filter(|path| *path != "Cargo.lock" && large(path))
        .map(|path| {
            format!("{path}:1: more than {FILE_BYTES} bytes; make it when it is needed, or shorten it")
        })
        .collect();
    no(&findings);
}

#[test]
fn no_line_names_one_developers_machine() {
    // In two parts, so that this file does not contain it.
    let machines =
        [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp", "/wt"), concat!("/tmp", "/target")];
    let mut findings = vec![];
    for path in tracked() {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for (index, line) in text.lines().enumerate() {
            if let Some(machine) = machines.iter().find(|machine| line.contains(**machine)) {
                findings.push(format!(
                    "{path}:{}: the path `{machine}` is somebody's own; write a relative one",
                    index + 1
                ));
            }
        }
    }
    no(&findings);
}

#[test]
fn no_line_ends_with_a_space() {
    let ours = |path: &&String| {
        [".rs", ".md", ".toml", ".ci/run", "bench/adapter"].iter().any(|ending| path.ends_with(ending))
    };
    let mut findings = vec![];
    for path in tracked().iter().filter(ours) {
        for (index, line) in read(&root().join(path)).lines().enumerate() {
            if line.ends_with([' ', '\t']) {
                findings.push(format!("{path}:{}: a space at the end; take it away", index + 1));
            }
        }
    }
    no(&findings);
}

#[test]
fn every_document_has_one_title() {
    let mut findings = vec![];
    for path in tracked().iter().filter(|path| path.ends_with(".md")) {
        let text = read(&root().join(path));
        let titles = outside_of_fences(&text).filter(|line| line.starts_with("# ")).count();
        if titles != 1 || !text.starts_with("# ") {
            findings
                .push(format!("{path}:1: {titles} titles; begin it with one `# title`, the rest is `##`"));
        }
    }
    no(&findings);
}

/// A part of a document that was pasted twice has its headings twice.
#[test]
fn no_document_has_a_heading_twice() {
    let mut findings = vec![];
    for path in tracked().iter().filter(|path| path.ends_with(".md")) {
        let text = read(&root().join(path));
        let mut headings = BTreeSet::new();
        for line in outside_of_fences(&text).filter(|line| line.starts_with("##")) {
            if !headings.insert(line) {
                findings.push(format!("{path}:1: the heading `{line}` is there twice"));
            }
        }
    }
    no(&findings);
}

fn outside_of_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        !fenced
    })
}

#[test]
fn decisions_are_numbered_and_short() {
    let mut numbers = vec![];
    let mut findings = vec![];
    for path in tracked() {
        let Some(name) = path.strip_prefix("docs/decisions/") else { continue };
        let text = read(&root().join(&path));
        if text.lines().count() > 60 {
            findings.push(format!("{path}:60: more than 60 lines; a record is read in two minutes"));
        }
        for heading in ["## Context", "## Decision", "## Consequences"] {
            if !text.lines().any(|line| line == heading) {
                findings.push(format!("{path}:1: no `{heading}`; the other records show the form"));
            }
        }
        numbers.push(name.split('-').next().and_then(|number| number.parse::<usize>().ok()).unwrap_or(0));
    }
    numbers.sort_unstable();
    if !numbers.iter().copied().eq(1..=numbers.len()) {
        findings.push(format!("docs/decisions: numbers {numbers:?}; they run from 0001 without a gap"));
    }
    no(&findings);
}
