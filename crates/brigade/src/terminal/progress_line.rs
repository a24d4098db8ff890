//! A progress line that is drawn in place, and its layout in the width of the terminal.
//!
//! In a narrow terminal the name is shortened first, then the number of pieces, the bar and the amounts are omitted, and
//! then the share of each holder; percentage, rate, time left and holders are omitted last. The cursor stays at the beginning of the line, so that a
//! terminal that was made narrower, and has wrapped the line, can still be cleared. While the program is in the
//! background (`mode`), nothing is drawn or cleared.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use unicode_width::UnicodeWidthStr;

use crate::{
    terminal::{self, mode},
    text::shortening::{cut, shortened},
};

/// The least width of the name while anything else can be omitted.
const NAME_LEAST: usize = 12;

/// A layout: the parts that are shown beside name, percentage and state.
struct LineLayout {
    bar_columns: usize,
    pieces: bool,
    amounts: bool,
    files: bool,
    /// How much comes from each holder.
    holder_shares: bool,
}

const fn layout(bar_columns: usize, [pieces, amounts, files, holder_shares]: [bool; 4]) -> LineLayout {
    LineLayout { bar_columns, pieces, amounts, files, holder_shares }
}

/// The layouts, richest first.
const LAYOUTS: [LineLayout; 8] = [
    layout(16, [true, true, true, true]),
    layout(16, [false, true, true, true]),
    layout(8, [false, true, true, true]),
    layout(0, [false, true, true, true]),
    layout(0, [false, false, true, true]),
    layout(0, [false, true, true, false]),
    layout(0, [false, false, true, false]),
    layout(0, [false, false, false, false]),
];

/// The parts of a progress line, escaped for a terminal.
#[derive(Debug, Clone, Default)]
pub(crate) struct LineParts {
    pub(crate) name: String,
    /// `3/10 files`; empty for one file.
    pub(crate) files: String,
    pub(crate) pieces: String,
    pub(crate) amounts: String,
    /// The state, the most important parts first.
    pub(crate) state: Vec<String>,
    /// `anna 61% · ben 39%`; empty while nothing comes.
    pub(crate) holder_shares: String,
    /// The number of bytes that are done, and of all bytes.
    pub(crate) done: (u64, u64),
}

impl LineParts {
    /// All parts, without a bar and without a limit.
    pub(crate) fn whole(&self) -> String {
        let parts = [&self.name, &self.files, &self.pieces, &self.amounts];
        let parts = parts.into_iter().chain(&self.state).chain([&self.holder_shares]);
        joined(parts.map(String::as_str))
    }

    /// The parts that fit into the width.
    pub(crate) fn within(&self, columns: usize) -> String {
        let width = columns.saturating_sub(1).max(1); // in the last column, terminals differ
        let percent = format!("{:>3}%", percent(self.done));
        for LineLayout { bar_columns, pieces, amounts, files, holder_shares } in LAYOUTS {
            let head = if bar_columns == 0 {
                percent.clone()
            } else {
                format!("{} {percent}", bar(bar_columns, self.done))
            };
            let kept = [(files, &self.files), (pieces, &self.pieces), (amounts, &self.amounts)];
            let kept = kept.into_iter().filter(|(kept, _)| *kept).map(|(_, part)| part);
            let shares = Some(&self.holder_shares).filter(|_| holder_shares);
            let tail = joined(kept.chain(&self.state).chain(shares).map(String::as_str));
            let taken = head.width() + 1 + 2 + tail.width();
            if taken + self.name.width().min(NAME_LEAST) <= width {
                return format!("{head} {}  {tail}", shortened(&self.name, width - taken));
            }
        }
        // Without the name; the least important parts of the state are omitted first.
        for kept in (1..=self.state.len()).rev() {
            let line = format!("{percent}  {}", joined(self.state[..kept].iter().map(String::as_str)));
            if line.width() <= width {
                return line;
            }
        }
        let line = format!("{percent}  {}", self.state.first().map_or("", String::as_str));
        cut(&line, width)
    }
}

fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

/// The whole percents of `done`, at most 100.
pub(crate) fn percent((done, of): (u64, u64)) -> u64 {
    let percent = u128::from(done) * 100 / u128::from(of.max(1));
    u64::try_from(percent).unwrap_or(100).min(100)
}

