//! What several parts of the screen draw: a line that is being typed, a text that fits, a rate.
//!
//! Texts of other machines are escaped before they are here.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    widgets::Paragraph,
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::{
    screen::model::TypedLine,
    text::{format, shortening::cut},
};

/// The columns of an area.
pub(super) fn width_of(area: Rect) -> usize {
    usize::from(area.width)
}

/// The first of `texts` that fits into the width; if none fits, the last one, cut and marked.
pub(crate) fn first_that_fits<T: AsRef<str>>(width: usize, texts: impl IntoIterator<Item = T>) -> String {
    let mut last = String::new();
    for text in texts {
        if text.as_ref().width() <= width {
            return text.as_ref().to_owned();
        }
        text.as_ref().clone_into(&mut last);
    }
    cut(&last, width)
}

/// A rate; a dash for none.
pub(super) fn rate_of(bytes_per_second: u64) -> String {
    if bytes_per_second == 0 { "–".to_owned() } else { format::rate(bytes_per_second) }
}

/// The part of a line around its cursor that fits, behind `prefix`, and the cursor of the terminal if the line has it.
pub(super) fn draw_line(frame: &mut Frame<'_>, area: Rect, prefix: &str, line: &TypedLine, has_cursor: bool) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    let width = width_of(area).saturating_sub(prefix.width() + 1).max(1);
    let (before, after) = line.text().split_at(line.cursor());
    // The end of the text before the cursor.
    let mut taken = 0;
    let fits = |character: &(usize, char)| {
        taken += character.1.width().unwrap_or(0);
        taken <= width
    };
    let start = before.char_indices().rev().take_while(fits).last().map_or(before.len(), |(at, _)| at);
    let shown = &before[start..];
    let column = prefix.width() + shown.width();
    frame.render_widget(Paragraph::new(format!("{prefix}{shown}{after}")), area);
    if has_cursor {
        let x = area.x + u16::try_from(column).unwrap_or(u16::MAX).min(area.width - 1);
        frame.set_cursor_position(Position { x, y: area.y });
    }
}
