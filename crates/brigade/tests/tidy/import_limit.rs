//! The limit on the number of imports between the files of a folder. Only the node's `peer` has one.
//!
//! A file that imports many others cannot be read alone. The upper file passes down what a lower one needs, as a value
//! or a channel.

use crate::{Source, import_cycles::circle_of_three, import_graph::Graph, no};

/// Folders with fewer imports between their files than this.
const FEW_IMPORTS: &[(&str, usize)] = &[("brigade-node/src/peer/", 90)];

#[test]
fn folders_have_few_imports_between_their_files() {
    let sources = Source::all();
    let mut findings = vec![];
    for (folder, most) in FEW_IMPORTS {
        let name = folder.split('/').next().unwrap_or(folder);
        let count = inside(&Graph::of(name, &sources), folder);
        if count >= *most {
            findings.push(format!(
                "crates/{folder}mod.rs:1: {count} imports between its files; fewer than {most} are allowed"
            ));
        }
    }
    no(&findings);
}

/// The number of imports between the files of a folder.
fn inside(graph: &Graph, folder: &str) -> usize {
    graph.edges().filter(|(from, _, to)| from.starts_with(folder) && to.starts_with(folder)).count()
}

#[test]
fn imports_between_the_files_of_a_folder_are_counted() {
    let sources = circle_of_three();
    let graph = Graph::of("x", &sources);
    assert_eq!(inside(&graph, "x/src/"), 3);
    assert_eq!(inside(&graph, "x/src/a"), 0);
}
