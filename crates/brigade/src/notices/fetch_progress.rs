//! The progress line of a fetch, and the summary at its end.
//!
//! In a terminal the line is drawn in place. A terminal that cannot draw gets a line at every tenth of the way, and when
//! the fetch begins or stops waiting. Elsewhere, and for a fetch in the background of a terminal, only the latter are
//! printed, since a person is typing there, or nobody reads. `progress_reports` has what was printed.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use brigade_core::plural::count;
use brigade_node::peer::{FetchState, Progress};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    Notices,
    progress_reports::LastReport,
    progress_texts::{parts, unreached},
};
use crate::{
    terminal::{
        self,
        input::Printer,
        progress_line::{self, ProgressLine},
        signals::Continued,
        standard_error::print_error_line,
    },
    text::{escape::escape, format, hints},
};

/// How often the line at a terminal is drawn, if it changed.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// How much of a running fetch is printed where its line is not drawn in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgressDetail {
    /// A line at every tenth of the way, and the waits.
    Tenths,
    /// That it waits, and that it continues. At a terminal that cannot draw, the tenths too.
    Waits,
    /// Nothing, also at a terminal that can draw.
    Nothing,
}

/// Follows a fetch until it is over and draws its progress on standard error, with the notices between. Returns the
/// last progress.
pub(crate) async fn follow(
    progress: watch::Receiver<Progress>,
    notices: Option<&mut Notices>,
    detail: ProgressDetail,
) -> Progress {
    let is_terminal = io::stderr().is_terminal();
    let display = match detail {
        ProgressDetail::Nothing => return until_over(progress, &Display::Nothing).await,
        ProgressDetail::Waits if !is_terminal => Display::Waits,
        _ => Display::Lines,
    };
    if is_terminal && terminal::draws() {
        return follow_by(drawn_until_over(progress), notices).await;
    }
    follow_by(until_over(progress, &display), notices).await
}

async fn follow_by(followed: impl Future<Output = Progress>, notices: Option<&mut Notices>) -> Progress {
    let Some(notices) = notices else { return followed.await };
    tokio::pin!(followed);
    loop {
        tokio::select! {
            progress = &mut followed => return progress,
            notices = notices.next() => print_above(&notices),
        }
    }
}

/// Follows a fetch until it is over without drawing. Returns the last progress.
pub(crate) async fn follow_in_background(progress: watch::Receiver<Progress>, printer: Printer) -> Progress {
    let display = match printer {
        Printer::Terminal(_) | Printer::Typed(_) | Printer::Screen => Display::AboveInput(printer),
        Printer::Plain => Display::Lines,
    };
    until_over(progress, &display).await
}

async fn until_over(mut progress: watch::Receiver<Progress>, display: &Display) -> Progress {
    let mut reported = LastReport::default();
    loop {
        let now = progress.borrow_and_update().clone();
        display.show(&now, &mut reported);
        if now.is_over() || progress.changed().await.is_err() {
            return now.or_stopped();
        }
    }
}

/// Follows a fetch until it is over with a line at the terminal that is drawn again, also after the terminal was
/// resized. The line is erased when the future ends or is dropped.
async fn drawn_until_over(mut progress: watch::Receiver<Progress>) -> Progress {
    let mut line = ProgressLine::default();
    let mut reported = LastReport::default();
    let mut continued = Continued::install();
    let mut tick = interval(DRAW_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            over = progress.wait_for(Progress::is_over) => return match over {
                Ok(over) => over.clone(),
                Err(_) => break,
            },
            () = continued.next() => line.redraw(),
            _ = tick.tick() => {}
        }
        let now = progress.borrow().clone();
        for text in reported.new_lines(&now) {
            print_above(&text);
        }
        line.draw(&parts(&now));
    }
    progress.borrow().clone().or_stopped()
}

/// The output for a fetch that is not drawn in place.
enum Display {
    /// Lines on standard error.
    Lines,
    /// Lines on standard error, and only while something is wrong.
    Waits,
    /// Above the line that a person is typing, and seldom.
    AboveInput(Printer),
    Nothing,
}

impl Display {
    fn show(&self, progress: &Progress, reported: &mut LastReport) {
        if let Some(text) = reported.wait_change(progress).or_else(|| self.advance(progress, reported)) {
            self.print(&text);
        }
        for text in reported.new_lines(progress) {
            self.print(&text);
        }
    }

    fn advance(&self, progress: &Progress, reported: &mut LastReport) -> Option<String> {
        match self {
            Self::Lines => reported.advance(progress),
            _ => None,
        }
    }

    fn print(&self, text: &str) {
        match self {
            Self::Lines | Self::Waits => print_above(text),
            Self::AboveInput(printer) => printer.print(text),
            Self::Nothing => {}
        }
    }
}

