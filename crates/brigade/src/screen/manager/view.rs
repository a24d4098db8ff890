//! Draws the screen of a manager: the title, a table, the last events, the keys, and a box in front of them.
//!
//! Only visible rows are drawn. `peer_table` and `content_table` have the rows.

use brigade_core::{plural::count, time::UnixTime};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Stylize,
    text::Line,
    widgets::Paragraph,
};

use super::{
    content_table,
    model::{ListedEvent, ManagerDialog, ManagerModel, ManagerTab},
    peer_table::{cells, fit_columns, since, table, title},
};
use crate::{
    screen::view::{Theme, draw_text_box, first_that_fits},
    text::{format, shortening::cut},
};

/// The most rows for events below the table; at most a quarter of the screen.
const EVENT_ROWS: u16 = 6;

/// The areas of the title, the table, the events and the keys.
fn areas(area: Rect, recent: usize) -> [Rect; 4] {
    let event_rows = u16::try_from(recent).unwrap_or(EVENT_ROWS).min(EVENT_ROWS).min(area.height / 4);
    let areas = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(2),
        Constraint::Length(event_rows),
        Constraint::Length(1),
    ]);
    areas.areas(area)
}

/// Draws everything, and stores the number of rows in the model.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut ManagerModel, now: UnixTime, theme: Theme) {
    let recent = if model.tab == ManagerTab::Events { 0 } else { model.events.len() };
    let [head, body, events, foot] = areas(frame.area(), recent);
    let width = usize::from(frame.area().width);
    frame.render_widget(Paragraph::new(title(&model.summary, width)), head);
    if let Some(problem) = &model.problem {
        let row = Rect { y: head.y + head.height.min(1), height: head.height.saturating_sub(1), ..head };
        frame.render_widget(Paragraph::new(cut(problem, width)).style(theme.problem()), row);
    }
    model.rows = usize::from(body.height.saturating_sub(1));
    model.first_row = body.y + 1;
    let hidden = match model.tab {
        ManagerTab::Peers => draw_peers(frame, model, body, now, theme),
        ManagerTab::Contents => draw_contents(frame, model, body, theme),
        ManagerTab::Events => draw_events(frame, model, body, now),
    };
    let line = |event: &ListedEvent| Line::from(cut(&sentence(event), width)).dim();
    let lines: Vec<Line<'_>> = model.events.iter().take(events.height.into()).rev().map(line).collect();
    frame.render_widget(Paragraph::new(lines), events);
    frame.render_widget(Paragraph::new(keys(model, hidden, width)).dim(), foot);
    if let Some(ManagerDialog::Text { title, lines }) = &model.dialog {
        draw_text_box(frame, title, lines, theme);
    }
}

/// An event as a line, with the time of day.
fn sentence(event: &ListedEvent) -> String {
    format!("{}  {}", format::time_of_day(event.at), event.text)
}

/// Draws the peers. Returns the number of those that are not shown.
fn draw_peers(
    frame: &mut Frame<'_>,
    model: &mut ManagerModel,
    area: Rect,
    now: UnixTime,
    theme: Theme,
) -> usize {
    let top = model.peers.top(model.rows);
    let shown: Vec<[String; 7]> = (top..model.peers.len().min(top + model.rows))
        .filter_map(|index| model.peers.row(index).map(|peer| cells(&peer.0, now)))
        .collect();
    let total = usize::try_from(model.summary.peers).unwrap_or(usize::MAX);
    let hidden = total.saturating_sub(shown.len());
    fit_columns(&mut model.widths, &shown, model.order, hidden == 0);
    // Without a row for peers, the selected one is not at the top.
    let selected =
        model.has_selection.then(|| (model.peers.selected().saturating_sub(top), theme.selected(true)));
    let width = usize::from(area.width);
    frame.render_widget(table(&shown, &model.widths, model.order, width, selected), area);
    hidden
}

/// Draws the contents. Returns the number of those that are not shown.
fn draw_contents(frame: &mut Frame<'_>, model: &mut ManagerModel, area: Rect, theme: Theme) -> usize {
    let (width, top) = (usize::from(area.width), model.contents.top(model.rows));
    let mut lines = vec![content_table::heading(model.content_order, width)];
    for index in top..model.contents.len().min(top + model.rows) {
        let Some(content) = model.contents.row(index) else { break };
        let line = Line::from(content_table::row(content, width));
        let is_selected = model.has_selection && index == model.contents.selected();
        lines.push(if is_selected { line.style(theme.selected(true)) } else { line });
    }
    let shown = lines.len() - 1;
    if shown == 0 {
        let text = if model.contents.is_empty() { "nothing is shared" } else { "loading …" };
        lines.push(Line::from(cut(text, width)).dim());
    }
    frame.render_widget(Paragraph::new(lines), area);
    usize::try_from(model.summary.names).unwrap_or(usize::MAX).saturating_sub(shown)
}

/// Draws the events, the newest first. Returns the number of those that are not shown.
fn draw_events(frame: &mut Frame<'_>, model: &ManagerModel, area: Rect, now: UnixTime) -> usize {
    let width = usize::from(area.width);
    let mut lines = vec![Line::from(cut("event (times are UTC)", width)).bold().underlined()];
    let events = model.events.iter().skip(model.event_top).take(model.rows);
    lines.extend(
        events.map(|event| Line::from(cut(&format!("{}  {}", since(event.at, now), event.text), width))),
    );
    let shown = lines.len() - 1;
    frame.render_widget(Paragraph::new(lines), area);
    model.events.len().saturating_sub(shown)
}

/// The keys, with the number of hidden rows, in the longest form that fits.
fn keys(model: &ManagerModel, hidden: usize, width: usize) -> String {
    let end = if model.is_own { "q ends the manager" } else { "q leaves the screen" };
    let short_end = if model.is_own { "q ends" } else { "q leaves" };
    let tables = match model.tab {
        ManagerTab::Peers => "Tab: contents, events · s sorts · k: key · ? helps",
        ManagerTab::Contents => "Tab: events, peers · s sorts · Enter: holders · ? helps",
        ManagerTab::Events => "Tab: peers, contents · k: key · ? helps",
    };
    if hidden == 0 {
        return first_that_fits(width, [format!("{end} · {tables}"), end.to_owned()]);
    }
    first_that_fits(
        width,
        [
            format!("{hidden} more: arrow keys, PageUp, PageDown · {end} · {tables}"),
            format!("{hidden} more: arrow keys, PageUp, PageDown · {end}"),
            format!("{hidden} more: arrow keys · {short_end}"),
        ],
    )
}

/// The text of the box with the totals and the whole key.
pub(super) fn key_lines(model: &ManagerModel) -> Vec<String> {
    let summary = &model.summary;
    vec![
        format!("the manager listens on {}", summary.address),
        "its key, for --manager-key of the peers:".to_owned(),
        summary.key.clone(),
        format!("{} in the catalogue, {}", count(summary.names, "name"), format::bytes(summary.size_bytes)),
    ]
}
