//! The table on the screen of a terminal, until the user ends it.
//!
//! The terminal is restored in all cases. The screen is drawn only when something changed, and some times a second at
//! most. Only the rows that it shows are read, so thousands of peers take no more time than those that fit.

use std::{collections::VecDeque, io, mem::ManuallyDrop, panic, time::Duration};

use brigade_node::manager::{LifeEvent, ManagerHandle};
use crossterm::{
    event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    execute,
    terminal::{EnterAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{
    DefaultTerminal, Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect,
};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc,
    },
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{display_end::DisplayEnd, screen_layout};
use crate::{
    log::set_screen_in_use,
    terminal::{
        self, mode,
        suspension::{JobChange, JobControl, stop_process, suspend_job},
    },
};

/// The number of events that are kept and shown below the table.
const EVENTS_KEPT: usize = 8;

/// The shortest time between two drawings, if no key is pressed.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// The number of key presses that can be queued.
const KEYS: usize = 16;

/// How often the thread that reads keys checks whether it should end.
const KEY_POLL: Duration = Duration::from_millis(100);

/// Shows the table of peers on the terminal until `q` or Ctrl-C is pressed or the manager stops. In the background, the
/// table waits until the program is in the foreground.
pub(crate) async fn show_table(
    handle: &ManagerHandle,
    events: broadcast::Receiver<LifeEvent>,
    stop: CancellationToken,
) -> io::Result<DisplayEnd> {
    // The system would stop a program in the background that changes the mode of the terminal.
    while !mode::is_in_foreground() {
        tokio::select! {
            () = sleep(mode::FOREGROUND_POLL) => {}
            () = stop.cancelled() => return Ok(DisplayEnd::Stopped),
        }
    }
    let mut screen = Screen::open()?;
    let shown = screen.run(handle, events, stop).await;
    screen.close()?;
    shown
}

/// The terminal while the table is shown. Dropping it restores the terminal; so does a panic, before its message is
/// printed.
struct Screen {
    /// It is never dropped: its destructor writes an error of the terminal to standard error, and panics if that is
    /// closed too.
    terminal: ManuallyDrop<DefaultTerminal>,
    is_open: bool,
}

impl Screen {
    fn open() -> io::Result<Self> {
        restore_at_panic();
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        // Without a fixed area, ratatui would allocate memory for any size that the terminal reports.
        let options = TerminalOptions { viewport: Viewport::Fixed(area()?) };
        let terminal = Terminal::with_options(CrosstermBackend::new(io::stdout()), options)?;
        let terminal = ManuallyDrop::new(terminal);
        let mut screen = Self { terminal, is_open: true };
        set_screen_in_use(true);
        screen.erase()?;
        Ok(screen)
    }

    /// Removes the old text. `Terminal::clear` would ask the terminal for the position of its cursor, and some
    /// terminals never answer.
    fn erase(&mut self) -> io::Result<()> {
        self.terminal.resize(area()?)
    }

    /// Makes the table as large as the terminal is now.
    fn fit(&mut self) -> io::Result<()> {
        let area = area()?;
        if self.terminal.get_frame().area() != area {
            self.terminal.resize(area)?;
        }
        Ok(())
    }

    /// Restores the terminal and stops the process until [`Self::reopen`].
    fn suspend(&mut self) -> io::Result<()> {
        self.close()?;
        stop_process();
        Ok(())
    }

    /// Sets the mode of the terminal again after the program was suspended. All of the table is drawn again.
    fn reopen(&mut self) -> io::Result<()> {
        // The shell may have changed the mode. Only after it was disabled, it is really enabled.
        disable_raw_mode()?;
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        self.is_open = true;
        set_screen_in_use(true);
        self.terminal.hide_cursor()?;
        self.erase()
    }

    fn close(&mut self) -> io::Result<()> {
        if !self.is_open {
            return Ok(()); // it is suspended
        }
        self.is_open = false;
        set_screen_in_use(false);
        if !mode::is_in_foreground() {
            return Ok(()); // the shell has the terminal
        }
        let shown = self.terminal.show_cursor();
        ratatui::try_restore().and(shown)
    }

    async fn run(
        &mut self,
        handle: &ManagerHandle,
        mut events: broadcast::Receiver<LifeEvent>,
        stop: CancellationToken,
    ) -> io::Result<DisplayEnd> {
        let (key, mut keys) = mpsc::channel(KEYS);
        std::thread::spawn(move || read_keys(&key));
        let mut view = handle.view();
        let mut scroll = screen_layout::Scroll::default();
        let mut recent = VecDeque::with_capacity(EVENTS_KEPT);
        let mut jobs = JobControl::install();
        let (mut is_changed, mut not_before) = (true, Instant::now());
        loop {
            let is_visible = self.is_open && mode::is_in_foreground();
            if is_changed && is_visible && not_before <= Instant::now() {
                self.fit()?;
                let height = screen_layout::table_rows(self.terminal.get_frame().area(), recent.len());
                let Ok(page) = handle.peers_from(scroll.top(), height).await else {
                    return Ok(DisplayEnd::Stopped);
                };
                let now = view.borrow_and_update().clone();
                self.terminal.draw(|frame| screen_layout::draw(frame, &now, &page, &recent, &mut scroll))?;
                (is_changed, not_before) = (false, Instant::now() + DRAW_INTERVAL);
            }
            tokio::select! {
                () = sleep_until(not_before), if is_changed && is_visible => continue,
                changed = view.changed() => if changed.is_err() {
                    return Ok(DisplayEnd::Stopped);
                },
                event = events.recv() => match event {
                    Ok(event) => {
                        recent.truncate(EVENTS_KEPT - 1);
                        recent.push_front(event);
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(DisplayEnd::Stopped),
                },
                Some(key) = keys.recv() => {
                    not_before = Instant::now();
                    match key_action(&key) {
                        Some(KeyAction::End(ending)) => return Ok(ending),
                        Some(KeyAction::Scroll(rows)) => scroll.by(rows),
                        Some(KeyAction::Suspend) => suspend_job(),
                        None => {} // for example a new size: the table is drawn again
                    }
                }
                change = jobs.next() => {
                    not_before = Instant::now();
                    match change {
                        JobChange::Suspend => self.suspend()?,
                        JobChange::Continued => self.reopen()?,
                    }
                }
                () = stop.cancelled() => return Ok(DisplayEnd::Stopped),
            }
            is_changed = true;
        }
    }
}

/// The area of the table.
fn area() -> io::Result<Rect> {
    let (columns, rows) = terminal::size()?;
    Ok(Rect::new(0, 0, columns, rows))
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.close(); // an error means that the terminal is closed
    }
}

/// Restores the terminal before the message of a panic is printed. The hook of `ratatui::init` would panic itself if
/// standard error is closed.
fn restore_at_panic() {
    let print_message = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let _ = ratatui::try_restore();
        print_message(info);
    }));
}

