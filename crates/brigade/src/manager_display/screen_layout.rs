//! The layout of the manager's screen: the title, the table of the peers, the last events, and the keys.
//!
//! Each column of the table is as wide as its content; if not all rows fit, they scroll, and no column becomes narrower
//! while they do. `screen` reads the rows and the keys; `event_text` escapes the texts of other machines.

use std::collections::VecDeque;

use brigade_core::{manager::Row as Peer, plural::count};
use brigade_node::manager::{LifeEvent, ManagerView, PeerPage};
use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    style::{Style, Stylize},
    text::{Line, Text},
    widgets::{Cell, Paragraph, Row, Table},
};
use unicode_width::UnicodeWidthStr;

use super::event_text::event_text;
use crate::text::{format, shortening::cut};

const HEADINGS: [&str; 7] = ["username", "address", "files", "bytes", "sending", "receiving", "since (UTC)"];

/// The first column with numbers; they are aligned to the right.
const FIRST_NUMBER: usize = 2;

/// The spaces between two columns.
const SPACING: usize = 2;

/// The most rows for events below the table.
const EVENT_ROWS: u16 = 6;

/// The row at the top of the table, and the widest text of each column so far.
#[derive(Debug, Default)]
pub(super) struct Scroll {
    top: usize,
    widths: [usize; 7],
}

impl Scroll {
    /// Moves by this number of rows, down if it is positive; drawing limits it to the existing rows.
    pub(super) fn by(&mut self, rows: isize) {
        self.top = self.top.saturating_add_signed(rows);
    }

    /// The number of the row at the top.
    pub(super) const fn top(&self) -> usize {
        self.top
    }

    /// Takes over the widths of the rows that are shown. Those that were shown before count too, unless all are shown.
    fn fit_columns(&mut self, rows: &[[String; 7]], all: bool) {
        if all {
            self.widths = [0; 7];
        }
        for (column, widest) in self.widths.iter_mut().enumerate() {
            let cells = rows.iter().map(|row| row[column].width());
            *widest = cells.chain([HEADINGS[column].width()]).max().unwrap_or_default().max(*widest);
        }
    }
}

/// The areas of the title, the table, the events and the keys.
fn areas(area: Rect, recent: usize) -> [Rect; 4] {
    let event_rows = u16::try_from(recent).unwrap_or(EVENT_ROWS).min(EVENT_ROWS);
    let areas = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(2),
        Constraint::Length(event_rows),
        Constraint::Length(1),
    ]);
    areas.areas(area)
}

/// The number of peers that the table can show on a screen of this size, below which are so many events.
pub(super) fn table_rows(area: Rect, recent: usize) -> usize {
    let [_, table, _, _] = areas(area, recent);
    usize::from(table.height.saturating_sub(1))
}

/// Draws everything: the title, the page of the table, the last events and the keys.
pub(super) fn draw(
    frame: &mut Frame<'_>,
    view: &ManagerView,
    page: &PeerPage,
    recent: &VecDeque<LifeEvent>,
    scroll: &mut Scroll,
) {
    let [head, table, events, foot] = areas(frame.area(), recent.len());
    let width = usize::from(frame.area().width);
    frame.render_widget(Paragraph::new(title(view, page.total, width)), head);

    scroll.top = page.first.unwrap_or_default();
    let height = usize::from(table.height.saturating_sub(1));
    let shown: Vec<[String; 7]> = page.rows.iter().take(height).map(cells).collect();
    let hidden = page.total.saturating_sub(shown.len());
    scroll.fit_columns(&shown, hidden == 0);
    frame.render_widget(peers(&shown, &columns(&scroll.widths, width), width), table);

    let line = |event: &LifeEvent| Line::from(cut(&sentence(event), width)).dim();
    let lines: Vec<Line<'_>> = recent.iter().take(events.height.into()).rev().map(line).collect();
    frame.render_widget(Paragraph::new(lines), events);
    let hint = match hidden {
        0 => cut("q ends the manager", width),
        _ => first_that_fits(
            width,
            &[
                format!("{hidden} more: arrow keys, PageUp, PageDown · q ends the manager"),
                format!("{hidden} more: arrow keys · q ends"),
            ],
        ),
    };
    frame.render_widget(Paragraph::new(hint).dim(), foot);
}

