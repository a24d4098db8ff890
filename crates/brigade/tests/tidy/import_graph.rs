//! The graph of the files of a crate: a file imports another one if its code, without tests, names it.
//!
//! A path leads to the longest module that is a file: `crate::wire::frame::Header` to `wire/frame.rs`. The parent of an
//! imported module is not imported.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Source, import_parser};

/// Files by their path below `crates/`, and what each imports.
pub(crate) struct Graph {
    /// For each file the files that it imports, with the first line that does.
    imports: BTreeMap<String, BTreeMap<String, usize>>,
}

impl Graph {
    /// The graph of the crate `name`.
    pub(crate) fn of(name: &str, sources: &[Source]) -> Self {
        let files: Vec<(&Source, Vec<String>)> = sources
            .iter()
            .filter(|source| !source.is_test())
            .filter_map(|source| {
                source.module().filter(|(of, _)| *of == name).map(|(_, module)| (source, module))
            })
            .collect();
        let of_module: BTreeMap<&[String], &str> =
            files.iter().map(|(source, module)| (module.as_slice(), below_crates(source))).collect();
        let imports = files.iter().map(|(source, module)| {
            let mut imported: BTreeMap<String, usize> = BTreeMap::new();
            for (line, path) in import_parser::paths(source) {
                let Some(target) = import_parser::resolve(module, &path) else { continue };
                let file = (0..=target.len()).rev().find_map(|length| of_module.get(&target[..length]));
                if let Some(file) = file.filter(|file| **file != below_crates(source)) {
                    let first = imported.entry((*file).to_owned()).or_insert(line);
                    *first = line.min(*first);
                }
            }
            (below_crates(source).to_owned(), imported)
        });
        Self { imports: imports.collect() }
    }

    /// All files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.imports.keys().map(String::as_str)
    }

    /// All imports: the file, the line, the imported file.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (&str, usize, &str)> {
        self.imports.iter().flat_map(|(from, imported)| {
            imported.iter().map(move |(to, line)| (from.as_str(), *line, to.as_str()))
        })
    }

    /// The shortest circle through each file that is in one, each circle once.
    pub(crate) fn circles(&self) -> Vec<Vec<&str>> {
        let mut seen = BTreeSet::new();
        let mut circles = vec![];
        for file in self.files() {
            let Some(circle) = self.circle_through(file) else { continue };
            let files: BTreeSet<&str> = circle.iter().copied().collect();
            if seen.insert(files) {
                circles.push(circle);
            }
        }
        circles
    }

    /// The shortest path from a file over its imports back to it.
    fn circle_through<'a>(&'a self, start: &'a str) -> Option<Vec<&'a str>> {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut next = vec![start];
        while !next.is_empty() {
            let mut later = vec![];
            for file in next {
                for imported in self.imports.get(file)?.keys() {
                    if imported == start {
                        let mut circle = vec![file];
                        while circle.last() != Some(&start) {
                            circle.push(before[circle[circle.len() - 1]]);
                        }
                        circle.reverse();
                        return Some(circle);
                    }
                    if !before.contains_key(imported.as_str()) {
                        before.insert(imported, file);
                        later.push(imported.as_str());
                    }
                }
            }
            next = later;
        }
        None
    }
}

/// `brigade-core/src/lib.rs`.
fn below_crates(source: &Source) -> &str {
    source.path.strip_prefix("crates/").unwrap_or(&source.path)
}

#[test]
fn imports_are_edges_between_files() {
    let file = |path: &str, text: &str| Source { path: format!("crates/x/src/{path}"), text: text.into() };
    let sources = [
        file("lib.rs", "mod a;\npub mod b;\npub use b::B;\n"),
        file("a.rs", "use crate::b::{B, c::C};\n#[cfg(test)]\nmod tests {\n    use crate::Whole;\n}\n"),
        file("b/mod.rs", "mod c;\nfn f() -> c::C { super::a::make() }\n"),
        file("b/c.rs", "use std::fmt;\nuse super::B;\n"),
        file("b/tests.rs", "use crate::a;\n"),
    ];
    let graph = Graph::of("x", &sources);
    let edges: Vec<String> = graph.edges().map(|(from, line, to)| format!("{from}:{line} {to}")).collect();
    let expected = [
        "x/src/a.rs:1 x/src/b/c.rs",
        "x/src/a.rs:1 x/src/b/mod.rs",
        "x/src/b/c.rs:2 x/src/b/mod.rs",
        "x/src/b/mod.rs:2 x/src/a.rs",
        "x/src/b/mod.rs:2 x/src/b/c.rs",
        "x/src/lib.rs:3 x/src/b/mod.rs",
    ];
    assert_eq!(edges, expected);
    let circles = graph.circles();
    assert_eq!(circles, [["x/src/a.rs", "x/src/b/mod.rs"], ["x/src/b/c.rs", "x/src/b/mod.rs"]]);
}
