//! Reads the settings file: TOML, in which all mistakes are found at once, each with its line and column.
//!
//! A missing file sets nothing. A file that is too large, or that cannot be read, is one mistake.

use std::{
    fs::File,
    io::{self, Read},
    ops::Range,
    path::Path,
};

use brigade_core::limit_plan::Rule;
use brigade_node::peer::SharedPath;
use toml::de::{DeTable, DeValue};

use super::{
    file_mistakes::FileMistakes,
    schedule,
    setting::{SETTINGS, Setting},
    shares,
    toml_value::value_of,
};
use crate::command_line::mistakes::{Location, Mistake};

/// The most bytes of the file: far more than a person writes.
const FILE_BYTES: u64 = 64 << 10;

/// The keys that are not settings: they have tables.
const SCHEDULE: (&str, &str) = ("limits", "schedule");
const SHARE: (&str, &str) = ("peer", "share");

/// The values, rules and shares in the file.
#[derive(Default)]
pub(super) struct FileSettings {
    pub(super) values: Vec<(&'static Setting, String)>,
    pub(super) rules: Vec<Rule>,
    pub(super) shares: Vec<SharedPath>,
}

/// Reads the file. Mistakes are added to `mistakes`, and wrong values are skipped.
pub(super) fn read(path: &Path, mistakes: &mut Vec<Mistake>) -> FileSettings {
    let text = match text(path) {
        Ok(Some(text)) => text,
        Ok(None) => return FileSettings::default(),
        Err(error) => {
            mistakes
                .push(Mistake::new(Location::File(path.to_owned()), format!("it cannot be read: {error}")));
            return FileSettings::default();
        }
    };
    let mut wrong = FileMistakes::default();
    let (found, text) = match std::str::from_utf8(&text) {
        Ok(text) => (parse(text, &mut wrong), text),
        Err(error) => {
            let readable = std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default();
            wrong.at(readable.len()..readable.len(), "it is not UTF-8");
            (FileSettings::default(), readable)
        }
    };
    mistakes.extend(wrong.into_sorted().into_iter().map(|(span, what)| {
        let (line, column) = line_and_column(text, span.start);
        Mistake::new(Location::Line(path.to_owned(), line, column), what)
    }));
    found
}

/// The bytes of the file; `None` if there is no file.
fn text(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match path.metadata() {
        Ok(metadata) if !metadata.is_file() => return Err(io::Error::other("it is not a file")),
        Err(error) if is_absent(&error) => return Ok(None),
        _ => {}
    }
    let mut bytes = vec![];
    File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES} bytes")));
    }
    Ok(Some(bytes))
}

/// Whether there is no file for this user: it does not exist, or its folder cannot be entered.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

fn parse(text: &str, wrong: &mut FileMistakes) -> FileSettings {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut found = FileSettings::default();
    let mut of_tables = FileMistakes::default();
    for (name, value) in document.get_ref() {
        let tables = SETTINGS.iter().map(|setting| setting.table);
        if !tables.clone().any(|table| table == name.get_ref()) {
            let mut tables: Vec<&str> = tables.collect();
            tables.dedup();
            of_tables.unknown(name, "a table of settings", tables.into_iter());
            continue;
        }
        match value.get_ref() {
            DeValue::Table(table) => read_table(name.get_ref(), table, &mut found, &mut of_tables),
            _ => of_tables.at(value.span(), format!("expected a table: [{}]", name.get_ref())),
        }
    }
    let start = |error: &toml::de::Error| error.span().unwrap_or_default().start;
    let mut broken: Vec<(usize, usize)> =
        errors.iter().map(|error| (line_and_column(text, start(error)).0, start(error))).collect();
    broken.sort_unstable();
    broken.dedup_by_key(|(line, _)| *line); // further errors on the same line follow from the first
    let guessed = guessed(text, &broken);
    for error in errors.iter().filter(|error| broken.iter().any(|(_, at)| *at == start(error))) {
        let what = format!("not valid TOML: {}", error.message().replace('\n', ", "));
        wrong.at(error.span().unwrap_or_default(), what);
    }
    let is_certain = |span: &Range<usize>| {
        guessed.is_empty() || !span.is_empty() && !guessed.contains(&line_and_column(text, span.start).0)
    };
    wrong.add(of_tables, is_certain);
    found
}

