//! Values in the settings file, and the mistakes in it by their position in the text.
//!
//! A value of another type is refused here; [`super::setting`] checks the value itself. `file` and `schedule` read the
//! tables of the file.

use std::{ops::Range, path::Path};

use toml::{Spanned, de::DeValue};

use super::setting::{SettingKind, nearest};
use crate::text::suggestions;

/// Mistakes with their positions in the text.
#[derive(Default)]
pub(super) struct FileMistakes(Vec<(Range<usize>, String)>);

impl FileMistakes {
    /// Adds the mistakes of `others` at the spans that `is_wanted` accepts.
    pub(super) fn add(&mut self, others: Self, is_wanted: impl Fn(&Range<usize>) -> bool) {
        self.0.extend(others.0.into_iter().filter(|(span, _)| is_wanted(span)));
    }

    /// All mistakes, in the order of the text.
    pub(super) fn into_sorted(mut self) -> Vec<(Range<usize>, String)> {
        self.0.sort_by_key(|(span, _)| span.start);
        self.0
    }

    /// Adds a mistake at a span of the text.
    pub(super) fn at(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.0.push((span, what.into()));
    }

    /// The number of mistakes.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds an unknown word, with a suggestion or with the known words.
    pub(super) fn unknown<'a>(
        &mut self,
        word: &Spanned<impl AsRef<str>>,
        what: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) {
        let text = word.get_ref().as_ref();
        let suggestion = match nearest(text, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!("known: {}", known.map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", "))
            }
        };
        self.at(word.span(), format!("`{text}` is not {what}; {suggestion}"));
    }
}

/// The value in the form in which a user types it. The error names what is expected.
pub(super) fn value_of(kind: SettingKind, value: &DeValue<'_>) -> Result<String, String> {
    let text = match (kind, value) {
        (SettingKind::Port | SettingKind::ManagerPort | SettingKind::Count, DeValue::Integer(number)) => {
            let plain = i64::from_str_radix(number.as_str(), number.radix());
            plain.map_or_else(|_| number.to_string(), |number| number.to_string())
        }
        (SettingKind::Switch, DeValue::Boolean(switch)) => switch.to_string(),
        (SettingKind::Port | SettingKind::ManagerPort | SettingKind::Count | SettingKind::Switch, _) => {
            return Err(another_type(kind, value));
        }
        (_, DeValue::String(text)) => text.to_string(),
        _ => return Err(another_type(kind, value)),
    };
    if kind == SettingKind::Folder && !Path::new(&text).is_absolute() {
        let expected = suggestions::path(Path::new(&text)).unwrap_or_else(|| kind.expected().to_owned());
        return Err(format!("invalid value '{text}': {expected}"));
    }
    kind.check(&text).map_err(|expected| format!("invalid value '{text}': {expected}"))?;
    Ok(text)
}

fn another_type(kind: SettingKind, value: &DeValue<'_>) -> String {
    format!("this has the type {}; {}", value.type_str(), kind.expected())
}
