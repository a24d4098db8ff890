//! A crowd: many downloaders fetch one content from few holders, each peer with an upload limit.
//!
//! A [`Scenario`] says how the downloaders differ. [`Report`] compares the result with the best possible time and
//! prints it.

use std::{fmt, time::Duration};

use brigade_core::{random::Random, time::Timestamp};

use crate::{
    identifiers::{ContentNumber, PeerNumber},
    network::link::LinkRates,
    outcome::Outcome,
    plan::{HolderBehaviour, PeerPlan, Plan, PlannedEvent, at},
    simulation::Simulation,
};

/// Bytes of a piece. Contents of more than 256 MiB have longer ones: then there are fewer pieces than were asked for.
const PIECE_BYTES: u64 = 256 << 10;

/// Bandwidth of every peer's link in bytes a second, each way: far more than its upload limit.
const LINK_BYTES_PER_SECOND: u64 = 125_000_000;

/// Bytes that are sent in one go: half a piece, for speed.
const SEGMENT_BYTES: u32 = 128 << 10;

const CONTENT: ContentNumber = ContentNumber(0);

/// The differences between the downloaders of a crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// All have the same limit and begin at once.
    Homogeneous,
    /// The highest limit is twenty times the lowest one; their mean is the cap.
    Heterogeneous,
    /// Half of them begin at once, the others one after the other while the first ones fetch.
    Late,
    /// Complete peers leave, the source first, as soon as every piece has another copy.
    Leaving,
    /// Four waves, each half a bound after the one before.
    Waves,
    /// One in ten sends a hundredth of the cap, and one in twenty stops for 3 to 20 seconds.
    Slow,
    /// One in twenty sends wrong pieces, and one in fifty a wrong piece list.
    Dishonest,
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
        Self::Dishonest,
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
            Self::Dishonest => "dishonest",
        }
    }
}

/// A crowd.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// The seed of all random numbers.
    pub seed: u64,
    /// The differences between the downloaders.
    pub scenario: Scenario,
    /// The number of downloaders.
    pub downloaders: u32,
    /// The number of peers that have everything at the start.
    pub holders: u32,
    /// Pieces of the content.
    pub pieces: u64,
    /// Bytes a second that a peer may send.
    pub bytes_per_second: u64,
    /// The delay of everything that a peer sends.
    pub delay: Duration,
}

/// The result of a crowd.
#[derive(Debug)]
pub struct Report {
    crowd: Crowd,
    /// The shortest possible time, in seconds.
    pub bound: f64,
    /// The times of the downloaders in multiples of the bound, the shortest first. Each counts from its own start;
    /// those that were stopped themselves are left out.
    pub multiples: Vec<f64>,
    /// How many copies of the content the first holders sent.
    pub source_copies: f64,
    /// The share of the received bytes that was received twice.
    pub twice: f64,
    /// All the rest.
    pub outcome: Outcome,
}

impl Crowd {
    /// Runs it.
    pub fn run(&self) -> Report {
        let plan = self.plan();
        let outcome = Simulation::new(&plan).run();
        self.report(&plan, outcome)
    }

    /// The plan of its simulation.
    pub fn plan(&self) -> Plan {
        let mut random = Random::new(self.seed);
        let link = LinkRates { up: LINK_BYTES_PER_SECOND, down: LINK_BYTES_PER_SECOND, delay: self.delay };
        let holder = PeerPlan {
            link,
            upload_limit: Some(self.bytes_per_second),
            behaviour: HolderBehaviour::Honest,
            has: vec![CONTENT],
        };
        let mut peers = vec![holder; self.holders as usize];
        let mut events = Vec::new();
        for number in 0..self.downloaders {
            let peer = PeerNumber(self.holders + number);
            let mut plan = PeerPlan { has: vec![], ..peers[0].clone() };
            self.adjust_peer(&mut plan, peer, &mut random, &mut events);
            peers.push(plan);
            events.push((self.start(number, &mut random), PlannedEvent::Fetch(peer, CONTENT)));
        }
        let mut plan = Plan::new(self.seed, vec![self.pieces * PIECE_BYTES], peers, events);
        plan.segment_bytes = SEGMENT_BYTES;
        plan.holders_leave = self.scenario == Scenario::Leaving;
        plan.end = at(Duration::from_secs_f64(self.seconds_of_a_copy() * 20.0 + 600.0));
        plan
    }

