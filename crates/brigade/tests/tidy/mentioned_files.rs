//! A source file that a text names exists.
//!
//! Comments, messages and documents name files with their ending, as `tests/tidy/main.rs`; heads and `ARCHITECTURE.md`
//! also name modules by path, as `tidy/main`. A name without a folder and an ending is not checked, since it may be any
//! word of the code.

use crate::{no, read, root, tracked_file_rules::tracked};

#[test]
fn files_that_texts_name_exist() {
    let paths = tracked();
    let mut findings = vec![];
    for path in paths.iter().filter(|path| path.ends_with(".rs") || path.ends_with(".md")) {
        for (index, line) in read(&root().join(path)).lines().enumerate() {
            let sources = sources_in(line).filter(|name| !is_source(name, &paths));
            let has_modules = path == "ARCHITECTURE.md" || line.starts_with("//!");
            let modules = modules_in(line).filter(|name| has_modules && !is_module(name, &paths));
            findings.extend(sources.chain(modules).map(|name| {
                format!("{path}:{}: there is no file `{name}`; name one that exists", index + 1)
            }));
        }
    }
    no(&findings);
}

/// The paths in a line that end in `.rs`. Addresses are skipped, and quoted paths and those of the crate `x`, which are
/// examples.
fn sources_in(line: &str) -> impl Iterator<Item = &str> {
    let is_example = |word: &&str| ["\"", "://", "x/src/"].iter().any(|part| word.contains(part));
    let words = line.split_whitespace().filter(move |word| !is_example(word));
    let names =
        words.flat_map(|word| word.split(|c: char| !c.is_ascii_alphanumeric() && !"_-./".contains(c)));
    names.map(|name| name.trim_matches(['.', '/'])).filter(|name| name.ends_with(".rs"))
}

/// The paths of modules in a line: words of small letters between slashes, in backticks.
fn modules_in(line: &str) -> impl Iterator<Item = &str> {
    let is_path = |name: &&str| {
        !name.starts_with('/')
            && name.contains('/')
            && name.chars().all(|c| c.is_ascii_lowercase() || "_/".contains(c))
    };
    line.split('`').skip(1).step_by(2).filter(is_path).map(|name| name.trim_matches('/'))
}

fn is_source(name: &str, paths: &[String]) -> bool {
    paths.iter().any(|path| format!("/{path}").ends_with(&format!("/{name}")))
}

/// Whether it is the end of a file's path, or a folder.
fn is_module(name: &str, paths: &[String]) -> bool {
    is_source(&format!("{name}.rs"), paths)
        || paths.iter().any(|path| format!("/{path}").contains(&format!("/{name}/")))
}

#[test]
fn a_name_without_a_file_is_found() {
    // With another ending, so that this file names no file that does not exist.
    let line = "//! See `b/c.SRC`, (d.SRC:1) and `a/b`; not \"e.SRC\", https://f.SRC, `g/1` or `/h/i`.";
    let line = line.replace("SRC", "rs");
    let sources: Vec<_> = sources_in(&line).map(|name| name.replace(".rs", "")).collect();
    assert_eq!(sources, ["b/c", "d"]);
    assert_eq!(modules_in(&line).collect::<Vec<_>>(), ["a/b"]);
    let paths = ["crates/x/src/a/b/c.rs".to_owned()];
    assert!(["a/b", "b/c", "crates/x"].iter().all(|name| is_module(name, &paths)));
    assert!(["b/d", "c/c", "a/c"].iter().all(|name| !is_module(name, &paths)));
}
