//! The files and the peers of the network: the visible rows of two long lists.
//!
//! A file says whether this peer has it (`mine`), has a part of it (`partly`), or has nothing of it.

use brigade_core::plural::count;
use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};
use unicode_width::UnicodeWidthStr;

use super::{
    drawing::{rate_of, width_of},
    theme::Theme,
};
use crate::{
    screen::model::{FileRow, FileRowEntry, ListedPeer, OwnCopy, PeerModel},
    text::{
        escape::escape,
        format,
        shortening::{cut, shortened},
    },
};

/// The least width of a pane with a word for the own copy; a narrower one has a sign.
const WORD_COLUMNS: usize = 44;

/// The headings of the columns behind the names; empty in a narrow pane.
pub(super) fn file_headings(width: usize) -> &'static str {
    if width >= WORD_COLUMNS { "here   held      size" } else { "" }
}

/// Draws the visible files.
pub(super) fn draw_files(
    frame: &mut Frame<'_>,
    model: &mut PeerModel,
    area: Rect,
    is_focused: bool,
    theme: Theme,
) {
    let (width, height) = (width_of(area), usize::from(area.height));
    let top = model.files.top(height);
    let mut lines = vec![];
    for index in top..model.files.len().min(top + height) {
        let selected = index == model.files.selected() && is_focused;
        lines.push(match model.files.row(index) {
            Some(row) => file_row(row, model.folds.is_flat(), width, selected, theme),
            None if index == top || model.files.row(index - 1).is_some() => {
                Line::styled(cut("loading …", width), theme.dim())
            }
            None => Line::styled("…", theme.dim()),
        });
    }
    if let Some(problem) = &model.files_problem {
        lines.clear();
        let rows = problem.lines().flat_map(|line| crate::screen::model::wrapped(&escape(line), width));
        lines.extend(rows.take(height).map(|row| Line::styled(row, theme.problem())));
    } else if model.files.is_empty() {
        let text = if model.folds.filter().is_empty() {
            "nothing is shared"
        } else {
            "no name begins with this or matches it"
        };
        lines.push(Line::styled(cut(text, width), theme.dim()));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn file_row(row: &FileRow, is_flat: bool, width: usize, is_selected: bool, theme: Theme) -> Line<'static> {
    let indent = "  ".repeat(row.depth.min(width / 8));
    let name = row.name();
    let shown = if is_flat { name } else { name.rsplit_once('/').map_or(name, |(_, last)| last) };
    let shown = escape(shown);
    let selected = if is_selected { theme.selected(true) } else { Style::new() };
    let (mark, label, tail, style) = match &row.entry {
        FileRowEntry::Folder { is_open, files, size_bytes, is_exact } => {
            let tail = match (is_open, *files) {
                (true, _) | (_, 0) => String::new(),
                (false, files) => {
                    let more = if *is_exact { "" } else { "+" };
                    let size =
                        if *is_exact { format!(" {:>9}", format::bytes(*size_bytes)) } else { String::new() };
                    format!("{files}{more} {}{size}", brigade_core::plural::noun(files, "file"))
                }
            };
            (if *is_open { "▾ " } else { "▸ " }, format!("{shown}/"), tail, theme.folder())
        }
        FileRowEntry::File(file) => {
            let tail = if width >= WORD_COLUMNS {
                let copy = match file.own_copy {
                    OwnCopy::Whole => "mine",
                    OwnCopy::Partly => "partly",
                    OwnCopy::Nothing => "",
                };
                format!("{copy:<6} {:>4} {:>9}", file.holders, format::bytes(file.size_bytes))
            } else {
                let copy = match file.own_copy {
                    OwnCopy::Whole => "●",
                    OwnCopy::Partly => "◐",
                    OwnCopy::Nothing => " ",
                };
                format!("{copy} {:>9}", format::bytes(file.size_bytes))
            };
            ("  ", shown.into_owned(), tail, Style::new())
        }
    };
    let taken = indent.width() + mark.width() + tail.width() + 1;
    let least = 8.min(width);
    if taken + least > width {
        // Without the tail: the name says more.
        let label = shortened(&label, width.saturating_sub(indent.width() + mark.width()));
        return Line::from(vec![Span::raw(format!("{indent}{mark}")), Span::styled(label, style)])
            .style(selected);
    }
    let columns = width - taken;
    let label = shortened(&label, columns);
    let padding = " ".repeat(columns - label.width().min(columns) + 1);
    Line::from(vec![
        Span::raw(format!("{indent}{mark}")),
        Span::styled(label, style),
        Span::raw(format!("{padding}{tail}")),
    ])
    .style(selected)
}

/// Draws the visible peers.
pub(super) fn draw_peers(
    frame: &mut Frame<'_>,
    model: &mut PeerModel,
    area: Rect,
    is_focused: bool,
    theme: Theme,
) {
    let (width, height) = (width_of(area), usize::from(area.height));
    let top = model.peers.top(height);
    let mut lines = vec![];
    for index in top..model.peers.len().min(top + height) {
        let selected = index == model.peers.selected() && is_focused;
        lines.push(match model.peers.row(index) {
            Some(peer) => {
                let line = Line::from(peer_row(peer, width));
                if selected { line.style(theme.selected(true)) } else { line }
            }
            None => Line::styled(cut("loading …", width), theme.dim()),
        });
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// A peer: its name, its files and its rates, as far as they fit.
fn peer_row(peer: &ListedPeer, width: usize) -> String {
    let name = escape(&peer.username);
    let files = format!("{}, {}", count(peer.files, "file"), format::bytes(peer.size_bytes));
    let rates = match (peer.sending, peer.receiving) {
        (0, 0) => String::new(),
        (sending, 0) => format!("sends {}", rate_of(sending)),
        (0, receiving) => format!("receives {}", rate_of(receiving)),
        (sending, receiving) => format!("sends {} receives {}", rate_of(sending), rate_of(receiving)),
    };
    let address = escape(&peer.address);
    let tails = [format!("{files}  {address}  {rates}"), format!("{files}  {rates}"), rates, files];
    let fits =
        |tail: &&String| tail.trim_end().width() + 2 + name.width() <= width && !tail.trim().is_empty();
    let Some(tail) = tails.iter().find(fits) else { return shortened(&name, width) };
    let tail = tail.trim_end();
    let padding = width - name.width() - tail.width();
    format!("{name}{}{tail}", " ".repeat(padding))
}
