//! Draws the screen of a peer: a row about the peer, the panes, the prompt, the keys, and a box in front of them.
//!
//! Only the visible rows are drawn. Text of other machines is escaped here, and wide characters are measured.
//! `transfers`, `lists` and `dialog` draw the parts; `theme` has the styles.

mod dialog;
mod drawing;
mod lists;
mod theme;
mod transfers;

use brigade_core::plural::count;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};
use unicode_width::UnicodeWidthStr;

use self::drawing::{draw_line, rate_of, width_of};
pub(crate) use self::{dialog::draw_text_box, drawing::first_that_fits, theme::Theme};
use super::model::{Focus, LEAST, Pane, PaneArea, PeerModel, PeerSummary, ScreenLayout, TypedLine};
use crate::{
    terminal::input::PROMPT,
    text::{escape::escape, format, shortening::cut},
};

/// Draws everything, and stores the areas in the model.
pub(crate) fn draw(frame: &mut Frame<'_>, model: &mut PeerModel, theme: Theme) {
    let area = frame.area();
    let Some(layout) = ScreenLayout::of(area, model.transfers.rows(), model.shown_pane) else {
        model.layout = ScreenLayout::default();
        draw_too_small(frame);
        return;
    };
    model.layout = layout;
    draw_row(frame, model.layout.head, &head(&model.summary, width_of(model.layout.head)), theme);
    for pane in model.layout.panes.clone() {
        draw_pane(frame, model, pane, theme);
    }
    draw_prompt(frame, model, theme);
    let keys = model.layout.keys;
    if keys.height > 0 {
        let text = first_that_fits(width_of(keys), keys_of(model));
        frame.render_widget(Paragraph::new(text).style(theme.dim()), keys);
    }
    dialog::draw(frame, model, theme);
}

/// A line that says that the terminal is too small.
pub(crate) fn draw_too_small(frame: &mut Frame<'_>) {
    let (columns, rows) = LEAST;
    let text = format!("the terminal is too small: the screen needs {columns} columns and {rows} rows");
    let lines: Vec<Line<'_>> =
        super::model::wrapped(&text, width_of(frame.area())).into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines), frame.area());
}

fn draw_row(frame: &mut Frame<'_>, area: Rect, (text, problem): &(String, String), theme: Theme) {
    let line = Line::from(vec![
        Span::styled(problem.clone(), theme.problem()),
        Span::styled(text.clone(), theme.selected(false)),
    ]);
    frame.render_widget(Paragraph::new(line), area);
}

/// The row at the top, in two parts: the peer, and a problem in front of it.
fn head(summary: &PeerSummary, width: usize) -> (String, String) {
    let PeerSummary { username, address, files, size_bytes, sending, receiving, .. } = summary;
    if username.is_empty() {
        return ("Brigade".to_owned(), String::new());
    }
    let mut problems = vec![];
    if !summary.manager_problem.is_empty() {
        problems.push(escape(&summary.manager_problem).into_owned());
    }
    if summary.hashing_files > 0 {
        let left = format::bytes(summary.hashing_bytes);
        problems.push(format!("hashing {}, {left} left", count(summary.hashing_files, "file")));
    }
    if summary.problems > 0 {
        problems.push(format!("{} not shared: `status`", count(summary.problems, "file")));
    }
    let mut problem = problems.join(" · ");
    if !problem.is_empty() {
        problem = format!("{} · ", cut(&problem, width / 2));
    }
    let name = escape(username);
    let shared = format!("{}, {}", count(*files, "file"), format::bytes(*size_bytes));
    let rates = format!("sending {} · receiving {}", rate_of(*sending), rate_of(*receiving));
    let texts = [
        format!("{name} at {address} · {shared} · {rates}"),
        format!("{name} · {shared} · {rates}"),
        format!("{name} · {rates}"),
        format!("{name} · ↑ {} ↓ {}", rate_of(*sending), rate_of(*receiving)),
        name.into_owned(),
    ];
    (first_that_fits(width - problem.width().min(width), texts), problem)
}

