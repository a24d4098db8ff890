//! The abilities of the terminal: whether it can draw in place and show colours, and its size.
//!
//! A terminal that cannot move its cursor (`TERM=dumb`, or no `TERM`) gets lines of text: no editor, no progress line,
//! no table. `NO_COLOR` disables colours. By <https://no-color.org>, it says nothing about bold, dim and underlined text,
//! so these stay; only the log lines have colours. In the text of `--help`, clap removes these too.

pub(crate) mod covered_output;
#[cfg(unix)]
mod editor_suspension;
pub(crate) mod full_screen;
pub(crate) mod input;
mod input_readiness;
pub(crate) mod line_completion;
pub(crate) mod mode;
pub(crate) mod progress_line;
#[cfg(unix)]
pub(crate) mod restoring_process;
pub(crate) mod signals;
pub(crate) mod standard_error;
pub(crate) mod standard_output;
pub(crate) mod suspension;
pub(crate) mod typed_lines;

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal},
};

/// Terminals that cannot move their cursor, or not in the usual way.
const PLAIN: [&str; 3] = ["dumb", "cons25", "emacs"];

/// The width if the terminal does not report it.
const COLUMNS: u16 = 80;

/// The height if the terminal does not report it.
const ROWS: u16 = 24;

/// The most columns that are used: a screen of 3840 × 2160 pixels has fewer, with 8 × 9 pixels for each character. The
/// memory of a table grows with the product of columns and rows.
const MOST_COLUMNS: u16 = 500;

/// The most rows that are used, for the same reason.
const MOST_ROWS: u16 = 250;

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

/// The columns and rows of the terminal that a table fills.
pub(crate) fn size() -> io::Result<(u16, u16)> {
    crossterm::terminal::size().map(usable)
}

/// The size to use on a terminal that reports this one.
fn usable((columns, rows): (u16, u16)) -> (u16, u16) {
    let of = |reported: u16, otherwise, most| if reported == 0 { otherwise } else { reported.min(most) };
    (of(columns, COLUMNS, MOST_COLUMNS), of(rows, ROWS, MOST_ROWS))
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
    let reported = rustix::termios::tcgetwinsize(terminal).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    usize::from(usable(reported).0)
}

#[cfg(not(unix))]
fn width_of(_: &impl IsTerminal) -> usize {
    usize::from(usable(crossterm::terminal::size().unwrap_or_default()).0)
}

#[cfg_attr(windows, allow(dead_code))]
fn can_draw(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && PLAIN.iter().all(|plain| !term.eq_ignore_ascii_case(plain)))
}

#[cfg(test)]
mod tests {
    use super::{can_draw, usable};

    #[test]
    fn a_size_that_is_missing_or_impossible_is_replaced() {
        for (reported, expected) in [
            ((0, 0), (80, 24)),
            ((0, 50), (80, 50)),
            ((120, 0), (120, 24)),
            ((1, 1), (1, 1)),
            ((u16::MAX, u16::MAX), (500, 250)),
        ] {
            assert_eq!(usable(reported), expected, "{reported:?}");
        }
    }

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
