//! The progress line of a fetch, and what is said at its end.
//!
//! In a terminal the line is drawn anew in place; elsewhere a line is written when something worth a line happens:
//! every tenth of the way, or when the fetch begins to wait for holders or goes on. A fetch in the background of a
//! terminal says only the latter, since a person is typing there.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use brigade_node::peer::{Fetch, Progress, State};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{escape::escape, folder_news::News, format, input::Voice};

/// Follows `fetch` until it is over, drawing on standard error, with what else is to be said meanwhile; what it
/// came to.
pub(crate) async fn follow(fetch: &Fetch, news: &mut News) -> Progress {
    let display = if io::stderr().is_terminal() { Display::Bar(Erased(bar())) } else { Display::Lines };
    let followed = until_over(fetch, &display);
    tokio::pin!(followed);
    loop {
        tokio::select! {
            progress = &mut followed => return progress,
            news = news.next() => display.say(&news),
        }
    }
}

/// Follows `fetch` until it is over without drawing anything; what it came to.
pub(crate) async fn follow_in_background(fetch: &Fetch, voice: Voice) -> Progress {
    let display = match voice {
        Voice::Terminal(_) => Display::Aside(voice),
        Voice::Plain => Display::Lines,
    };
    until_over(fetch, &display).await
}

async fn until_over(fetch: &Fetch, display: &Display) -> Progress {
    let mut progress = fetch.progress();
    let mut said = Said::default();
    loop {
        let now = progress.borrow_and_update().clone();
        display.show(&now, &mut said);
        if now.is_over() || progress.changed().await.is_err() {
            let state = if now.is_over() { now.state.clone() } else { State::Stopped };
            return Progress { state, ..now };
        }
    }
}

/// Where a fetch is shown.
enum Display {
    /// A line at the terminal that is drawn anew.
    Bar(Erased),
    /// Lines on standard error.
    Lines,
    /// Next to what a person is typing, and seldom.
    Aside(Voice),
}

/// A line that is gone from the screen when nobody follows the fetch any more, however that came.
struct Erased(ProgressBar);

impl Drop for Erased {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Display {
    fn show(&self, progress: &Progress, said: &mut Said) {
        match self {
            Self::Bar(Erased(bar)) => {
                bar.set_length(progress.bytes.max(1));
                bar.set_position(progress.bytes_done);
                bar.set_message(line(progress));
            }
            Self::Lines => {
                if let Some(turn) = said.turn(progress).or_else(|| said.step(progress)) {
                    self.say(&turn);
                }
            }
            Self::Aside(_) => {
                if let Some(turn) = said.turn(progress) {
                    self.say(&turn);
                }
            }
        }
    }