/// Lines without a known meaning: lines that are not valid TOML, and lines below a broken table header.
fn guessed(text: &str, broken: &[(usize, usize)]) -> Vec<usize> {
    let mut below_broken = false;
    let of_line = |(index, line): (usize, &str)| {
        let is_broken = broken.iter().any(|(number, _)| *number == index + 1);
        if line.trim_start().starts_with('[') {
            below_broken = is_broken;
        }
        (is_broken || below_broken).then_some(index + 1)
    };
    // The last line may be the one after the end of the text.
    text.split('\n').enumerate().filter_map(of_line).collect()
}

fn read_table(name: &str, table: &DeTable<'_>, found: &mut FileSettings, wrong: &mut FileMistakes) {
    for (key, value) in table {
        if (name, key.get_ref().as_ref()) == SCHEDULE {
            schedule::read(value, &mut found.rules, wrong);
            continue;
        }
        if (name, key.get_ref().as_ref()) == SHARE {
            shares::read(value, &mut found.shares, wrong);
            continue;
        }
        let of_table = SETTINGS.iter().filter(|setting| setting.table == name);
        match of_table.clone().find(|setting| setting.key == key.get_ref()) {
            Some(setting) => match value_of(setting.kind, value.get_ref()) {
                Ok(value) => found.values.push((setting, value)),
                Err(what) => wrong.at(value.span(), what),
            },
            None => {
                let tables = [SCHEDULE, SHARE].into_iter().filter(|(table, _)| *table == name);
                let keys = of_table.map(|setting| setting.key).chain(tables.map(|(_, key)| key));
                let keys: Vec<&str> = keys.collect();
                wrong.unknown(key, &format!("a setting of [{name}]"), keys.into_iter());
            }
        }
    }
}

