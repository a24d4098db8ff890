//! Values in the settings file, and the mistakes in it by their place in the text.
//!
//! A value of the wrong kind is refused here; what a setting allows is in [`super::setting`]. `file` and `times` read
//! the tables of the file.

use std::{ops::Range, path::Path};

use toml::{Spanned, de::DeValue};

use super::setting::{Kind, nearest};
use crate::command_line::hints;

/// Mistakes by where they are in the text.
#[derive(Default)]
pub(super) struct FileMistakes(Vec<(Range<usize>, String)>);

impl FileMistakes {
    /// Adds those of `others` at the spans that `is_wanted` accepts.
    pub(super) fn add(&mut self, others: Self, is_wanted: impl Fn(&Range<usize>) -> bool) {
        self.0.extend(others.0.into_iter().filter(|(span, _)| is_wanted(span)));
    }

    /// All of them in the order of the text.
    pub(super) fn into_sorted(mut self) -> Vec<(Range<usize>, String)> {
        self.0.sort_by_key(|(span, _)| span.start);
        self.0
    }

    /// Notes what is wrong at a span of the text.
    pub(super) fn at(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.0.push((span, what.into()));
    }

    /// How many were noted.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Notes a word that means nothing here.
    pub(super) fn unknown<'a>(
        &mut self,
        word: &Spanned<impl AsRef<str>>,
        what: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) {
        let text = word.get_ref().as_ref();
        let meant = match nearest(text, known.clone()) {
            Some(near) => format!("is `{near}` meant?"),
            None => {
                format!("there is {}", known.map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", "))
            }
        };
        self.at(word.span(), format!("`{text}` is not {what}; {meant}"));
    }
}

/// A value as it would be typed; an error says what is wanted.
pub(super) fn value_of(kind: Kind, value: &DeValue<'_>) -> Result<String, String> {
    let text = match (kind, value) {
        (Kind::Port | Kind::ManagerPort | Kind::Count, DeValue::Integer(number)) => {
            let plain = i64::from_str_radix(number.as_str(), number.radix());
            plain.map_or_else(|_| number.to_string(), |number| number.to_string())
        }
        (Kind::Switch, DeValue::Boolean(switch)) => switch.to_string(),
        (Kind::Port | Kind::ManagerPort | Kind::Count | Kind::Switch, _) => {
            return Err(another_kind(kind, value));
        }
        (_, DeValue::String(text)) => text.to_string(),
        _ => return Err(another_kind(kind, value)),
    };
    if kind == Kind::Folder && !Path::new(&text).is_absolute() {
        let wanted = hints::path(Path::new(&text)).unwrap_or_else(|| kind.wanted().to_owned());
        return Err(format!("invalid value '{text}': {wanted}"));
    }
    kind.check(&text).map_err(|wanted| format!("invalid value '{text}': {wanted}"))?;
    Ok(text)
}

fn another_kind(kind: Kind, value: &DeValue<'_>) -> String {
    format!("this is of the type {}: {}", value.type_str(), kind.wanted())
}