fn draw_pane(frame: &mut Frame<'_>, model: &mut PeerModel, area: PaneArea, theme: Theme) {
    let is_focused = match model.focus {
        Focus::Pane(pane) => pane == area.pane,
        Focus::Filter => area.pane == Pane::Files,
        Focus::Prompt => false,
    };
    draw_title(frame, model, area, is_focused, theme);
    match area.pane {
        Pane::Transfers => transfers::draw(frame, model, area.body, is_focused, theme),
        Pane::Files => lists::draw_files(frame, model, area.body, is_focused, theme),
        Pane::Peers => lists::draw_peers(frame, model, area.body, is_focused, theme),
        Pane::Log => {
            let rows = model.log.rows(width_of(area.body), usize::from(area.body.height));
            let lines: Vec<Line<'_>> = rows.into_iter().map(Line::from).collect();
            frame.render_widget(Paragraph::new(lines), area.body);
        }
    }
}

/// The name of a pane, with what is special about its list.
fn draw_title(frame: &mut Frame<'_>, model: &PeerModel, area: PaneArea, is_focused: bool, theme: Theme) {
    let note = match area.pane {
        Pane::Transfers if model.transfers.running() > 0 => format!(" {} running", model.transfers.running()),
        Pane::Files if model.focus == Focus::Filter => {
            return draw_filter(frame, &model.filter, area.title, theme);
        }
        Pane::Files if !model.folds.filter().is_empty() => format!(" /{}", escape(model.folds.filter())),
        Pane::Log if model.log.is_scrolled() => " older lines: End shows the newest".to_owned(),
        _ => String::new(),
    };
    let width = width_of(area.title);
    let headings = if area.pane == Pane::Files { lists::file_headings(width) } else { "" };
    let mut text = cut(&format!("{}{note}", area.pane.title()), width.saturating_sub(headings.width()));
    text += &" ".repeat(width.saturating_sub(text.width() + headings.width()));
    text += headings;
    frame.render_widget(Paragraph::new(text).style(theme.title(is_focused)), area.title);
}

fn draw_filter(frame: &mut Frame<'_>, filter: &TypedLine, area: Rect, theme: Theme) {
    frame.render_widget(Paragraph::new(" ".repeat(width_of(area))).style(theme.title(true)), area);
    draw_line(frame, area, "/", filter, true);
}

fn draw_prompt(frame: &mut Frame<'_>, model: &PeerModel, theme: Theme) {
    let area = model.layout.prompt;
    if model.is_busy() && model.prompt.text().is_empty() && model.focus == Focus::Prompt {
        let text = cut("… the command runs; Ctrl-C stops it", width_of(area));
        frame.render_widget(Paragraph::new(text).style(theme.dim()), area);
        return;
    }
    let has_cursor = model.focus == Focus::Prompt && model.dialog.is_none();
    draw_line(frame, area, PROMPT, &model.prompt, has_cursor);
}

/// The keys for the part that has the focus, in texts of decreasing width.
fn keys_of(model: &PeerModel) -> [&'static str; 3] {
    match model.focus {
        Focus::Prompt => [
            "Enter runs the command · Tab completes, or goes to the panes · `help` lists the commands · Q quits",
            "Tab: panes · `help`: the commands · Q quits",
            "Tab: panes · help · Q",
        ],
        Focus::Filter => [
            "type the beginning of a name, or a pattern such as **/*.bin · Enter: the list · Esc: all files",
            "the beginning of a name, or a pattern · Enter · Esc: all",
            "Enter: list · Esc: all",
        ],
        Focus::Pane(Pane::Transfers) => [
            "p pauses or resumes · x cancels · l limits · ? helps · Tab: next pane · Esc: prompt · q quits",
            "p pauses · x cancels · l limits · ? helps · Esc · q",
            "p · x · l · ? · Esc · q",
        ],
        Focus::Pane(Pane::Files) => [
            "Enter or f fetches · arrows open folders · / filters · ? helps · Tab: next pane · Esc: prompt",
            "Enter fetches · arrows open · / filters · ? helps",
            "f · arrows · / · ? · Esc",
        ],
        Focus::Pane(Pane::Peers | Pane::Log) => [
            "arrows, PageUp and PageDown scroll · ? helps · Tab: next pane · Esc: prompt · q quits",
            "arrows scroll · ? helps · Tab · Esc: prompt · q",
            "arrows · ? · Tab · Esc · q",
        ],
    }
}

#[cfg(test)]
mod tests;
