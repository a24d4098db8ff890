//! `docs/protocol.md` and the code agree: the document contains each message, field, type, reason and limit.
//!
//! The types are read from the sources of `brigade_core::wire`; the kinds, reasons and limits from the crate itself. A
//! message has a heading `### 0x15 Lookup`, a record in one `### FileEntry`; each field has a row `| 0 | name | type |
//! meaning |`. `protocol_examples` checks the bytes in the document.

use std::collections::BTreeSet;

use brigade_core::{
    geometry::Geometry,
    limits,
    wire::{
        Reason, frame,
        greeting::Greeting,
        manager::{FromManager, ToManager},
        peer::{FromHolder, ToHolder},
    },
};

use crate::{Source, no, read, root};

const DOCUMENT: &str = "docs/protocol.md";

/// A type that is a CBOR map on the wire.
struct Record {
    name: String,
    /// Key, name and type of each field.
    fields: Vec<(u32, String, String)>,
}

/// The document.
pub(crate) fn document() -> String {
    read(&root().join(DOCUMENT))
}

fn kinds() -> impl Iterator<Item = (u8, &'static str)> {
    [Greeting::KINDS, ToManager::KINDS, FromManager::KINDS, ToHolder::KINDS, FromHolder::KINDS]
        .into_iter()
        .flatten()
        .copied()
}

#[test]
fn every_message_is_documented() {
    let document = document();
    let mut findings = vec![];
    for (kind, name) in kinds() {
        let heading = format!("### {kind:#04x} {name}");
        if !document.lines().any(|line| line == heading) {
            findings.push(format!("{DOCUMENT}:1: no heading `{heading}`; describe the message"));
        }
        let cells = format!("| {kind:#04x} | {name} | ");
        if !section(&document, "Frames").is_some_and(|section| section.contains(&cells)) {
            findings.push(format!("{DOCUMENT}:1: no `{cells}` in the table of kinds; add it"));
        }
    }
    let known: BTreeSet<u8> = kinds().map(|(kind, _)| kind).chain([frame::PIECE_KIND]).collect();
    for (index, line) in document.lines().enumerate() {
        let Some((number, name)) = line.strip_prefix("### 0x").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        if !u8::from_str_radix(number, 16).is_ok_and(|kind| known.contains(&kind)) {
            findings.push(format!("{DOCUMENT}:{}: no program sends `{name}`; take it out", index + 1));
        }
    }
    no(&findings);
}

#[test]
fn every_field_is_documented() {
    let document = document();
    let mut findings = vec![];
    let records = records();
    assert!(records.len() >= kinds().map(|(kind, _)| kind).collect::<BTreeSet<u8>>().len());
    for record in &records {
        let Some(section) = section(&document, &record.name) else {
            let what = format!("no heading for `{}`", record.name);
            findings.push(format!("{DOCUMENT}:1: {what}; describe it below `### {}`", record.name));
            continue;
        };
        let found: BTreeSet<String> = section.lines().filter_map(row).collect();
        let expected: BTreeSet<String> = record
            .fields
            .iter()
            .map(|(key, name, rust)| format!("| {key} | {name} | {} |", wire_type(rust)))
            .collect();
        findings.extend(expected.difference(&found).map(|row| {
            format!("{DOCUMENT}:1: `{}` has no row `{row} …`; the code has that field", record.name)
        }));
        findings.extend(found.difference(&expected).map(|row| {
            format!("{DOCUMENT}:1: `{}` has the row `{row} …`; the code has no such field", record.name)
        }));
    }
    no(&findings);
}

#[test]
fn every_reason_is_documented() {
    let document = document();
    let numbers = (1..).take_while(|number| !matches!(Reason::from_number(*number), Reason::Other(_)));
    let findings: Vec<String> = numbers
        .map(|number| format!("| {number} | {:?} |", Reason::from_number(number)))
        .filter(|row| !document.lines().any(|line| line.starts_with(row.as_str())))
        .map(|row| format!("{DOCUMENT}:1: no row `{row}` among the reasons; say when it is sent"))
        .collect();
    no(&findings);
}

