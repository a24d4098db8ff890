//! The table on the screen of a terminal, until a person ends it.
//!
//! The terminal is restored whatever happens. The screen is drawn only when something changed.

use std::{collections::VecDeque, io, time::Duration};

use brigade_node::manager::{LifeEvent, ManagerView};
use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc, watch,
};
use tokio_util::sync::CancellationToken;

use super::{ending::Ending, table};
use crate::log::take_screen;

/// Events that are kept to be shown below the table.
const EVENTS_KEPT: usize = 8;

/// Key strokes that may wait to be looked at.
const KEYS: usize = 16;

/// How often the thread that waits for keys looks whether it is still wanted.
const KEY_POLL: Duration = Duration::from_millis(100);

/// Shows the table of peers on the terminal until `q` or Ctrl-C is pressed or the manager stops.
pub(crate) async fn show_table(
    view: watch::Receiver<ManagerView>,
    events: broadcast::Receiver<LifeEvent>,
    stop: CancellationToken,
) -> io::Result<Ending> {
    let mut screen = Screen::open()?;
    let shown = screen.run(view, events, stop).await;
    screen.close()?;
    shown
}

/// The terminal while it is ours. Dropping it gives it back; so does a panic, before its message is written.
struct Screen {
    terminal: DefaultTerminal,
    is_open: bool,
}

impl Screen {
    fn open() -> io::Result<Self> {
        let mut terminal = ratatui::try_init()?;
        terminal.clear()?; // what stood there must not show through
        take_screen(true);
        Ok(Self { terminal, is_open: true })
    }

    fn close(&mut self) -> io::Result<()> {
        self.is_open = false;
        take_screen(false);
        self.terminal.show_cursor()?;
        ratatui::try_restore()
    }

    async fn run(
        &mut self,
        mut view: watch::Receiver<ManagerView>,
        mut events: broadcast::Receiver<LifeEvent>,
        stop: CancellationToken,
    ) -> io::Result<Ending> {
        let (key, mut keys) = mpsc::channel(KEYS);
        std::thread::spawn(move || read_keys(&key));
        let mut scroll = table::Scroll::default();
        let mut recent = VecDeque::with_capacity(EVENTS_KEPT);
        loop {
            let snapshot = view.borrow_and_update().clone();
            self.terminal.draw(|frame| table::draw(frame, &snapshot, &recent, &mut scroll))?;
            tokio::select! {
                changed = view.changed() => if changed.is_err() {
                    return Ok(Ending::Stopped);
                },
                event = events.recv() => match event {
                    Ok(event) => {
                        recent.truncate(EVENTS_KEPT - 1);
                        recent.push_front(event);
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(Ending::Stopped),
                },
                Some(key) = keys.recv() => match key_action(&key) {
                    Some(KeyAction::End(ending)) => return Ok(ending),
                    Some(KeyAction::Scroll(rows)) => scroll.by(rows),
                    None => {} // among them a new size, for which drawing again is enough
                },
                () = stop.cancelled() => return Ok(Ending::Stopped),
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_open {
            take_screen(false);
            ratatui::restore();
        }
    }
}

enum KeyAction {
    End(Ending),
    Scroll(isize),
}

fn key_action(event: &TerminalEvent) -> Option<KeyAction> {
    let TerminalEvent::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else {
        return None;
    };
    match code {
        KeyCode::Char('c' | 'C') if modifiers.contains(KeyModifiers::CONTROL) => {
            Some(KeyAction::End(Ending::Interrupted))
        }
        KeyCode::Char('q' | 'Q') => Some(KeyAction::End(Ending::Quit)),
        KeyCode::Up => Some(KeyAction::Scroll(-1)),
        KeyCode::Down => Some(KeyAction::Scroll(1)),
        KeyCode::PageUp => Some(KeyAction::Scroll(-10)),
        KeyCode::PageDown => Some(KeyAction::Scroll(10)),
        _ => None,
    }
}

/// Passes on what the terminal reports, until nobody listens. It waits in a thread of its own: reading a terminal
/// blocks.
fn read_keys(key: &mpsc::Sender<TerminalEvent>) {
    while !key.is_closed() {
        let event = match crossterm::event::poll(KEY_POLL) {
            Ok(false) => continue,
            Ok(true) => crossterm::event::read(),
            Err(error) => Err(error),
        };
        // Where there are no keys, the table is ended by a signal.
        let Ok(event) = event else { return };
        if key.blocking_send(event).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ending, KeyAction, KeyCode, KeyEvent, KeyModifiers, TerminalEvent, key_action};

    #[test]
    fn q_and_ctrl_c_end() {
        let check = |code, modifiers, expected: Option<Ending>| {
            let event = TerminalEvent::Key(KeyEvent::new(code, modifiers));
            let ending = key_action(&event).and_then(|key_action| match key_action {
                KeyAction::End(ending) => Some(ending),
                KeyAction::Scroll(_) => None,
            });
            assert_eq!(ending, expected, "{event:?}");
        };
        check(KeyCode::Char('q'), KeyModifiers::NONE, Some(Ending::Quit));
        check(KeyCode::Char('Q'), KeyModifiers::SHIFT, Some(Ending::Quit));
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, Some(Ending::Interrupted));
        check(KeyCode::Char('c'), KeyModifiers::NONE, None);
        check(KeyCode::Down, KeyModifiers::NONE, None);
    }
}
