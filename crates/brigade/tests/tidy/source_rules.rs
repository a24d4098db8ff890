//! Rules for a single Rust file: its length, its head, no glob imports, words that it must not contain, and no
//! `unsafe`.
//!
//! clippy checks the length of functions, `unwrap`, narrowing casts and printing; see the lints of the workspace.

use std::collections::BTreeSet;

use crate::{Source, code, import_parser, no, read, root};

/// Lines of a file without its tests.
const FILE_LINES: usize = 400;

/// A word that code in `within` must not use, and the alternative.
struct Banned {
    within: &'static str,
    word: &'static str,
    instead: &'static str,
    in_tests_too: bool,
}

const BANNED: &[Banned] = &[
    banned("", "todo!", "write it, or leave it out"),
    banned("", "unimplemented!", "write it, or leave it out"),
    banned("", "dbg!", "log with `tracing`"),
    banned("", "unbounded_channel", "give the channel a bound, as a constant with a name"),
    banned("", "mpsc::channel()", "give the channel a bound: `sync_channel`, or tokio's"),
    banned("crates/brigade-node/src/", "println!", "return it, or log it: only the crate `brigade` prints"),
    banned("crates/brigade-node/src/", "print!", "return it, or log it: only the crate `brigade` prints"),
    banned("crates/brigade-node/src/", "eprintln!", "return it, or log it: only the crate `brigade` prints"),
    banned("crates/brigade-node/src/", "process::exit", "return an error: only the crate `brigade` exits"),
    banned("crates/brigade/src/", "eprintln!", "it panics if the terminal is closed: `print_error_line`"),
    banned("crates/brigade-core/src/", "tokio", "the core does not wait: say what to do in an action"),
    banned("crates/brigade-core/src/", "std::io", "the core does no I/O: say what to do in an action"),
    banned("crates/brigade-core/src/", "std::fs", "the core does no I/O: say what to do in an action"),
    banned("crates/brigade-core/src/", "TcpStream", "the core has no sockets: say what to do in an action"),
    banned("crates/brigade-core/src/", "TcpListener", "the core has no sockets: say what to do in an action"),
    banned("crates/brigade-core/src/", "UdpSocket", "the core has no sockets: say what to do in an action"),
    banned(
        "crates/brigade-core/src/",
        "ToSocketAddrs",
        "it asks the network: take an address as an argument",
    ),
    banned("crates/brigade-core/src/", "std::thread", "the core has no threads"),
    banned(
        "crates/brigade-core/src/",
        "jiff::tz",
        "the core knows no time zone: take the local time as an argument",
    ),
    banned(
        "crates/brigade-core/src/",
        "Zoned",
        "the core knows no time zone: take the local time as an argument",
    ),
    banned("crates/brigade-core/src/", "Timestamp::now", "the core has no clock: take `now` as an argument"),
    banned("crates/brigade-core/src/", "std::env", "take it as an argument"),
    Banned { in_tests_too: true, ..banned("crates/brigade-core/", "thread::sleep", "hand a later `now` in") },
    Banned { in_tests_too: true, ..banned("crates/brigade-sim/", "thread::sleep", "let virtual time pass") },
];

const fn banned(within: &'static str, word: &'static str, instead: &'static str) -> Banned {
    Banned { within, word, instead, in_tests_too: false }
}

#[test]
fn files_are_short() {
    let mut findings = vec![];
    for source in Source::all() {
        let lines = source.body().count();
        // A module of tests in a file of its own is the tail of its parent.
        if lines > FILE_LINES && !source.path.ends_with("/tests.rs") {
            let what = format!("{lines} lines without tests are more than {FILE_LINES}");
            findings.push(source.finding(FILE_LINES, &what, "move one thing that it does into a sibling"));
        }
    }
    no(&findings);
}

#[test]
fn every_file_has_a_head() {
    let mut findings = vec![];
    for source in Source::all() {
        // The front page of a library continues with its own sections.
        let is_section = |line: &&str| source.path.ends_with("/src/lib.rs") && line.starts_with("//! # ");
        let head =
            source.text.lines().take_while(|line| line.starts_with("//!") && !is_section(line)).count();
        if !(2..=10).contains(&head) {
            let what = format!("its head has {head} lines of `//!`");
            let instead = "say in 2 to 10 what it is for, what it refuses and where to look next";
            findings.push(source.finding(1, &what, instead));
        }
    }
    no(&findings);
}

#[test]
fn imports_name_what_they_take() {
    let mut findings = vec![];
    for source in Source::all() {
        for (line, path) in import_parser::uses(&source).into_iter().filter(|(_, path)| path.ends_with("::*"))
        {
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
fn banned_words_are_not_used() {
    let mut findings = vec![];
    for source in Source::all() {
        let body: BTreeSet<usize> = source.body().map(|(number, _)| number).collect();
        for (number, line) in source.lines() {
            let is_test = source.is_test() || !body.contains(&number);
            let code = code(line);
            let hits = BANNED.iter().filter(|banned| {
                (banned.in_tests_too || !is_test)
                    && source.path.starts_with(banned.within)
                    && uses(&code, banned.word)
            });
            findings.extend(hits.map(|hit| source.finding(number, &format!("`{}`", hit.word), hit.instead)));
        }
    }
    no(&findings);
}

/// Whether `code` contains `word`, not only as the end of another word (`print!` in `eprint!`).
pub(crate) fn uses(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || character == '_')
    })
}

#[test]
fn nothing_is_left_over() {
    // In two parts, so that this file does not contain it.
    let left_over = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X:"), concat!("HA", "CK")];
    let mut findings = vec![];
    for source in Source::all() {
        for (number, line) in source.lines() {
            if let Some(word) = left_over.iter().find(|word| uses(line, word)) {
                findings.push(source.finding(
                    number,
                    word,
                    "do it now, or open an issue and say nothing here",
                ));
            }
        }
    }
    no(&findings);
}

#[test]
fn unsafe_code_is_forbidden() {
    for (path, expected) in [
        ("crates/brigade-core/src/lib.rs", "#![forbid(unsafe_code)]"),
        ("crates/brigade-sim/src/main.rs", "#![forbid(unsafe_code)]"),
        ("crates/brigade/src/main.rs", "#![forbid(unsafe_code)]"),
        // `deny`, so that one reviewed file may opt in if a platform's call ever needs it.
        ("crates/brigade-node/src/lib.rs", "#![deny(unsafe_code)]"),
    ] {
        let found = read(&root().join(path)).lines().any(|line| line == expected);
        assert!(found, "{path}:1: `{expected}` is missing; put it below the head");
    }
}
