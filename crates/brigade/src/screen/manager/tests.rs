//! What the screen of a manager looks like, and its keys.
//!
//! The table is that of the plain manager of the first version: title, columns and texts.

use brigade_api::values::ManagerPeer;
use brigade_core::time::UnixTime;
use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, backend::TestBackend};

use super::{
    input::{ManagerEffect, handle},
    model::{
        ContentOrder, ListedContent, ListedEvent, ListedManagerPeer, ManagerModel, ManagerSummary,
        ManagerTab, PeerOrder,
    },
    view::draw,
};
use crate::screen::{
    model::{LoadedPage, PageRequest},
    view::Theme,
};

/// A moment of the day on which the peers joined.
const NOW: UnixTime = UnixTime(1_795_349_999);

fn peer(number: usize) -> ManagerPeer {
    ManagerPeer {
        username: format!("user{number:02}"),
        address: "10.0.0.1:7001".to_owned(),
        files: 3,
        bytes: 300_000_000,
        sending: if number == 0 { 12_345_678 } else { 0 },
        receiving: 0,
        since_s: 1_795_346_298,
        bound: true,
        key: String::new(),
        last_message_s: 0,
    }
}

fn model(peers: &[ManagerPeer]) -> ManagerModel {
    let mut model = ManagerModel::new(true);
    model.summary = ManagerSummary {
        address: "127.0.0.1:12000".to_owned(),
        key: "ab".repeat(32),
        peers: peers.len() as u64,
        max_peers: 20,
        names: 0,
        size_bytes: 0,
    };
    let rows = peers.iter().cloned().map(ListedManagerPeer).collect();
    let request = model.peers.wanted(10).unwrap();
    assert!(model.peers.load(LoadedPage { request, rows, next: None }));
    model
}

fn peers(count: usize) -> Vec<ManagerPeer> {
    (0..count).map(peer).collect()
}

fn lines(model: &mut ManagerModel, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, model, NOW, Theme { has_colours: false })).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let rows = buffer.content().chunks(usize::from(width.max(1)));
    rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned())
        .collect()
}

