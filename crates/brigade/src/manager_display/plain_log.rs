//! The events of a manager as plain lines, for a log or a pipe: a line for each event, and a line when the shared files
//! of a peer change.
//!
//! Rates are not logged: they change all the time, and the table is read only when shared files have changed. The texts
//! of events are those of `event_text`. A reader that closes the pipe does not end the manager; a disk that is full does.

use std::{collections::BTreeMap, time::Duration};

use brigade_core::{manager::Row, name::Username, plural::count, time::UnixTime};
use brigade_node::{
    clock,
    manager::{LifeEvent, ManagerHandle, ManagerView},
};
use tokio::{
    sync::broadcast::{
        self,
        error::{RecvError, TryRecvError},
    },
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::event_text::event_text;
use crate::{
    terminal::{
        standard_error::{has_records, print_error_line},
        standard_output::{has_failed, print_line},
    },
    text::format,
};

/// The shortest time between lines about shared files: a large folder is announced in many steps.
const SHARES_EVERY: Duration = Duration::from_secs(1);

/// The number and bytes of the files that each peer shares.
type Shares = BTreeMap<Username, (u64, u64)>;

/// Writes lines to standard output until the manager stops, or until they cannot be written.
pub(crate) async fn log_table(
    handle: &ManagerHandle,
    mut events: broadcast::Receiver<LifeEvent>,
    stop: CancellationToken,
) {
    let mut view = handle.view();
    let (mut shares, mut share_changes) = (Shares::new(), 0);
    let mut quiet_until = Instant::now();
    let head = opening(&view.borrow());
    write(clock::unix_now(), &head);
    while !has_failed() {
        tokio::select! {
            biased; // the line that a peer joined is before the line with its files
            event = events.recv() => match event {
                Ok(event) => print_event(event),
                Err(RecvError::Lagged(missed)) => print_missed(missed),
                Err(RecvError::Closed) => break,
            },
            changed = async { sleep_until(quiet_until).await; view.changed().await } => {
                if changed.is_err() {
                    break;
                }
                let changes_now = view.borrow_and_update().totals.share_changes;
                if std::mem::replace(&mut share_changes, changes_now) == changes_now {
                    continue;
                }
                let Ok(rows) = handle.all_peers().await else { break };
                print_waiting_events(&mut events);
                let texts = changes(&mut shares, &rows);
                if !texts.is_empty() {
                    quiet_until = Instant::now() + SHARES_EVERY;
                }
                texts.iter().for_each(|text| write(clock::unix_now(), text));
            }
            () = stop.cancelled() => break,
        }
    }
}

/// Prints the events that were sent before now: a peer whose row was read has joined before.
fn print_waiting_events(events: &mut broadcast::Receiver<LifeEvent>) {
    loop {
        match events.try_recv() {
            Ok(event) => print_event(event),
            Err(TryRecvError::Lagged(missed)) => print_missed(missed),
            Err(TryRecvError::Empty | TryRecvError::Closed) => return,
        }
    }
}

fn print_event(LifeEvent { at, event, .. }: LifeEvent) {
    print_line(&line(at, &event_text(&event)));
}

fn print_missed(missed: u64) {
    print_line(&line(clock::unix_now(), &format!("{} missing in this log", count(missed, "event"))));
}

fn opening(view: &ManagerView) -> String {
    let ManagerView { address, key, max_peers, .. } = view;
    format!("the manager listens on {address}, for at most {}; its key is {key}", count(*max_peers, "peer"))
}

/// The changes of the shared files, as sentences; `shares` is updated.
fn changes(shares: &mut Shares, rows: &[Row]) -> Vec<String> {
    let now: Shares = rows.iter().map(|row| (row.username.clone(), (row.files, row.bytes))).collect();
    let texts = now
        .iter()
        .filter(|(username, shared)| shares.get(*username).copied().unwrap_or_default() != **shared)
        .map(|(username, (files, bytes))| {
            format!("{username} shares {}, {}", count(*files, "file"), format::bytes(*bytes))
        })
        .collect();
    *shares = now;
    texts
}

/// Writes a line to standard output, or a record to standard error if records are written there.
fn write(at: UnixTime, text: &str) {
    if has_records() { print_error_line(text) } else { print_line(&line(at, text)) }
}

/// A line of the log, without its end.
fn line(at: UnixTime, text: &str) -> String {
    format!("{}  {text}", format::time(at))
}

#[cfg(test)]
mod tests {
    use brigade_core::{id::PeerKey, time::UnixTime};

    use super::{Row, Shares, changes, line};

    #[test]
    fn only_changes_are_logged() {
        let row = |name: &str, files, bytes| Row {
            username: name.parse().unwrap(),
            key: PeerKey([1; 32]),
            is_bound: true,
            address: ([127, 0, 0, 1], 7001).into(),
            files,
            bytes,
            sending: 5,
            receiving: 5,
            since: UnixTime(0),
            last_message: UnixTime(0),
        };
        let mut shares = Shares::new();
        let first = changes(&mut shares, &[row("empty", 0, 0), row("fire_user", 1, 300_000_000)]);
        assert_eq!(first, ["fire_user shares 1 file, 300.0 MB"]);
        let second = changes(&mut shares, &[row("empty", 2, 10), row("fire_user", 1, 300_000_000)]);
        assert_eq!(second, ["empty shares 2 files, 10 B"]);
        assert_eq!(changes(&mut shares, &[]), [""; 0]);
    }

    #[test]
    fn a_line_begins_with_the_time() {
        let line = line(UnixTime(0), "fire_user left: it quit");
        assert_eq!(line, "1970-01-01T00:00:00Z  fire_user left: it quit");
    }
}
