//! Log lines on standard error.
//!
//! `BRIGADE_LOG` selects the lines. They disturb neither a full-screen table nor a progress line.

use std::{
    io::{self, IsTerminal},
    sync::atomic::{AtomicBool, Ordering},
};

use tracing_subscriber::EnvFilter;

use crate::terminal::{self, progress_line};

/// Whether a table fills the terminal. Log lines are then written only if standard error is redirected.
static SCREEN_IN_USE: AtomicBool = AtomicBool::new(false);

/// Sets whether a table fills the terminal.
pub(crate) fn set_screen_in_use(in_use: bool) {
    SCREEN_IN_USE.store(in_use, Ordering::Relaxed);
}

/// Writes log lines to standard error. `BRIGADE_LOG` selects them (`info`, `brigade_node=debug`, …); the default is
/// warnings.
pub(crate) fn log_to_stderr() {
    // A log line in the middle of a full-screen table would stay there.
    let writer = || -> Box<dyn io::Write> {
        let covered = SCREEN_IN_USE.load(Ordering::Relaxed) && io::stderr().is_terminal();
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
