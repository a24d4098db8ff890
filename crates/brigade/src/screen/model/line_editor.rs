//! A line that a person types: the cursor, the usual keys of a shell, and the lines typed before.
//!
//! Only the text is here; `input` knows the keys, and `view` draws the part of the line that fits.

use unicode_width::UnicodeWidthChar;

/// The most bytes of a line: more than any command with the longest name.
pub(crate) const LINE_BYTES: usize = 16 << 10;

/// The number of earlier lines that are kept.
const HISTORY_LINES: usize = 1000;

/// A change of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEdit {
    Insert(char),
    Backspace,
    Delete,
    Left,
    Right,
    WordLeft,
    WordRight,
    Start,
    End,
    DeleteWord,
    DeleteToStart,
    DeleteToEnd,
    Older,
    Newer,
    /// The next older line that contains the typed text.
    Search,
}

/// The line, and the earlier lines.
#[derive(Debug, Default)]
pub(crate) struct TypedLine {
    text: String,
    /// The byte before which the cursor stands.
    cursor: usize,
    history: Vec<String>,
    /// The shown line of the history, and the line that was typed before it.
    shown: Option<(usize, String)>,
    /// The text that a search looks for.
    searched: Option<String>,
}

impl TypedLine {
    /// An empty line with these earlier lines, the oldest first.
    pub(crate) fn with_history(history: Vec<String>) -> Self {
        Self { history, ..Self::default() }
    }

    /// A line with this text, and the cursor at its end.
    pub(crate) fn with_text(text: &str) -> Self {
        Self { text: text.to_owned(), cursor: text.len(), ..Self::default() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The byte before which the cursor stands.
    pub(crate) fn cursor(&self) -> usize {
        self.cursor
    }

    /// Replaces the bytes from `start` to the cursor, as a completion does.
    pub(crate) fn complete(&mut self, start: usize, with: &str) {
        if self.text.is_char_boundary(start) && start <= self.cursor && self.fits(with.len()) {
            self.text.replace_range(start..self.cursor, with);
            self.cursor = start + with.len();
        }
    }

    /// Removes the line and returns it.
    pub(crate) fn take(&mut self) -> String {
        self.cursor = 0;
        self.shown = None;
        self.searched = None;
        std::mem::take(&mut self.text)
    }

    /// Adds a line to the history.
    pub(crate) fn remember(&mut self, line: &str) {
        if line.trim().is_empty() || self.history.last().is_some_and(|last| last == line) {
            return;
        }
        if self.history.len() >= HISTORY_LINES {
            self.history.remove(0);
        }
        self.history.push(line.to_owned());
    }

    /// Inserts text without line ends and other control characters.
    pub(crate) fn insert(&mut self, text: &str) {
        let text: String = text.chars().filter(|character| !character.is_control()).collect();
        if self.fits(text.len()) {
            self.text.insert_str(self.cursor, &text);
            self.cursor += text.len();
            self.shown = None;
        }
    }

    fn fits(&self, more: usize) -> bool {
        self.text.len() + more <= LINE_BYTES
    }

    /// Applies one change.
    pub(crate) fn edit(&mut self, edit: LineEdit) {
        if edit != LineEdit::Search {
            self.searched = None;
        }
        match edit {
            LineEdit::Insert(character) => self.insert(character.encode_utf8(&mut [0; 4])),
            LineEdit::Backspace => self.remove(self.previous()..self.cursor),
            LineEdit::Delete => self.remove(self.cursor..self.following()),
            LineEdit::Left => self.cursor = self.previous(),
            LineEdit::Right => self.cursor = self.following(),
            LineEdit::WordLeft => self.cursor = self.word_start(),
            LineEdit::WordRight => self.cursor = self.word_end(),
            LineEdit::Start => self.cursor = 0,
            LineEdit::End => self.cursor = self.text.len(),
            LineEdit::DeleteWord => self.remove(self.word_start()..self.cursor),
            LineEdit::DeleteToStart => self.remove(0..self.cursor),
            LineEdit::DeleteToEnd => self.remove(self.cursor..self.text.len()),
            LineEdit::Older => self.show_older(|_| true),
            LineEdit::Newer => self.show_newer(),
            LineEdit::Search => {
                let searched = self.searched.get_or_insert_with(|| self.text.clone()).clone();
                self.show_older(|line| line.contains(&searched));
                self.searched = Some(searched);
            }
        }
    }

    fn remove(&mut self, range: std::ops::Range<usize>) {
        self.cursor = range.start;
        self.text.replace_range(range, "");
    }

    /// The position before the character on the left; combining marks stay with their letter.
    fn previous(&self) -> usize {
        let mut letters = self.text[..self.cursor].char_indices().rev();
        letters.find(|(_, character)| character.width() != Some(0)).map_or(0, |(at, _)| at)
    }

    fn following(&self) -> usize {
        let mut rest = self.text[self.cursor..].char_indices().skip(1);
        rest.find(|(_, character)| character.width() != Some(0))
            .map_or(self.text.len(), |(at, _)| self.cursor + at)
    }

    fn word_start(&self) -> usize {
        let before = self.text[..self.cursor].trim_end();
        before
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8))
    }

