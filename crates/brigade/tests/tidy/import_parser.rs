//! The paths in a file: its `use` declarations, and inline paths from the root of the crate, a parent or a child
//! module.
//!
//! The code of tests is left out. `import_graph` makes edges between files of them.

use std::collections::BTreeSet;

use crate::{Source, code};

/// The module that a file of a crate is: `wire/mod.rs` is `wire`, `lib.rs` is the root.
pub(crate) fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| !matches!(*part, "lib" | "main")).map(str::to_owned).collect()
}

/// The module that a path leads to; `None` if it leaves the crate, or is a name in scope.
pub(crate) fn resolve(module: &[String], path: &str) -> Option<Vec<String>> {
    let mut parts = path.split("::").peekable();
    let mut at: Vec<String> = match parts.next()? {
        "crate" => vec![],
        "self" => module.to_vec(),
        "super" => module[..module.len().saturating_sub(1)].to_vec(),
        _ => return None,
    };
    while parts.next_if_eq(&"super").is_some() {
        at.pop();
    }
    at.extend(parts.map(str::to_owned));
    Some(at)
}

/// Every path that the code of a file, without its tests, names from the crate's root or from where it stands.
pub(crate) fn paths(source: &Source) -> Vec<(usize, String)> {
    let body: BTreeSet<usize> = source.body().map(|(line, _)| line).collect();
    let mut paths: Vec<_> = uses(source).into_iter().filter(|(line, _)| body.contains(line)).collect();
    let children = children(source);
    for (number, line) in source.body() {
        let code = code(line);
        for child in &children {
            if starts_path(&code, child) {
                paths.push((number, format!("self::{child}")));
            }
        }
        for root in ["crate::", "super::"] {
            for (at, _) in code.match_indices(root) {
                let rest = &code[at..];
                let is_start = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                if !is_start || !rest[root.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue; // the end of another path, or a `use` with braces, which is read above
                }
                let end =
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
                if rest[end..].starts_with('{') {
                    continue; // a `use` with braces behind a path, which is read above
                }
                paths.push((number, rest[..end].trim_end_matches(':').to_owned()));
            }
        }
    }
    paths.sort();
    paths.dedup(); // a `use` without braces was found both ways
    paths
}

/// The modules that a file declares, without those of tests.
fn children(source: &Source) -> Vec<String> {
    let module = |(_, line): (usize, &str)| {
        let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    };
    source.body().filter_map(module).collect()
}

/// Whether a path in `code` begins with the module `child`.
fn starts_path(code: &str, child: &str) -> bool {
    code.match_indices(child).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let is_start = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
        is_start && code[at + child.len()..].starts_with("::")
    })
}

/// Every path that the `use` declarations of a file take, one by one.
pub(crate) fn uses(source: &Source) -> Vec<(usize, String)> {
    let mut found = vec![];
    let mut lines = source.lines().map(|(number, line)| (number, code(line)));
    while let Some((number, line)) = lines.next() {
        let Some(start) = use_tree(&line) else { continue };
        let mut tree = start.to_owned();
        while !tree.contains(';') {
            let Some((_, more)) = lines.next() else { break };
            tree.push_str(more.trim());
        }
        found.extend(expand(tree.trim_end_matches(';')).into_iter().map(|path| (number, path)));
    }
    found
}

fn use_tree(line: &str) -> Option<&str> {
    let line = line.trim();
    let line = match line.strip_prefix("pub") {
        Some(rest) => rest.trim_start_matches("(crate)").trim_start_matches("(super)").trim_start(),
        None => line,
    };
    line.strip_prefix("use ")
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, inner)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return if path.is_empty() { vec![] } else { vec![path.to_owned()] };
    };
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let (mut depth, mut start, mut items) = (0usize, 0, vec![]);
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                items.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&inner[start..]);
    items
        .iter()
        .filter(|item| !item.trim().is_empty())
        .flat_map(|item| expand(&format!("{}{}", prefix.trim(), item.trim())))
        .collect()
}

#[test]
fn a_tree_of_imports_is_read_whole() {
    assert_eq!(expand("a::{b, c::{d, e as f}, self}"), ["a::b", "a::c::d", "a::c::e", "a::self"]);
    assert_eq!(expand("super::*"), ["super::*"]);
    let module = module_of("wire/greeting.rs");
    assert_eq!(resolve(&module, "super::frame::Header").unwrap(), ["wire", "frame", "Header"]);
    assert_eq!(resolve(&module_of("wire/mod.rs"), "super::id").unwrap(), ["id"]);
    assert_eq!(resolve(&module, "std::fmt"), None);
}

#[test]
fn paths_of_tests_are_left_out() {
    let text = "mod a;\n#[cfg(test)]\nmod tests;\nuse crate::b::B;\nfn f() { a::g(); }\n#[cfg(test)]\nmod cases {\n    use crate::c::C;\n}\n";
    let source = Source { path: "crates/x/src/lib.rs".into(), text: text.into() };
    let found: Vec<String> = paths(&source).into_iter().map(|(_, path)| path).collect();
    assert_eq!(found, ["crate::b::B", "self::a"]);
}
