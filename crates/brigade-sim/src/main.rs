//! Runs a world from a seed and prints what became of it.
//!
//! A seed that failed in a test fails alike here. What is in a world is in `workload`, what must hold in `checks`.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)] // it is what this program is for

use std::process::ExitCode;

use brigade_sim::{Outcome, Plan, World};
use clap::{Parser, Subcommand};

/// A world in a seed.
#[derive(Debug, Parser)]
#[command(name = "brigade-sim", version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One newcomer fetches one content from several holders.
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
        /// What each holder sends at most, in MB a second.
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
}

fn main() -> ExitCode {
    let good = match Args::parse().command {
        Command::Fetch { seed, size, holders, rate } => {
            let plan = Plan::fetch(seed, size << 20, holders, rate * 1_000_000);
            report(seed, &World::new(&plan).run())
        }
        Command::Any { seed, count } => {
            let bad = |seed: &u64| !report(*seed, &World::new(&Plan::any(*seed)).run());
            (seed..seed.saturating_add(count)).filter(bad).count() == 0
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
    for ((newcomer, holder), bytes) in &outcome.stored {
        println!("  {} from {}: {bytes} bytes", newcomer.0, holder.0);
    }
    for (newcomer, holder, content) in &outcome.shunned {
        println!("  {} shuns {} for content {}", newcomer.0, holder.0, content.0);
    }
    for ((newcomer, content), said) in &outcome.unfinished {
        println!("  {} lacks content {}{}", newcomer.0, content.0, if *said { ", and says so" } else { "" });
    }
    for fault in &outcome.faults {
        println!("  FAULT {fault}");
    }
    outcome.unfinished.is_empty() && outcome.faults.is_empty()
}
