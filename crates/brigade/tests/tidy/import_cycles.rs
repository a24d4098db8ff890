//! No circle of imports between files.
//!
//! A file in a circle cannot be read or changed alone. Code that both files need belongs into a file below both, or the
//! upper file passes it down as a value or a channel.

use crate::{Source, crates, import_graph::Graph, no};

#[test]
fn no_file_imports_itself_through_others() {
    let sources = Source::all();
    let mut findings = vec![];
    for name in &crates() {
        for circle in Graph::of(name, &sources).circles() {
            findings.push(finding(&circle));
        }
    }
    no(&findings);
}

/// The circle on one line: each file, and the first one again at the end.
fn finding(circle: &[&str]) -> String {
    let first = circle.first().copied().unwrap_or_default();
    let path: Vec<&str> = circle.iter().copied().chain([first]).collect();
    format!("crates/{first}:1: a circle of imports: {}; move what both need below both", path.join(" -> "))
}

/// Three files of a crate `x`, each of which imports the next one.
pub(crate) fn circle_of_three() -> [Source; 4] {
    let file = |path: &str, text: &str| Source { path: format!("crates/x/src/{path}"), text: text.into() };
    [
        file("lib.rs", "mod a;\nmod b;\nmod c;\n"),
        file("a.rs", "use crate::b::B;\n"),
        file("b.rs", "use crate::c::C;\n"),
        file("c.rs", "use super::a;\n"),
    ]
}

#[test]
fn a_circle_is_printed_whole() {
    let sources = circle_of_three();
    let graph = Graph::of("x", &sources);
    let circles = graph.circles();
    assert_eq!(circles.len(), 1);
    let expected = "crates/x/src/a.rs:1: a circle of imports: x/src/a.rs -> x/src/b.rs -> x/src/c.rs -> x/src/a.rs; \
                    move what both need below both";
    assert_eq!(finding(&circles[0]), expected);
}
