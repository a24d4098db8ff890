//! Who may know whom: the arrows of `ARCHITECTURE.md` point down only, and rooms on one floor do not meet.
//!
//! It reads `use` declarations and inline paths (`crate::…`, `super::…`) of everything but tests. A room that is
//! not on its crate's map is a finding too: put it on a floor here and into the map there.

use std::collections::BTreeSet;

use crate::{Source, code, no, read, root};

/// Rooms that stand side by side. They may import lower floors.
struct Floor {
    rooms: &'static [&'static str],
    /// Whether they may import each other.
    friends: bool,
}

/// `brigade-core`, from the ground up.
const CORE: &[Floor] = &[
    Floor {
        rooms: &[
            "bitfield", "geometry", "id", "limits", "name", "plural", "random", "rate", "schedule", "time",
        ],
        friends: true,
    },
    Floor { rooms: &["content"], friends: false },
    Floor { rooms: &["wire"], friends: false },
    Floor { rooms: &["download", "manager", "upload"], friends: false },
];

/// `brigade-node`, from the ground up.
const NODE: &[Floor] = &[
    Floor { rooms: &["clock", "config", "durable", "identity", "shutdown"], friends: true },
    Floor { rooms: &["store", "transport"], friends: false },
    Floor { rooms: &["manager", "peer"], friends: false },
];

/// Paths that a room does not use although its floor would let it, with the reason.
const KEPT_APART: &[(&str, &str, &str)] = &[
    (
        "crates/brigade-core/src/download",
        "wire::frame",
        "the core sees messages, not how they lie on a stream",
    ),
    (
        "crates/brigade-core/src/manager",
        "wire::frame",
        "the core sees messages, not how they lie on a stream",
    ),
    ("crates/brigade-core/src/upload", "wire::frame", "the core sees messages, not how they lie on a stream"),
];

/// The packages that each crate may name, beside the workspace's own that it stands on.
const CORE_PACKAGES: &[&str] =
    &["blake3", "minicbor", "strsim", "thiserror", "unicode-normalization", "unicode-properties"];
const CORE_TEST_PACKAGES: &[&str] = &["bao-tree", "proptest"];
const SIM_PACKAGES: &[&str] = &["brigade-core", "clap"];

#[test]
fn arrows_point_down() {
    let mut findings = vec![];
    for source in Source::all().iter().filter(|source| !source.is_test()) {
        for (prefix, floors) in [("crates/brigade-core/src/", CORE), ("crates/brigade-node/src/", NODE)] {
            let Some(inside) = source.path.strip_prefix(prefix) else { continue };
            let module = module_of(inside);
            let Some(room) = module.first() else { continue };
            if floor_of(floors, room).is_none() {
                let instead = "put it on a floor in tests/tidy/imports.rs and into ARCHITECTURE.md";
                findings.push(source.finding(1, &format!("the room `{room}` is on no map"), instead));
            }
            findings.extend(forbidden(source, &module, room, floors));
        }
    }
    no(&findings);
}

fn forbidden(source: &Source, module: &[String], room: &str, floors: &[Floor]) -> Vec<String> {
    let own = floor_of(floors, room);
    let mut findings = vec![];
    for (line, path) in paths(source) {
        let Some(target) = resolve(module, &path) else { continue };
        let Some(other) = target.first().filter(|other| *other != room) else { continue };
        if let (Some(own), Some(theirs)) = (own, floor_of(floors, other))
            && (theirs > own || theirs == own && !floors[own].friends)
        {
            let what = format!("`{room}` imports `{other}`, which is not below it");
            findings.push(source.finding(line, &what, "pass what it needs as an argument or a message"));
        }
        let target = target.join("::");
        let apart =
            KEPT_APART.iter().find(|(from, to, _)| source.path.starts_with(from) && target.starts_with(to));
        if let Some((_, to, why)) = apart {
            findings.push(source.finding(line, &format!("`{room}` imports `{to}`"), why));
        }
    }
    findings
}

#[test]
fn imports_name_what_they_take() {
    let mut findings = vec![];
    for source in Source::all() {
        for (line, path) in uses(&source).into_iter().filter(|(_, path)| path.ends_with("::*")) {
            findings.push(source.finding(
                line,
                &format!("the glob import `{path}`"),
                "name what is taken from it",
            ));
        }
    }
    no(&findings);
}

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
         write a record in docs/decisions/ and change tests/tidy/imports.rs"
    );
}

/// The packages named in a table of a manifest.
fn packages<'a>(manifest: &'a str, table: &str) -> BTreeSet<&'a str> {
    let lines = manifest.lines().skip_while(|line| *line != table).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty()).collect()
}

fn floor_of(floors: &[Floor], room: &str) -> Option<usize> {
    floors.iter().position(|floor| floor.rooms.contains(&room))
}

/// The module that a file of a crate is: `wire/mod.rs` is `wire`, `lib.rs` is the root.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| !matches!(*part, "lib" | "main")).map(str::to_owned).collect()
}

/// Where a path leads within the crate; `None` for one that leads out of it, or is a name in scope.
fn resolve(module: &[String], path: &str) -> Option<Vec<String>> {
    let mut parts = path.split("::").peekable();
    let mut at = match parts.next()? {
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
fn paths(source: &Source) -> Vec<(usize, String)> {
    let body = source.body().count();
    let mut paths: Vec<_> = uses(source).into_iter().filter(|(line, _)| *line <= body).collect();
    for (number, line) in source.body() {
        let code = code(line);
        for root in ["crate::", "super::"] {
            for (at, _) in code.match_indices(root) {
                let rest = &code[at..];
                let end =
                    rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
                paths.push((number, rest[..end].trim_end_matches(':').to_owned()));
            }
        }
    }
    paths.sort();
    paths.dedup(); // a `use` without braces was found both ways
    paths
}

/// Every path that the `use` declarations of a file take, one by one.
fn uses(source: &Source) -> Vec<(usize, String)> {
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
    let module = module_of("wire/hello.rs");
    assert_eq!(resolve(&module, "super::frame::Header").unwrap(), ["wire", "frame", "Header"]);
    assert_eq!(resolve(&module_of("wire/mod.rs"), "super::id").unwrap(), ["id"]);
    assert_eq!(resolve(&module, "std::fmt"), None);
}