enum KeyAction {
    End(DisplayEnd),
    Scroll(isize),
    Suspend,
}

fn key_action(event: &TerminalEvent) -> Option<KeyAction> {
    let TerminalEvent::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else {
        return None;
    };
    match code {
        KeyCode::Char('c' | 'C') if modifiers.contains(KeyModifiers::CONTROL) => {
            Some(KeyAction::End(DisplayEnd::Interrupted))
        }
        // While the table is shown, the terminal sends no signal.
        KeyCode::Char('z' | 'Z') if modifiers.contains(KeyModifiers::CONTROL) => Some(KeyAction::Suspend),
        KeyCode::Char('q' | 'Q') => Some(KeyAction::End(DisplayEnd::Quit)),
        KeyCode::Up => Some(KeyAction::Scroll(-1)),
        KeyCode::Down => Some(KeyAction::Scroll(1)),
        KeyCode::PageUp => Some(KeyAction::Scroll(-10)),
        KeyCode::PageDown => Some(KeyAction::Scroll(10)),
        _ => None,
    }
}

/// Sends the events of the terminal until the receiver is dropped. It runs in its own thread, because reading a
/// terminal blocks.
fn read_keys(key: &mpsc::Sender<TerminalEvent>) {
    while !key.is_closed() {
        if !mode::is_in_foreground() {
            std::thread::sleep(KEY_POLL); // reading would stop the program
            continue;
        }
        let event = match crossterm::event::poll(KEY_POLL) {
            Ok(false) => continue,
            Ok(true) => crossterm::event::read(),
            Err(error) => Err(error),
        };
        // Without keys, a signal ends the table.
        let Ok(event) = event else { return };
        if key.blocking_send(event).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DisplayEnd, KeyAction, KeyCode, KeyEvent, KeyModifiers, TerminalEvent, key_action};

    #[test]
    fn q_and_ctrl_c_end() {
        let check = |code, modifiers, expected: Option<DisplayEnd>| {
            let event = TerminalEvent::Key(KeyEvent::new(code, modifiers));
            let ending = key_action(&event).and_then(|key_action| match key_action {
                KeyAction::End(ending) => Some(ending),
                KeyAction::Scroll(_) | KeyAction::Suspend => None,
            });
            assert_eq!(ending, expected, "{event:?}");
        };
        check(KeyCode::Char('q'), KeyModifiers::NONE, Some(DisplayEnd::Quit));
        check(KeyCode::Char('Q'), KeyModifiers::SHIFT, Some(DisplayEnd::Quit));
        check(KeyCode::Char('c'), KeyModifiers::CONTROL, Some(DisplayEnd::Interrupted));
        check(KeyCode::Char('c'), KeyModifiers::NONE, None);
        check(KeyCode::Down, KeyModifiers::NONE, None);
    }
}
