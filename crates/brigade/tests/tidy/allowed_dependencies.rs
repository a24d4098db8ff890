//! The packages on which each crate may depend; only for crates that must not do input and output.
//!
//! The reason for each package is in `docs/decisions/0005-dependencies.md`.

use std::collections::BTreeSet;

use crate::{read, root};

/// The packages that each crate may name, besides the crates of the workspace.
const CORE_PACKAGES: &[&str] =
    &["blake3", "jiff", "minicbor", "strsim", "thiserror", "unicode-normalization", "unicode-properties"];
const CORE_TEST_PACKAGES: &[&str] = &["bao-tree", "proptest"];
const SIM_PACKAGES: &[&str] = &["brigade-core", "clap"];

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
