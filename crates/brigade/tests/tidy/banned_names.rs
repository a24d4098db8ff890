//! Names are plain: they contain no metaphor, and say more than a pronoun. A module's name is not `utils` or `common`.
//!
//! The parts of a name are its words in `snake_case` and `CamelCase`. A name is reported where it is declared.
//! `docs/glossary.md` has the terms of this project.

use crate::{
    Source, code,
    declarations::{NameKind, declarations},
    no,
};

/// Words that are not part of any name.
const PARTS: &str = "
    newcomer newcomers leecher seeder
    ear ears door doors guest guests seat seats desk desks house shop stage ground bench lane lanes gate voice
    trouble troubles mend mended mends complain complains complaint complaints
    whereabouts namesake namesakes crier herald outlive overhear
    shun shuns shunned deed deeds manners befall befalls happening happenings
    hungry owing debt debts stir stirs stirred calm restless
    liar lying lives tidied unsaid stranded hope farewell meanwhile
    looking meaning meanings meant unlearn faithless homeless
    alarm alarms pardoned invent
    ways";

/// Words that are not the whole name of a type: a second word makes it specific.
const TYPES: &str = "
    News Found Asked Owner Place Places Link Links Line Lines State Status Kind Job Who Why How What Which Way Told Said Heard
    Came Taken Made Left Gone Kept Given Sent Needs Lacks Loss Second Next Here There Word Parts Going Wanted Waiting Landed
    Turn End Common Shared Text Has Held Pass Pages Step Say Wish Calm Fresh Cut Theirs Queue Inner Mark Marks Round Sign
    Quiet Room Show Work Load Pieces";

/// Words that are not the whole name of a function, a field or a variable.
const VALUES: &str = "
    news told tell said say hear heard hears came come goes who why how owes owed here there gone place places room rooms
    standing way ways";

/// Beginnings of a function name that make it a clause.
const CLAUSES: [&str; 10] =
    ["what_", "who_", "whom_", "whoever_", "whatever_", "whose_", "where_", "whichever_", "that_", "it_is_"];

#[test]
fn names_are_plain() {
    let mut findings = vec![];
    for source in Source::all() {
        findings.extend(banned(&source));
    }
    no(&findings);
}

fn banned(source: &Source) -> Vec<String> {
    let instead = "use the field's own word; docs/glossary.md has those of this project";
    let mut findings = vec![];
    let inside = source.path.rsplit_once("/src/").or_else(|| source.path.rsplit_once("/tests/"));
    for part in inside.map_or("", |(_, inside)| inside.trim_end_matches(".rs")).split('/') {
        findings.extend(
            banned_part(part).map(|word| source.finding(1, &format!("`{word}` in the file's name"), instead)),
        );
    }
    for declared in declarations(source) {
        if let Some(word) = banned_word(declared.kind, &declared.name) {
            let what = format!("the name `{}` with `{word}`", declared.name);
            findings.push(source.finding(declared.line, &what, instead));
        }
    }
    findings
}

/// The banned word of a name.
fn banned_word(kind: NameKind, name: &str) -> Option<String> {
    let whole = match kind {
        NameKind::Type => TYPES,
        NameKind::Function | NameKind::Value => VALUES,
        NameKind::Item => "",
    };
    let clause = CLAUSES.iter().find(|clause| kind == NameKind::Function && name.starts_with(**clause));
    let is_whole = whole.split_whitespace().any(|word| word == name);
    let found = banned_part(name).or_else(|| is_whole.then(|| name.to_owned()));
    found.or_else(|| clause.map(|clause| (*clause).to_owned()))
}

/// The first banned part of a name.
fn banned_part(name: &str) -> Option<String> {
    parts(name).into_iter().find(|part| PARTS.split_whitespace().any(|word| word == part))
}

/// The words of a name, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut after_lower = false;
    for character in name.chars() {
        if character == '_' || character.is_uppercase() && after_lower {
            parts.push(String::new());
        }
        after_lower = character.is_lowercase() || character.is_ascii_digit();
        if character != '_'
            && let Some(part) = parts.last_mut()
        {
            part.extend(character.to_lowercase());
        }
    }
    parts
}

#[test]
fn module_names_are_specific() {
    const EMPTY_NAMES: [&str; 8] =
        ["utils", "util", "common", "helpers", "helper", "types", "prelude", "misc"];
    let mut findings = vec![];
    for source in Source::all() {
        let path = source.path.trim_end_matches(".rs").to_owned();
        if let Some(name) = EMPTY_NAMES.iter().find(|name| path.split('/').any(|part| part == **name)) {
            findings.push(source.finding(
                1,
                &format!("a module named `{name}`"),
                "name it for what is in it",
            ));
        }
        for (number, line) in source.lines() {
            let code = code(line);
            let name = code.trim().trim_start_matches("pub ").strip_prefix("mod ");
            let name = name.and_then(|name| name.split([' ', '{', ';']).next());
            if let Some(name) = name.filter(|name| EMPTY_NAMES.contains(name)) {
                findings.push(source.finding(
                    number,
                    &format!("a module named `{name}`"),
                    "name it for what is in it",
                ));
            }
        }
    }
    no(&findings);
}

#[test]
fn banned_words_are_found_in_names() {
    assert_eq!(parts("HaveAllPages"), ["have", "all", "pages"]);
    assert_eq!(parts("first_REST_ms"), ["first", "rest", "ms"]);
    for (kind, name) in [
        (NameKind::Type, "GuestList"),
        (NameKind::Type, "News"),
        (NameKind::Item, "FIRST_ALARM"),
        (NameKind::Function, "tell"),
        (NameKind::Function, "what_is_known_stays"),
        (NameKind::Value, "open_doors"),
        (NameKind::Value, "why"),
    ] {
        assert!(banned_word(kind, name).is_some(), "{name}");
    }
    for (kind, name) in [
        (NameKind::Type, "NewsQueue"),
        (NameKind::Item, "News"),
        (NameKind::Function, "tell_holders"),
        (NameKind::Function, "holders_of_what_is_left"),
        (NameKind::Value, "early"),
        (NameKind::Value, "somewhere"),
    ] {
        assert!(banned_word(kind, name).is_none(), "{name}");
    }
    let source = Source { path: "crates/x/src/shop/door.rs".into(), text: "fn open(guest: u8) {}\n".into() };
    assert_eq!(banned(&source).len(), 3);
}
