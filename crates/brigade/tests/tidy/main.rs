//! The rules of this repository as a test: the rules of `CONTRIBUTING.md` and `ARCHITECTURE.md` that the files alone
//! show. `cargo test` runs it like any other test.
//!
//! It reads sources as text and is simple on purpose: a rule that needs a parser belongs to clippy. Each finding has
//! its location, the rule, and what to do instead. `source_rules` checks each file, `layers`, `import_cycles` and
//! `import_limit` the imports, `folder_size` the number of files in a folder, `allowed_dependencies` the packages,
//! `unique_type_names` and `banned_names` the names, `test_timing` how tests wait, `tracked_file_rules` the repository,
//! `mentioned_files` the files that texts name, `versions` the version of Brigade, `protocol_document` and
//! `protocol_examples` the document `docs/protocol.md`.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // all of it is a test: a panic is a finding

mod allowed_dependencies;
mod banned_names;
mod declarations;
mod folder_size;
mod import_cycles;
mod import_graph;
mod import_limit;
mod import_parser;
mod layers;
mod mentioned_files;
mod protocol_document;
mod protocol_examples;
mod source_rules;
mod test_timing;
mod tracked_file_rules;
mod unique_type_names;
mod versions;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A Rust file and its text.
struct Source {
    /// Its path from the repository's root, with `/` on every system.
    path: String,
    text: String,
}

impl Source {
    /// All Rust files in `crates/`, in order.
    fn all() -> Vec<Self> {
        let mut paths = vec![];
        walk(&root().join("crates"), &mut paths);
        let mut sources: Vec<Self> = paths
            .into_iter()
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| Self { text: read(&path), path: relative(&path) })
            .collect();
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(sources.len() > 20, "only {} sources were found", sources.len());
        sources
    }

    /// Its lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Its lines before the tests at its end, without declarations of test modules.
    fn body(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<(usize, &str)> = self.lines().collect();
        let is_attribute = |at: usize| {
            let line = lines.get(at).map_or("", |(_, line)| line);
            line == "#[cfg(test)]" || line.starts_with("#[cfg(all(test,")
        };
        let is_declaration = |at: usize| lines.get(at).is_some_and(|(_, line)| line.ends_with(';'));
        let ends = |at: &usize| is_attribute(*at) && !is_declaration(at + 1);
        let end = (0..lines.len()).find(ends).unwrap_or(lines.len());
        let skipped = |at: usize| {
            is_attribute(at) && is_declaration(at + 1) || at > 0 && is_attribute(at - 1) && is_declaration(at)
        };
        let body: Vec<_> = (0..end).filter(|at| !skipped(*at)).map(|at| lines[at]).collect();
        body.into_iter()
    }

    /// The crate that it belongs to, and its module there; `None` for tests and examples.
    fn module(&self) -> Option<(&str, Vec<String>)> {
        let (name, inside) = self.path.strip_prefix("crates/")?.split_once("/src/")?;
        Some((name, import_parser::module_of(inside)))
    }

    /// Whether all of it is a test: in `tests/`, or a module of tests in a file of its own.
    fn is_test(&self) -> bool {
        self.path.contains("/tests/")
            || self.path.contains("/test_helpers/")
            || self.path.ends_with("/tests.rs")
    }

    /// A finding, in the form that terminals and editors turn into a link.
    fn finding(&self, line: usize, what: &str, instead: &str) -> String {
        format!("{}:{line}: {what}; {instead}", self.path)
    }
}

/// The code of a line, without its comment and without the content of strings.
fn code(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if quoted => drop(characters.next()),
            '\'' if !quoted && characters.peek() == Some(&'"') => drop(characters.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && characters.peek() == Some(&'/') => break,
            _ if quoted => {}
            _ => code.push(character),
        }
    }
    code
}

#[track_caller]
fn no(findings: &[String]) {
    assert!(findings.is_empty(), "{} finding(s):\n{}\n", findings.len(), findings.join("\n"));
}

/// The names of all crates.
fn crates() -> Vec<String> {
    let mut names: Vec<String> = Source::all()
        .iter()
        .filter_map(|source| Some(source.path.strip_prefix("crates/")?.split('/').next()?.to_owned()))
        .collect();
    names.dedup();
    names
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository's root")
}

#[track_caller]
fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// All files in `folder`, without those of builds and tools, and without the packages in a source archive.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.map(|entry| entry.expect("an entry of a folder")) {
        let name = entry.file_name();
        let kind = entry.file_type().expect("the type of an entry");
        if kind.is_dir()
            && !["target", "vendor", ".git", "__pycache__"].iter().any(|skipped| name == *skipped)
        {
            walk(&entry.path(), files);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
}

#[test]
fn code_is_separated_from_comments_and_strings() {
    for (line, expected) in [
        ("let a = 1; // b", "let a = 1; "),
        (r#"say("// no", 'c')"#, "say(, 'c')"),
        (r#"say("a\"b") // c"#, "say() "),
        (r#"if c == '"' { x() }"#, "if c == ' { x() }"),
    ] {
        assert_eq!(code(line), expected);
    }
}
