//! The line that is being edited, while the program is suspended: the terminal is restored before, and the line is
//! drawn again after that.
//!
//! One task of the program handles this, for the reader of lines that was opened last. It also suspends the program
//! while no line is edited.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    mode,
    standard_output::print_line,
    suspension::{JobChange, JobControl, stop_process},
};

/// How often it is checked whether the editor has set its mode.
const MODE_POLL: Duration = Duration::from_millis(5);

/// How often the mode is checked at most.
const MODE_POLLS: usize = 100;

/// The line of a reader.
pub(super) struct EditedLine {
    /// Whether it is being edited now.
    pub(super) is_edited: Arc<AtomicBool>,
    /// Prints text above the line, and draws the line again.
    pub(super) print_above: Box<dyn Fn(&str) + Send>,
}

/// Whether a screen has taken the terminal; then it handles suspensions.
static IS_RELEASED: AtomicBool = AtomicBool::new(false);

/// The line of the reader that was opened last.
static LINE: Mutex<Option<EditedLine>> = Mutex::new(None);

/// Handles suspensions for this line from now on. Must be called in a runtime.
pub(super) fn handle_suspensions(line: EditedLine) {
    IS_RELEASED.store(false, Ordering::SeqCst);
    if locked().replace(line).is_none() {
        tokio::spawn(run(JobControl::install()));
    }
}

/// Leaves suspensions to the screen that takes the terminal.
pub(super) fn release_line() {
    IS_RELEASED.store(true, Ordering::SeqCst);
}

fn locked() -> MutexGuard<'static, Option<EditedLine>> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(mut jobs: JobControl) {
    // The pipe is open until the next time: the editor may still wait for its data.
    let mut detached = None;
    loop {
        let change = jobs.next().await;
        if IS_RELEASED.load(Ordering::SeqCst) {
            continue;
        }
        let is_edited = locked().as_ref().is_some_and(|line| line.is_edited.load(Ordering::SeqCst));
        match change {
            JobChange::Suspend => {
                if is_edited && mode::is_in_foreground() {
                    restore_terminal().await;
                    detached = mode::detach_input().ok();
                }
                stop_process();
            }
            JobChange::Continued => {
                if detached.is_some() {
                    mode::attach_input();
                }
                if is_edited {
                    mode::set_editor_mode();
                    draw_again();
                }
            }
        }
    }
}

/// Draws the line that is edited. This also makes the editor wait for data of the terminal, if it was detached.
fn draw_again() {
    if let Some(line) = locked().as_ref() {
        // The editor ends a line before it draws the prompt: one row up, and no empty row remains.
        (line.print_above)("\u{1b}[A");
    }
}

async fn restore_terminal() {
    // The editor, which got Ctrl-Z, sets its mode once more after the signal.
    for _ in 0..MODE_POLLS {
        if mode::has_editor_mode() {
            break;
        }
        tokio::time::sleep(MODE_POLL).await;
    }
    mode::restore_terminal();
    print_line(""); // the shell writes below the prompt
}