#[test]
fn promised_limits_are_documented() {
    let document = document();
    let seconds = |duration: std::time::Duration| duration.as_secs();
    let promised: &[(&str, u64)] = &[
        ("CONTROL_FRAME_BYTES", limits::CONTROL_FRAME_BYTES as u64),
        ("PIECE_FRAME_BYTES", limits::PIECE_FRAME_BYTES as u64),
        ("PIECE_DATA_BYTES", frame::PIECE_DATA_BYTES as u64),
        ("PAGE_BYTES", limits::PAGE_BYTES as u64),
        ("PIECES", limits::PIECES.into()),
        ("LIST_PAGE_VALUES", limits::LIST_PAGE_VALUES.into()),
        ("BITFIELD_PAGE_PIECES", limits::BITFIELD_PAGE_PIECES.into()),
        ("OFFERED_PIECES", limits::OFFERED_PIECES as u64),
        ("HAVE_PIECES", limits::HAVE_PIECES as u64),
        ("REQUESTS_IN_FLIGHT", limits::REQUESTS_IN_FLIGHT as u64),
        ("OPEN_CHANNELS", limits::OPEN_CHANNELS as u64),
        ("ANNOUNCE_ENTRIES", limits::ANNOUNCE_ENTRIES as u64),
        ("ANNOUNCED_NAMES", limits::ANNOUNCED_NAMES as u64),
        ("CATALOGUE_NAMES", limits::CATALOGUE_NAMES as u64),
        ("WATCH_CONTENTS", limits::WATCH_CONTENTS as u64),
        ("WATCHES", limits::WATCHES as u64),
        ("WATCHED_CONTENTS", limits::WATCHED_CONTENTS as u64),
        ("HELD_PARTS", limits::HELD_PARTS as u64),
        ("HOLDERS_NAMED", limits::HOLDERS_NAMED as u64),
        ("VERSIONS_LISTED", limits::VERSIONS_LISTED as u64),
        ("COUNTED_NAMES", limits::COUNTED_NAMES as u64),
        ("CLOSEST_NAMES", limits::CLOSEST_NAMES as u64),
        ("MEMBERS", limits::MEMBERS as u64),
        ("NAMES_OF_A_KEY", limits::NAMES_OF_A_KEY as u64),
        ("OBSERVERS", limits::OBSERVERS as u64),
        ("MEMBERSHIP_BYTES", limits::MEMBERSHIP_BYTES as u64),
        ("NAME_BYTES", limits::NAME_BYTES as u64),
        ("COMPONENT_BYTES", limits::COMPONENT_BYTES as u64),
        ("NAME_COMPONENTS", limits::NAME_COMPONENTS as u64),
        ("USERNAME_BYTES", limits::USERNAME_BYTES as u64),
        ("UNBOUND_NAME_BYTES", limits::UNBOUND_NAME_BYTES as u64),
        ("SESSIONS_OF_A_NAME", limits::SESSIONS_OF_A_NAME as u64),
        ("TEXT_BYTES", limits::TEXT_BYTES as u64),
        ("LEASE", seconds(limits::LEASE)),
        ("OBSERVER_TIMEOUT", seconds(limits::OBSERVER_TIMEOUT)),
        ("MEMBERSHIP_LIFETIME", seconds(limits::MEMBERSHIP_LIFETIME)),
        ("MEMBERSHIP_RENEWAL", seconds(limits::MEMBERSHIP_RENEWAL)),
        ("CLOCK_SKEW", seconds(limits::CLOCK_SKEW)),
        ("GREETING_TIME", seconds(limits::GREETING_TIME)),
    ];
    let mut findings: Vec<String> = promised
        .iter()
        .map(|(name, value)| format!("| {name} | {value} |"))
        .filter(|row| !document.lines().any(|line| line.starts_with(row.as_str())))
        .map(|row| {
            format!("{DOCUMENT}:1: no row `{row}` among the limits; write the value that the code keeps")
        })
        .collect();
    let table =
        section(&document, "Limits").unwrap_or_default().lines().skip_while(|line| !line.starts_with("|---"));
    for name in table.skip(1).filter_map(|line| line.strip_prefix("| ")?.split(' ').next()) {
        if !promised.iter().any(|(promised, _)| *promised == name) {
            findings.push(format!(
                "{DOCUMENT}:1: `{name}` is no limit that this test knows; compare its value here"
            ));
        }
    }
    no(&findings);
}