/// The title; if the terminal is too narrow, first without the key, then without the name before the address.
fn title(view: &ManagerView, peers: usize, width: usize) -> Text<'static> {
    const NAME: &str = "Brigade manager";
    let ManagerView { address, key, max_peers, .. } = view;
    let peers = format!("{peers} of {}", count(*max_peers, "peer"));
    let text = first_that_fits(
        width,
        &[
            format!("{NAME} at {address} · key {} · {peers}", key.short()),
            format!("{NAME} at {address} · {peers}"),
            format!("{address} · {peers}"),
        ],
    );
    match text.strip_prefix(NAME) {
        Some(rest) => Line::from(vec![NAME.bold(), rest.to_owned().into()]).into(),
        None => Line::from(text).into(),
    }
}

/// The first of `texts` that fits into the width; if none fits, the last one, cut and marked.
fn first_that_fits(width: usize, texts: &[String]) -> String {
    let fits = texts.iter().find(|text| text.width() <= width);
    fits.cloned().unwrap_or_else(|| cut(texts.last().map_or("", String::as_str), width))
}

fn cells(peer: &Peer) -> [String; 7] {
    let rate = |rate| if rate == 0 { "–".to_owned() } else { format::rate(rate) };
    [
        peer.username.to_string(),
        peer.address.to_string(),
        peer.files.to_string(),
        format::bytes(peer.bytes),
        rate(peer.sending),
        rate(peer.receiving),
        format::time_of_day(peer.since),
    ]
}

/// The columns to omit, in this order, if the terminal is too narrow: a part of a number would be wrong.
const OMITTED: [usize; 6] = [6, 5, 4, 1, 3, 2];

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

/// The table with these columns; no cell is wider than `width`.
fn peers(rows: &[[String; 7]], columns: &[(usize, usize)], width: usize) -> Table<'static> {
    let aligned = |column: usize, text: &str| {
        let side = if column < FIRST_NUMBER { Alignment::Left } else { Alignment::Right };
        Cell::from(Text::from(cut(text, width)).alignment(side))
    };
    let row =
        |texts: [String; 7]| Row::new(columns.iter().map(|(column, _)| aligned(*column, &texts[*column])));
    let widths =
        columns.iter().map(|(_, width)| Constraint::Length(u16::try_from(*width).unwrap_or(u16::MAX)));
    let head = row(HEADINGS.map(str::to_owned)).style(Style::new().bold().underlined());
    Table::new(rows.iter().cloned().map(row), widths).header(head).column_spacing(2)
}

/// An event as a line, with the time of day.
fn sentence(event: &LifeEvent) -> String {
    format!("{}  {}", format::time_of_day(event.at), event_text(&event.event))
}

#[cfg(test)]
mod tests {
    use brigade_core::{
        id::PeerKey,
        manager::{Event, LeaveReason},
        time::UnixTime,
        wire::Reason,
    };
    use ratatui::{Terminal, backend::TestBackend};

    use super::{LifeEvent, ManagerView, Peer, PeerPage, Rect, Scroll, VecDeque, draw, table_rows};

    fn rows(peers: usize) -> Vec<Peer> {
        (0..peers)
            .map(|i| Peer {
                username: format!("user{i:02}").parse().unwrap(),
                key: PeerKey([1; 32]),
                is_bound: true,
                address: ([10, 0, 0, 1], 7001).into(),
                files: 3,
                bytes: 300_000_000,
                sending: if i == 0 { 12_345_678 } else { 0 },
                receiving: 0,
                since: UnixTime(1_795_346_298),
                last_message: UnixTime(0),
            })
            .collect()
    }

    /// The page that a manager answers with.
    fn page(rows: &[Peer], first: usize, limit: usize) -> PeerPage {
        let first = first.min(rows.len().saturating_sub(limit));
        PeerPage::new(rows[first..rows.len().min(first + limit)].to_vec(), first, rows.len())
    }

