//! The version of Brigade has one place: `[workspace.package]` in the root's `Cargo.toml`. Everything else that names
//! it must agree.
//!
//! Cargo compares the lock files itself (`--locked`). `.ci/release` compares what the programs report.

use crate::{crates, no, read, root};

/// The value of `key` in `[workspace.package]`.
fn workspace(key: &str) -> String {
    let manifest = read(&root().join("Cargo.toml"));
    let table = manifest.lines().skip_while(|line| *line != "[workspace.package]").skip(1);
    let value = table
        .take_while(|line| !line.starts_with('['))
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
    value.unwrap_or_else(|| panic!("Cargo.toml:1: no `{key}` in `[workspace.package]`")).to_owned()
}

#[test]
fn crates_have_the_versions_of_the_workspace() {
    let mut findings = vec![];
    for name in crates() {
        let path = format!("crates/{name}/Cargo.toml");
        let manifest = read(&root().join(&path));
        for line in ["version.workspace = true", "rust-version.workspace = true"] {
            if !manifest.lines().any(|found| found == line) {
                findings.push(format!("{path}:1: no `{line}`; the versions are in the root's `Cargo.toml`"));
            }
        }
    }
    no(&findings);
}

#[test]
fn the_changelog_begins_with_the_version() {
    let version = workspace("version");
    let text = read(&root().join("CHANGELOG.md"));
    let (index, heading) =
        text.lines().enumerate().find(|(_, line)| line.starts_with("## ")).expect("a heading of a version");
    let expected = format!("## [{version}] - ");
    let end = heading.strip_prefix(&expected).unwrap_or("");
    assert!(
        end == "unreleased" || is_date(end),
        "CHANGELOG.md:{}: `{heading}`; Cargo.toml has {version}: write `{expected}unreleased` or its date",
        index + 1
    );
}

/// Whether it has the form `2026-01-31`.
fn is_date(text: &str) -> bool {
    let numbers: Vec<&str> = text.split('-').collect();
    numbers.iter().map(|number| number.len()).eq([4, 2, 2])
        && numbers.iter().all(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[test]
fn the_readme_names_the_oldest_rust() {
    let needed = format!("({} or later)", workspace("rust-version"));
    assert!(read(&root().join("README.md")).contains(&needed), "README.md:1: `{needed}` is not there");
}
