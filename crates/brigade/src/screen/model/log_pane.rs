//! The log pane: what commands print, notices and log lines, the newest at the bottom.
//!
//! It has a bounded number of lines. Control sequences are removed: the producers have escaped the text of other machines,
//! and colours are not for this pane.

use std::collections::VecDeque;

use unicode_width::UnicodeWidthChar;

/// The most lines.
const LINES: usize = 2000;

/// The most bytes of a line; more is cut.
const LINE_BYTES: usize = 16 << 10;

/// The lines, and how far they are scrolled.
#[derive(Debug, Default)]
pub(crate) struct LogPane {
    lines: VecDeque<String>,
    /// The number of rows below the pane; 0 shows the newest lines.
    below: usize,
}

impl LogPane {
    /// Adds the lines of `text`.
    pub(crate) fn push(&mut self, text: &str) {
        for line in text.lines() {
            if self.lines.len() >= LINES {
                self.lines.pop_front();
            }
            self.lines.push_back(without_controls(line));
        }
    }

    /// Scrolls by so many rows, to older ones if negative. [`Self::rows`] bounds it.
    pub(crate) fn scroll_by(&mut self, rows: isize) {
        self.below = self.below.saturating_add_signed(rows.saturating_neg());
    }

    /// Shows the oldest lines, or the newest.
    pub(crate) fn scroll_to(&mut self, oldest: bool) {
        self.below = if oldest { usize::MAX / 2 } else { 0 };
    }

    /// Whether newer lines are below the pane.
    pub(crate) fn is_scrolled(&self) -> bool {
        self.below > 0
    }

    /// The rows of a pane of this size, from the top.
    pub(crate) fn rows(&mut self, width: usize, height: usize) -> Vec<String> {
        let wanted = height.saturating_add(self.below);
        let mut rows = VecDeque::new();
        for line in self.lines.iter().rev() {
            for row in wrapped(line, width).into_iter().rev() {
                rows.push_front(row);
            }
            if rows.len() >= wanted {
                break;
            }
        }
        self.below = self.below.min(rows.len().saturating_sub(height));
        let end = rows.len() - self.below;
        rows.into_iter().skip(end.saturating_sub(height)).take(height.min(end)).collect()
    }
}

/// `line` without control sequences of terminals and other control characters; a tab is a space.
pub(crate) fn without_controls(line: &str) -> String {
    let mut kept = String::with_capacity(line.len().min(LINE_BYTES));
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => {
                // `ESC [`, parameters, and a letter; or one character.
                if characters.next() == Some('[') {
                    characters.by_ref().find(|character| ('@'..='~').contains(character));
                }
            }
            '\t' => kept.push(' '),
            character if character.is_control() => {}
            character => kept.push(character),
        }
        if kept.len() >= LINE_BYTES {
            kept.push('…');
            break;
        }
    }
    kept
}

/// The rows of a line, preferably broken at spaces. Further rows are indented, unless the pane is very narrow.
pub(crate) fn wrapped(line: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let indent = if width > 20 { 2 } else { 0 };
    let (mut rows, mut row, mut columns, mut break_at) = (vec![], String::new(), 0, None);
    for character in line.chars() {
        let more = character.width().unwrap_or(0);
        if columns + more > width && !row.is_empty() {
            if character == ' ' {
                rows.push(std::mem::replace(&mut row, " ".repeat(indent)));
                (columns, break_at) = (indent, None);
                continue;
            }
            let rest = match break_at.take() {
                Some(at) if at > indent => row.split_off(at).trim_start().to_owned(),
                _ => String::new(),
            };
            rows.push(row.trim_end().to_owned());
            row = format!("{}{rest}", " ".repeat(indent));
            columns = unicode_width::UnicodeWidthStr::width(row.as_str());
        }
        row.push(character);
        columns += more;
        if character == ' ' {
            break_at = Some(row.len());
        }
    }
    rows.push(row);
    rows
}

#[cfg(test)]
mod tests {
    use super::{LINES, LogPane, without_controls, wrapped};

    #[test]
    fn lines_wrap_at_spaces_and_by_the_width_of_characters() {
        let check =
            |line: &str, width, expected: &[&str]| assert_eq!(wrapped(line, width), expected, "{line:?}");
        check("", 10, &[""]);
        check("short", 10, &["short"]);
        check("a line of words", 9, &["a line of", "words"]);
        check("文文文文", 5, &["文文", "文文"]);
        check("0123456789", 4, &["0123", "4567", "89"]);
        check("a line that is longer than the pane", 22, &["a line that is longer", "  than the pane"]);
    }

    #[test]
    fn control_sequences_are_removed() {
        assert_eq!(without_controls("\u{1b}[2mdim\u{1b}[0m\ttext\u{7}"), "dim text");
        assert_eq!(without_controls("\u{1b}"), "");
    }

    #[test]
    fn the_newest_lines_are_at_the_bottom_and_older_ones_scroll() {
        let mut log = LogPane::default();
        (0..LINES + 10).for_each(|line| log.push(&format!("line {line}")));
        let last = LINES + 9;
        assert_eq!(log.rows(20, 2), [format!("line {}", last - 1), format!("line {last}")]);
        log.scroll_by(-1);
        assert!(log.is_scrolled());
        assert_eq!(log.rows(20, 1), [format!("line {}", last - 1)]);
        log.scroll_to(true);
        assert_eq!(log.rows(20, 2), ["line 10", "line 11"]);
        log.scroll_to(false);
        log.scroll_by(5);
        assert_eq!(log.rows(20, 1), [format!("line {last}")]);
        assert_eq!(LogPane::default().rows(20, 5), [""; 0]);
    }
}
