//! A type name has one meaning in a crate: it is declared once, in its sources and tests together.
//!
//! Some names are read with their module, such as `download::Config`; and a type may have a second declaration for
//! another system.

use std::collections::BTreeMap;

use crate::{
    Source, crates,
    declarations::{NameKind, declarations},
    no,
};

/// Names that are read with their module.
const WITH_MODULE: [&str; 4] = ["Error", "Config", "Command", "Event"];

/// Types that have the same name on each system, behind `#[cfg(…)]`.
const TWINS: [&str; 5] = ["Dir", "FolderWatcher", "LocalListener", "LocalStream", "SystemSignals"];

#[test]
fn a_type_name_is_declared_once_in_a_crate() {
    let sources = Source::all();
    let mut findings = vec![];
    for name in &crates() {
        let folder = format!("crates/{name}/");
        findings.extend(repeated(sources.iter().filter(|source| source.path.starts_with(&folder))));
    }
    no(&findings);
}

/// A finding for each further declaration of a type name.
fn repeated<'a>(sources: impl Iterator<Item = &'a Source>) -> Vec<String> {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    let mut findings = vec![];
    for source in sources {
        for declared in declarations(source).into_iter().filter(|declared| declared.kind == NameKind::Type) {
            let name = declared.name;
            if WITH_MODULE.contains(&name.as_str()) || TWINS.contains(&name.as_str()) {
                continue;
            }
            let what = |at: &String| format!("a second type `{name}`, beside that in {at}");
            match first.get(&name) {
                Some(at) => findings.push(source.finding(
                    declared.line,
                    &what(at),
                    "name one of them for what it alone is",
                )),
                None => drop(first.insert(name.clone(), format!("{}:{}", source.path, declared.line))),
            }
        }
    }
    findings
}

#[test]
fn a_second_declaration_is_found() {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let sources = [
        file(
            "crates/x/src/a.rs",
            "pub struct Row;\nstruct Config;\nimpl Deref for Row {\n    type Target = u8;\n}\n",
        ),
        file(
            "crates/x/src/b.rs",
            "enum Config {}\ntype Row = u8;\nimpl Deref for A {\n    type Target = u8;\n}\n",
        ),
    ];
    let found = repeated(sources.iter());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("crates/x/src/b.rs:2: a second type `Row`, beside that in crates/x/src/a.rs:1")
    );
}
