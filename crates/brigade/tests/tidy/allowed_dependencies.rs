//! The packages on which Brigade depends: those that the crates without input and output may name, the number of all
//! packages, and a reason for each.
//!
//! The reasons are in `docs/decisions/0005-dependencies.md`.

use std::collections::BTreeSet;

use crate::{no, read, root};

/// The packages that each crate may name, besides the crates of the workspace.
const CORE_PACKAGES: &[&str] =
    &["blake3", "jiff", "minicbor", "strsim", "thiserror", "unicode-normalization", "unicode-properties"];
const CORE_TEST_PACKAGES: &[&str] = &["bao-tree", "proptest"];
const SIM_PACKAGES: &[&str] = &["brigade-core", "clap"];

/// The most packages in `Cargo.lock`: 256 when the limit was set, plus 15 %.
const MAX_PACKAGES: usize = 295;

#[test]
fn crates_know_only_what_they_may() {
    let manifest = |name: &str| read(&root().join("crates").join(name).join("Cargo.toml"));
    let core = manifest("brigade-core");
    check_packages("brigade-core", &core, "[dependencies]", CORE_PACKAGES);
    check_packages("brigade-core", &core, "[dev-dependencies]", CORE_TEST_PACKAGES);
    check_packages("brigade-sim", &manifest("brigade-sim"), "[dependencies]", SIM_PACKAGES);
    let node = manifest("brigade-node");
    let node = packages(&node, "[dependencies]");
    assert!(!node.contains("brigade") && !node.contains("brigade-sim"), "brigade-node knows who is above it");
}

#[track_caller]
fn check_packages(name: &str, manifest: &str, table: &str, allowed: &[&str]) {
    let found = packages(manifest, table);
    let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
    assert_eq!(
        found, allowed,
        "crates/{name}/Cargo.toml: {table} is another list than the one allowed; give the work to the shell, or \
         write a record in docs/decisions/ and change tests/tidy/allowed_dependencies.rs"
    );
}

/// The packages named in a table of a manifest.
fn packages<'a>(manifest: &'a str, table: &str) -> BTreeSet<&'a str> {
    let lines = manifest.lines().skip_while(|line| *line != table).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty()).collect()
}

#[test]
fn packages_stay_within_the_budget() {
    let count = read(&root().join("Cargo.lock")).lines().filter(|line| *line == "[[package]]").count();
    assert!(
        count <= MAX_PACKAGES,
        "Cargo.lock:1: {count} packages are more than {MAX_PACKAGES}; do without one, or raise the budget in \
         tests/tidy/allowed_dependencies.rs with the reason in docs/decisions/"
    );
}

#[test]
fn every_dependency_has_a_reason() {
    const RECORD: &str = "docs/decisions/0005-dependencies.md";
    let record = read(&root().join(RECORD));
    let words: Vec<&str> = record.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').collect();
    let manifest = read(&root().join("Cargo.toml"));
    let table = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let packages = table.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" = "));
    let findings: Vec<String> = packages
        .map(|(package, _)| package)
        .filter(|package| !package.starts_with("brigade-") && !words.contains(package))
        .map(|package| {
            format!("{RECORD}:1: `{package}` is not there; say why it is needed, or do without it")
        })
        .collect();
    no(&findings);
}
