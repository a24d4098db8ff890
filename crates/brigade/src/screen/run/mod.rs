//! The screen of a peer on the terminal: its thread, and the loop between keys, data, commands and drawing.
//!
//! The loop draws only after a change, and at most twenty times a second. It has a thread of its own, because a terminal
//! may stop reading for any time; the peer must not wait for it.

mod history;
mod peer_loop;

use std::{io, path::PathBuf};

use brigade_api::client::PeerClient;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::{
    history::TypedHistory,
    peer_loop::{LoopInputs, PeerLoop},
};
use super::{data::PeerData, screen_thread::ScreenThread};
use crate::terminal::{
    full_screen::FullScreen, input::LineReader, line_completion::CompletionSlot, mode, signals::Signals,
    typed_lines::ScreenQuestions,
};

/// The screen of a peer, until it is ended or dropped.
pub(crate) struct PeerScreen {
    thread: ScreenThread<io::Result<()>>,
    closing: CancellationToken,
    left: CancellationToken,
}

/// The screen's settings.
pub(crate) struct ScreenOptions {
    /// Whether this process runs the peer.
    pub(crate) is_own: bool,
    /// The file with the typed commands.
    pub(crate) history: Option<PathBuf>,
}

impl PeerScreen {
    /// Covers the terminal with the screen of the peer that `client` reaches. Returns the reader of the lines that are
    /// typed there. In the background, it waits until the program is in the foreground.
    ///
    /// # Errors
    /// If the terminal cannot be covered.
    pub(crate) async fn open(
        client: PeerClient,
        options: ScreenOptions,
        signals: &Signals,
    ) -> io::Result<(Self, LineReader)> {
        // The system would stop a program in the background that changes the mode of the terminal.
        while !mode::is_in_foreground() {
            sleep(mode::FOREGROUND_POLL).await;
        }
        mode::remember_terminal();
        let screen = FullScreen::open()?;
        let completer = CompletionSlot::default();
        let (lines, questions) = ScreenQuestions::new(completer.clone());
        let (closing, left) = (CancellationToken::new(), CancellationToken::new());
        let data = PeerData::start(client, options.is_own);
        let history = TypedHistory::load(options.history);
        let inputs = LoopInputs { questions, data, completer, signals: signals.clone(), left: left.clone() };
        let peer_loop = PeerLoop::new(options.is_own, history, inputs);
        let until = closing.clone();
        let thread = ScreenThread::start(move || peer_loop.run(screen, until))?;
        Ok((Self { thread, closing, left }, LineReader::Screen(lines)))
    }

    /// Waits until the user leaves the screen of a peer of another process, or the screen ends by an error.
    pub(crate) fn left(&self) -> CancellationToken {
        self.left.clone()
    }

    /// Restores the terminal. If the terminal is stopped, it is restored after the end of the program.
    ///
    /// # Errors
    /// If the terminal could not be read or drawn.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        self.closing.cancel();
        self.thread.result_in_time().await.map_or(Ok(()), Result::flatten)
    }
}

impl Drop for PeerScreen {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}
