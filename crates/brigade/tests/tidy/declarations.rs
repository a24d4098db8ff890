//! The names that a file declares: items, variants, fields, parameters and variables.
//!
//! It reads lines in the format of `rustfmt`, and is simple on purpose. Names in macros are not found.

use crate::{Source, code};

/// The kind of a declared name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    Type,
    Function,
    /// A constant, a module or a variant of an enum.
    Item,
    /// A field, a parameter or a variable.
    Value,
}

/// A name where it is declared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) line: usize,
    pub(crate) kind: NameKind,
    pub(crate) name: String,
}

/// The words before the name of an item.
const ITEMS: [(&str, NameKind); 10] = [
    ("struct ", NameKind::Type),
    ("enum ", NameKind::Type),
    ("trait ", NameKind::Type),
    ("union ", NameKind::Type),
    ("type ", NameKind::Type),
    ("fn ", NameKind::Function),
    ("mod ", NameKind::Item),
    ("static ", NameKind::Item),
    ("const ", NameKind::Item),
    ("macro_rules! ", NameKind::Item),
];

/// All names that a file declares, in order.
pub(crate) fn declarations(source: &Source) -> Vec<Declaration> {
    let mut found = vec![];
    let mut blocks: Vec<(usize, Block)> = vec![];
    for (line, text) in source.lines() {
        let code = code(text);
        let trimmed = code.trim();
        if trimmed.is_empty() || trimmed.starts_with("#[") {
            continue;
        }
        let indent = text.len() - text.trim_start().len();
        while blocks.last().is_some_and(|(opened, _)| indent <= *opened) {
            blocks.pop();
        }
        let block = blocks.last().map_or(Block::Other, |(_, block)| *block);
        let mut declare = |kind: NameKind, name: &str| {
            found.push(Declaration { line, kind, name: name.trim_start_matches("r#").to_owned() });
        };
        match item(trimmed) {
            // The name of an associated type belongs to the trait.
            Some((NameKind::Type, _)) if block == Block::Impl => {}
            Some((kind, name)) => declare(kind, name),
            None if block == Block::Enum => {
                if let Some(name) = variant(trimmed) {
                    declare(NameKind::Item, name);
                }
            }
            None => {}
        }
        values(trimmed).into_iter().for_each(|name| declare(NameKind::Value, name));
        if trimmed.ends_with('{') {
            blocks.push((indent, Block::of(trimmed)));
        }
    }
    found
}

/// The kind of a block of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Enum,
    Impl,
    Other,
}

impl Block {
    fn of(line: &str) -> Self {
        let bare = bare(line);
        if bare.starts_with("enum ") {
            Self::Enum
        } else if bare.starts_with("impl") || bare.starts_with("trait ") {
            Self::Impl
        } else {
            Self::Other
        }
    }
}

/// A line without its visibility and its qualifiers.
fn bare(line: &str) -> &str {
    let mut line = line;
    loop {
        let before = line;
        if let Some(rest) = line.strip_prefix("pub(") {
            line = rest.split_once(')').map_or(rest, |(_, rest)| rest).trim_start();
        }
        for word in ["pub ", "async ", "unsafe ", "extern ", "default "] {
            line = line.strip_prefix(word).unwrap_or(line);
        }
        if line.starts_with("const fn ")
            || line.starts_with("const async ")
            || line.starts_with("const unsafe ")
        {
            line = &line["const ".len()..];
        }
        if line == before {
            return line;
        }
    }
}

/// The item that a line declares.
fn item(line: &str) -> Option<(NameKind, &str)> {
    let bare = bare(line);
    ITEMS.iter().find_map(|(word, kind)| {
        let name = name_at(bare.strip_prefix(word)?.trim_start_matches("mut "));
        (!name.is_empty() && name != "_").then_some((*kind, name))
    })
}

/// The variant that a line of an enum declares.
fn variant(line: &str) -> Option<&str> {
    let name = name_at(line);
    let behind = &line[name.len()..];
    let is_end = behind.is_empty() || [",", "(", " {", " ="].iter().any(|start| behind.starts_with(start));
    (name.starts_with(|c: char| c.is_ascii_uppercase()) && is_end).then_some(name)
}

/// Fields, parameters and variables: `name: Type`, `let name`, `let (one, other)`, `|name|`, `for name in`.
fn values(line: &str) -> Vec<&str> {
    let mut found = vec![];
    for (at, _) in line.match_indices(": ") {
        let name = name_before(&line[..at]);
        let before = line[..at - name.len()].trim_end();
        let is_start =
            before.is_empty() || before.ends_with(['(', ',', '{', '|', ')']) || before.ends_with("mut");
        if is_start || before.ends_with("pub") || before.ends_with("let") {
            found.push(name);
        }
    }
    for (word, end) in [("let ", " ="), ("for ", " in ")] {
        for (at, _) in
            line.match_indices(word).filter(|(at, _)| *at == 0 || line[..*at].ends_with([' ', '(']))
        {
            let pattern = &line[at + word.len()..];
            let whole = if word == "let " { pattern } else { "" };
            let pattern = pattern.split_once(end).map_or(whole, |(pattern, _)| pattern);
            found.extend(names(pattern.split([':', ';']).next().unwrap_or(pattern)));
        }
    }
    for (at, _) in line.match_indices('|').step_by(2) {
        let is_closure = ["(", "= ", ", ", "move ", "{ "].iter().any(|before| line[..at].ends_with(before));
        if let Some((pattern, _)) = line[at + 1..].split_once('|').filter(|_| is_closure) {
            found.extend(names(pattern));
        }
    }
    let is_name =
        |name: &&str| name.starts_with(|c: char| c.is_ascii_lowercase()) && !KEYWORDS.contains(name);
    let mut found: Vec<&str> = found.into_iter().filter(is_name).collect();
    found.sort_unstable();
    found.dedup();
    found
}

const KEYWORDS: [&str; 7] = ["mut", "ref", "self", "crate", "super", "dyn", "move"];

/// The names of a pattern, without those of types and fields that are given another name.
fn names(pattern: &str) -> Vec<&str> {
    let parts = pattern.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    parts.filter(|part| !part.contains(':')).collect()
}

/// The name at the beginning of a text.
fn name_at(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// The name at the end of a text.
fn name_before(text: &str) -> &str {
    let start = text.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |at| at + 1);
    text.get(start..).unwrap_or_default()
}

#[test]
fn names_are_found_where_they_are_declared() {
    let text = "\
pub(crate) struct Table<T> {
    pub(super) rows: Vec<T>,
}
enum ValveState {
    /// Text: no field.
    Open(u32),
    Closed { since: u64 },
}
impl Iterator for Table<u8> {
    type Item = u8;
    pub const fn next(&mut self, step: usize) -> Option<u8> {
        let (first, mut second) = self.pair(|row| row + 1);
        for (index, value) in self.rows.iter() {}
        let open = ValveState::Open { since };
    }
}
const LIMIT: usize = 3;
";
    let source = Source { path: "crates/x/src/a.rs".into(), text: text.into() };
    let found = declarations(&source);
    let of = |kind: NameKind| -> Vec<&str> {
        found.iter().filter(|found| found.kind == kind).map(|found| found.name.as_str()).collect()
    };
    assert_eq!(of(NameKind::Type), ["Table", "ValveState"]);
    assert_eq!(of(NameKind::Function), ["next"]);
    assert_eq!(of(NameKind::Item), ["Open", "Closed", "LIMIT"]);
    assert_eq!(
        of(NameKind::Value),
        ["rows", "since", "step", "first", "row", "second", "index", "value", "open"]
    );
}
