//! A line of progress that is drawn anew in place, and how it is laid out in the columns that there are.
//!
//! Where the columns are few the name shrinks first, then the number of pieces, the bar and the amounts go; percentage,
//! rate, time left and holders go last. The cursor waits at the line's beginning, so that a terminal that was made
//! narrower, and has broken the line, is still cleared of all of it.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::terminal;

/// Columns that a name keeps as long as anything else can go.
const NAME_LEAST: usize = 12;

/// What may be shown beside name, percentage and state, richest first: columns of the bar, then whether there are
/// pieces, amounts and files.
const LAYOUTS: [(usize, bool, bool, bool); 6] = [
    (16, true, true, true),
    (16, false, true, true),
    (8, false, true, true),
    (0, false, true, true),
    (0, false, false, true),
    (0, false, false, false),
];

/// What a line of progress is made of. All of it is harmless to a terminal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    pub(crate) name: String,
    /// `3/10 files`; nothing where there is one.
    pub(crate) files: String,
    pub(crate) pieces: String,
    pub(crate) amounts: String,
    /// How it goes on, the most important first.
    pub(crate) state: Vec<String>,
    /// Bytes that are done, and of how many.
    pub(crate) done: (u64, u64),
}

impl Parts {
    /// All of it, however long, without a bar.
    pub(crate) fn whole(&self) -> String {
        let parts = [&self.name, &self.files, &self.pieces, &self.amounts];
        joined(parts.into_iter().map(String::as_str).chain(self.state.iter().map(String::as_str)))
    }

    /// As much of it as fits into so many columns.
    pub(crate) fn within(&self, columns: usize) -> String {
        let room = columns.saturating_sub(1).max(1); // in the last column, terminals differ
        let percent = format!("{:>3}%", percent(self.done));
        for (bar_columns, pieces, amounts, files) in LAYOUTS {
            let head = if bar_columns == 0 {
                percent.clone()
            } else {
                format!("{} {percent}", bar(bar_columns, self.done))
            };
            let kept = [(files, &self.files), (pieces, &self.pieces), (amounts, &self.amounts)];
            let kept = kept.into_iter().filter(|(kept, _)| *kept).map(|(_, part)| part.as_str());
            let tail = joined(kept.chain(self.state.iter().map(String::as_str)));
            let taken = head.width() + 1 + 2 + tail.width();
            if taken + self.name.width().min(NAME_LEAST) <= room {
                return format!("{head} {}  {tail}", shortened(&self.name, room - taken));
            }
        }
        // Without the name, and the least important of the rest first.
        for kept in (1..=self.state.len()).rev() {
            let line = format!("{percent}  {}", joined(self.state[..kept].iter().map(String::as_str)));
            if line.width() <= room {
                return line;
            }
        }
        let line = format!("{percent}  {}", self.state.first().map_or("", String::as_str));
        cut(&line, room)
    }
}

fn joined<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn percent((done, of): (u64, u64)) -> u64 {
    let percent = u128::from(done) * 100 / u128::from(of.max(1));
    u64::try_from(percent).unwrap_or(100).min(100)
}

/// A bar of so many columns, in steps of an eighth.
fn bar(columns: usize, (done, of): (u64, u64)) -> String {
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

/// `text` in at most so many columns: where it is too long, without its middle.
fn shortened(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let kept = columns.saturating_sub(1);
    let tail = kept / 2;
    let head = beginning(text, kept - tail);
    let mut taken = 0;
    let fits = |character: &char| {
        taken += character.width().unwrap_or(0);
        taken <= tail
    };
    let end: Vec<char> = text.chars().rev().take_while(fits).collect();
    // A mark that stands on the letter before it has nothing to stand on here.
    let end = end.into_iter().rev().skip_while(|character| character.width() == Some(0));
    format!("{head}…{}", end.collect::<String>())
}

/// `text` in at most so many columns: where it is too long, without its end.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        text.to_owned()
    } else {
        format!("{}…", beginning(text, columns.saturating_sub(1)))
    }
}

