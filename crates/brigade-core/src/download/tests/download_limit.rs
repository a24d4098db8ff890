//! Fetches under a download limit: it is we who do not read, and no holder is to blame for that.
//!
//! The limiter is the real one, and links wait for it in turn, as those of the node do.

use std::collections::VecDeque;

use super::{Action, Config, Duration, Event, HolderId, ONE, PIECE, PieceIndex, TestDownloads, Timestamp};
use crate::rate::Limiter;

/// How long a link waits for data before it says that it is not the limit that keeps it.
const QUIET: Duration = Duration::from_millis(50);

/// How often a link tells how much of a piece is here.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// A connection to a holder.
struct LimitedHolder {
    holder: HolderId,
    /// Bytes a second that it sends; `None` for as many as are read.
    rate: Option<u64>,
    /// Pieces that it was asked for, and how much of each is here.
    queue: VecDeque<(PieceIndex, u64)>,
    throttled: bool,
    /// When it was read from last.
    read: Timestamp,
    reported: Timestamp,
}

/// A fetch under a limit.
struct LimitedFetch {
    table: TestDownloads,
    limiter: Limiter,
    links: Vec<LimitedHolder>,
    /// Links that wait for the limiter.
    turns: VecDeque<usize>,
    asked: Vec<u32>,
    is_over: bool,
}