#[test]
fn the_lengths_of_pieces_are_documented() {
    let document = document();
    let bytes = |number: u64| {
        let digits = number.to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().filter_map(|g| str::from_utf8(g).ok()).collect();
        format!("({} bytes)", groups.join(","))
    };
    let mut largest = 0;
    for size in [256 << 20, 8 << 30, 64 << 30, Geometry::MAX_SIZE] {
        let length = Geometry::new(size).unwrap().piece_bytes();
        assert_eq!(
            Geometry::new(largest + 1).unwrap().piece_bytes(),
            length,
            "a step that is not documented"
        );
        let row = |line: &str| line.contains(&bytes(size)) && line.contains(&bytes(length.into()));
        assert!(document.lines().any(row), "{DOCUMENT}:1: no row up to {size} bytes with pieces of {length}");
        largest = size;
    }
    assert!(Geometry::new(largest + 1).is_err());
}

/// The lines below the heading of a message, a record or a chapter.
fn section<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let heading = document.lines().find(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        matches!(words.as_slice(), ["##" | "###", word] | ["###", _, word] if *word == name)
    })?;
    // The heading is part of the document, so it is found, and only whole lines begin with it.
    let start = document.find(&format!("\n{heading}\n"))? + heading.len() + 2;
    let rest = &document[start..];
    Some(&rest[..rest.find("\n#").unwrap_or(rest.len())])
}

/// The first three cells of a field's row: key, name and type.
fn row(line: &str) -> Option<String> {
    let mut cells = line.strip_prefix("| ")?.split(" | ");
    let (key, name, kind) = (cells.next()?, cells.next()?, cells.next()?);
    key.parse::<u32>().ok()?;
    Some(format!("| {key} | {name} | {kind} |"))
}

/// The name of a type in the document.
fn wire_type(rust: &str) -> String {
    if let Some(inner) = rust.strip_prefix("Option<") {
        return format!("optional {}", wire_type(inner.trim_end_matches('>')));
    }
    // A name that breaks its rule has its own type; on the wire it is the same field.
    if let Some(inner) = rust.strip_prefix("Checked<") {
        return wire_type(inner.trim_end_matches('>'));
    }
    match rust {
        "Vec<u8>" => "bytes".to_owned(),
        "String" => "text".to_owned(),
        "FileName" => "file name".to_owned(),
        "Username" => "username".to_owned(),
        "ContentId" => "content id".to_owned(),
        "PeerKey" => "key".to_owned(),
        "Reason" => "reason".to_owned(),
        _ => match rust.strip_prefix("Vec<") {
            Some(inner) => format!("array of {}", wire_type(inner.trim_end_matches('>'))),
            None => rust.to_owned(),
        },
    }
}

/// Every type of the wire that is a CBOR map, read from its declaration.
fn records() -> Vec<Record> {
    let wire = |source: &Source| {
        // Frames are laid out by hand, not in CBOR.
        source.path.starts_with("crates/brigade-core/src/wire/") && !source.path.ends_with("/frame.rs")
    };
    let mut records: Vec<Record> = vec![];
    for source in Source::all().into_iter().filter(wire) {
        let (mut is_map, mut key) = (false, None);
        for (number, line) in source.body() {
            let line = line.trim();
            if line == "#[cbor(map)]" {
                is_map = true;
            } else if let Some(name) =
                line.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {"))
            {
                assert!(
                    is_map,
                    "{}",
                    source.finding(number, "a struct that is no map", "add `#[cbor(map)]`")
                );
                records.push(Record { name: name.to_owned(), fields: vec![] });
            } else if let Some(number) = line.split("n(").nth(1).filter(|_| line.starts_with("#[")) {
                key = number.split(')').next().and_then(|number| number.parse().ok());
            } else if let (Some(number), Some((name, kind))) = (key, line.split_once(": "))
                && let Some(record) = records.last_mut()
            {
                let name = name.trim_start_matches("pub ").to_owned();
                record.fields.push((number, name, kind.trim_end_matches(',').to_owned()));
                key = None;
            } else if line == "}" {
                is_map = false;
            }
        }
    }
    records
}
