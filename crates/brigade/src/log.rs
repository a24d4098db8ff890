//! Log lines on standard error, beside whatever else is shown there.
//!
//! Which lines there are, `BRIGADE_LOG` says. They neither spoil a table that fills the terminal nor a line of progress.

use std::{
    io::{self, IsTerminal},
    sync::atomic::{AtomicBool, Ordering},
};

use tracing_subscriber::EnvFilter;

use crate::terminal::{self, progress_line};

/// Whether something fills the terminal: log lines do not go there then, only where standard error is redirected.
static SCREEN_IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the terminal for something that fills it, or gives it back to log lines.
pub(crate) fn take_screen(taken: bool) {
    SCREEN_IS_TAKEN.store(taken, Ordering::Relaxed);
}

/// Log lines go to standard error; `BRIGADE_LOG` says which (`info`, `brigade_node=debug`, …), warnings by default.
pub(crate) fn log_to_stderr() {
    // A line in the middle of a table that fills the terminal would stay there, and say nothing in its place.
    let writer = || -> Box<dyn io::Write> {
        let covered = SCREEN_IS_TAKEN.load(Ordering::Relaxed) && io::stderr().is_terminal();
        if covered {
            return Box::new(io::sink());
        }
        progress_line::erase();
        Box::new(io::stderr())
    };
    let filter = EnvFilter::try_from_env("BRIGADE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal() && terminal::has_styles())
        .init();
}
