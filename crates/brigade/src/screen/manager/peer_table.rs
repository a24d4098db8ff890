//! The table of the peers of a manager: its columns, and the title above it.
//!
//! Each column is as wide as its content. If the terminal is too narrow, whole columns are omitted: a part of a number
//! would be wrong.

use brigade_api::values::ManagerPeer;
use brigade_core::{id::PeerKey, plural::count, time::UnixTime};
use ratatui::{
    layout::{Alignment, Constraint},
    style::{Style, Stylize},
    text::{Line, Text},
    widgets::{Cell, Row, Table},
};
use unicode_width::UnicodeWidthStr;

use super::model::{ManagerSummary, PeerOrder};
use crate::{
    screen::view::first_that_fits,
    text::{escape::escape, format, shortening::cut},
};

pub(super) const HEADINGS: [&str; 7] =
    ["username", "address", "files", "bytes", "sending", "receiving", "since (UTC)"];

/// The first column with numbers; they are aligned to the right.
const FIRST_NUMBER: usize = 2;

/// The spaces between two columns.
const SPACING: usize = 2;

/// The columns to omit, in this order, if the terminal is too narrow.
const OMITTED: [usize; 6] = [6, 5, 4, 1, 3, 2];

/// The title; if the terminal is too narrow, first without the key, then without the name before the address.
pub(super) fn title(summary: &ManagerSummary, width: usize) -> Text<'static> {
    const NAME: &str = "Brigade manager";
    let ManagerSummary { address, key, peers, max_peers, .. } = summary;
    if address.is_empty() {
        return Line::from(NAME.bold()).into();
    }
    let short = key.parse::<PeerKey>().map_or_else(|_| key.clone(), |key| key.short().to_string());
    let peers = format!("{peers} of {}", count(*max_peers, "peer"));
    let text = first_that_fits(
        width,
        &[
            format!("{NAME} at {address} · key {short} · {peers}"),
            format!("{NAME} at {address} · {peers}"),
            format!("{address} · {peers}"),
        ],
    );
    match text.strip_prefix(NAME) {
        Some(rest) => Line::from(vec![NAME.bold(), rest.to_owned().into()]).into(),
        None => Line::from(text).into(),
    }
}

/// The texts of a row. A peer that joined on another day has the date, too.
pub(super) fn cells(peer: &ManagerPeer, now: UnixTime) -> [String; 7] {
    let rate = |rate| if rate == 0 { "–".to_owned() } else { format::rate(rate) };
    [
        escape(&peer.username).into_owned(),
        escape(&peer.address).into_owned(),
        peer.files.to_string(),
        format::bytes(peer.bytes),
        rate(peer.sending),
        rate(peer.receiving),
        since(UnixTime(peer.since_s), now),
    ]
}

/// The time of day; on another day than `now` the date before it.
pub(super) fn since(at: UnixTime, now: UnixTime) -> String {
    let (date, today) = (format::time(at), format::time(now));
    match (date.split_once('T'), today.split_once('T')) {
        (Some((day, _)), Some((today, _))) if day != today => format!("{day} {}", format::time_of_day(at)),
        _ => format::time_of_day(at),
    }
}

/// The headings, with the direction at the column of the order, if it is not that of the names.
fn headings(order: PeerOrder) -> [String; 7] {
    let mut headings = HEADINGS.map(str::to_owned);
    if !order.is_by_name()
        && let Some(heading) = headings.get_mut(order.column)
    {
        *heading += if order.is_reversed { " ▼" } else { " ▲" };
    }
    headings
}

/// Widens the columns for these rows. Those of rows that were shown before stay as wide, unless all rows are shown.
pub(super) fn fit_columns(widths: &mut [usize; 7], rows: &[[String; 7]], order: PeerOrder, all: bool) {
    if all {
        *widths = [0; 7];
    }
    let headings = headings(order);
    for (column, widest) in widths.iter_mut().enumerate() {
        let cells = rows.iter().map(|row| row[column].width());
        *widest = cells.chain([headings[column].width()]).max().unwrap_or_default().max(*widest);
    }
}

/// The columns that fit into the width of the table, with their widths.
fn columns(widths: &[usize; 7], table_width: usize) -> Vec<(usize, usize)> {
    let mut columns: Vec<(usize, usize)> = widths.iter().copied().enumerate().collect();
    for omitted in OMITTED {
        let needed = columns.iter().map(|(_, width)| width + SPACING).sum::<usize>() - SPACING;
        if needed <= table_width {
            break;
        }
        columns.retain(|(column, _)| *column != omitted);
    }
    columns
}

/// The table; no cell is wider than `width`. The row with the index `selected` has its style.
pub(super) fn table(
    rows: &[[String; 7]],
    widths: &[usize; 7],
    order: PeerOrder,
    width: usize,
    selected: Option<(usize, Style)>,
) -> Table<'static> {
    let columns = columns(widths, width);
    let aligned = |column: usize, text: &str| {
        let side = if column < FIRST_NUMBER { Alignment::Left } else { Alignment::Right };
        Cell::from(Text::from(cut(text, width)).alignment(side))
    };
    let row =
        |texts: &[String; 7]| Row::new(columns.iter().map(|(column, _)| aligned(*column, &texts[*column])));
    let constraints =
        columns.iter().map(|(_, width)| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)));
    let head = row(&headings(order)).style(Style::new().bold().underlined());
    let styled = rows.iter().enumerate().map(|(at, texts)| match selected {
        Some((index, style)) if index == at => row(texts).style(style),
        _ => row(texts),
    });
    Table::new(styled, constraints).header(head).column_spacing(2)
}
