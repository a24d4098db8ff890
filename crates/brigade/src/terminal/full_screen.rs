//! A screen that covers the terminal: opening it, drawing, suspending, and restoring the terminal in all cases.
//!
//! The terminal is restored at the end, before the message of a panic, and when the program is suspended; if the program
//! is killed, `restoring_process` does it. The terminal is asked nothing: some never answer.

#[cfg(unix)]
use std::io::Write;
use std::{
    io,
    mem::ManuallyDrop,
    panic,
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crossterm::{
    event::{DisableBracketedPaste, EnableBracketedPaste, Event as TerminalEvent},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{
    DefaultTerminal, Frame, Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect,
};
use tokio::sync::mpsc;

#[cfg(unix)]
use super::restoring_process::{MOUSE_OFF, RestoringProcess};
use super::{covered_output, mode, standard_output::print_line, suspension::stop_process};

/// The number of key presses that can be queued.
const KEYS: usize = 64;

/// How often the thread that reads keys checks whether it should end.
const KEY_POLL: Duration = Duration::from_millis(100);

/// Buttons and the wheel of the mouse are reported, and its movements are not.
#[cfg(unix)]
const MOUSE_ON: &str = "\u{1b}[?1000h\u{1b}[?1006h";
/// Whether the terminal shows the screen now. A panic restores the terminal and clears it.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);

/// The message of the last panic that restored the terminal.
static PANIC_MESSAGE: Mutex<Option<String>> = Mutex::new(None);

/// The terminal while a screen covers it. Dropping it restores the terminal; so does a panic, before its message is
/// printed.
pub(crate) struct FullScreen {
    /// It is never dropped: its destructor writes an error of the terminal to standard error, and panics if that is
    /// closed too.
    terminal: ManuallyDrop<DefaultTerminal>,
    /// Whether it is open; not while the program is suspended.
    is_open: bool,
    #[cfg(unix)]
    restoring: Option<RestoringProcess>,
}

impl FullScreen {
    /// Covers the terminal. The program is in the foreground.
    pub(crate) fn open() -> io::Result<Self> {
        restore_at_panic();
        #[cfg(unix)]
        let restoring = RestoringProcess::start();
        // Without a fixed area, ratatui would allocate memory for any size that the terminal reports.
        let options = TerminalOptions { viewport: Viewport::Fixed(area()?) };
        let terminal = Terminal::with_options(CrosstermBackend::new(io::stdout()), options)?;
        let mut screen = Self {
            terminal: ManuallyDrop::new(terminal),
            is_open: false,
            #[cfg(unix)]
            restoring,
        };
        screen.reopen()?;
        Ok(screen)
    }

    /// Whether it can be drawn now: it is open, and the program is in the foreground.
    pub(crate) fn is_visible(&self) -> bool {
        self.is_open && mode::is_in_foreground()
    }

    /// Draws, after making the screen as large as the terminal is now.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if !IS_SHOWN.load(Ordering::SeqCst) {
            // A panic in another part of the program restored the terminal.
            let message = PANIC_MESSAGE.lock().unwrap_or_else(PoisonError::into_inner).take();
            message.iter().for_each(|message| covered_output::keep(message));
            self.reopen()?;
        }
        self.fit()?;
        self.terminal.draw(draw)?;
        Ok(())
    }

    /// Whether the next drawing would differ although nothing else changed: the terminal has another size, or was
    /// restored by a panic.
    pub(crate) fn is_outdated(&mut self) -> bool {
        let is_of_other_size = area().is_ok_and(|area| self.terminal.get_frame().area() != area);
        is_of_other_size || !IS_SHOWN.load(Ordering::SeqCst)
    }

    /// Makes the next drawing draw everything.
    pub(crate) fn erase(&mut self) -> io::Result<()> {
        // `Terminal::clear` would ask the terminal for the position of its cursor.
        self.terminal.resize(area()?)
    }

    fn fit(&mut self) -> io::Result<()> {
        let area = area()?;
        if self.terminal.get_frame().area() != area {
            self.terminal.resize(area)?;
        }
        Ok(())
    }

    /// Restores the terminal and stops the process until [`Self::reopen`].
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        self.close()?;
        stop_process();
        Ok(())
    }

    /// Covers the terminal again after the program was suspended. Everything is drawn again.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        if let Some(restoring) = &mut self.restoring {
            restoring.set_covered(true);
        }
        // The shell may have changed the mode. Only after it was disabled, it is really enabled.
        disable_raw_mode()?;
        enable_raw_mode()?;
        IS_SHOWN.store(true, Ordering::SeqCst);
        covered_output::set_covered(true);
        covered_output::set_restoring(|| drop(restore())); // an error means that the terminal is closed
        self.is_open = true;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
        enable_mouse()?;
        self.terminal.hide_cursor()?;
        self.erase()
    }

    /// Restores the terminal. Output is still kept for the screen.
    fn close(&mut self) -> io::Result<()> {
        if !self.is_open {
            return Ok(()); // it is suspended
        }
        self.is_open = false;
        let restored = if mode::is_in_foreground() {
            restore()
        } else {
            IS_SHOWN.store(false, Ordering::SeqCst); // the shell has the terminal
            Ok(())
        };
        #[cfg(unix)]
        if let Some(restoring) = &mut self.restoring {
            restoring.set_covered(false);
        }
        restored
    }

    /// Restores the terminal, and prints the output that the screen has not shown.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.close()
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        let _ = self.close(); // an error means that the terminal is closed
        covered_output::set_covered(false);
        covered_output::take().iter().for_each(|text| print_line(text));
    }
}

