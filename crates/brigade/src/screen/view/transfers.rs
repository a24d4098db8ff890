//! The transfers: for each fetch its bar, rate and time left; below, the share of each holder and the map of its pieces.
//!
//! In a narrow pane the name is shortened first, then the bar is omitted; percentage, rate and time left stay longest.

use brigade_node::peer::FetchState;
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
    notices::progress_texts::{state_texts, without_holder},
    screen::model::{HolderShare, PeerModel, Transfer},
    terminal::progress_line::{bar, percent},
    text::{
        escape::escape,
        format,
        shortening::{cut, shortened},
    },
};

/// The width of the bar, if there is space.
const BAR_COLUMNS: usize = 16;

/// The least width of the name.
const NAME_COLUMNS: usize = 12;

/// The width that the state usually takes: with it, the bar keeps its place while the state changes.
const STATE_COLUMNS: usize = 38;

/// Draws the fetches, then the uploads.
pub(super) fn draw(frame: &mut Frame<'_>, model: &mut PeerModel, area: Rect, is_focused: bool, theme: Theme) {
    let (width, height) = (width_of(area), usize::from(area.height));
    let uploads = model.transfers.uploads.len().min(height / 3 + 1);
    let has_fetches = !model.transfers.fetches().is_empty();
    let for_fetches = if has_fetches { height.saturating_sub(uploads).max(1) } else { 0 };
    let visible = model.transfers.visible(for_fetches);
    let selected = model.transfers.selected_index();
    let mut lines: Vec<Line<'_>> = vec![];
    for (at, _, rows) in visible {
        let fetch = &model.transfers.fetches()[at];
        let style = if at == selected && has_fetches { theme.selected(is_focused) } else { Style::new() };
        lines.push(first_row(fetch, width, theme).patch_style(style));
        if rows > 1 {
            lines.push(second_row(fetch, width, theme));
        }
    }
    for sent in model.transfers.uploads.iter().take(height.saturating_sub(lines.len())) {
        let name = sent.name.as_deref().map_or_else(|| "pieces".into(), escape);
        let tail = format!(" to {}  {}", escape(&sent.username), rate_of(sent.rate));
        let name = shortened(&name, width.saturating_sub(9 + tail.width()));
        lines.push(Line::styled(cut(&format!("sending  {name}{tail}"), width), theme.dim()));
    }
    if lines.is_empty() {
        let text = cut("no transfers: `fetch NAME`, or Enter in the files", width);
        lines.push(Line::styled(text, theme.dim()));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// Name, bar, percentage, and the rate or the state.
fn first_row(fetch: &Transfer, width: usize, theme: Theme) -> Line<'static> {
    let progress = &fetch.progress;
    let name = escape(&progress.name);
    let done = (progress.bytes_done, progress.bytes);
    let head = format!("{} ", fetch.id);
    if fetch.is_over() {
        let text = match progress.state {
            FetchState::Done => {
                format!("done  {} in {}", format::bytes(progress.bytes), format::duration(progress.took))
            }
            FetchState::Stopped => format!("stopped at {}%", percent(done)),
            _ => format!("failed: {} of {} files", progress.failed, progress.files),
        };
        let name = shortened(&name, width.saturating_sub(head.width() + 2 + text.width()).max(NAME_COLUMNS));
        return Line::styled(cut(&format!("{head}{name}  {text}"), width), theme.dim());
    }
    let files = if progress.files > 1 {
        vec![format!("{}/{} files", progress.files_done, progress.files)]
    } else {
        vec![]
    };
    let state = if fetch.is_paused { vec!["paused".to_owned()] } else { state_texts(progress) };
    // The number of files, then the last parts of the state are omitted first.
    let mut tails: Vec<String> = vec![[&state[..], &files[..]].concat().join("  ")];
    tails.extend((1..=state.len()).rev().map(|kept| state[..kept].join("  ")));
    let percentage = format!("{:>3}%", percent(done));
    for bar_columns in [BAR_COLUMNS, 8, 0] {
        let drawn = if bar_columns == 0 { String::new() } else { format!("{} ", bar(bar_columns, done)) };
        for tail in &tails {
            let taken = head.width() + 2 + drawn.width() + percentage.width() + 2 + tail.width();
            let is_last = bar_columns == 0 && Some(tail) == tails.last();
            if taken + name.width().min(NAME_COLUMNS) <= width || is_last {
                let columns = width.saturating_sub(taken);
                let name = shortened(&name, columns.max(1));
                let unused = STATE_COLUMNS.saturating_sub(tail.width());
                let padding = columns.saturating_sub(name.width() + unused).min(40);
                let padding = if bar_columns > 0 { padding } else { 0 };
                let rest = cut(&format!("{percentage}  {tail}"), width.saturating_sub(head.width() + 2));
                return Line::from(vec![
                    Span::raw(format!("{head}{name}{}  ", " ".repeat(padding))),
                    Span::styled(drawn, theme.progress()),
                    Span::raw(rest),
                ]);
            }
        }
    }
    Line::default()
}

/// The shares of the holders, then the map of the pieces in the rest of the row.
fn second_row(fetch: &Transfer, width: usize, theme: Theme) -> Line<'static> {
    const INDENT: &str = "  ";
    let progress = &fetch.progress;
    let room_columns = width.saturating_sub(INDENT.width());
    let most = if fetch.pieces.is_some() { room_columns * 3 / 5 } else { room_columns };
    let shares = shares(&fetch.holders, most);
    let mut spans = vec![Span::raw(INDENT)];
    if !progress.unreached.is_empty() && shares.is_empty() {
        let one = &progress.unreached[0];
        let text = format!("{} cannot be used: {}", escape(&one.username), escape(&one.cause));
        spans.push(Span::raw(cut(&text, room_columns)));
        return Line::from(spans);
    }
    let missing = without_holder(progress).filter(|_| shares.is_empty() || progress.rate == 0);
    if let Some(text) = missing.filter(|_| !fetch.is_paused) {
        spans.push(Span::styled(cut(&text, room_columns), theme.problem()));
        return Line::from(spans);
    }
    let shares_width = shares.width();
    spans.push(Span::raw(shares));
    if let Some(pieces) = &fetch.pieces {
        let gap = if shares_width > 0 { 2 } else { 0 };
        let cells = room_columns.saturating_sub(shares_width + gap + 2);
        if cells >= 4 {
            const FILLED: [&str; 9] = ["·", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
            let map: String =
                pieces.eighths(cells).iter().map(|eighths| FILLED[usize::from(*eighths).min(8)]).collect();
            spans.push(Span::raw(format!("{}[", " ".repeat(gap))));
            spans.push(Span::styled(map, theme.progress()));
            spans.push(Span::raw("]"));
        }
    } else if shares_width == 0 {
        let text = format!("{} of {}", format::bytes(progress.bytes_done), format::bytes(progress.bytes));
        spans.push(Span::styled(cut(&text, room_columns), theme.dim()));
    }
    Line::from(spans)
}

/// `anna 61% 7.5 MB/s · ben 39% 4.8 MB/s`: as many holders as fit, then the number of the others.
fn shares(holders: &[HolderShare], width: usize) -> String {
    let all: u64 = holders.iter().map(|holder| holder.bytes).fold(0, u64::saturating_add);
    let text = |holder: &HolderShare, with_rate: bool| {
        let rate = if with_rate && holder.rate > 0 {
            format!(" {}", format::rate(holder.rate))
        } else {
            String::new()
        };
        // The nearest percent.
        let share = (u128::from(holder.bytes) * 100 + u128::from(all) / 2) / u128::from(all.max(1));
        format!("{} {share}%{rate}", escape(&holder.username))
    };
    for with_rate in [true, false] {
        for shown in (1..=holders.len().min(8)).rev() {
            let mut parts: Vec<String> =
                holders[..shown].iter().map(|holder| text(holder, with_rate)).collect();
            if shown < holders.len() {
                parts.push(format!("{} more", holders.len() - shown));
            }
            let joined = parts.join(" · ");
            // Rates of two holders say more than the names of many.
            if joined.width() <= width && (shown == holders.len() || shown >= 2 || !with_rate) {
                return joined;
            }
        }
    }
    holders.first().map_or_else(String::new, |holder| cut(&text(holder, false), width))
}