fn press(model: &mut ManagerModel, code: KeyCode) -> Option<ManagerEffect> {
    handle(model, &TerminalEvent::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn event(at: u64, text: &str) -> ListedEvent {
    ListedEvent { at: UnixTime(at), text: text.to_owned() }
}

#[test]
fn the_table_has_a_row_for_each_peer() {
    let mut model = model(&peers(2));
    model.add_event(event(61, "gone left: it quit"));
    model.add_event(event(62, "a peer was refused: \\u{1b}[2J"));
    assert_eq!(
        lines(&mut model, 90, 10),
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
            "q ends the manager · Tab: contents, events · s sorts · k: key · ? helps",
        ]
    );
}

#[test]
fn a_peer_of_another_day_has_its_date() {
    let mut of_yesterday = peer(0);
    of_yesterday.since_s -= 86_400;
    let shown = lines(&mut model(&[of_yesterday]), 100, 6);
    assert!(shown[3].ends_with("2026-11-21 11:18:18"), "{shown:#?}");
}

#[test]
fn narrow_tables_omit_whole_columns() {
    let shown = |width| lines(&mut model(&peers(1)), width, 6)[2..4].to_vec();
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
    let shown = |width, count| {
        let mut model = model(&peers(count));
        model.add_event(event(62, "a peer was refused: a reason that is longer than forty columns"));
        let lines = lines(&mut model, width, 8);
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
    let mut model = model(&peers(20));
    let shown = lines(&mut model, 80, 8);
    assert!(shown[3].starts_with("user00") && shown[7].starts_with("16 more"), "{shown:#?}");
    press(&mut model, KeyCode::End);
    let shown = lines(&mut model, 80, 8);
    assert!(shown[6].starts_with("user19"), "{shown:#?}");
    press(&mut model, KeyCode::Home);
    assert!(lines(&mut model, 80, 8)[3].starts_with("user00"));
    for tab in [ManagerTab::Peers, ManagerTab::Contents, ManagerTab::Events] {
        model.show(tab);
        press(&mut model, KeyCode::Char('k'));
        for (width, height) in [(1, 1), (3, 2), (10, 3), (40, 10), (200, 4)] {
            lines(&mut model, width, height);
        }
    }
}

#[test]
fn columns_do_not_become_narrower_while_rows_scroll() {
    let mut rows = peers(20);
    rows[0].username = "a_long_username".to_owned();
    let mut model = model(&rows);
    let head = lines(&mut model, 80, 8)[2].clone();
    press(&mut model, KeyCode::End);
    assert_eq!(lines(&mut model, 80, 8)[2], head);
}

#[test]
fn keys_sort_the_peers_and_show_the_key() {
    let mut model = model(&peers(2));
    press(&mut model, KeyCode::Char('5'));
    assert_eq!(model.order, PeerOrder { column: 4, is_reversed: true });
    assert!(model.peers.wanted(5).is_some(), "the rows are loaded again");
    assert!(lines(&mut model, 100, 8)[2].contains("sending ▼"));
    press(&mut model, KeyCode::Char('5'));
    press(&mut model, KeyCode::Char('9'));
    assert_eq!(model.order, PeerOrder { column: 4, is_reversed: false });
    press(&mut model, KeyCode::Char('k'));
    assert!(lines(&mut model, 80, 12).iter().any(|line| line.contains(&"ab".repeat(32))));
    press(&mut model, KeyCode::Esc);
    assert!(model.dialog.is_none());
    assert_eq!(press(&mut model, KeyCode::Char('q')), Some(ManagerEffect::Quit));
}

#[test]
fn contents_have_their_holders() {
    let mut model = model(&[]);
    press(&mut model, KeyCode::Tab);
    let content = |name: &str, holders| ListedContent {
        key: name.to_owned(),
        name: name.to_owned(),
        id: "cd".repeat(32),
        size_bytes: 300_000_000,
        holders,
    };
    let request: PageRequest = model.contents.wanted(5).unwrap();
    let rows = vec![content("data/a.bin", 1), content("film.mkv", 12)];
    assert!(model.contents.load(LoadedPage { request, rows, next: None }));
    let shown = lines(&mut model, 60, 8);
    assert_eq!(
        shown[2..5],
        [
            "      size  holders       name",
            "  300.0 MB  1 holder      data/a.bin",
            "  300.0 MB  12 holders    film.mkv"
        ]
    );
    press(&mut model, KeyCode::Down);
    let effect = ManagerEffect::Holders {
        name: "data/a.bin".to_owned(),
        id: "cd".repeat(32),
        size_bytes: 300_000_000,
    };
    assert_eq!(press(&mut model, KeyCode::Enter), Some(effect));
    press(&mut model, KeyCode::Char('s'));
    assert_eq!(model.content_order, ContentOrder::FewestHolders);
}

#[test]
fn older_events_stay_in_place_while_new_ones_come() {
    let mut model = model(&[]);
    (0..30).for_each(|number| model.add_event(event(number, &format!("event {number}"))));
    model.show(ManagerTab::Events);
    lines(&mut model, 60, 10);
    press(&mut model, KeyCode::Down);
    model.add_event(event(30, "event 30"));
    assert_eq!(lines(&mut model, 60, 10)[3], "1970-01-01 00:00:28  event 28");
}

#[test]
fn a_small_terminal_has_rows_for_peers_beside_many_events() {
    let mut model = model(&peers(9));
    (0..50).for_each(|at| model.add_event(event(at, "gone left: it quit")));
    let shown = |model: &mut ManagerModel, height| {
        let drawn = lines(model, 40, height);
        ["user", "gone left"].map(|text| drawn.iter().filter(|line| line.contains(text)).count())
    };
    assert_eq!(shown(&mut model, 10), [5, 2], "the heading is one of them");
    press(&mut model, KeyCode::End);
    for height in 1..10 {
        shown(&mut model, height);
        model.show(ManagerTab::Events);
        shown(&mut model, height);
        model.show(ManagerTab::Peers);
        press(&mut model, KeyCode::Down);
    }
}