impl LimitedFetch {
    /// Of so many pieces, from one holder for each of `rates`.
    fn new(limit: u64, pieces: u32, rates: &[Option<u64>]) -> Self {
        let ids: Vec<u32> = (1..).take(rates.len()).collect();
        let table = TestDownloads::with(Config::default(), pieces, &ids);
        let link = |(id, rate): (&u32, &Option<u64>)| LimitedHolder {
            holder: HolderId(*id),
            rate: *rate,
            queue: VecDeque::new(),
            throttled: false,
            read: table.now,
            reported: table.now,
        };
        let links = ids.iter().zip(rates).map(link).collect();
        let limiter = Limiter::new(Some(limit));
        let asked = vec![0; pieces as usize];
        let mut fetch = Self { table, limiter, links, turns: VecDeque::new(), asked, is_over: false };
        for id in ids {
            let actions = fetch.table.have_all(id);
            fetch.carry_out(actions);
        }
        fetch
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Request { holder, piece, .. } => {
                    self.asked[piece.0 as usize] += 1;
                    let now = self.table.now;
                    let link = self.link(holder);
                    if link.queue.is_empty() {
                        link.read = now; // its data begins to come now
                    }
                    link.queue.push_back((piece, 0));
                }
                Action::Cancel { holder, piece, .. } => {
                    self.link(holder).queue.retain(|(queued, _)| *queued != piece);
                }
                Action::Disconnect { holder } => panic!("{holder:?} is dropped at {:?}", self.table.now),
                Action::Finished { .. } => self.is_over = true,
                Action::Close { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn link(&mut self, holder: HolderId) -> &mut LimitedHolder {
        self.links.iter_mut().find(|link| link.holder == holder).unwrap()
    }

    fn handle(&mut self, event: Event) {
        let actions = self.table.handle(event);
        self.carry_out(actions);
    }

    fn wait(&mut self, time: Duration) {
        let actions = self.table.wait(time);
        self.carry_out(actions);
    }

    fn throttled(&mut self, at: usize, throttled: bool) {
        if std::mem::replace(&mut self.links[at].throttled, throttled) != throttled {
            self.handle(Event::Throttled { holder: self.links[at].holder, throttled });
        }
    }

    /// Bytes of a link's first piece that can be read now, at most a slice.
    fn readable(&self, at: usize) -> u64 {
        let link = &self.links[at];
        let Some((_, received)) = link.queue.front() else { return 0 };
        let left = (PIECE - received).min(self.limiter.slice_bytes().unwrap());
        match link.rate {
            None => left,
            Some(rate) => {
                let micros = u64::try_from(self.table.now.since(link.read).as_micros()).unwrap();
                let readable_bytes = rate * micros / 1_000_000;
                if readable_bytes >= left { left } else { 0 }
            }
        }
    }

    /// Lets the next slice come in, or time pass.
    fn step(&mut self) {
        for at in 0..self.links.len() {
            if self.readable(at) > 0 {
                if !self.turns.contains(&at) {
                    self.turns.push_back(at);
                }
            } else if !self.turns.contains(&at) && self.table.now.since(self.links[at].read) >= QUIET {
                self.throttled(at, false);
            }
        }
        let Some(at) = self.turns.front().copied() else { return self.wait(Duration::from_millis(5)) };
        let bytes = self.readable(at);
        if let Err(wait) = self.limiter.pass(self.table.now, bytes) {
            for at in self.turns.clone() {
                self.throttled(at, true);
            }
            return self.wait(wait.min(Duration::from_millis(20)));
        }
        self.turns.pop_front();
        if bytes > 0 {
            self.read(at, bytes);
        }
    }

    fn read(&mut self, at: usize, bytes: u64) {
        let now = self.table.now;
        let link = &mut self.links[at];
        let (holder, download) = (link.holder, ONE);
        link.read = now;
        let Some((piece, received)) = link.queue.front_mut() else { return };
        *received += bytes;
        let (piece, received) = (*piece, *received);
        if received == PIECE {
            link.queue.pop_front();
            self.handle(Event::Arrived { holder, download, piece });
            self.handle(Event::Stored { holder, download, piece });
        } else if now.since(link.reported) >= PROGRESS_EVERY {
            link.reported = now;
            let bytes = u32::try_from(received).unwrap();
            self.handle(Event::Progress { holder, download, piece, bytes });
        }
    }

    /// Runs to the end; how long that took.
    fn run(&mut self, limit: Duration) -> Duration {
        let begun = self.table.now;
        while !self.is_over {
            self.step();
            let took = self.table.now.since(begun);
            assert!(took < limit, "not over within {limit:?}");
        }
        self.table.now.since(begun)
    }
}

#[test]
fn ten_minutes_under_a_limit_cost_no_holder_anything() {
    // A piece is 13 s at 20 kB/s, and each of sixteen holders has its turn every 8 s at 2 kB/s.
    for (limit, pieces, holders) in
        [(20_000, 45, 1), (20_000, 45, 2), (20_000, 45, 3), (2_000, 5, 2), (2_000, 8, 16)]
    {
        let mut fetch = LimitedFetch::new(limit, pieces, &vec![None; holders]);
        let least = u64::from(pieces) * PIECE / limit;
        let took = fetch.run(Duration::from_secs(least + 10)).as_secs();
        assert!(took + 2 >= least, "{took} s are faster than the limit");
        assert!(fetch.asked.iter().all(|asked| *asked == 1), "{holders} holders: {:?}", fetch.asked);
        assert_eq!(fetch.table.downloads.fetched_twice_bytes(), 0);
    }
}

#[test]
fn a_limit_that_is_set_midway_costs_no_holder_anything() {
    for (limit, pieces, holders) in [(20_000, 60, 2), (2_000, 60, 16)] {
        let mut fetch = LimitedFetch::new(50_000_000, pieces, &vec![None; holders]);
        while fetch.table.downloads.status(ONE).unwrap().stored < 40 {
            fetch.step();
        }
        fetch.limiter.set(fetch.table.now, Some(limit));
        fetch.run(Duration::from_secs(20 * PIECE / limit + 10));
        assert!(fetch.asked.iter().all(|asked| *asked == 1), "{holders} holders: {:?}", fetch.asked);
        assert_eq!(fetch.table.downloads.fetched_twice_bytes(), 0);
    }
}

#[test]
fn no_more_is_asked_for_ahead_than_comes_in() {
    let mut fetch = LimitedFetch::new(20_000, 45, &[None, None]);
    // What was asked before anything was known of the pace comes in within 210 s.
    while fetch.table.now < Timestamp::from_micros(300_000_000) {
        fetch.step();
    }
    let asked: Vec<usize> = fetch.links.iter().map(|link| link.queue.len()).collect();
    assert!(asked.iter().all(|asked| (1..=2).contains(asked)), "{asked:?}");
}

#[test]
fn a_holder_that_is_slow_itself_gives_what_it_can() {
    let mut fetch = LimitedFetch::new(100_000, 45, &[Some(10_000), None]);
    let took = fetch.run(Duration::from_secs(150)).as_secs();
    assert!(took >= 117, "{took} s are faster than the limit");
    // At the end the other one takes over what it would bring too late.
    let twice = fetch.table.downloads.fetched_twice_bytes();
    assert!(twice < PIECE, "{twice} bytes came twice");
}

#[test]
fn a_holder_that_falls_silent_under_a_limit_is_passed_over() {
    let mut fetch = LimitedFetch::new(100_000, 45, &[None, None]);
    while fetch.table.now < Timestamp::from_micros(20_000_000) {
        fetch.step();
    }
    fetch.links[0].rate = Some(0);
    let silent = fetch.links[0].holder;
    let from = fetch.table.now;
    while fetch.table.downloads.holders[&silent].stalled.is_none() {
        fetch.step();
        assert!(fetch.table.now.since(from) < Duration::from_secs(5));
    }
    let pending = |fetch: &LimitedFetch| fetch.table.downloads.holders[&silent].queue().len();
    assert!(pending(&fetch) <= 1, "{} pieces are left to it", pending(&fetch));
    // What it says afterwards counts again.
    fetch.links[0].rate = None;
    fetch.run(Duration::from_secs(150));
    assert!(fetch.table.downloads.fetched_twice_bytes() <= PIECE);
}
