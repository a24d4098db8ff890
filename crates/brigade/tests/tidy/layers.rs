//! The layers of each crate: imports go from a higher layer to a lower one, and modules of one layer do not know each
//! other.
//!
//! The arrows of `ARCHITECTURE.md`. A module that is in no layer is a finding too: give it a layer here and a place in
//! the map there. Inside `peer` of the node there are layers too.

use crate::{Source, crates, import_graph::Graph, import_parser, no};

/// Modules side by side. They may import lower layers.
struct Layer {
    modules: &'static [&'static str],
    /// Whether they may import each other.
    know_each_other: bool,
}

/// The layers of one folder, from the lowest one up.
struct Map {
    folder: &'static str,
    layers: &'static [Layer],
}

const fn apart(modules: &'static [&'static str]) -> Layer {
    Layer { modules, know_each_other: false }
}

const fn together(modules: &'static [&'static str]) -> Layer {
    Layer { modules, know_each_other: true }
}

/// `ROOT` is the folder's own file: `lib.rs` or `mod.rs`.
const ROOT: &str = "";

const MAPS: &[Map] = &[
    Map {
        folder: "brigade-core/src",
        layers: &[
            together(&[
                "backoff",
                "bitfield",
                "geometry",
                "id",
                "limits",
                "name",
                "plural",
                "random",
                "rate",
                "limit_plan",
                "time",
            ]),
            apart(&["piece_list"]),
            apart(&["wire"]),
            apart(&["download", "manager", "upload"]),
            apart(&[ROOT]),
        ],
    },
    Map {
        folder: "brigade-sim/src",
        layers: &[
            apart(&["identifiers"]),
            apart(&["network"]),
            apart(&["plan"]),
            apart(&["scheduled_event"]),
            apart(&["event_queue"]),
            apart(&["invariants", "manager_state", "outcome", "peer"]),
            apart(&["piece_copies"]),
            apart(&["simulation"]),
            apart(&["behaviour"]),
            apart(&["event_loop"]),
            apart(&["crowd"]),
            apart(&[ROOT]),
        ],
    },
    Map {
        folder: "brigade-node/src",
        layers: &[
            together(&["clock", "durable_folders", "identity", "user_account"]),
            apart(&["store", "transport"]),
            // The values that a peer takes and returns, its port, and its folder.
            together(&[
                "fetch_error",
                "fetch_request",
                "file_listing",
                "listen_addresses",
                "manager_questions",
                "peer_config",
                "peer_error",
                "folder_setup",
                "peer_status",
                "progress",
                "shares_in_place",
                "verification",
            ]),
            apart(&["diagnosis"]),
            apart(&["share_keepers"]),
            apart(&["verifier"]),
            apart(&["manager", "peer"]),
            apart(&["internals_for_tests"]),
            apart(&[ROOT]),
        ],
    },
    Map {
        folder: "brigade-node/src/peer",
        layers: &[
            apart(&["bandwidth"]),
            apart(&["session"]),
            // What is served of contents that are still being fetched: `swarm` writes it, `upload` reads it.
            apart(&["swarm/partial_contents"]),
            apart(&["swarm", "upload"]),
            apart(&["fetch"]),
            apart(&["start"]),
            apart(&["handle"]),
            apart(&[ROOT]),
            // Further functions of the peer.
            apart(&["disk_commands"]),
        ],
    },
    Map {
        folder: "brigade-api/src",
        layers: &[
            apart(&["text"]),
            apart(&["values"]),
            apart(&["problem"]),
            apart(&["local", "log_ring"]),
            apart(&["client", "server"]),
            apart(&[ROOT]),
        ],
    },
    Map {
        folder: "brigade-api/src/server",
        layers: &[
            apart(&["answer", "checks", "error_responses", "event_hub", "verification_slot"]),
            apart(&["accept_loop", "api_state", "event_body", "request_parts"]),
            apart(&["manager_events", "peer_events"]),
            apart(&["manager_routes", "peer_routes"]),
            apart(&["openapi"]),
            apart(&["routers"]),
            apart(&[ROOT]),
        ],
    },
    Map {
        folder: "brigade/src",
        layers: &[
            apart(&["text"]),
            apart(&["terminal/covered_output"]),
            apart(&["terminal/standard_error"]),
            apart(&["failure"]),
            apart(&["terminal"]),
            apart(&["folder_argument_checks", "checked_home", "log", "service_manager"]),
            apart(&["manager_display", "notices", "transfer_log"]),
            apart(&["screen"]),
            apart(&["command_line/value_parsers"]),
            // What a mistake is; the settings have mistakes too.
            together(&["command_line/args", "command_line/mistakes"]),
            apart(&["settings"]),
            apart(&["command_line/manual"]),
            apart(&["command_line"]),
            apart(&["commands"]),
            apart(&[ROOT]),
        ],
    },
];

/// Paths that a module does not use although its layer would let it, with the reason.
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

