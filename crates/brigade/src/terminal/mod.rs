//! The abilities of the terminal: whether it can draw in place and show colours, and its width.
//!
//! A terminal that cannot move its cursor (`TERM=dumb`, or no `TERM`) gets lines of text: no editor, no progress line,
//! no table. `NO_COLOR` disables colours. By <https://no-color.org>, it says nothing about bold, dim and underlined text,
//! so these stay; only the log lines have colours. In the text of `--help`, clap removes these too.

#[cfg(unix)]
mod editor_suspension;
pub(crate) mod input;
mod input_readiness;
pub(crate) mod mode;
pub(crate) mod progress_line;
pub(crate) mod signals;
pub(crate) mod standard_error;
pub(crate) mod standard_output;
pub(crate) mod suspension;

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal},
};

/// Terminals that cannot move their cursor, or not in the usual way.
const PLAIN: [&str; 3] = ["dumb", "cons25", "emacs"];

/// The width if the terminal does not report it.
const COLUMNS: usize = 80;

/// Whether the terminal can draw a line again in place.
pub(crate) fn draws() -> bool {
    #[cfg(windows)]
    return crossterm::ansi_support::supports_ansi();
    #[cfg(not(windows))]
    can_draw(env::var_os("TERM").as_deref())
}

/// Whether text may have colours.
pub(crate) fn has_colours() -> bool {
    draws() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// `text`, dim if the terminal can show it.
pub(crate) fn dim(text: &str) -> String {
    if draws() { format!("\u{1b}[2m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The width of the terminal of standard error.
pub(crate) fn columns() -> usize {
    width_of(&io::stderr())
}

/// The width of the terminal of standard output; `None` if standard output is not a terminal.
pub(crate) fn output_columns() -> Option<usize> {
    let out = io::stdout();
    out.is_terminal().then(|| width_of(&out))
}

#[cfg(unix)]
fn width_of(terminal: &impl std::os::fd::AsFd) -> usize {
    let columns = rustix::termios::tcgetwinsize(terminal).map_or(0, |size| size.ws_col);
    if columns == 0 { COLUMNS } else { usize::from(columns) }
}

#[cfg(not(unix))]
fn width_of(_: &impl IsTerminal) -> usize {
    let columns = crossterm::terminal::size().map_or(0, |(columns, _)| columns);
    if columns == 0 { COLUMNS } else { usize::from(columns) }
}

#[cfg_attr(windows, allow(dead_code))]
fn can_draw(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && PLAIN.iter().all(|plain| !term.eq_ignore_ascii_case(plain)))
}

#[cfg(test)]
mod tests {
    use super::can_draw;

    #[test]
    fn a_terminal_without_a_name_or_a_dumb_one_cannot_draw() {
        for (term, expected) in [
            (None, false),
            (Some(""), false),
            (Some("dumb"), false),
            (Some("DUMB"), false),
            (Some("xterm"), true),
        ] {
            assert_eq!(can_draw(term.map(AsRef::as_ref)), expected, "{term:?}");
        }
    }
}