    fn word_end(&self) -> usize {
        let rest = &self.text[self.cursor..];
        let word = rest.len() - rest.trim_start().len();
        rest[word..].find(char::is_whitespace).map_or(self.text.len(), |end| self.cursor + word + end)
    }

    fn show_older(&mut self, fits: impl Fn(&str) -> bool) {
        let before = self.shown.as_ref().map_or(self.history.len(), |(at, _)| *at);
        let Some(at) = self.history[..before].iter().rposition(|line| fits(line)) else { return };
        let typed = self.shown.take().map_or_else(|| self.text.clone(), |(_, typed)| typed);
        self.show(self.history[at].clone());
        self.shown = Some((at, typed));
    }

    fn show_newer(&mut self) {
        let Some((at, typed)) = self.shown.take() else { return };
        match self.history.get(at + 1).cloned() {
            Some(line) => {
                self.show(line);
                self.shown = Some((at + 1, typed));
            }
            None => self.show(typed),
        }
    }

    fn show(&mut self, line: String) {
        self.cursor = line.len();
        self.text = line;
    }
}

#[cfg(test)]
mod tests {
    use super::{LineEdit, TypedLine};

    fn check(text: &str, edits: &[LineEdit], expected: &str) {
        let mut line = TypedLine::with_text(text);
        edits.iter().for_each(|edit| line.edit(*edit));
        let (before, after) = line.text().split_at(line.cursor());
        assert_eq!(format!("{before}|{after}"), expected, "{text:?} {edits:?}");
    }

    #[test]
    fn a_line_is_edited_as_in_a_shell() {
        use LineEdit::{
            Backspace, Delete, DeleteToEnd, DeleteToStart, DeleteWord, End, Insert, Left, Right, Start,
            WordLeft, WordRight,
        };
        check("fetch a", &[Backspace, Insert('b')], "fetch b|");
        check("fetch a", &[Start, Delete, Right], "e|tch a");
        check("fetch the file", &[DeleteWord], "fetch the |");
        check("fetch the file", &[WordLeft, WordLeft, DeleteToStart], "|the file");
        check("fetch the file", &[Start, WordRight, DeleteToEnd], "fetch|");
        check("ü\u{301}x", &[Left, Backspace], "|x");
        check("文x", &[Left, Left, End, Backspace], "文|");
        check("", &[Backspace, Delete, Left, Right, DeleteWord], "|");
    }

    #[test]
    fn earlier_lines_return_and_the_typed_one_too() {
        let mut line = TypedLine::with_history(vec!["fetch a".to_owned(), "peers".to_owned()]);
        line.remember("fetch b");
        line.remember("fetch b");
        line.insert("fe");
        let shown: Vec<String> =
            [LineEdit::Older, LineEdit::Older, LineEdit::Older, LineEdit::Older, LineEdit::Newer]
                .into_iter()
                .map(|edit| {
                    line.edit(edit);
                    line.text().to_owned()
                })
                .collect();
        assert_eq!(shown, ["fetch b", "peers", "fetch a", "fetch a", "peers"]);
        line.edit(LineEdit::Newer);
        line.edit(LineEdit::Newer);
        assert_eq!(line.text(), "fe");
        line.edit(LineEdit::Search);
        line.edit(LineEdit::Search);
        assert_eq!(line.take(), "fetch a");
    }

    #[test]
    fn a_line_has_no_control_characters_and_a_bound() {
        let mut line = TypedLine::default();
        line.insert("a\u{1b}[2J\tb");
        assert_eq!(line.text(), "a[2Jb");
        line.insert(&"x".repeat(20_000));
        assert_eq!(line.text(), "a[2Jb");
    }
}
