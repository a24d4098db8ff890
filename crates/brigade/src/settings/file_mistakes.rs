//! The mistakes in the settings file, by their position in the text.
//!
//! `file` and `schedule` add what they find; `file` gives each mistake its line and column in the end.

use std::ops::Range;

use toml::Spanned;

use super::setting::nearest;

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
