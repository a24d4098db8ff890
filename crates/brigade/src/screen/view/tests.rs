//! What the screen of a peer looks like in terminals of several sizes.
//!
//! The cells are compared as text: colours and other styles are not in it, so it is also what `NO_COLOR` leaves.

use brigade_node::peer::FetchState;
use ratatui::{Terminal, backend::TestBackend, buffer::Cell};
use unicode_width::UnicodeWidthStr;

use super::{Theme, draw};
use crate::{
    screen::model::{
        CatalogueFile, Dialog, Focus, ListedPeer, LoadedPage, OwnCopy, Pane, PeerModel, PeerSummary,
        PieceBits, SentFile, file, transfer,
    },
    terminal::input::PROMPT,
};

/// The rows of a drawn screen.
fn rows(model: &mut PeerModel, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let theme = Theme { has_colours: false };
    terminal.draw(|frame| draw(frame, model, theme)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let text = |row: &[Cell]| {
        let mut text = String::new();
        let mut hidden = 0; // a wide character covers the next cell
        for cell in row {
            if hidden == 0 {
                text += cell.symbol();
                hidden = cell.symbol().width();
            }
            hidden = hidden.saturating_sub(1);
        }
        text.trim_end().to_owned()
    };
    buffer.content().chunks(usize::from(width)).map(text).collect()
}

fn drawn(model: &mut PeerModel, width: u16, height: u16) -> String {
    rows(model, width, height).join("\n")
}

/// A peer that fetches from two holders, and sends.
fn model() -> PeerModel {
    let mut model = PeerModel::new(true, vec![]);
    model.summary = PeerSummary {
        username: "fire_user".to_owned(),
        address: "10.0.0.1:7001".to_owned(),
        files: 12,
        size_bytes: 1_200_000_000,
        sending: 0,
        receiving: 12_300_000,
        ..PeerSummary::default()
    };
    let mut running = transfer(3, "data/train-00001.bin", FetchState::Fetching);
    running.pieces = Some(PieceBits { count: 16, bits: vec![0b1111_1110, 0b0000_0001] });
    model.transfers.replace(vec![transfer(1, "film.mkv", FetchState::Done), running]);
    model.transfers.uploads =
        vec![SentFile { username: "carl".to_owned(), name: Some("film.mkv".to_owned()), rate: 1_000_000 }];
    let request = model.files.wanted(10).unwrap();
    let copy = |name: &str, own_copy| CatalogueFile { own_copy, ..file(name) };
    let files = vec![
        copy("data/a.bin", OwnCopy::Nothing),
        copy("data/b.bin", OwnCopy::Nothing),
        copy("film.mkv", OwnCopy::Whole),
        copy("a name with \u{1b} in it 文件.txt", OwnCopy::Partly),
    ];
    assert!(model.files.load(model.folds.clone().fold(request, files, false, None)));
    let request = model.peers.wanted(10).unwrap();
    let peer = |username: &str, sending| ListedPeer {
        username: username.to_owned(),
        address: "10.0.0.2:7001".to_owned(),
        files: 1,
        size_bytes: 300_000_000,
        sending,
        receiving: 0,
    };
    let peers = vec![peer("anna", 7_500_000), peer("ben", 0)];
    assert!(model.peers.load(LoadedPage { request, rows: peers, next: None }));
    model.print("fire_user shares fire_user with the network of localhost:12000. `help` lists the commands.");
    model.ask("", PROMPT);
    model
}

#[test]
fn all_panes_are_on_a_terminal_of_80_columns() {
    insta::assert_snapshot!(drawn(&mut model(), 80, 24), @r#"
    fire_user at 10.0.0.1:7001 · 12 files, 1.2 GB · sending – · receiving 12.3 MB/s
    Transfers 1 running
    3 data/train-00001.bin  ████████▎         52%  12.3 MB/s  12 s left  2 holders
      anna 61% 7.5 MB/s · ben 39% 4.8 MB/s  [█████████████████···················██]
    1 film.mkv  done  300.0 MB in 0.0 s
    sending  film.mkv to carl  1.0 MB/s
    Files                     here   held      size Peers
    ▸ data/                       2 files    2.0 kB anna              sends 7.5 MB/s
      film.mkv                mine      2    1.0 kB ben             1 file, 300.0 MB
      a name with…it 文件.txt partly    2    1.0 kB






    Log
    fire_user shares fire_user with the network of localhost:12000. `help` lists the
      commands.



    >
    Tab: panes · `help`: the commands · Q quits
    "#);
}

#[test]
fn a_large_terminal_shows_more() {
    insta::assert_snapshot!(drawn(&mut model(), 120, 40), @r#"
    fire_user at 10.0.0.1:7001 · 12 files, 1.2 GB · sending – · receiving 12.3 MB/s
    Transfers 1 running
    3 data/train-00001.bin                                     ████████▎         52%  12.3 MB/s  12 s left  2 holders
      anna 61% 7.5 MB/s · ben 39% 4.8 MB/s  [███████████████████████████████████·······································████]
    1 film.mkv  done  300.0 MB in 0.0 s
    sending  film.mkv to carl  1.0 MB/s
    Files                                             here   held      size Peers
    ▸ data/                                               2 files    2.0 kB anna            1 file, 300.0 MB  sends 7.5 MB/s
      film.mkv                                        mine      2    1.0 kB ben              1 file, 300.0 MB  10.0.0.2:7001
      a name with \u{1b} in it 文件.txt               partly    2    1.0 kB

















    Log
    fire_user shares fire_user with the network of localhost:12000. `help` lists the commands.









    >
    Enter runs the command · Tab completes, or goes to the panes · `help` lists the commands · Q quits
    "#);
}

#[test]
fn a_small_terminal_shows_one_pane() {
    let mut model = model();
    model.set_focus(Focus::Pane(Pane::Transfers));
    insta::assert_snapshot!(drawn(&mut model, 40, 10), @r#"
    fire_user · ↑ – ↓ 12.3 MB/s
    Transfers 1 running
    3 data/t…1.bin  ████▏     52%  12.3 MB/s
      anna 61% · ben 39%  [███████········█]
    1 film.mkv  done  300.0 MB in 0.0 s
    sending  film.mkv to carl  1.0 MB/s


    >
    p · x · l · ? · Esc · q
    "#);
    model.set_focus(Focus::Pane(Pane::Files));
    insta::assert_snapshot!(drawn(&mut model, 40, 10), @r#"
    fire_user · ↑ – ↓ 12.3 MB/s
    Files
    ▸ data/                2 files    2.0 kB
      film.mkv                   ●    1.0 kB
      a name with \… it 文件.txt ◐    1.0 kB



    >
    f · arrows · / · ? · Esc
    "#);
}

#[test]
fn a_question_is_in_front_of_the_panes() {
    let mut model = model();
    model.ask("data has 2 contents:\n  1  0123456789\n  2  abcdef0123", "Which one? [1-2, Enter for none] ");
    insta::assert_snapshot!(drawn(&mut model, 80, 24), @r#"
    fire_user at 10.0.0.1:7001 · 12 files, 1.2 GB · sending – · receiving 12.3 MB/s
    Transfers 1 running
    3 data/train-00001.bin  ████████▎         52%  12.3 MB/s  12 s left  2 holders
      anna 61% 7.5 MB/s · ben 39% 4.8 MB/s  [█████████████████···················██]
    1 film.mkv  done  300.0 MB in 0.0 s
    sending  film.mkv to carl  1.0 MB/s
    Files                     here   held      size Peers
    ▸ data/                       2 files    2.0 kB anna              sends 7.5 MB/s
      film.mkv                mine      2    1.0 kB ben             1 file, 300.0 MB
      a name with…it  ┌──────────────────────────────────────────┐
                      │ data has 2 contents:                     │
                      │   1  0123456789                          │
                      │   2  abcdef0123                          │
                      │ Which one? [1-2, Enter for none]         │
                      └──────────────────────────────────────────┘

    Log
    fire_user shares fire_user with the network of localhost:12000. `help` lists the
      commands.



    >
    Tab: panes · `help`: the commands · Q quits
    "#);
}

#[test]
fn every_size_is_drawn_and_a_tiny_one_says_what_it_needs() {
    let mut model = model();
    for dialog in [false, true] {
        if dialog {
            model.dialog = Some(Dialog::Help { top: 99 });
        }
        for pane in Pane::ALL {
            model.set_focus(Focus::Pane(pane));
            for (width, height) in [(1, 1), (3, 2), (19, 4), (20, 5), (25, 6), (69, 15), (70, 16), (300, 100)]
            {
                rows(&mut model, width, height);
            }
        }
    }
    let tiny = drawn(&mut model, 19, 6);
    assert!(tiny.starts_with("the terminal is too"), "{tiny}");
}
