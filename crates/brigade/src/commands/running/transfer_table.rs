//! The table of transfers: the fetches of a peer, and what it sends.
//!
//! `transfers` asks for the values; the prompt prints the same table.

use brigade_api::values::{Fetch, FetchState, Priority, Upload};

use crate::{
    notices::{holder_shares::holder_shares, progress_texts::without_holder},
    text::{
        escape::escape,
        format,
        shortening::cut,
        table::{TableColumn, table},
    },
};

const FETCHES: [TableColumn; 9] = [
    TableColumn::number("no"),
    TableColumn::text("name").at_least(12),
    TableColumn::text("state"),
    TableColumn::number("done"),
    TableColumn::number("size").omitted(3),
    TableColumn::number("rate"),
    TableColumn::number("left").omitted(1),
    TableColumn::number("holders").omitted(2),
    TableColumn::text("from").omitted(4),
];

const UPLOADS: [TableColumn; 4] = [
    TableColumn::text("sending to").at_least(12),
    TableColumn::text("name").at_least(12),
    TableColumn::number("sent").omitted(1),
    TableColumn::number("rate"),
];

/// Digits of an id that people compare.
const ID_DIGITS: usize = 10;

/// The fetches that are listed: with `all` those that have ended, too.
pub(crate) fn listed(fetches: Vec<Fetch>, all: bool) -> Vec<Fetch> {
    fetches.into_iter().filter(|fetch| all || !fetch.state.is_over()).collect()
}

/// The tables, or a sentence if nothing is transferred.
pub(crate) fn text(fetches: &[Fetch], uploads: &[Upload], width: Option<usize>) -> String {
    let mut parts = vec![];
    if !fetches.is_empty() {
        parts.push(table(&FETCHES, &fetches.iter().map(fetch_row).collect::<Vec<_>>(), width));
        let notes: Vec<String> = fetches.iter().filter_map(|fetch| note(fetch, width)).collect();
        if !notes.is_empty() {
            parts.push(notes.join("\n"));
        }
    }
    if !uploads.is_empty() {
        parts.push(table(&UPLOADS, &uploads.iter().map(upload_row).collect::<Vec<_>>(), width));
    }
    if parts.is_empty() { "nothing is being fetched or sent".to_owned() } else { parts.join("\n\n") }
}

/// The files of a fetch that no connected holder has.
fn note(fetch: &Fetch, width: Option<usize>) -> Option<String> {
    let note = format!("{}: {}", fetch.id, without_holder(&fetch.to_progress())?);
    Some(width.map_or_else(|| note.clone(), |width| cut(&note, width)))
}

fn fetch_row(fetch: &Fetch) -> Vec<String> {
    let runs = fetch.state == FetchState::Fetching;
    let left = fetch.seconds_left.filter(|_| runs).map(std::time::Duration::from_secs);
    let when_running = |text: String| if runs { text } else { "–".to_owned() };
    vec![
        fetch.id.to_string(),
        escape(&fetch.name).into_owned(),
        state(fetch),
        format!("{}%", percent(fetch.bytes_done, fetch.bytes, fetch.state)),
        format::bytes(fetch.bytes),
        when_running(format::rate(fetch.rate)),
        left.map_or_else(|| "–".to_owned(), format::duration),
        fetch.holders.to_string(),
        holder_shares(&fetch.to_progress()),
    ]
}

fn state(fetch: &Fetch) -> String {
    let state = match fetch.state {
        FetchState::Checking => "checking",
        FetchState::Fetching => "fetching",
        FetchState::WaitingForFetch => "waiting for a fetch",
        FetchState::Waiting => "waiting",
        FetchState::DiskFull => "disk full",
        FetchState::NoInodes => "no inodes",
        FetchState::Paused => "paused",
        FetchState::Done => "done",
        FetchState::Failed => "failed",
        FetchState::Stopped => "stopped",
        FetchState::Unknown => "unknown",
    };
    match fetch.priority {
        _ if fetch.state.is_over() => state.to_owned(),
        Priority::High => format!("{state}, high"),
        Priority::Low => format!("{state}, low"),
        Priority::Normal => state.to_owned(),
    }
}

/// An empty file is complete when it is done.
fn percent(done: u64, of: u64, state: FetchState) -> u64 {
    match of {
        0 if state == FetchState::Done => 100,
        0 => 0,
        of => u64::try_from(u128::from(done) * 100 / u128::from(of)).unwrap_or(100).min(100),
    }
}

fn upload_row(upload: &Upload) -> Vec<String> {
    let part = || match &upload.id {
        Some(id) => format!("a part of {}", id.get(..ID_DIGITS).unwrap_or(id)),
        None => "–".to_owned(),
    };
    vec![
        escape(&upload.username).into_owned(),
        escape(&upload.name.clone().unwrap_or_else(part)).into_owned(),
        format::bytes(upload.bytes),
        format::rate(upload.rate),
    ]
}

#[cfg(test)]
mod tests {
    use brigade_node::peer::Progress;

    use super::{Fetch, FetchState, Priority, Upload, listed, text};

    fn fetch(id: u64, name: &str, state: FetchState) -> Fetch {
        let mut progress = Progress::new(name);
        (progress.bytes, progress.bytes_done, progress.rate, progress.holders) =
            (300_000_000, 123_000_000, 12_300_000, 2);
        let mut fetch = Fetch::new(id, 0, &progress);
        (fetch.state, fetch.seconds_left) = (state, Some(14));
        fetch
    }

    #[test]
    fn a_table_has_the_fetches_and_what_is_sent() {
        let mut paused = fetch(12, "data/**", FetchState::Paused);
        paused.priority = Priority::High;
        let done = fetch(1, "old", FetchState::Done);
        let fetches = listed(vec![done, fetch(3, "film.mkv", FetchState::Fetching), paused], false);
        let upload = Upload {
            username: "water_user".into(),
            name: None,
            id: Some("abcdef012345".into()),
            size: Some(7),
            bytes: 2_000_000,
            pieces: 2,
            rate: 1_500_000,
        };
        insta::assert_snapshot!(text(&fetches, &[upload], None), @r"
        no  name      state         done      size       rate  left  holders  from
         3  film.mkv  fetching       41%  300.0 MB  12.3 MB/s  14 s        2
        12  data/**   paused, high   41%  300.0 MB          –     –        2

        sending to  name                    sent      rate
        water_user  a part of abcdef0123  2.0 MB  1.5 MB/s
        ");
        assert_eq!(text(&[], &[], None), "nothing is being fetched or sent");
    }
}