#[test]
fn imports_go_from_higher_to_lower_layers() {
    let mut findings = vec![];
    for name in crates() {
        let graph = Graph::of(&name, &Source::all());
        for map in MAPS {
            findings.extend(climbing(&graph, map));
        }
    }
    no(&findings);
}

#[test]
fn modules_are_kept_apart() {
    let mut findings = vec![];
    for source in Source::all().iter().filter(|source| !source.is_test()) {
        let Some((_, module)) = source.module() else { continue };
        for (line, path) in import_parser::paths(source) {
            let Some(target) = import_parser::resolve(&module, &path) else { continue };
            let target = target.join("::");
            let apart = KEPT_APART
                .iter()
                .find(|(from, to, _)| source.path.starts_with(from) && target.starts_with(to));
            findings.extend(
                apart.map(|(_, to, reason)| source.finding(line, &format!("it imports `{to}`"), reason)),
            );
        }
    }
    no(&findings);
}

/// The imports between two modules of a folder that do not go down.
fn climbing(graph: &Graph, map: &Map) -> Vec<String> {
    let mut findings = vec![];
    let located = |file: &str| Some((layer_of(map, module_in(map, file)?), module_in(map, file)?.to_owned()));
    for file in graph.files() {
        if let Some((None, module)) = located(file) {
            let name = top(&module);
            findings.push(format!(
                "crates/{file}:1: the module `{name}` is in no layer; give it one in tests/tidy/layers.rs and ARCHITECTURE.md"
            ));
        }
    }
    for (from, line, to) in graph.edges() {
        let (Some((Some(own), a)), Some((Some(theirs), b))) = (located(from), located(to)) else { continue };
        let (own_layer, their_layer) = (own.0, theirs.0);
        let same_module = own == theirs && own.1 == theirs.1;
        if same_module
            || their_layer < own_layer
            || their_layer == own_layer && map.layers[own_layer].know_each_other
        {
            continue;
        }
        // A parent of several layers (`swarm` above `swarm/partial_contents`) may know what is below it, and nothing else.
        findings.push(format!(
            "crates/{from}:{line}: `{}` imports `{}`, which is not below it; pass what it needs as an argument or a message",
            show(&a),
            show(&b)
        ));
    }
    findings
}

/// The module of a file in the folder of a map, as a path: `swarm/writing_and_landing`; the root is empty.
fn module_in<'a>(map: &Map, file: &'a str) -> Option<&'a str> {
    let inside = file.strip_prefix(map.folder)?;
    let inside = inside.strip_suffix(".rs")?;
    let inside =
        ["/lib", "/main", "/mod"].iter().find_map(|root| inside.strip_suffix(root)).unwrap_or(inside);
    if inside.is_empty() { Some(ROOT) } else { inside.strip_prefix('/') }
}

/// The layer of a module, and the name that has it: the longest that is the module or a folder around it.
fn layer_of(map: &Map, module: &str) -> Option<(usize, &'static str)> {
    let around = |name: &str| name == module || !name.is_empty() && module.starts_with(&format!("{name}/"));
    let named = map
        .layers
        .iter()
        .enumerate()
        .flat_map(|(at, layer)| layer.modules.iter().map(move |name| (at, *name)));
    named.filter(|(_, name)| around(name)).max_by_key(|(_, name)| name.len())
}

fn top(module: &str) -> &str {
    module.split('/').next().unwrap_or(module)
}

fn show(module: &str) -> &str {
    if module.is_empty() { "the folder's own file" } else { module }
}

#[test]
fn an_upward_import_is_found() {
    let file = |path: &str, text: &str| Source {
        path: format!("crates/brigade-node/src/peer/{path}"),
        text: text.into(),
    };
    let sources = [
        file("mod.rs", "mod fetch;\nmod start;\nmod swarm;\nmod upload;\nuse self::start::Start;\n"),
        file("start.rs", "use super::fetch::Fetch;\n"),
        file("fetch/mod.rs", "use crate::peer::swarm::pool::Pool;\nuse crate::peer::start::Start;\n"),
        file("swarm/mod.rs", "mod partial_contents;\nmod pool;\n"),
        file("swarm/partial_contents.rs", "use super::pool::Pool;\n"),
        file("swarm/pool.rs", "use super::partial_contents::Partial;\nuse crate::peer::upload::Slots;\n"),
        file("upload/mod.rs", "use crate::peer::swarm::partial_contents::Partial;\n"),
        file("other.rs", ""),
    ];
    let map = MAPS.iter().find(|map| map.folder.ends_with("peer")).unwrap();
    let found = climbing(&Graph::of("brigade-node", &sources), map);
    let expected = [
        "other.rs:1: the module `other` is in no layer",
        "fetch/mod.rs:2: `fetch` imports `start`",
        "swarm/partial_contents.rs:1: `swarm/partial_contents` imports `swarm/pool`",
        "swarm/pool.rs:2: `swarm/pool` imports `upload`",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    assert!(found.iter().zip(expected).all(|(found, part)| found.contains(part)), "{found:#?}");
}
