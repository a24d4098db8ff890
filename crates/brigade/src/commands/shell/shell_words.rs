//! The words of a command line of bash that is being typed, and how a word is typed there.
//!
//! Only quotation marks and backslashes are understood: no variables, no patterns. Bash replaces only a part of the
//! last word; [`TypedWord::replacement`] has the text for that part.

/// The quotation mark in which the end of a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotation {
    None,
    Single,
    Double,
}

/// The last word of a line, as far as it was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TypedWord {
    /// The word without quotation marks and backslashes.
    pub(super) text: String,
    /// The beginning of `text` that bash keeps.
    kept: String,
    quotation: Quotation,
}

/// Characters that have a meaning in bash, outside of quotation marks.
const SPECIAL: &str = " \t'\"\\$`&;|<>()*?[]{}!#~^=%";

/// Reads `line` up to the cursor. `part` is the part of the last word that bash replaces. Returns the words before the
/// last one, and the last one, which is empty after a space.
pub(super) fn read(line: &str, part: &str) -> (Vec<String>, TypedWord) {
    let (mut words, mut word) = (vec![], String::new());
    let (mut quotation, mut is_begun) = (Quotation::None, false);
    // Where the last word begins in the line, and the text of the word before an open quotation mark.
    let (mut start, mut before_quotation) = (0, String::new());
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quotation, character) {
            (Quotation::None, ' ' | '\t') => {
                if is_begun {
                    words.push(std::mem::take(&mut word));
                }
                (is_begun, start) = (false, at + 1);
                continue;
            }
            (Quotation::None, '\'') => (quotation, before_quotation) = (Quotation::Single, word.clone()),
            (Quotation::None, '"') => (quotation, before_quotation) = (Quotation::Double, word.clone()),
            (Quotation::Single, '\'') | (Quotation::Double, '"') => quotation = Quotation::None,
            (Quotation::None, '\\') => word.extend(characters.next().map(|(_, escaped)| escaped)),
            (Quotation::Double, '\\') => match characters.next() {
                Some((_, escaped @ ('"' | '\\' | '$' | '`'))) => word.push(escaped),
                other => {
                    word.push('\\');
                    word.extend(other.map(|(_, character)| character));
                }
            },
            (_, character) => word.push(character),
        }
        if !is_begun {
            (is_begun, start) = (true, at);
        }
    }
    let kept = match quotation {
        Quotation::None => {
            let typed = &line[start.min(line.len())..];
            let kept = typed.strip_suffix(part).unwrap_or_default();
            if kept.is_empty() { String::new() } else { read(kept, kept).1.text }
        }
        _ => before_quotation,
    };
    (words, TypedWord { text: word, kept, quotation })
}

impl TypedWord {
    /// The text for `word` that bash puts into the line; `None` if `word` does not begin as the kept part does.
    pub(super) fn replacement(&self, word: &str) -> Option<String> {
        let rest = word.strip_prefix(&self.kept)?;
        Some(match self.quotation {
            Quotation::Single => rest.replace('\'', "'\\''"),
            Quotation::Double => with_backslashes(rest, "\"\\$`"),
            Quotation::None => with_backslashes(rest, SPECIAL),
        })
    }
}

fn with_backslashes(text: &str, special: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if special.contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::read;

    /// Checks the words of a line, and the text that bash puts in for `word`.
    #[track_caller]
    fn check(line: &str, part: &str, words: &[&str], word: &str, replacement: &str) {
        let (before, last) = read(line, part);
        let found: Vec<&str> = before.iter().map(String::as_str).chain([last.text.as_str()]).collect();
        assert_eq!(found, words, "{line}");
        assert_eq!(last.replacement(word).as_deref(), Some(replacement), "{line}");
    }

    #[test]
    fn words_are_those_of_the_shell() {
        check("brigade fetch fi", "fi", &["brigade", "fetch", "fi"], "film.mkv", "film.mkv");
        check("brigade fetch ", "", &["brigade", "fetch", ""], "my film.mkv", "my\\ film.mkv");
        check("brigade  fetch my\\ f", "my\\ f", &["brigade", "fetch", "my f"], "my film", "my\\ film");
        check("brigade fetch 'my f", "'my f", &["brigade", "fetch", "my f"], "my film", "my film");
        check("brigade fetch 'it", "'it", &["brigade", "fetch", "it"], "it's", "it'\\''s");
        check("brigade fetch \"my $", "\"my $", &["brigade", "fetch", "my $"], "my $5", "my \\$5");
        check("brigade fetch my\" f", "my\" f", &["brigade", "fetch", "my f"], "my film", " film");
        check("b 'a b' c", "c", &["b", "a b", "c"], "c&d", "c\\&d");
    }

    #[test]
    fn bash_keeps_the_part_before_its_separators() {
        check("brigade fetch a=b@c", "c", &["brigade", "fetch", "a=b@c"], "a=b@cd e", "cd\\ e");
        check("brigade fetch a\\ =b", "b", &["brigade", "fetch", "a =b"], "a =bc", "bc");
        check("brigade fetch --into=x", "x", &["brigade", "fetch", "--into=x"], "--into=xy", "xy");
        let (_, word) = read("brigade fetch a=b", "b");
        assert_eq!(word.replacement("other"), None);
    }
}
