//! The progress of a fetch as texts: its line, its state, its holders that cannot be used, its files without a holder.
//!
//! `fetch_progress` shows them in lines, and so do the screen and `status`. Names of other machines are escaped here.

use brigade_core::plural::count;
use brigade_node::peer::{FetchState, Progress, UnreachableHolder};

use super::holder_shares::holder_shares;
use crate::{
    terminal::progress_line::LineParts,
    text::{escape::escape, format},
};

/// Pieces, bytes, rate, time left and holders on one line.
pub(crate) fn line(progress: &Progress) -> String {
    parts(progress).whole()
}

/// The same in parts, for a line that is drawn in place.
pub(super) fn parts(progress: &Progress) -> LineParts {
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

/// The files of a fetch of several that no connected holder has now: `no holder now: NAME and 3 other files`.
pub(crate) fn without_holder(progress: &Progress) -> Option<String> {
    let first = progress.without_holder.first().filter(|_| progress.files > 1 && !progress.is_over())?;
    let others = progress.files_without_holder.saturating_sub(1);
    let rest = if others == 0 { String::new() } else { format!(" and {}", count(others, "other file")) };
    Some(format!("no holder now: {}{rest}", escape(first)))
}

/// The holders that a fetch waits for and cannot use, each on its own line, with the cause.
pub(crate) fn unreached(progress: &Progress) -> String {
    progress.unreached.iter().map(|one| format!("\n{}", unreachable_holder(one))).collect()
}

/// A holder that cannot be used, with the cause.
pub(super) fn unreachable_holder(one: &UnreachableHolder) -> String {
    format!("  {} at {} cannot be used: {}", escape(&one.username), one.address, escape(&one.cause))
}
