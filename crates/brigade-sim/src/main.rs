//! Runs a simulation from a seed and prints its outcome.
//!
//! A seed that failed in a test fails alike here. What is in a simulation is in `plan`, what must hold in `invariants`.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)] // it is what this program is for

use std::{process::ExitCode, time::Duration};

use brigade_sim::{Crowd, Outcome, Plan, Scenario, Simulation};
use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};

/// A simulation from a seed.
#[derive(Debug, Parser)]
#[command(name = "brigade-sim", version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One downloader fetches one content from several holders.
    Fetch {
        /// The seed of all chance.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The content's size in MiB.
        #[arg(long, default_value_t = 128)]
        size: u64,
        /// How many peers hold it.
        #[arg(long, default_value_t = 2)]
        holders: u32,
        /// The upload limit of each holder, in MB a second.
        #[arg(long, default_value_t = 10)]
        rate: u64,
    },
    /// Peers of all kinds fetch contents of all sizes; holders lie, refuse, stall, leave and come back.
    Any {
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many seeds.
        #[arg(long, default_value_t = 1)]
        count: u64,
    },
    /// Many downloaders fetch one content at the same time, and each passes on its pieces, under a limit.
    ///
    /// The bound is the shortest possible time: max(F/U of the holders, L·F/ΣU, F/D), over a content of F bytes, L
    /// downloaders, and the limits U of all honest peers. Each downloader's time is counted from its own start and
    /// printed in multiples of the bound for downloaders that begin together: a late one finds more complete
    /// holders, and may be below 1. Downloaders that are stopped themselves (`slow`) are not counted.
    Crowd(CrowdArgs),
}

#[derive(Debug, Arguments)]
struct CrowdArgs {
    /// The seed of all chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many fetch.
    #[arg(long, default_value_t = 1000)]
    downloaders: u32,
    /// How many have everything from the start.
    #[arg(long, default_value_t = 1)]
    holders: u32,
    /// The content's size in pieces of 256 KiB, at most 1024.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(2..=1024))]
    pieces: u64,
    /// The upload limit of each peer, in MB a second.
    #[arg(long, default_value_t = 10.0)]
    cap: f64,
    /// The delay of everything that a peer sends, in milliseconds.
    #[arg(long, default_value_t = 1)]
    delay: u64,
    /// How the downloaders differ.
    #[arg(long, value_enum, default_value_t = ScenarioArgument::Homogeneous)]
    scenario: ScenarioArgument,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScenarioArgument {
    Homogeneous,
    Heterogeneous,
    Late,
    Leaving,
    Waves,
    Slow,
    Dishonest,
    All,
}

impl ScenarioArgument {
    fn scenarios(self) -> Vec<Scenario> {
        match self {
            Self::Homogeneous => vec![Scenario::Homogeneous],
            Self::Heterogeneous => vec![Scenario::Heterogeneous],
            Self::Late => vec![Scenario::Late],
            Self::Leaving => vec![Scenario::Leaving],
            Self::Waves => vec![Scenario::Waves],
            Self::Slow => vec![Scenario::Slow],
            Self::Dishonest => vec![Scenario::Dishonest],
            Self::All => Scenario::ALL.to_vec(),
        }
    }
}

fn main() -> ExitCode {
    let good = match Args::parse().command {
        Command::Fetch { seed, size, holders, rate } => {
            let plan = Plan::fetch(seed, size << 20, holders, rate * 1_000_000);
            report(seed, &Simulation::new(&plan).run())
        }
        Command::Any { seed, count } => {
            let bad = |seed: &u64| !report(*seed, &Simulation::new(&Plan::any(*seed)).run());
            (seed..seed.saturating_add(count)).filter(bad).count() == 0
        }
        Command::Crowd(args) => {
            args.scenario.scenarios().into_iter().filter(|one| !crowd(&args, *one)).count() == 0
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a crowd and prints its figures; whether every fetch ended well and no rule was broken.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a rate
fn crowd(args: &CrowdArgs, scenario: Scenario) -> bool {
    let crowd = Crowd {
        seed: args.seed,
        scenario,
        downloaders: args.downloaders,
        holders: args.holders.max(1),
        pieces: args.pieces,
        bytes_per_second: (args.cap * 1e6).max(1.0) as u64,
        delay: Duration::from_millis(args.delay),
    };
    let report = crowd.run();
    println!("{report}");
    report.is_good()
}

/// Prints an outcome; whether every fetch ended well and no rule was broken.
fn report(seed: u64, outcome: &Outcome) -> bool {
    let last = outcome.finished.values().max().copied().unwrap_or_default();
    let stored: u64 = outcome.stored.values().sum();
    println!(
        "seed {seed}: {} complete, {} not; last after {:.3} s; {stored} bytes stored, {} fetched twice; {} events; digest {:016x}",
        outcome.finished.len(),
        outcome.unfinished.len(),
        last.since(brigade_core::time::Timestamp::default()).as_secs_f64(),
        outcome.fetched_twice,
        outcome.events,
        outcome.digest,
    );
    for ((downloader, holder), bytes) in &outcome.stored {
        println!("  {} from {}: {bytes} bytes", downloader.0, holder.0);
    }
    for (downloader, holder, content) in &outcome.banned {
        println!("  {} bans {} for content {}", downloader.0, holder.0, content.0);
    }
    for ((downloader, content), reported) in &outcome.unfinished {
        println!(
            "  {} lacks content {}{}",
            downloader.0,
            content.0,
            if *reported { ", and says so" } else { "" }
        );
    }
    for fault in &outcome.faults {
        println!("  FAULT {fault}");
    }
    outcome.unfinished.is_empty() && outcome.faults.is_empty()
}
