//! Shares in place in the settings file: `[[peer.share]]` with path and name.
//!
//! Only the form of the values is checked here. Whether a path can be shared beside the others is checked when the peer
//! starts.

use std::path::Path;

use brigade_core::name::FileName;
use brigade_node::peer::{SHARES, SharedPath};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{file_mistakes::FileMistakes, setting::SettingKind, toml_value::value_of};
use crate::command_line::value_parsers::parse_share_name;

const KEYS: [&str; 2] = ["path", "name"];

/// Reads all shares. Mistakes are added to `wrong`, and a share with a mistake is skipped.
pub(super) fn read(value: &Spanned<DeValue<'_>>, shares: &mut Vec<SharedPath>, wrong: &mut FileMistakes) {
    let DeValue::Array(array) = value.get_ref() else {
        return wrong.at(value.span(), "expected tables: [[peer.share]]");
    };
    if array.len() > SHARES {
        return wrong.at(value.span(), format!("there are more than {SHARES} shares"));
    }
    for share in array {
        match share.get_ref() {
            DeValue::Table(table) => shares.extend(read_share(table, share, wrong)),
            _ => wrong.at(share.span(), "expected a table: [[peer.share]]"),
        }
    }
}

fn read_share(
    table: &DeTable<'_>,
    whole: &Spanned<DeValue<'_>>,
    wrong: &mut FileMistakes,
) -> Option<SharedPath> {
    let (mut path, mut name, mut is_right) = (None, None, true);
    for (key, value) in table {
        let read = match key.get_ref().as_ref() {
            "path" => value_of(SettingKind::Folder, value.get_ref()).map(|text| path = Some(text)),
            "name" => name_of(value.get_ref()).map(|found| name = Some(found)),
            _ => {
                wrong.unknown(key, "a key of a share", KEYS.into_iter());
                is_right = false;
                continue;
            }
        };
        if let Err(what) = read {
            wrong.at(value.span(), what);
            is_right = false;
            path.get_or_insert_default(); // it is not missing
        }
    }
    let Some(path) = path else {
        wrong.at(whole.span(), "the share has no `path`");
        return None;
    };
    let mut share = SharedPath::new(Path::new(&path));
    share.name = name;
    is_right.then_some(share)
}

fn name_of(value: &DeValue<'_>) -> Result<FileName, String> {
    let DeValue::String(text) = value else {
        return Err(format!("this has the type {}; expected a name in quotation marks", value.type_str()));
    };
    parse_share_name(text).map_err(|expected| format!("invalid value '{text}': {expected}"))
}

#[cfg(test)]
mod tests {
    use toml::de::DeValue;

    use super::{FileMistakes, SharedPath, read};

    /// The shares that are written as an array, and how many mistakes they have.
    fn shares(text: &str) -> (Vec<SharedPath>, usize) {
        let (mut shares, mut wrong) = (vec![], FileMistakes::default());
        // On Windows an absolute path begins with a drive.
        let text = if cfg!(windows) { text.replace("'/", "'C:/") } else { text.to_owned() };
        read(&DeValue::parse(&text).unwrap(), &mut shares, &mut wrong);
        (shares, wrong.count())
    }

    #[test]
    fn a_share_has_a_path_and_may_have_a_name() {
        let (found, mistakes) = shares("[{path = '/srv/a'}, {path = '/srv/b', name = 'B'}]");
        assert_eq!(mistakes, 0);
        assert_eq!((found[0].name.as_ref(), found[1].name.as_deref()), (None, Some("B")));
        assert!(found[1].path.ends_with("srv/b"));
    }

    #[test]
    fn every_mistake_of_a_share_is_noted() {
        for (text, mistakes) in [
            ("3", 1),
            ("[3]", 1),
            ("[{}]", 1),
            ("[{name = 'x'}]", 1),
            ("[{path = 'relative'}]", 1),
            ("[{path = '/a', nme = 'x'}]", 1),
            ("[{path = '/a', name = 'x/y'}, {path = 3, name = 4}]", 3),
        ] {
            let (shares, found) = shares(text);
            assert_eq!((shares.len(), found), (0, mistakes), "{text}");
        }
        assert_eq!(shares(&format!("[{}]", "{path = '/a'},".repeat(65))).1, 1);
    }
}
