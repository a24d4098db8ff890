//! The progress line of a fetch, and what is said at its end.
//!
//! In a terminal the line is drawn anew in place; elsewhere a line is written when something worth a line happens:
//! every tenth of the way, or when the fetch begins to wait for holders or goes on. A fetch in the background of a
//! terminal says only the latter, since a person is typing there.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal},
    time::Duration,
};

use brigade_core::plural::count;
use brigade_node::peer::{Fetch, FetchState, Progress, UnreachableHolder};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    escape::escape,
    format,
    input::Voice,
    progress_line::{self, Parts, ProgressLine},
    signals::Continued,
};
use crate::{notices::folder::News, terminal};

/// How often the line at a terminal is drawn, if anything about it changed.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Follows `fetch` until it is over, drawing on standard error, with what else is to be said meanwhile; what it
/// came to.
pub(crate) async fn follow(fetch: &Fetch, news: &mut News) -> Progress {
    if !io::stderr().is_terminal() || !terminal::draws() {
        return follow_by(until_over(fetch, &Display::Lines), news).await;
    }
    follow_by(drawn_until_over(fetch), news).await
}

async fn follow_by(followed: impl Future<Output = Progress>, news: &mut News) -> Progress {
    tokio::pin!(followed);
    loop {
        tokio::select! {
            progress = &mut followed => return progress,
            news = news.next() => say(&news),
        }
    }
}

/// Follows `fetch` until it is over without drawing anything; what it came to.
pub(crate) async fn follow_in_background(fetch: &Fetch, voice: Voice) -> Progress {
    let display = match voice {
        Voice::Terminal(_) | Voice::Typed(_) => Display::Aside(voice),
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
            return now.or_stopped();
        }
    }
}

/// Follows `fetch` until it is over with a line at the terminal that is drawn anew, also where the terminal gets another
/// size. The line is gone from the screen when nobody follows the fetch any more, however that came.
async fn drawn_until_over(fetch: &Fetch) -> Progress {
    let mut progress = fetch.progress();
    let mut line = ProgressLine::default();
    let mut said = Said::default();
    let mut continued = Continued::hear();
    let mut tick = interval(DRAW_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            over = progress.wait_for(Progress::is_over) => return match over {
                Ok(over) => over.clone(),
                Err(_) => break,
            },
            () = continued.next() => line.forget(),
            _ = tick.tick() => {}
        }
        let now = progress.borrow().clone();
        for cause in said.causes(&now) {
            say(&cause);
        }
        line.draw(&parts(&now));
    }
    progress.borrow().clone().or_stopped()
}

/// Where a fetch is shown without drawing.
enum Display {
    /// Lines on standard error.
    Lines,
    /// Next to what a person is typing, and seldom.
    Aside(Voice),
}

impl Display {
    fn show(&self, progress: &Progress, said: &mut Said) {
        self.show_line(progress, said);
        for cause in said.causes(progress) {
            self.say(&cause);
        }
    }

    fn show_line(&self, progress: &Progress, said: &mut Said) {
        match self {
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

    fn say(&self, text: &str) {
        match self {
            Self::Lines => say(text),
            Self::Aside(voice) => voice.say(text),
        }
    }
}

/// Writes a line to standard error, above a line of progress that may stand there.
#[allow(clippy::print_stderr)]
fn say(text: &str) {
    progress_line::erase();
    eprintln!("{text}");
}

/// Pieces, bytes, rate, time left and holders, on one line.
pub(crate) fn line(progress: &Progress) -> String {
    parts(progress).whole()
}

fn parts(progress: &Progress) -> Parts {
    let files = if progress.files > 1 {
        format!("{}/{}", progress.files_done, count(progress.files, "file"))
    } else {
        String::new()
    };
    Parts {
        name: escape(&progress.name).into_owned(),
        files,
        pieces: format!("{}/{}", progress.pieces_done, count(progress.pieces, "piece")),
        amounts: format!("{} of {}", format::bytes(progress.bytes_done), format::bytes(progress.bytes)),
        state: state(progress),
        done: (progress.bytes_done, progress.bytes),
    }
}

/// How it goes on, the most important first.
fn state(progress: &Progress) -> Vec<String> {
    let text = match progress.state {
        FetchState::Checking => "checking what is here".to_owned(),
        FetchState::Waiting => match progress.out_of_reach {
            0 => "waiting: nobody who is here has what is missing".to_owned(),
            1 => "waiting: its one holder cannot be reached".to_owned(),
            many => format!("waiting: its {many} holders cannot be reached"),
        },
        FetchState::Full { inodes: true, .. } => {
            "paused: no inodes are left on the disk for more files; it goes on when files are deleted there"
                .to_owned()
        }
        FetchState::Full { missing_bytes, free_bytes, .. } => format!(
            "paused: the disk is full; {} are missing, {} are free, and it goes on when there is room",
            format::bytes(missing_bytes),
            format::bytes(free_bytes)
        ),
        _ => {
            let left = progress.time_left().map_or_else(|| "–".to_owned(), format::duration);
            let holders = count(progress.holders, "holder");
            return vec![format::rate(progress.rate), format!("{left} left"), holders];
        }
    };
    vec![text]
}

/// What was said last, where lines cannot be drawn anew.
#[derive(Default)]
struct Said {
    tenths: u64,
    /// How long it had taken when something was said last.
    at: Duration,
    halt: Halt,
    /// Holders of which it was said why they cannot be used, with the cause; not more than [`CAUSES`].
    causes: BTreeSet<String>,
}

/// Causes that are said of one fetch: what a person reads. `status` and the end of the fetch have those of then.
const CAUSES: usize = 32;

/// A fetch that goes on is not silent for longer, where lines cannot be drawn anew.
const QUIET: Duration = Duration::from_secs(15);

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
            FetchState::Waiting => Halt::Holders,
            FetchState::Full { .. } => Halt::Disk,
            FetchState::Fetching => Halt::None,
            _ => return None,
        };
        let is_new = halt != self.halt;
        self.halt = halt;
        let text = line(progress);
        is_new.then(|| if halt == Halt::None { format!("{text}  it goes on") } else { text })
    }

    /// Why holders cannot be used that it waits for, each once.
    fn causes(&mut self, progress: &Progress) -> Vec<String> {
        let waits = progress.state == FetchState::Waiting;
        let mut new = vec![];
        for cause in progress.unreached.iter().filter(|_| waits).map(unreached_line) {
            if self.causes.len() < CAUSES && self.causes.insert(cause.clone()) {
                new.push(cause);
            }
        }
        new
    }

    /// That it came a tenth further, or that it goes on where nothing was said for a while.
    fn step(&mut self, progress: &Progress) -> Option<String> {
        let tenths = progress.bytes_done * 10 / progress.bytes.max(1);
        let is_further = tenths > self.tenths && tenths < 10;
        let is_quiet = progress.took.saturating_sub(self.at) >= QUIET;
        (progress.state == FetchState::Fetching && (is_further || is_quiet)).then(|| {
            self.tenths = tenths;
            self.at = progress.took;
            line(progress)
        })
    }
}

