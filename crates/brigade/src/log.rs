//! Log lines on standard error.
//!
//! `BRIGADE_LOG` selects the lines. They do not disturb a progress line, and a screen shows them in its
//! own place.

use std::{
    env,
    io::{self, IsTerminal},
    sync::OnceLock,
};

use brigade_api::log_ring::LogRing;
use tracing::Level;
use tracing_subscriber::{
    Layer,
    filter::{ParseError, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::terminal::{self, covered_output, progress_line};

/// A log line that is kept for the screen that covers the terminal.
struct KeptLine(Vec<u8>);

impl io::Write for KeptLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for KeptLine {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            covered_output::keep(&String::from_utf8_lossy(&self.0));
        }
    }
}

/// The last lines of the log of this process, which `brigade log` prints. Lines at the level `info` are among them, also
/// if standard error does not get them.
pub(crate) fn log_ring() -> LogRing {
    static RING: OnceLock<LogRing> = OnceLock::new();
    RING.get_or_init(LogRing::default).clone()
}

/// Writes log lines to standard error. `BRIGADE_LOG` selects them (`info`, `brigade_node=debug`, …); without it,
/// warnings are written.
pub(crate) fn log_to_stderr() {
    // A log line in the middle of a screen would stay there.
    let writer = || -> Box<dyn io::Write> {
        if covered_output::is_covered() && io::stderr().is_terminal() {
            return Box::new(KeptLine(vec![]));
        }
        progress_line::erase();
        Box::new(io::stderr())
    };
    let (filter, invalid) = filter(env::var("BRIGADE_LOG").ok().as_deref());
    let lines = fmt::layer()
        .with_writer(writer)
        .with_target(false)
        // They would be written with `eprintln!`, which panics if standard error is closed.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal() && terminal::has_colours());
    let kept = if env::var_os("BRIGADE_LOG").is_some() && invalid.is_none() {
        filter.clone()
    } else {
        Targets::new().with_default(Level::INFO)
    };
    let kept = log_ring().with_filter(kept);
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(kept).init();
    if let Some(error) = invalid {
        tracing::warn!("BRIGADE_LOG has an error ({error}); warnings are logged, as without it");
    }
}

/// The lines that `BRIGADE_LOG` selects, and the error in it, if it has one.
fn filter(selected: Option<&str>) -> (Targets, Option<ParseError>) {
    let default = Targets::new().with_default(Level::WARN);
    match selected.map(str::parse::<Targets>) {
        None => (default, None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (default, Some(error)),
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::filter;

    #[test]
    fn lines_are_selected_by_their_level_and_module() {
        let (selected, error) = filter(Some("info,brigade_node::peer=debug"));
        assert!(error.is_none());
        assert!(selected.would_enable("brigade", &Level::INFO));
        assert!(!selected.would_enable("brigade_node::manager", &Level::DEBUG));
        assert!(selected.would_enable("brigade_node::peer::fetch", &Level::DEBUG));
    }

    #[test]
    fn warnings_are_selected_by_default_and_after_an_error() {
        for (text, is_wrong) in [(None, false), (Some("brigade_node=loud"), true)] {
            let (selected, error) = filter(text);
            assert_eq!(error.is_some(), is_wrong, "{text:?}");
            assert!(selected.would_enable("brigade_node", &Level::WARN));
            assert!(!selected.would_enable("brigade_node", &Level::INFO));
        }
    }
}