/// Line and column of a byte, both from 1, the column in characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..at];
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{FILE_BYTES, FileSettings, Location, SETTINGS, read};

    const DOCUMENT: &str = include_str!("../../../../docs/operating.md");

    /// The values in a file, and its mistakes as `line:column: text`.
    fn found(bytes: &[u8]) -> (FileSettings, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("brigade.toml");
        fs::write(&path, bytes).unwrap();
        let mut mistakes = vec![];
        let found = read(&path, &mut mistakes);
        let shown = mistakes.into_iter().map(|mistake| match mistake.location {
            Location::Line(_, line, column) => format!("{line}:{column}: {}", mistake.what),
            location => format!("{location:?}: {}", mistake.what),
        });
        (found, shown.collect())
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let (_, mistakes) = found(text.as_bytes());
        assert!(
            mistakes.len() == expected.len()
                && mistakes.iter().zip(expected).all(|(mistake, start)| mistake.starts_with(start)),
            "{text}\n{mistakes:#?}"
        );
    }

    #[test]
    fn every_mistake_has_its_line_and_column() {
        check(
            "[network]\nport = 99999\nhots = \"a\"\n\n[pear]\nmax = 1\n[peer]\nmax = \"5\"\n  username = \"a/b\"\n",
            &[
                "2:8: invalid value '99999': expected a number from 1 to 65535, the port that the manager listens on",
                "3:1: `hots` is not a setting of [network]; did you mean `host`?",
                "5:2: `pear` is not a table of settings; did you mean `peer`?",
                "8:7: this has the type string; expected a number from 1 to 100000",
                "9:14: invalid value 'a/b': it has the character `/`",
            ],
        );
        check(
            "[fetch]\n# é\nfrobnicate = 1",
            &["3:1: `frobnicate` is not a setting of [fetch]; known: `into`"],
        );
        check("peer = 3", &["1:8: expected a table: [peer]"]);
        check("[fetch]\ninto = \"here\"", &["2:8: invalid value 'here': expected an absolute path"]);
        check("[fetch]\ninto = \"~/x\"", &["2:8: invalid value '~/x': `~` is not expanded here"]);
        check(
            "[network]\nhost = \"there:12000\"",
            &[
                "2:8: invalid value 'there:12000': expected only a name or an address: did you mean there, with the port 12000?",
            ],
        );
        check("[manager]\nopen = \"yes\"", &["2:8: this has the type string; expected true or false"]);
        check(
            "[limits]\nup = 10\ndown = \"10XB\"",
            &["2:6: this has the type integer; expected a rate", "3:8: invalid"],
        );
    }

    #[test]
    fn invalid_toml_is_reported_with_other_mistakes() {
        check(
            "[peer]\nmax = = 3\nport = 70000\n[network\nhost = 3\n",
            &["2:7: not valid TOML", "3:8: invalid value '70000'", "4:9: not valid TOML"],
        );
        check("[peer]\nmax = 1\nmax = 2\n", &["3:1: not valid TOML: duplicate key"]);
        check("[peer]\nhost = \"é", &["2:10: not valid TOML"]);
    }

    #[test]
    fn a_right_file_is_read() {
        let (found, mistakes) = found(b"[peer]\nmax = 0x10\nusername = 'a b'\n[limits]\nup = \"1.5MB\"\n");
        assert_eq!(mistakes, Vec::<String>::new());
        let values: Vec<_> =
            found.values.iter().map(|(setting, value)| (setting.key, value.as_str())).collect();
        assert_eq!(values, [("up", "1.5MB"), ("max", "16"), ("username", "a b")]);
    }

    #[test]
    fn the_example_in_the_document_sets_everything_and_the_table_has_it() {
        let example = DOCUMENT.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        // On Windows an absolute path begins with a drive.
        let example = if cfg!(windows) { example.replace("/srv/", "C:/srv/") } else { example.to_owned() };
        let (found, mistakes) = found(example.as_bytes());
        assert_eq!(mistakes, Vec::<String>::new());
        let lengths = (found.values.len(), found.rules.len(), found.shares.len());
        assert_eq!(lengths, (SETTINGS.len(), 2, 2));
        for setting in SETTINGS {
            let row = format!("| `{}.{}` | `{}`", setting.table, setting.key, setting.variable);
            let row = DOCUMENT.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("{row}"));
            let option = setting.option.replace('_', "-");
            assert!(row.contains(&format!("| `--{option}` |")), "{row}");
            let named = setting.commands.iter().all(|command| row.contains(&format!("`{command}`")));
            assert!(named || row.ends_with("| the same |"), "{row}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_one_mistake() {
        assert_eq!(found(b"[peer]\nhost = \"\xff\"").1, ["2:9: it is not UTF-8"]);
        let large = vec![b'\n'; usize::try_from(FILE_BYTES).unwrap()];
        assert_eq!(found(&large).1, Vec::<String>::new());
        assert!(found(&[&large[..], b"\n"].concat()).1[0].contains("it has more than 65536 bytes"));
        let folder = tempfile::tempdir().unwrap();
        let mut mistakes = vec![];
        read(folder.path(), &mut mistakes);
        assert_eq!(mistakes[0].what, "it cannot be read: it is not a file");
        read(&folder.path().join("none"), &mut mistakes);
        read(&folder.path().join("no/folder"), &mut mistakes);
        std::fs::write(folder.path().join("file"), "").unwrap();
        read(&folder.path().join("file/brigade.toml"), &mut mistakes);
        assert_eq!(mistakes.len(), 1);
    }
}
