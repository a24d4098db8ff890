//! A crowd: many newcomers fetch one content from few holders, each peer with a limit on what it sends.
//!
//! A [`Scenario`] says how they differ. What a run took is held against what no rule could do better, and [`Report`]
//! prints it.

use std::{fmt, time::Duration};

use brigade_core::{random::Random, time::Timestamp};

use crate::{
    network::Link,
    workload::{Deed, Manners, PeerPlan, Plan, at},
    world::{ContentNumber, Outcome, PeerNumber, World},
};

/// Bytes of a piece. Contents of more than 256 MiB have longer ones: then there are fewer pieces than were asked for.
const PIECE_BYTES: u64 = 256 << 10;

/// Bytes a second of every peer's line, each way: far more than it may send.
const LINE: u64 = 125_000_000;

/// Bytes that are sent in one go: half a piece, for speed.
const SEGMENT_BYTES: u32 = 128 << 10;

const CONTENT: ContentNumber = ContentNumber(0);

/// How the newcomers of a crowd differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// All may send as much, and begin at once.
    Homogeneous,
    /// The fastest may send twenty times as much as the slowest; on the mean it is the cap.
    Heterogeneous,
    /// Half of them begin at once, the others one after the other while the first ones fetch.
    Late,
    /// Whoever is complete leaves, the source first, as soon as nothing is lost thereby.
    Leaving,
    /// Four waves, each half a bound after the one before.
    Waves,
    /// One in ten sends a hundredth of the cap, and one in twenty stops for 3 to 20 seconds.
    Slow,
    /// One in twenty sends wrong pieces, and one in fifty a wrong piece list.
    Lying,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Homogeneous,
        Self::Heterogeneous,
        Self::Late,
        Self::Leaving,
        Self::Waves,
        Self::Slow,
        Self::Lying,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Homogeneous => "homogeneous",
            Self::Heterogeneous => "heterogeneous",
            Self::Late => "late",
            Self::Leaving => "leaving",
            Self::Waves => "waves",
            Self::Slow => "slow",
            Self::Lying => "lying",
        }
    }
}

/// A crowd.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// For whatever is left to chance.
    pub seed: u64,
    /// How they differ.
    pub scenario: Scenario,
    /// Who fetches.
    pub newcomers: u32,
    /// Who has everything from the start.
    pub holders: u32,
    /// Pieces of the content.
    pub pieces: u64,
    /// Bytes a second that a peer may send.
    pub bytes_per_second: u64,
    /// How long whatever a peer sends is on its way.
    pub delay: Duration,
}

/// What came of a crowd.
#[derive(Debug)]
pub struct Report {
    crowd: Crowd,
    /// The time that it takes at least, in seconds.
    pub bound: f64,
    /// What the newcomers took, in multiples of the bound, the fastest first. Each is measured from its own start; those
    /// that were stopped themselves are left out.
    pub multiples: Vec<f64>,
    /// How many times the content left those who had it from the start.
    pub source_copies: f64,
    /// The part of what was fetched that came twice.
    pub twice: f64,
    /// All the rest.
    pub outcome: Outcome,
}

impl Crowd {
    /// Runs it.
    pub fn run(&self) -> Report {
        let plan = self.plan();
        let outcome = World::new(&plan).run();
        self.report(&plan, outcome)
    }

    /// The plan of its world.
    pub fn plan(&self) -> Plan {
        let mut random = Random::new(self.seed);
        let link = Link { up: LINE, down: LINE, delay: self.delay };
        let holder = PeerPlan {
            link,
            upload_limit: Some(self.bytes_per_second),
            manners: Manners::Honest,
            has: vec![CONTENT],
        };
        let mut peers = vec![holder; self.holders as usize];
        let mut deeds = Vec::new();
        for number in 0..self.newcomers {
            let peer = PeerNumber(self.holders + number);
            let mut plan = PeerPlan { has: vec![], ..peers[0].clone() };
            self.vary(&mut plan, peer, &mut random, &mut deeds);
            peers.push(plan);
            deeds.push((self.start(number, &mut random), Deed::Fetch(peer, CONTENT)));
        }
        let mut plan = Plan::new(self.seed, vec![self.pieces * PIECE_BYTES], peers, deeds);
        plan.segment_bytes = SEGMENT_BYTES;
        plan.holders_leave = self.scenario == Scenario::Leaving;
        plan.end = at(Duration::from_secs_f64(self.seconds_of_a_copy() * 20.0 + 600.0));
        plan
    }

    /// Makes a newcomer as its scenario wants it.
    fn vary(
        &self,
        plan: &mut PeerPlan,
        peer: PeerNumber,
        random: &mut Random,
        deeds: &mut Vec<(Timestamp, Deed)>,
    ) {
        let cap = self.bytes_per_second;
        match self.scenario {
            Scenario::Homogeneous | Scenario::Late | Scenario::Leaving | Scenario::Waves => {}
            Scenario::Heterogeneous => plan.upload_limit = Some(spread(cap, random)),
            Scenario::Slow => {
                if random.below(10) == 0 {
                    plan.upload_limit = Some(cap / 100);
                }
                if random.below(20) == 0 {
                    let copy = self.seconds_of_a_copy();
                    let begin = copy * share(random);
                    let end = begin + 3.0 + 17.0 * share(random);
                    deeds.push((at(Duration::from_secs_f64(begin)), Deed::Stall(peer)));
                    deeds.push((at(Duration::from_secs_f64(end)), Deed::Resume(peer)));
                }
            }
            Scenario::Lying => {
                plan.manners = match random.below(100) {
                    0..5 => Manners::WrongPieces(1 + u32::try_from(random.below(4)).unwrap_or(0)),
                    5..7 => Manners::WrongList,
                    _ => Manners::Honest,
                };
            }
        }
    }