/// The area of the screen.
fn area() -> io::Result<Rect> {
    let (columns, rows) = super::size()?;
    Ok(Rect::new(0, 0, columns, rows))
}

/// Restores the terminal, if it shows the screen.
fn restore() -> io::Result<()> {
    if !IS_SHOWN.swap(false, Ordering::SeqCst) {
        return Ok(());
    }
    let disabled = disable_mouse();
    let left = execute!(io::stdout(), DisableBracketedPaste, LeaveAlternateScreen, crossterm::cursor::Show);
    disable_raw_mode().and(disabled).and(left)
}

#[cfg(unix)]
fn enable_mouse() -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(MOUSE_ON.as_bytes()).and_then(|()| out.flush())
}

#[cfg(unix)]
fn disable_mouse() -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(MOUSE_OFF.as_bytes()).and_then(|()| out.flush())
}

#[cfg(not(unix))]
fn enable_mouse() -> io::Result<()> {
    execute!(io::stdout(), crossterm::event::EnableMouseCapture)
}

#[cfg(not(unix))]
fn disable_mouse() -> io::Result<()> {
    execute!(io::stdout(), crossterm::event::DisableMouseCapture)
}

/// Restores the terminal before the message of a panic is printed. The hook of `ratatui::init` would panic itself if
/// standard error is closed. The next drawing covers the terminal again, if the program goes on.
fn restore_at_panic() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let print_message = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IS_SHOWN.load(Ordering::SeqCst) {
                let message = format!("an error in Brigade itself: {info}");
                PANIC_MESSAGE.lock().unwrap_or_else(PoisonError::into_inner).replace(message);
            }
            let _ = restore();
            print_message(info);
        }));
    });
}

/// Reads the keys of the terminal in a thread until the receiver is dropped. The end of the terminal ends the channel.
pub(crate) fn read_keys() -> mpsc::Receiver<TerminalEvent> {
    let (key, keys) = mpsc::channel(KEYS);
    std::thread::spawn(move || send_keys(&key));
    keys
}

fn send_keys(key: &mpsc::Sender<TerminalEvent>) {
    while !key.is_closed() {
        let has_input = wait_for_input();
        if mode::is_closed() {
            return; // without keys, a signal ends the screen
        }
        if !mode::is_in_foreground() {
            // Reading would stop the program.
            if has_input {
                std::thread::sleep(KEY_POLL);
            }
            continue;
        }
        // Also without input: the size of the terminal may have changed.
        while let Some(event) = next_event() {
            let Ok(event) = event else { return };
            if key.blocking_send(event).is_err() {
                return;
            }
        }
    }
}

/// Waits until the terminal has input, or for [`KEY_POLL`]. It reads nothing: the program may be suspended meanwhile, and
/// continue in the background.
#[cfg(unix)]
fn wait_for_input() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let input = io::stdin();
    let time = Timespec { tv_sec: 0, tv_nsec: KEY_POLL.subsec_nanos().into() };
    match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&time)) {
        Ok(ready) => ready > 0,
        Err(_) => {
            std::thread::sleep(KEY_POLL); // a signal, or a system that cannot tell
            true
        }
    }
}

/// On Windows, nothing stops a program that reads.
#[cfg(not(unix))]
fn wait_for_input() -> bool {
    crossterm::event::poll(KEY_POLL).unwrap_or(true)
}

/// The next event that is there already.
fn next_event() -> Option<io::Result<TerminalEvent>> {
    match crossterm::event::poll(Duration::ZERO) {
        Ok(false) => None,
        Ok(true) => Some(crossterm::event::read()),
        Err(error) => Some(Err(error)),
    }
}