    fn lines(
        width: u16,
        height: u16,
        peers: &[Peer],
        recent: &VecDeque<LifeEvent>,
        scroll: &mut Scroll,
    ) -> Vec<String> {
        let view = ManagerView::new(([127, 0, 0, 1], 12000).into(), PeerKey([0xab; 32]), UnixTime(0), 20);
        let page = page(peers, scroll.top(), table_rows(Rect::new(0, 0, width, height), recent.len()));
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &view, &page, recent, scroll)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let rows = buffer.content().chunks(usize::from(width.max(1)));
        let text =
            |row: &[ratatui::buffer::Cell]| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
        rows.map(|row| text(row).trim_end().to_owned()).collect()
    }

    #[test]
    fn the_table_has_a_row_for_each_peer() {
        let recent = VecDeque::from([
            LifeEvent::new(
                2,
                UnixTime(62),
                Event::Refused { username: None, reason: Reason::Full, text: "\u{1b}[2J".into() },
            ),
            LifeEvent::new(
                1,
                UnixTime(61),
                Event::Left { username: "gone".parse().unwrap(), reason: LeaveReason::Quit },
            ),
        ]);
        let shown = lines(90, 10, &rows(2), &recent, &mut Scroll::default());
        assert_eq!(
            shown,
            [
                "Brigade manager at 127.0.0.1:12000 · key ababababab · 2 of 20 peers",
                "",
                "username  address        files     bytes    sending  receiving  since (UTC)",
                "user00    10.0.0.1:7001      3  300.0 MB  12.3 MB/s          –     11:18:18",
                "user01    10.0.0.1:7001      3  300.0 MB          –          –     11:18:18",
                "",
                "",
                "00:01:01  gone left: it quit",
                "00:01:02  a peer was refused: \\u{1b}[2J",
                "q ends the manager",
            ]
        );
    }

    #[test]
    fn narrow_tables_omit_whole_columns() {
        let shown =
            |width| lines(width, 6, &rows(1), &VecDeque::new(), &mut Scroll::default())[2..4].to_vec();
        assert_eq!(
            shown(60),
            [
                "username  address        files     bytes    sending",
                "user00    10.0.0.1:7001      3  300.0 MB  12.3 MB/s"
            ]
        );
        assert_eq!(shown(39), ["username  files     bytes", "user00        3  300.0 MB"]);
        assert_eq!(shown(20), ["username  files", "user00        3"]);
        assert_eq!(shown(10), ["username", "user00"]);
        assert_eq!(shown(5), ["user…", "user…"]);
    }

    #[test]
    fn narrow_tables_have_shorter_texts_or_mark_them_as_cut() {
        let text = "a reason that is longer than forty columns".to_owned();
        let event = Event::Refused { username: None, reason: Reason::Full, text };
        let recent = VecDeque::from([LifeEvent::new(1, UnixTime(62), event)]);
        let shown = |width, peers| {
            let lines = lines(width, 8, &rows(peers), &recent, &mut Scroll::default());
            [lines[0].clone(), lines[6].clone(), lines[7].clone()]
        };
        assert_eq!(
            shown(60, 20),
            [
                "Brigade manager at 127.0.0.1:12000 · 20 of 20 peers",
                "00:01:02  a peer was refused: a reason that is longer than …",
                "17 more: arrow keys, PageUp, PageDown · q ends the manager"
            ]
        );
        assert_eq!(
            shown(40, 20),
            [
                "127.0.0.1:12000 · 20 of 20 peers",
                "00:01:02  a peer was refused: a reason …",
                "17 more: arrow keys · q ends"
            ]
        );
        assert_eq!(shown(20, 1), ["127.0.0.1:12000 · 1…", "00:01:02  a peer wa…", "q ends the manager"]);
    }

    #[test]
    fn rows_that_do_not_fit_scroll_and_no_size_panics() {
        let mut scroll = Scroll::default();
        let shown = lines(80, 8, &rows(20), &VecDeque::new(), &mut scroll);
        assert!(shown[3].starts_with("user00") && shown[7].starts_with("16 more"), "{shown:#?}");
        scroll.by(500);
        let shown = lines(80, 8, &rows(20), &VecDeque::new(), &mut scroll);
        assert!(shown[6].starts_with("user19"), "{shown:#?}");
        scroll.by(-1);
        assert!(lines(80, 8, &rows(20), &VecDeque::new(), &mut scroll)[6].starts_with("user18"));
        for (width, height) in [(1, 1), (3, 2), (10, 3), (200, 4)] {
            lines(width, height, &rows(20), &VecDeque::new(), &mut scroll);
        }
    }

    #[test]
    fn columns_do_not_become_narrower_while_rows_scroll() {
        let mut peers = rows(20);
        peers[0].username = "a_long_username".parse().unwrap();
        let mut scroll = Scroll::default();
        let head = lines(80, 8, &peers, &VecDeque::new(), &mut scroll)[2].clone();
        scroll.by(500);
        assert_eq!(lines(80, 8, &peers, &VecDeque::new(), &mut scroll)[2], head);
        let shown = lines(80, 8, &peers[18..], &VecDeque::new(), &mut scroll);
        assert!(shown[2].starts_with("username  address"), "all rows are shown: {shown:#?}");
    }
}