/// As much of the beginning of `text` as fits into so many columns.
fn beginning(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let is_beyond = |(_, character): &(usize, char)| {
        taken += character.width().unwrap_or(0);
        taken > columns
    };
    text.char_indices().find(is_beyond).map_or(text, |(end, _)| &text[..end])
}

/// Whether a line is drawn on the terminal of standard error now.
static IS_DRAWN: AtomicBool = AtomicBool::new(false);

/// A line on the terminal of standard error that is drawn anew in place. It is gone from the screen when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct ProgressLine {
    /// The line as it was drawn last, and the columns that there were.
    drawn: Option<(String, usize)>,
}

impl ProgressLine {
    /// Shows `parts`, if they look otherwise than what stands there.
    pub(crate) fn draw(&mut self, parts: &Parts) {
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
    /// Draws it anew the next time, whatever stands there.
    pub(crate) fn forget(&mut self) {
        self.drawn = None;
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        erase();
    }
}

/// Makes room for other lines where a line of progress stands; it is drawn again below them.
pub(crate) fn erase() {
    if IS_DRAWN.swap(false, Ordering::Relaxed) {
        write("\r\u{1b}[J");
    }
}

/// What draws a line: without breaking it, clear of whatever stood there and below it, and back to its beginning.
fn in_place(line: &str) -> String {
    format!("\r\u{1b}[?7l{line}\u{1b}[J\u{1b}[?7h\r")
}

fn write(text: &str) {
    // Where the terminal is gone, there is nobody to be shown anything.
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::{Parts, bar, cut, shortened};

    fn parts(name: &str) -> Parts {
        Parts {
            name: name.to_owned(),
            files: String::new(),
            pieces: "120/287 pieces".to_owned(),
            amounts: "125.8 MB of 300.0 MB".to_owned(),
            state: ["12.3 MB/s", "14 s left", "2 holders"].map(str::to_owned).to_vec(),
            done: (125_800_000, 300_000_000),
        }
    }

    const LONG: &str = "recordings/2026-11-28 the whole long evening, part 7 of 9.mkv";

    #[test]
    fn the_name_shrinks_first_then_pieces_bar_and_amounts_go() {
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
    fn every_width_is_kept_to() {
        let wide = parts("録画/二〇二六年十一月二十八日の長い夜、九つのうち七つ目.mkv");
        let waiting =
            Parts { state: vec!["waiting: nobody who is here has what is missing".into()], ..parts(LONG) };
        let files = Parts { files: "3/10 files".into(), ..parts("e\u{301}te\u{301}".repeat(20).as_str()) };
        for columns in 1..200 {
            for parts in [&wide, &waiting, &files, &parts("a")] {
                let line = parts.within(columns);
                assert!(line.width() <= columns.saturating_sub(1).max(1), "{columns}: {line}");
            }
        }
        assert!(waiting.within(80).ends_with("waiting: nobody who is here has what is missing"));
        assert!(waiting.within(80).contains("recordings/"));
        for part in ["12.3 MB/s", "14 s left", "2 holders"] {
            assert!(wide.within(80).contains(part), "{part}");
        }
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(shortened("日本語の名前.txt", 16), "日本語の名前.txt");
        assert_eq!(shortened("日本語の名前.txt", 15), "日本語…前.txt");
        assert_eq!(shortened("abc", 2), "a…");
        assert_eq!(shortened("abc", 1), "…");
        assert_eq!(cut("日本語", 4), "日…");
    }

    #[test]
    fn a_bar_goes_in_eighths_and_never_beyond_its_end() {
        assert_eq!(bar(4, (0, 100)), "    ");
        assert_eq!(bar(4, (50, 100)), "██  ");
        assert_eq!(bar(4, (99, 100)), "███▉");
        assert_eq!(bar(4, (100, 100)), "████");
        assert_eq!(bar(4, (200, 100)), "████");
        assert_eq!(bar(4, (0, 0)), "    ");
        assert_eq!(bar(4, (u64::MAX, u64::MAX)), "████");
    }
}
