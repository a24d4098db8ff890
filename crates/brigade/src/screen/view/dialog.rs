//! The box in front of the panes: a question with its answer, a confirmation, or the help.
//!
//! It is in the middle of the screen, as large as its text, and at most as large as the screen.

use ratatui::{
    Frame,
    layout::Rect,
    text::Line,
    widgets::{Block, Clear, Paragraph},
};
use unicode_width::UnicodeWidthStr;

use super::{
    drawing::{draw_line, width_of},
    theme::Theme,
};
use crate::{
    screen::model::{Dialog, PeerModel, TypedLine, wrapped},
    text::escape::escape,
};

/// The most columns of a box.
const COLUMNS: usize = 100;

/// The keys, for `?`.
const KEYS: &[&str] = &[
    "At the prompt: all commands, as `help` lists them; Up and Down",
    "show earlier ones, Ctrl-R searches them, Tab completes a word.",
    "",
    "Tab, Esc      to the panes and back; a click does it, too",
    "Tab           the next pane; Shift-Tab the previous one",
    "arrows, PageUp, PageDown, Home, End, wheel",
    "              move in the list",
    "",
    "Files         Right and Left open and close a folder;",
    "              Enter or f fetches the file or the folder;",
    "              / filters: the beginning of a name, or a pattern",
    "              here: mine (this peer shares it), or partly;",
    "              held: the number of holders",
    "Transfers     p pauses or resumes, x cancels (asks);",
    "              the map fills with the pieces that arrive",
    "all panes     l limits the rates, ? helps, q quits (asks)",
    "",
    "Ctrl-C stops the running command, or quits; Ctrl-Z suspends;",
    "Ctrl-L draws again. With Shift, the mouse selects text.",
];

/// Draws the box, if there is one.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut PeerModel, theme: Theme) {
    match &mut model.dialog {
        None => {}
        Some(Dialog::Question { explanation, question, answer }) => {
            draw_question(frame, explanation, question, Some(answer), theme);
        }
        Some(Dialog::Confirmation { question, .. }) => {
            draw_question(frame, &[], &escape(question), None, theme)
        }
        Some(Dialog::Limit { answer }) => {
            let explanation =
                ["a rate, as in `limit down 10MB`; `off`: no limit; `auto`: the configured one".to_owned()];
            draw_question(frame, &explanation, "limit ", Some(answer), theme);
        }
        Some(Dialog::Help { top }) => {
            let keys: Vec<String> = KEYS.iter().map(|line| (*line).to_owned()).collect();
            let inside = open_box(frame, " Keys ", &keys, theme);
            *top = (*top).min(keys.len().saturating_sub(usize::from(inside.height)));
            let lines: Vec<Line<'_>> = KEYS.iter().skip(*top).map(|line| Line::from(*line)).collect();
            frame.render_widget(Paragraph::new(lines), inside);
        }
    }
}

/// Draws a box with lines to read; lines that are too long are wrapped.
pub(crate) fn draw_text_box(frame: &mut Frame<'_>, title: &'static str, lines: &[String], theme: Theme) {
    let most = width_of(frame.area()).saturating_sub(4).min(COLUMNS);
    let rows: Vec<String> = lines.iter().flat_map(|line| wrapped(line, most)).collect();
    let inside = open_box(frame, title, &rows, theme);
    frame.render_widget(Paragraph::new(rows.into_iter().map(Line::from).collect::<Vec<_>>()), inside);
}

/// The explanation, then the question with the answer behind it. If not all rows fit, the last ones are shown.
fn draw_question(
    frame: &mut Frame<'_>,
    explanation: &[String],
    question: &str,
    answer: Option<&TypedLine>,
    theme: Theme,
) {
    let most = width_of(frame.area()).saturating_sub(4).min(COLUMNS);
    let mut rows: Vec<String> = explanation.iter().flat_map(|line| wrapped(line, most)).collect();
    rows.extend(wrapped(question, most.saturating_sub(if answer.is_some() { 8 } else { 0 })));
    let inside = open_box(frame, "", &rows, theme);
    if inside.height == 0 {
        return;
    }
    let hidden = rows.len().saturating_sub(usize::from(inside.height));
    let lines: Vec<Line<'_>> = rows[hidden..].iter().map(|row| Line::from(row.as_str())).collect();
    frame.render_widget(Paragraph::new(lines), inside);
    if let (Some(answer), Some(last)) = (answer, rows.last()) {
        let bottom = Rect { y: inside.bottom() - 1, height: 1, ..inside };
        draw_line(frame, bottom, last, answer, true);
    }
}

/// Draws an empty box around so many rows. Returns the area inside.
fn open_box(frame: &mut Frame<'_>, title: &'static str, rows: &[String], theme: Theme) -> Rect {
    let screen = frame.area();
    let columns = rows.iter().map(|row| row.width()).max().unwrap_or(0).max(40) + 4;
    let width = u16::try_from(columns).unwrap_or(u16::MAX).min(screen.width);
    let height = u16::try_from(rows.len() + 2).unwrap_or(u16::MAX).min(screen.height);
    let area = Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + (screen.height - height) / 2,
        width,
        height,
    };
    // A wide character that begins left of the box would cover its border.
    for y in area.y..area.bottom() {
        if let Some(cell) = area.x.checked_sub(1).and_then(|x| frame.buffer_mut().cell_mut((x, y)))
            && cell.symbol().width() > 1
        {
            cell.set_symbol(" ");
        }
    }
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(title).title_style(theme.title(false));
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let margin = u16::from(inside.width > 2);
    Rect { x: inside.x + margin, width: inside.width - 2 * margin, ..inside }
}