/// The holders that a fetch waits for and that cannot be used, each on a line of its own, with the cause.
pub(crate) fn unreached(progress: &Progress) -> String {
    progress.unreached.iter().map(|one| format!("\n{}", unreached_line(one))).collect()
}

fn unreached_line(one: &UnreachableHolder) -> String {
    format!("  {} at {} cannot be used: {}", escape(&one.username), one.address, escape(&one.cause))
}

/// What a fetch came to: how much in what time, and from whom; what could not be had, and why.
pub(crate) fn summary(progress: &Progress) -> String {
    let name = escape(&progress.name).into_owned();
    let fetched = progress.bytes_done.saturating_sub(progress.bytes_already + progress.bytes_copied);
    let mut text = match progress.state {
        FetchState::Done if fetched == 0 && progress.files_already == progress.files => {
            format!("{name} is here already ({})", format::bytes(progress.bytes))
        }
        FetchState::Done => format!("{name} is here: {}", amount(progress, fetched)),
        FetchState::Stopped => format!(
            "{name} was stopped at {} of {}; what is verified is kept, and the same fetch goes on from there",
            format::bytes(progress.bytes_done),
            format::bytes(progress.bytes)
        ),
        _ => {
            format!("{name}: {} of {} could not be had", progress.failed, count(progress.files, "file"))
        }
    };
    for given in &progress.from {
        text += &format!(
            "\n  {} from {} ({})",
            format::bytes(given.bytes),
            given.username,
            count(given.pieces, "piece")
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
    if progress.state != FetchState::Done {
        text += &unreached(progress);
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
    let files =
        if progress.files > 1 { format!("{}, ", count(progress.files, "file")) } else { String::new() };
    let already = match progress.bytes_already {
        0 => String::new(),
        bytes => format!(", {} were here before", format::bytes(bytes)),
    };
    let copied = match progress.bytes_copied {
        0 => String::new(),
        bytes => format!(", {} were copied from equal files", format::bytes(bytes)),
    };
    format!(
        "{files}{}, {} in {seconds:.2} s ({}){already}{copied}",
        format::bytes(progress.bytes),
        count(progress.pieces, "piece"),
        format::rate(rate)
    )
}

#[cfg(test)]
mod tests {
    use brigade_node::peer::MemberTraffic;

    use super::{Duration, FetchState, Progress, line, summary};

    /// A fetch of `number` of everything, all of which came from one holder.
    fn progress(number: u64, state: FetchState) -> Progress {
        let mut progress = Progress::new("data");
        progress.state = state;
        (progress.files, progress.files_done) = (number, number);
        (progress.pieces, progress.pieces_done) = (number, number);
        (progress.bytes, progress.bytes_done) = (number, number);
        progress.rate = 7;
        progress.holders = usize::try_from(number).unwrap();
        progress.from = vec![MemberTraffic::new("fire_user".parse().unwrap(), number, number)];
        progress.took = Duration::from_secs(10);
        progress
    }

    #[test]
    fn one_of_anything_is_not_several() {
        assert_eq!(
            [1, 2].map(|number| line(&progress(number, FetchState::Fetching))),
            [
                "data  1/1 piece  1 B of 1 B  7 B/s  – left  1 holder",
                "data  2/2 files  2/2 pieces  2 B of 2 B  7 B/s  – left  2 holders",
            ]
        );
        assert_eq!(
            [1, 2].map(|number| summary(&progress(number, FetchState::Done))),
            [
                "data is here: 1 B, 1 piece in 10.00 s (0 B/s)\n  1 B from fire_user (1 piece)",
                "data is here: 2 files, 2 B, 2 pieces in 10.00 s (0 B/s)\n  2 B from fire_user (2 pieces)",
            ]
        );
        let failed = |files, failed| {
            let mut progress = progress(files, FetchState::Failed);
            progress.failed = failed;
            let text = summary(&progress);
            text.lines().next().unwrap().to_owned()
        };
        assert_eq!(failed(1, 1), "data: 1 of 1 file could not be had");
        assert_eq!(failed(9, 4), "data: 4 of 9 files could not be had");
    }
}