/// Prints a line on standard error, above the progress line.
fn print_above(text: &str) {
    progress_line::erase();
    print_error_line(text);
}

/// The result of a fetch: bytes, time and holders; the files that could not be fetched, and why.
pub(crate) fn summary(progress: &Progress) -> String {
    let name = escape(&progress.name).into_owned();
    let not_fetched = progress.bytes_already + progress.bytes_copied + progress.bytes_of_other_fetches;
    let fetched = progress.bytes_done.saturating_sub(not_fetched);
    let mut text = match progress.state {
        FetchState::Done if fetched == 0 && progress.files_already == progress.files => {
            format!("{name} is here already ({})", format::bytes(progress.bytes))
        }
        FetchState::Done => format!("{name} is here: {}", amount(progress, fetched)),
        FetchState::Stopped => format!(
            "{name} was stopped at {} of {}; {}",
            format::bytes(progress.bytes_done),
            format::bytes(progress.bytes),
            hints::FETCH_AGAIN
        ),
        _ => {
            format!("{name}: {} of {} could not be fetched", progress.failed, count(progress.files, "file"))
        }
    };
    let of_holder = |holder: &str, bytes: &str, pieces: &str| format!("\n  {bytes} from {holder} ({pieces})");
    text.extend(format::traffic(&progress.from, of_holder));
    for (file, aside) in &progress.aside {
        text += &format!("\n  {}: the old file is now {}", escape(file), escape(aside));
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
        text += &format!("\nhint: {}", hints::REPLACE);
    }
    if progress.changed > 0 {
        text += &format!("\nhint: {}", hints::FETCH_CURRENT);
    }
    text
}

fn amount(progress: &Progress, fetched: u64) -> String {
    let seconds = progress.took.as_secs_f64().max(0.001);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rate = (fetched as f64 / seconds) as u64; // only printed
    let files =
        if progress.files > 1 { format!("{}, ", count(progress.files, "file")) } else { String::new() };
    let already = match progress.bytes_already {
        0 => String::new(),
        bytes => format!(", {} existed before", format::bytes(bytes)),
    };
    let copied = match progress.bytes_copied {
        0 => String::new(),
        bytes => format!(", {} were copied from equal files", format::bytes(bytes)),
    };
    let of_others = match progress.bytes_of_other_fetches {
        0 => String::new(),
        bytes => format!(", {} were received by another fetch", format::bytes(bytes)),
    };
    format!(
        "{files}{}, {} in {seconds:.2} s ({}){already}{copied}{of_others}",
        format::bytes(progress.bytes),
        count(progress.pieces, "piece"),
        format::rate(rate)
    )
}

#[cfg(test)]
mod tests {
    use brigade_node::peer::MemberTraffic;

    use super::{Duration, FetchState, Progress, summary};
    use crate::notices::progress_texts::line;

    /// A fetch of `number` of everything, all from one holder.
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
    fn singular_and_plural_are_right() {
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
        let waiting = |out_of_reach, wrong_data| {
            let mut progress = progress(2, FetchState::Waiting);
            (progress.out_of_reach, progress.wrong_data) = (out_of_reach, wrong_data);
            line(&progress).rsplit("  ").next().unwrap().to_owned()
        };
        assert_eq!(waiting(0, 0), "waiting: no connected peer has the missing pieces");
        assert_eq!(waiting(1, 0), "waiting: its only holder cannot be reached");
        assert_eq!(waiting(2, 0), "waiting: its 2 holders cannot be reached");
        let rest = "wrong, and no other connected peer has the missing pieces";
        assert_eq!(waiting(0, 1), format!("waiting: the data of a holder is {rest}"));
        assert_eq!(waiting(0, 2), format!("waiting: the data of 2 holders is {rest}"));
        assert_eq!(waiting(1, 1), waiting(0, 1), "they are holders of two contents");
        let failed = |files, failed| {
            let mut progress = progress(files, FetchState::Failed);
            progress.failed = failed;
            let text = summary(&progress);
            text.lines().next().unwrap().to_owned()
        };
        assert_eq!(failed(1, 1), "data: 1 of 1 file could not be fetched");
        assert_eq!(failed(9, 4), "data: 4 of 9 files could not be fetched");
    }

    #[test]
    fn a_fetch_from_many_holders_lists_the_largest() {
        let mut progress = progress(1000, FetchState::Done);
        let holder = |at: u64| MemberTraffic::new(format!("user{at}").parse().unwrap(), 1, 1);
        progress.from = (0..1000).map(holder).collect();
        let text = summary(&progress);
        assert!(text.ends_with("\n  1 B from user9 (1 piece)\n  990 B from 990 more (990 pieces)"), "{text}");
    }
}
