//! Lines that a person types or pastes at a terminal and that cannot be a command or an answer.
//!
//! The terminal is tmux; without it, the test is skipped. `terminal` tests the other lines.

use crate::{
    test_network::Network,
    test_process::{PATIENCE, until},
    test_terminal::Terminal,
};

/// A byte of Latin-1 is one, for example in a pasted name. Without an editor, the line ends with Enter.
#[test]
fn a_byte_that_is_not_utf8_is_reported_and_the_next_line_is_read() {
    let network = Network::start();
    for (username, term) in [("air", &["TERM=dumb"][..]), ("earth", &[])] {
        let Some(peer) = Terminal::open(&network, 120, term, "peer", &["--port", "0"]) else { return };
        let reports = |count: usize| {
            let has_editor = term.is_empty();
            if has_editor {
                peer.reads_keys();
            }
            assert!(peer.tmux(&["send-keys", "-H", "fc"]).status.success());
            if !has_editor {
                peer.types("");
            }
            until("the byte is reported", PATIENCE, || {
                let is_report = |row: &&String| row.contains("reading standard input: a line is not UTF-8");
                (peer.rows().iter().filter(is_report).count() == count).then_some(())
            });
        };
        peer.shows("Username:");
        reports(1);
        peer.types(username);
        peer.shows("`help` lists the commands");
        reports(2);
        peer.types("fetch nothing");
        peer.shows("nobody shares \"nothing\"");
        peer.types("Q");
        peer.shows("it ended with 0");
    }
}