    #[allow(clippy::print_stderr)]
    fn say(&self, text: &str) {
        match self {
            Self::Bar(Erased(bar)) => bar.suspend(|| eprintln!("{text}")),
            Self::Lines => eprintln!("{text}"),
            Self::Aside(voice) => voice.say(text),
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template("{bar:16} {percent:>3}% {wide_msg}") {
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Pieces, bytes, rate, time left and holders, on one line.
pub(crate) fn line(progress: &Progress) -> String {
    let name = escape(&progress.name).into_owned();
    let files = if progress.files > 1 {
        format!("{}/{} files  ", progress.files_done, progress.files)
    } else {
        String::new()
    };
    let amounts = format!(
        "{name}  {files}{}/{} pieces  {} of {}",
        progress.pieces_done,
        progress.pieces,
        format::bytes(progress.bytes_done),
        format::bytes(progress.bytes)
    );
    match progress.state {
        State::Checking => format!("{amounts}  checking what is here"),
        State::Waiting => match progress.out_of_reach {
            0 => format!("{amounts}  waiting: nobody who is here has what is missing"),
            1 => format!("{amounts}  waiting: its one holder cannot be reached"),
            many => format!("{amounts}  waiting: its {many} holders cannot be reached"),
        },
        State::Full { missing_bytes, free_bytes } => format!(
            "{amounts}  paused: the disk is full; {} are missing, {} are free, and it goes on when there is room",
            format::bytes(missing_bytes),
            format::bytes(free_bytes)
        ),
        _ => {
            let left = progress.time_left().map_or_else(|| "–".to_owned(), format::duration);
            let holders = if progress.holders == 1 { "holder" } else { "holders" };
            format!("{amounts}  {}  {left} left  {} {holders}", format::rate(progress.rate), progress.holders)
        }
    }
}

/// What was said last, where lines cannot be drawn anew.
#[derive(Default)]
struct Said {
    tenths: u64,
    halt: Halt,
}

/// What keeps a fetch from going on.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Halt {
    #[default]
    None,
    Holders,
    Disk,
}

impl Said {
    /// That it begins to wait, for holders or for room, or goes on.
    fn turn(&mut self, progress: &Progress) -> Option<String> {
        let halt = match progress.state {
            State::Waiting => Halt::Holders,
            State::Full { .. } => Halt::Disk,
            State::Fetching => Halt::None,
            _ => return None,
        };
        let is_new = halt != self.halt;
        self.halt = halt;
        let text = line(progress);
        is_new.then(|| if halt == Halt::None { format!("{text}  it goes on") } else { text })
    }

    /// That it came a tenth further.
    fn step(&mut self, progress: &Progress) -> Option<String> {
        let tenths = progress.bytes_done * 10 / progress.bytes.max(1);
        let is_new = tenths > self.tenths && progress.state == State::Fetching && tenths < 10;
        is_new.then(|| {
            self.tenths = tenths;
            line(progress)
        })
    }
}

/// What a fetch came to: how much in what time, and from whom; what could not be had, and why.
pub(crate) fn summary(progress: &Progress) -> String {
    let name = escape(&progress.name).into_owned();
    let fetched = progress.bytes_done.saturating_sub(progress.bytes_already);
    let mut text = match progress.state {
        State::Done if fetched == 0 && progress.files_already == progress.files => {
            format!("{name} is here already ({})", format::bytes(progress.bytes))
        }
        State::Done => format!("{name} is here: {}", amount(progress, fetched)),
        State::Stopped => format!(
            "{name} was stopped at {} of {}; what is verified is kept, and the same fetch goes on from there",
            format::bytes(progress.bytes_done),
            format::bytes(progress.bytes)
        ),
        _ => format!("{name}: {} of {} files could not be had", progress.failed, progress.files),
    };
    for given in &progress.from {
        let pieces = if given.pieces == 1 { "piece" } else { "pieces" };
        text += &format!(
            "\n  {} from {} ({} {pieces})",
            format::bytes(given.bytes),
            given.username,
            given.pieces
        );
    }
    for (file, aside) in &progress.aside {
        text += &format!("\n  {}: what was there is {} now", escape(file), escape(aside));
    }
    for (file, error) in &progress.errors {
        text += &format!("\n  {}: {}", escape(file), escape(error));
    }
    let more = progress.failed.saturating_sub(progress.errors.len() as u64);
    if more > 0 {
        text += &format!("\n  and {more} more");
    }
    if progress.occupied > 0 {
        text += "\nhint: with --replace, a file that is in the way is kept aside as NAME.~1~";
    }
    if progress.changed > 0 {
        text += "\nhint: the same fetch again takes what there is now";
    }
    text
}

fn amount(progress: &Progress, fetched: u64) -> String {
    let seconds = progress.took.as_secs_f64().max(0.001);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rate = (fetched as f64 / seconds) as u64; // for people to look at
    let files = if progress.files > 1 { format!("{} files, ", progress.files) } else { String::new() };
    let already = match progress.bytes_already {
        0 => String::new(),
        bytes => format!(", {} were here before", format::bytes(bytes)),
    };
    let pieces = if progress.pieces == 1 { "piece" } else { "pieces" };
    format!(
        "{files}{}, {} {pieces} in {seconds:.2} s ({}){already}",
        format::bytes(progress.bytes),
        progress.pieces,
        format::rate(rate)
    )
}
