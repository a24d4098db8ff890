//! The manager's life as plain lines, for a log or a pipe: one line an event, one when what a peer shares changes.
//!
//! Rates are not logged: they change all the time. The sentences are those that the screen shows (`table.rs`).

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use brigade_core::{name::Username, plural::count, time::UnixTime};
use brigade_node::{
    clock,
    manager::{LifeEvent, ManagerView},
};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{ending::Ending, table::describe};
use crate::terminal::format;

/// How long after lines about what is shared the next ones come at the earliest: a large folder is announced in
/// many steps.
const SHARES_EVERY: Duration = Duration::from_secs(1);

/// How many files a peer shares, and their bytes.
type Shares = BTreeMap<Username, (u64, u64)>;

/// Writes lines to standard output until the manager stops.
pub(crate) async fn log_table(
    mut view: watch::Receiver<ManagerView>,
    mut events: broadcast::Receiver<LifeEvent>,
    stop: CancellationToken,
) -> io::Result<Ending> {
    let mut out = io::stdout();
    let mut shares = Shares::new();
    let mut quiet_until = Instant::now();
    let head = opening(&view.borrow());
    line(&mut out, clock::unix_now(), &head)?;
    loop {
        tokio::select! {
            biased; // that somebody joined comes before what they share
            event = events.recv() => match event {
                Ok(LifeEvent { at, event, .. }) => line(&mut out, at, &describe(&event))?,
                Err(RecvError::Lagged(missed)) => {
                    line(&mut out, clock::unix_now(), &format!("{} too fast for this log", count(missed, "event")))?;
                }
                Err(RecvError::Closed) => return Ok(Ending::Stopped),
            },
            changed = async { sleep_until(quiet_until).await; view.changed().await } => {
                if changed.is_err() {
                    return Ok(Ending::Stopped);
                }
                let news = changes(&mut shares, &view.borrow_and_update());
                if !news.is_empty() {
                    quiet_until = Instant::now() + SHARES_EVERY;
                }
                news.iter().try_for_each(|text| line(&mut out, clock::unix_now(), text))?;
            }
            () = stop.cancelled() => return Ok(Ending::Stopped),
        }
    }
}

fn opening(view: &ManagerView) -> String {
    let ManagerView { address, key, max_peers, .. } = view;
    format!("the manager listens on {address}, for at most {}; its key is {key}", count(*max_peers, "peer"))
}

/// What changed in what peers share, as sentences; `shares` is brought up to date.
fn changes(shares: &mut Shares, view: &ManagerView) -> Vec<String> {
    let now: Shares = view.rows.iter().map(|row| (row.username.clone(), (row.files, row.bytes))).collect();
    let news = now
        .iter()
        .filter(|(username, shared)| shares.get(*username).copied().unwrap_or_default() != **shared)
        .map(|(username, (files, bytes))| {
            format!("{username} shares {}, {}", count(*files, "file"), format::bytes(*bytes))
        })
        .collect();
    *shares = now;
    news
}

fn line(out: &mut impl Write, at: UnixTime, text: &str) -> io::Result<()> {
    writeln!(out, "{}  {text}", format::time(at))?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use brigade_core::{id::PeerKey, manager::Row, time::UnixTime};

    use super::{ManagerView, Shares, changes, line};

    #[test]
    fn only_what_changed_is_said() {
        let row = |name: &str, files, bytes| Row {
            username: name.parse().unwrap(),
            address: ([127, 0, 0, 1], 7001).into(),
            files,
            bytes,
            sending: 5,
            receiving: 5,
            since: UnixTime(0),
        };
        let address = ([127, 0, 0, 1], 12000).into();
        let view = |rows| {
            let mut view = ManagerView::new(address, PeerKey([1; 32]), UnixTime(0), 20);
            view.rows = rows;
            view
        };
        let mut shares = Shares::new();
        let first = changes(&mut shares, &view(vec![row("empty", 0, 0), row("fire_user", 1, 300_000_000)]));
        assert_eq!(first, ["fire_user shares 1 file, 300.0 MB"]);
        let second = changes(&mut shares, &view(vec![row("empty", 2, 10), row("fire_user", 1, 300_000_000)]));
        assert_eq!(second, ["empty shares 2 files, 10 B"]);
        assert_eq!(changes(&mut shares, &view(vec![])), [""; 0]);
    }

    #[test]
    fn a_line_begins_with_the_time() {
        let mut out = vec![];
        line(&mut out, UnixTime(0), "fire_user left: it quit").unwrap();
        assert_eq!(out, b"1970-01-01T00:00:00Z  fire_user left: it quit\n");
    }
}