    /// Makes a downloader as its scenario wants it.
    fn adjust_peer(
        &self,
        plan: &mut PeerPlan,
        peer: PeerNumber,
        random: &mut Random,
        events: &mut Vec<(Timestamp, PlannedEvent)>,
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
                    events.push((at(Duration::from_secs_f64(begin)), PlannedEvent::Stall(peer)));
                    events.push((at(Duration::from_secs_f64(end)), PlannedEvent::Resume(peer)));
                }
            }
            Scenario::Dishonest => {
                plan.behaviour = match random.below(100) {
                    0..5 => HolderBehaviour::WrongPieces(1 + u32::try_from(random.below(4)).unwrap_or(0)),
                    5..7 => HolderBehaviour::WrongList,
                    _ => HolderBehaviour::Honest,
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

    /// The time in which the first holders can send the content once.
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    fn seconds_of_a_copy(&self) -> f64 {
        (self.pieces * PIECE_BYTES) as f64 / (self.bytes_per_second * u64::from(self.holders)) as f64
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // as above
    fn report(&self, plan: &Plan, outcome: Outcome) -> Report {
        let bytes = plan.contents[0] as f64;
        // The uploads of dishonest peers do not count.
        let honest = plan.peers.iter().filter(|peer| peer.behaviour == HolderBehaviour::Honest);
        let uplinks: u64 = honest.filter_map(|peer| peer.upload_limit).sum();
        let all = f64::from(self.downloaders) * bytes / uplinks as f64;
        let bound = self.seconds_of_a_copy().max(all).max(bytes / LINK_BYTES_PER_SECOND as f64);
        let stopped =
            |peer: &PeerNumber| plan.events.iter().any(|(_, event)| *event == PlannedEvent::Stall(*peer));
        let counted = outcome.finished.iter().filter(|((peer, _), _)| !stopped(peer));
        let took = |(fetch, end): (_, &Timestamp)| end.since(outcome.started[fetch]).as_secs_f64() / bound;
        let mut multiples: Vec<f64> = counted.map(took).collect();
        multiples.sort_by(f64::total_cmp);
        let sent: u64 = outcome.sent.iter().take(self.holders as usize).sum();
        let source_copies = sent as f64 / bytes;
        let twice = outcome.fetched_twice as f64 / (bytes * f64::from(self.downloaders));
        Report { crowd: *self, bound, multiples, source_copies, twice, outcome }
    }
}

impl Report {
    /// Whether every fetch is complete and no rule was broken.
    pub fn is_good(&self) -> bool {
        self.outcome.unfinished.is_empty()
            && self.outcome.faults.is_empty()
            && self.outcome.finished.len() == self.crowd.downloaders as usize
    }

    /// Pieces of the content.
    pub const fn pieces(&self) -> u64 {
        self.crowd.pieces
    }

    /// The multiple of the bound after which this part of the downloaders was complete.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a place
    pub fn multiple(&self, part: f64) -> f64 {
        let position = (self.multiples.len() as f64 * part).ceil() as usize;
        self.multiples.get(position.max(1) - 1).copied().unwrap_or(f64::INFINITY)
    }
}

impl fmt::Display for Report {
    #[allow(clippy::cast_precision_loss)] // for people
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crowd { downloaders, holders, pieces, bytes_per_second, seed, .. } = self.crowd;
        let many = |count: u32, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        writeln!(
            to,
            "{}: {}, {}, {pieces} pieces of {PIECE_BYTES} bytes, {:.1} MB/s, seed {seed}",
            self.crowd.scenario.name(),
            many(downloaders, "downloader"),
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
        for ((downloader, _), reported) in self.outcome.unfinished.iter().take(20) {
            write!(
                to,
                "\n  {} is not complete{}",
                downloader.0,
                if *reported { ", and says so" } else { "" }
            )?;
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