/// A bar of this width, in steps of an eighth.
pub(crate) fn bar(columns: usize, (done, of): (u64, u64)) -> String {
    const EIGHTHS: [&str; 8] = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let all = columns * 8;
    let eighths = u128::from(done) * all as u128 / u128::from(of.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(all).min(all);
    let (full, rest) = (eighths / 8, eighths % 8);
    let mut bar = "█".repeat(full);
    if full < columns {
        bar += EIGHTHS[rest];
        bar += &" ".repeat(columns - full - 1);
    }
    bar
}

/// Whether a progress line is on the terminal of standard error now.
static IS_DRAWN: AtomicBool = AtomicBool::new(false);

/// A progress line on the terminal of standard error that is drawn in place. It is erased on drop.
#[derive(Debug, Default)]
pub(crate) struct ProgressLine {
    /// The last line, and the width of the terminal at that time.
    drawn: Option<(String, usize)>,
}

impl ProgressLine {
    /// Draws `parts`, if the line changed.
    pub(crate) fn draw(&mut self, parts: &LineParts) {
        if !mode::may_draw() {
            IS_DRAWN.store(false, Ordering::Relaxed); // the shell may have written over it
            return;
        }
        let columns = terminal::columns();
        let now = Some((parts.within(columns), columns));
        if now == self.drawn && IS_DRAWN.load(Ordering::Relaxed) {
            return;
        }
        self.drawn = now;
        if let Some((line, _)) = &self.drawn {
            write(&in_place(line));
        }
        IS_DRAWN.store(true, Ordering::Relaxed);
    }
}

impl ProgressLine {
    /// Makes the next [`Self::draw`] draw the line in any case.
    pub(crate) fn redraw(&mut self) {
        self.drawn = None;
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        erase();
    }
}

/// Erases the progress line before other lines are printed; it is drawn again below them.
pub(crate) fn erase() {
    if IS_DRAWN.swap(false, Ordering::Relaxed) && mode::may_draw() {
        write("\r\u{1b}[J");
    }
}

/// The control sequences that draw a line: without wrapping, with the old text cleared, and with the cursor back at the
/// beginning.
fn in_place(line: &str) -> String {
    format!("\r\u{1b}[?7l{line}\u{1b}[J\u{1b}[?7h\r")
}

fn write(text: &str) {
    // An error means that the terminal is closed.
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::{LineParts, bar};

    fn parts(name: &str) -> LineParts {
        LineParts {
            name: name.to_owned(),
            files: String::new(),
            pieces: "120/287 pieces".to_owned(),
            amounts: "125.8 MB of 300.0 MB".to_owned(),
            state: ["12.3 MB/s", "14 s left", "2 holders"].map(str::to_owned).to_vec(),
            holder_shares: String::new(),
            done: (125_800_000, 300_000_000),
        }
    }

    const LONG: &str = "recordings/2026-11-28 the whole long evening, part 7 of 9.mkv";

    #[test]
    fn the_name_is_shortened_first_then_pieces_bar_and_amounts_are_omitted() {
        let line = |columns| {
            let line = parts(LONG).within(columns);
            assert!(line.width() < columns, "{columns}: {line}");
            line
        };
        assert_eq!(
            line(160),
            format!(
                "██████▋           41% {LONG}  120/287 pieces  125.8 MB of 300.0 MB  12.3 MB/s  14 s left  2 holders"
            )
        );
        assert_eq!(
            line(120),
            "██████▋           41% recordings/20…t 7 of 9.mkv  120/287 pieces  125.8 MB of 300.0 MB  12.3 MB/s  14 s left  2 holders"
        );
        assert_eq!(
            line(80),
            " 41% recording… of 9.mkv  125.8 MB of 300.0 MB  12.3 MB/s  14 s left  2 holders"
        );
        assert_eq!(line(60), " 41% recordings…7 of 9.mkv  12.3 MB/s  14 s left  2 holders");
        assert_eq!(line(40), " 41%  12.3 MB/s  14 s left  2 holders");
        assert_eq!(line(30), " 41%  12.3 MB/s  14 s left");
        assert_eq!(line(20), " 41%  12.3 MB/s");
        assert_eq!(line(10), " 41%  12…");
    }

    #[test]
    fn in_eighty_columns_the_shares_of_the_holders_take_the_place_of_the_amounts() {
        let of = |name: &str, columns| {
            let with_shares = LineParts { holder_shares: "anna 61% · ben 39%".into(), ..parts(name) };
            with_shares.within(columns)
        };
        assert_eq!(
            of(LONG, 80),
            " 41% recordings…7 of 9.mkv  12.3 MB/s  14 s left  2 holders  anna 61% · ben 39%"
        );
        assert!(of("film.mkv", 80).starts_with(" 41% film.mkv  12.3 MB/s"), "{}", of("film.mkv", 80));
        assert!(of("film.mkv", 80).ends_with("2 holders  anna 61% · ben 39%"));
        assert!(of(LONG, 120).contains("MB of 300.0 MB") && of(LONG, 120).ends_with("ben 39%"));
        assert!(of(LONG, 60).ends_with("2 holders"), "{}", of(LONG, 60));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let wide = parts("録画/二〇二六年十一月二十八日の長い夜、九つのうち七つ目.mkv");
        let waiting = LineParts {
            state: vec!["waiting: no connected peer has the missing pieces".into()],
            ..parts(LONG)
        };
        let files =
            LineParts { files: "3/10 files".into(), ..parts("e\u{301}te\u{301}".repeat(20).as_str()) };
        let shares = LineParts { holder_shares: "anna 61% · ben 39% · 3 more".into(), ..parts(LONG) };
        for columns in 1..200 {
            for parts in [&wide, &waiting, &files, &shares, &parts("a")] {
                let line = parts.within(columns);
                assert!(line.width() <= columns.saturating_sub(1).max(1), "{columns}: {line}");
            }
        }
        assert!(waiting.within(80).ends_with("waiting: no connected peer has the missing pieces"));
        assert!(waiting.within(80).contains("recordings/"));
        for part in ["12.3 MB/s", "14 s left", "2 holders"] {
            assert!(wide.within(80).contains(part), "{part}");
        }
    }

    #[test]
    fn a_bar_has_eighths_and_never_exceeds_its_width() {
        assert_eq!(bar(4, (0, 100)), "    ");
        assert_eq!(bar(4, (50, 100)), "██  ");
        assert_eq!(bar(4, (99, 100)), "███▉");
        assert_eq!(bar(4, (100, 100)), "████");
        assert_eq!(bar(4, (200, 100)), "████");
        assert_eq!(bar(4, (0, 0)), "    ");
        assert_eq!(bar(4, (u64::MAX, u64::MAX)), "████");
    }
}