    fn start(&self, number: u32, random: &mut Random) -> Timestamp {
        let copy = self.seconds_of_a_copy();
        let seconds = match self.scenario {
            Scenario::Late if !number.is_multiple_of(2) => copy * share(random),
            Scenario::Waves => copy / 2.0 * f64::from(number % 4),
            _ => 0.0,
        };
        at(Duration::from_secs_f64(seconds))
    }

    /// How long those who have it from the start need to send everything once.
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    fn seconds_of_a_copy(&self) -> f64 {
        (self.pieces * PIECE_BYTES) as f64 / (self.bytes_per_second * u64::from(self.holders)) as f64
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // as above
    fn report(&self, plan: &Plan, outcome: Outcome) -> Report {
        let bytes = plan.contents[0] as f64;
        // Whoever lies passes nothing on that counts.
        let honest = plan.peers.iter().filter(|peer| peer.manners == Manners::Honest);
        let uplinks: u64 = honest.filter_map(|peer| peer.upload_limit).sum();
        let all = f64::from(self.newcomers) * bytes / uplinks as f64;
        let bound = self.seconds_of_a_copy().max(all).max(bytes / LINE as f64);
        let stopped = |peer: &PeerNumber| plan.deeds.iter().any(|(_, deed)| *deed == Deed::Stall(*peer));
        let counted = outcome.finished.iter().filter(|((peer, _), _)| !stopped(peer));
        let took = |(fetch, end): (_, &Timestamp)| end.since(outcome.started[fetch]).as_secs_f64() / bound;
        let mut multiples: Vec<f64> = counted.map(took).collect();
        multiples.sort_by(f64::total_cmp);
        let sent: u64 = outcome.sent.iter().take(self.holders as usize).sum();
        let source_copies = sent as f64 / bytes;
        let twice = outcome.fetched_twice as f64 / (bytes * f64::from(self.newcomers));
        Report { crowd: *self, bound, multiples, source_copies, twice, outcome }
    }
}

impl Report {
    /// Whether every fetch is complete and no rule was broken.
    pub fn is_good(&self) -> bool {
        self.outcome.unfinished.is_empty()
            && self.outcome.faults.is_empty()
            && self.outcome.finished.len() == self.crowd.newcomers as usize
    }

    /// Pieces of the content.
    pub const fn pieces(&self) -> u64 {
        self.crowd.pieces
    }

    /// The multiple of the bound after which this part of the newcomers was complete.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a place
    pub fn multiple(&self, part: f64) -> f64 {
        let place = (self.multiples.len() as f64 * part).ceil() as usize;
        self.multiples.get(place.max(1) - 1).copied().unwrap_or(f64::INFINITY)
    }
}

impl fmt::Display for Report {
    #[allow(clippy::cast_precision_loss)] // for people
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crowd { newcomers, holders, pieces, bytes_per_second, seed, .. } = self.crowd;
        let many = |count: u32, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        writeln!(
            to,
            "{}: {}, {}, {pieces} pieces of {PIECE_BYTES} bytes, {:.1} MB/s, seed {seed}",
            self.crowd.scenario.name(),
            many(newcomers, "newcomer"),
            many(holders, "holder"),
            bytes_per_second as f64 / 1e6,
        )?;
        writeln!(
            to,
            "  bound {:.3} s; median {:.3}, p99 {:.3}, last {:.3} x bound",
            self.bound,
            self.multiple(0.5),
            self.multiple(0.99),
            self.multiple(1.0),
        )?;
        write!(
            to,
            "  the source sent {:.3} x F; {:.2} % fetched twice; {} events; digest {:016x}",
            self.source_copies,
            self.twice * 100.0,
            self.outcome.events,
            self.outcome.digest,
        )?;
        for ((newcomer, _), said) in self.outcome.unfinished.iter().take(20) {
            write!(to, "\n  {} is not complete{}", newcomer.0, if *said { ", and says so" } else { "" })?;
        }
        for fault in &self.outcome.faults {
            write!(to, "\n  FAULT {fault}")?;
        }
        Ok(())
    }
}

/// A number from 0 to 1.
#[allow(clippy::cast_precision_loss)] // a part
fn share(random: &mut Random) -> f64 {
    random.below(1 << 20) as f64 / (1 << 20) as f64
}

/// A rate by chance: the highest is twenty times the lowest, doubling is as likely anywhere, and the mean is `mean`.
/// Without logarithms, of which machines differ in the last bit: a product of 64 steps.
fn spread(mean: u64, random: &mut Random) -> u64 {
    // 64 steps of 1.0479 are a factor of 20; the mean of them all is 6.33 times the lowest.
    let lowest = mean * 1000 / 6_330;
    (0..random.below(65)).fold(lowest * 1000, |rate, _| rate + rate * 479 / 10_000) / 1000
}
