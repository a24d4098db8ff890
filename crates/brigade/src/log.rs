//! Log lines on standard error.
//!
//! `BRIGADE_LOG`, `--log-filter` or the settings select the lines. They do not disturb a progress line, and a screen
//! shows them in its own place. A service writes records (`terminal::standard_error`), also of everything else that goes
//! to standard error; its filter can be replaced while it runs.

use std::{
    env,
    fmt::Debug,
    io::{self, IsTerminal},
    panic,
    sync::OnceLock,
};

use brigade_api::log_ring::LogRing;
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{ParseError, Targets},
    fmt,
    layer::{Context, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

use crate::terminal::{
    self, covered_output, progress_line,
    standard_error::{
        has_records,
        log_records::{LogLevel, RecordFormat, is_journal_stream},
        print_record, set_format,
    },
};

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

/// Replaces the filter.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// The variable that selects the lines.
pub(crate) const FILTER_VARIABLE: &str = "BRIGADE_LOG";

/// How a command writes its log lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LogChoice {
    /// Whether records are JSON; `None` if that was not chosen.
    pub(crate) is_json: Option<bool>,
    /// The selected lines (`info`, `brigade_node=debug`, …); `None` for those of the environment, or warnings.
    pub(crate) filter: Option<String>,
    /// Whether the command runs without a person who reads its lines: then it writes records by itself.
    pub(crate) is_service: bool,
}

/// The last lines of the log of this process, which `brigade log` prints. Lines at the level `info` are among them, also
/// if standard error does not get them.
pub(crate) fn log_ring() -> LogRing {
    static RING: OnceLock<LogRing> = OnceLock::new();
    RING.get_or_init(LogRing::default).clone()
}

/// Writes log lines to standard error, and records for a service or where a format was chosen.
pub(crate) fn log_to_stderr(choice: &LogChoice) {
    if choice.is_service || choice.is_json.is_some() {
        let is_json = choice.is_json.unwrap_or(false);
        set_format(RecordFormat { is_json, is_journal: is_journal_stream() });
        // A reader of records can read nothing else, also if the program has an error.
        panic::set_hook(Box::new(|info| print_record(LogLevel::Error, &panic_text(info), &Map::new())));
    }
    // A log line in the middle of a screen would stay there.
    let writer = || -> Box<dyn io::Write> {
        if covered_output::is_covered() && io::stderr().is_terminal() {
            return Box::new(KeptLine(vec![]));
        }
        progress_line::erase();
        Box::new(io::stderr())
    };
    let (selected, invalid) = filter(choice.filter.as_deref());
    let kept = match choice.filter {
        Some(_) if invalid.is_none() => selected.clone(),
        _ => Targets::new().with_default(Level::INFO),
    };
    let (selected, handle) = reload::Layer::new(selected);
    let _ = FILTER.set(handle);
    let shown: Box<dyn Layer<Registry> + Send + Sync> = if has_records() {
        Box::new(Records)
    } else {
        let lines = fmt::layer()
            .with_writer(writer)
            .with_target(false)
            // They would be written with `eprintln!`, which panics if standard error is closed.
            .log_internal_errors(false)
            .with_ansi(io::stderr().is_terminal() && terminal::has_colours());
        Box::new(lines)
    };
    let kept = log_ring().with_filter(kept);
    tracing_subscriber::registry().with(shown.with_filter(selected)).with(kept).init();
    if let Some(error) = invalid {
        tracing::warn!("{FILTER_VARIABLE} has an error ({error}); warnings are logged, as without it");
    }
}

/// The text of a panic, on one line.
fn panic_text(info: &dyn std::fmt::Display) -> String {
    format!("an error in Brigade itself: {info}").replace('\n', " ")
}

/// Selects other lines from now on; `None` for those of the environment, or warnings.
pub(crate) fn replace_filter(selected: Option<&str>) {
    let (selected, _) = filter(selected); // checked with the other settings
    if let Some(Err(error)) = FILTER.get().map(|handle| handle.reload(selected)) {
        tracing::warn!(%error, "the filter of the log was not replaced");
    }
}

/// Whether `text` selects lines.
pub(crate) fn check_filter(text: &str) -> Result<(), String> {
    let expected =
        "expected a level (error, warn, info, debug, trace), or levels of modules: warn,brigade_node=debug";
    text.parse::<Targets>().map(drop).map_err(|error| format!("{expected}: {error}"))
}

/// The lines that are `selected`, or that the environment selects; and the error, if there is one.
fn filter(selected: Option<&str>) -> (Targets, Option<ParseError>) {
    let default = Targets::new().with_default(Level::WARN);
    let of_environment = env::var(FILTER_VARIABLE).ok();
    match selected.or(of_environment.as_deref()).map(str::parse::<Targets>) {
        None => (default, None),
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (default, Some(error)),
    }
}

/// Writes each event as a record.
struct Records;

impl<S: Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !covered_output::is_covered() {
            progress_line::erase();
        }
        let mut fields = EventFields::default();
        event.record(&mut fields);
        print_record(level_of(*event.metadata().level()), &fields.message, &fields.others);
    }
}

fn level_of(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        _ => LogLevel::Trace,
    }
}

/// The message of an event, and its other fields.
#[derive(Default)]
struct EventFields {
    message: String,
    others: Map<String, Value>,
}

impl EventFields {
    fn set(&mut self, field: &Field, value: Value) {
        self.others.insert(field.name().to_owned(), value);
    }
}

impl Visit for EventFields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => self.set(field, format!("{value:?}").into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            _ => self.set(field, value.into()),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::{check_filter, filter};

    #[test]
    fn lines_are_selected_by_their_level_and_module() {
        let (selected, error) = filter(Some("info,brigade_node::peer=debug"));
        assert!(error.is_none());
        assert!(selected.would_enable("brigade", &Level::INFO));
        assert!(!selected.would_enable("brigade_node::manager", &Level::DEBUG));
        assert!(selected.would_enable("brigade_node::peer::fetch", &Level::DEBUG));
    }

    #[test]
    fn warnings_are_selected_after_an_error() {
        let (selected, error) = filter(Some("brigade_node=loud"));
        assert!(error.is_some());
        assert!(selected.would_enable("brigade_node", &Level::WARN));
        assert!(!selected.would_enable("brigade_node", &Level::INFO));
        assert!(check_filter("brigade_node=loud").is_err() && check_filter("warn,brigade=info").is_ok());
    }
}
