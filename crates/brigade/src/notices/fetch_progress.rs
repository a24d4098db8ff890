//! The progress line of a fetch, and the summary at its end.
//!
//! In a terminal the line is drawn in place. A terminal that cannot draw gets a line at every tenth of the way, and when
//! the fetch begins or stops waiting. Elsewhere, and for a fetch in the background of a terminal, only the latter are
//! printed, since a person is typing there, or nobody reads.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal},
    time::Duration,
};

use brigade_core::plural::count;
use brigade_node::peer::{FetchState, Progress, UnreachableHolder};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{Notices, holder_shares::holder_shares};
use crate::{
    terminal::{
        self,
        input::Printer,
        progress_line::{self, LineParts, ProgressLine},
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
        for cause in reported.causes(&now) {
            print_above(&cause);
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
        for cause in reported.causes(progress) {
            self.print(&cause);
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

/// Pieces, bytes, rate, time left and holders on one line.
pub(crate) fn line(progress: &Progress) -> String {
    parts(progress).whole()
}

fn parts(progress: &Progress) -> LineParts {
    let files = if progress.files > 1 {
        format!("{}/{}", progress.files_done, count(progress.files, "file"))
    } else {
        String::new()
    };
    LineParts {
        name: escape(&progress.name).into_owned(),
        files,
        pieces: format!("{}/{}", progress.pieces_done, count(progress.pieces, "piece")),
        amounts: format!("{} of {}", format::bytes(progress.bytes_done), format::bytes(progress.bytes)),
        state: state_texts(progress),
        holder_shares: holder_shares(progress),
        done: (progress.bytes_done, progress.bytes),
    }
}

/// The state, the most important parts first.
pub(crate) fn state_texts(progress: &Progress) -> Vec<String> {
    let text = match progress.state {
        FetchState::Checking => "checking existing files".to_owned(),
        FetchState::WaitingForFetch => "waiting for another fetch of the same files".to_owned(),
        FetchState::Waiting => match (progress.wrong_data, progress.out_of_reach) {
            (0, 0) => "waiting: no connected peer has the missing pieces".to_owned(),
            (0, 1) => "waiting: its only holder cannot be reached".to_owned(),
            (0, many) => format!("waiting: its {many} holders cannot be reached"),
            (wrong, _) => {
                let of = if wrong == 1 { "a holder".to_owned() } else { format!("{wrong} holders") };
                format!(
                    "waiting: the data of {of} is wrong, and no other connected peer has the missing pieces"
                )
            }
        },
        FetchState::Full { inodes: true, .. } => {
            "paused: no inodes are left on the disk for more files; it continues when files are deleted there"
                .to_owned()
        }
        FetchState::Full { missing_bytes, free_bytes, .. } => {
            let (missing, free) = format::needed_and_free(missing_bytes, free_bytes);
            format!(
                "paused: the disk is full; {missing} are missing, {free} are free; it continues when there is space"
            )
        }
        FetchState::Paused => "paused by a command; it continues when it is resumed".to_owned(),
        _ => {
            let left = progress.time_left().map_or_else(|| "–".to_owned(), format::duration);
            let holders = count(progress.holders, "holder");
            return vec![format::rate(progress.rate), format!("{left} left"), holders];
        }
    };
    vec![text]
}

/// The last report of a fetch that is not drawn in place.
#[derive(Default)]
struct LastReport {
    tenths: u64,
    /// The time that the fetch had taken at the last report.
    at: Duration,
    wait_cause: WaitCause,
    /// The unreachable holders that were reported, with the cause; at most [`CAUSES`].
    causes: BTreeSet<String>,
}

/// The most causes that are reported for one fetch: more are not useful. `status` and the end of the fetch have the
/// current ones.
const CAUSES: usize = 32;

/// The longest time without a report of a running fetch that is not drawn in place.
const QUIET: Duration = Duration::from_secs(15);

/// The reason why a fetch waits.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum WaitCause {
    #[default]
    None,
    Fetch,
    /// No connected peer has the missing pieces.
    Holders,
    /// No holder can be reached.
    OutOfReach,
    /// Holders that sent wrong data.
    WrongData,
    Disk,
    /// Somebody paused it.
    Paused,
}

impl LastReport {
    /// The line if the fetch began or stopped waiting, or waits for another reason than before.
    fn wait_change(&mut self, progress: &Progress) -> Option<String> {
        let now = match progress.state {
            FetchState::WaitingForFetch => WaitCause::Fetch,
            FetchState::Waiting if progress.wrong_data > 0 => WaitCause::WrongData,
            FetchState::Waiting if progress.out_of_reach > 0 => WaitCause::OutOfReach,
            FetchState::Waiting => WaitCause::Holders,
            FetchState::Full { .. } => WaitCause::Disk,
            FetchState::Paused => WaitCause::Paused,
            FetchState::Fetching => WaitCause::None,
            _ => return None,
        };
        let is_new = now != self.wait_cause;
        self.wait_cause = now;
        let text = line(progress);
        is_new.then(|| if now == WaitCause::None { format!("{text}  it continues") } else { text })
    }

    /// The holders that it waits for and cannot use, each once.
    fn causes(&mut self, progress: &Progress) -> Vec<String> {
        let waits = progress.state == FetchState::Waiting;
        let mut new = vec![];
        for cause in progress.unreached.iter().filter(|_| waits).map(unreachable_holder) {
            if self.causes.len() < CAUSES && self.causes.insert(cause.clone()) {
                new.push(cause);
            }
        }
        new
    }

    /// The line if it is a tenth further, or if nothing was reported for a while.
    fn advance(&mut self, progress: &Progress) -> Option<String> {
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

/// The holders that a fetch waits for and cannot use, each on its own line, with the cause.
pub(crate) fn unreached(progress: &Progress) -> String {
    progress.unreached.iter().map(|one| format!("\n{}", unreachable_holder(one))).collect()
}

fn unreachable_holder(one: &UnreachableHolder) -> String {
    format!("  {} at {} cannot be used: {}", escape(&one.username), one.address, escape(&one.cause))
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

    use super::{Duration, FetchState, LastReport, Progress, line, summary};

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

    #[test]
    fn a_fetch_that_waits_for_another_reason_says_so_once() {
        let mut reported = LastReport::default();
        let mut reason = |out_of_reach, wrong_data| {
            let mut progress = progress(2, FetchState::Waiting);
            (progress.out_of_reach, progress.wrong_data) = (out_of_reach, wrong_data);
            reported.wait_change(&progress).map(|line| line.rsplit("  ").next().unwrap().to_owned())
        };
        let none_has = "waiting: no connected peer has the missing pieces";
        let unreached = "waiting: its only holder cannot be reached";
        let wrong =
            "waiting: the data of a holder is wrong, and no other connected peer has the missing pieces";
        for (out_of_reach, wrong_data, expected) in
            [(0, 0, none_has), (1, 0, unreached), (0, 0, none_has), (1, 1, wrong), (1, 0, unreached)]
        {
            assert_eq!(reason(out_of_reach, wrong_data).as_deref(), Some(expected));
            assert_eq!(reason(out_of_reach, wrong_data), None);
        }
    }
}
