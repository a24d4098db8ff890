//! Whole fetches in virtual time. A seed that fails here fails alike in `brigade-sim any --seed N`.
//!
//! Each test makes a plan, runs the simulation to its end, and looks at the outcome alone. Many downloaders of one
//! content are in `crowd`.

use std::time::Duration;

use brigade_core::time::Timestamp;
use brigade_sim::{
    ContentNumber, HolderBehaviour, Outcome, PeerNumber, PeerPlan, Plan, PlannedEvent, Simulation,
};

const MB: u64 = 1_000_000;
const CONTENT: ContentNumber = ContentNumber(0);

fn at(seconds: f64) -> Timestamp {
    Timestamp::default().after(Duration::from_secs_f64(seconds))
}

/// The outcome of a plan, in which no rule may be broken.
#[track_caller]
fn run(plan: &Plan) -> Outcome {
    let outcome = Simulation::new(plan).run();
    assert_eq!(outcome.faults, [""; 0], "seed {}", plan.seed);
    outcome
}

/// The seconds after which the last fetch was complete; all must be.
#[track_caller]
fn seconds(plan: &Plan) -> f64 {
    let outcome = run(plan);
    assert!(outcome.unfinished.is_empty(), "seed {}: {outcome:?}", plan.seed);
    let last = outcome.finished.values().max().copied().unwrap_or_default();
    last.since(Timestamp::default()).as_secs_f64()
}

/// One content of so many bytes, one peer that fetches it, and holders with these limits.
fn limited(bytes: u64, limits: &[u64]) -> Plan {
    let holders = u32::try_from(limits.len()).unwrap_or(0);
    let mut plan = Plan::fetch(1, bytes, holders, 125 * MB);
    for (peer, limit) in plan.peers.iter_mut().zip(limits) {
        *peer = PeerPlan { upload_limit: Some(*limit), ..peer.clone() };
    }
    plan
}

#[test]
fn every_fetch_ends_complete_while_one_honest_holder_stays() {
    for seed in 0..400 {
        let plan = Plan::any(seed);
        let outcome = run(&plan);
        assert!(outcome.unfinished.is_empty(), "seed {seed}: {:?}", outcome.unfinished);
        // Whatever came is what was wanted, once, or counted as twice.
        let wanted: u64 = outcome.finished.keys().map(|(_, content)| plan.contents[content.0 as usize]).sum();
        let stored: u64 = outcome.stored.values().sum();
        assert!(wanted <= stored && stored <= wanted + outcome.fetched_twice, "seed {seed}: {outcome:?}");
    }
}

#[test]
fn a_seed_is_a_world() {
    let digest = |seed| run(&Plan::any(seed)).digest;
    assert_eq!([digest(1), digest(2), digest(3)], [digest(1), digest(2), digest(3)]);
    assert_ne!(digest(1), digest(2));
}

#[test]
fn the_lines_of_all_holders_are_full() {
    for (holders, size) in [(1, 10 * MB), (2, 40 * MB), (3, 100 * MB), (8, 300 * MB)] {
        let ideal = (size as f64) / (f64::from(holders) * 10e6);
        let took = seconds(&Plan::fetch(1, size, holders, 10 * MB));
        assert!(took < ideal * 1.03 + 0.05, "{holders} holders: {took} s instead of {ideal}");
    }
}

#[test]
fn two_equal_holders_send_about_half_each() {
    for seed in 0..40 {
        for size in [MB, 3 * MB, 40 * MB] {
            let outcome = run(&Plan::fetch(seed, size, 2, 50 * MB));
            let from = |holder| outcome.stored[&(PeerNumber(2), PeerNumber(holder))] as f64;
            let (one, two) = (from(0), from(1));
            let uneven = (one - two).abs() / (one + two);
            // One piece moved from the one to the other makes a difference of two.
            assert!(uneven < 0.05 || (one - two).abs() <= 2.0 * 262_144.0, "{size}: {one} and {two}");
        }
    }
}

#[test]
fn thousands_of_small_contents_come_from_both() {
    let mut plan = Plan::fetch(3, 32 << 10, 2, 50 * MB);
    let all: Vec<ContentNumber> = (0..1500).map(ContentNumber).collect();
    plan.contents = vec![32 << 10; all.len()];
    plan.peers[0].has = all.clone();
    plan.peers[1].has = all.clone();
    plan.events = all.iter().map(|content| (at(0.0), PlannedEvent::Fetch(PeerNumber(2), *content))).collect();
    let outcome = run(&plan);
    assert!(outcome.unfinished.is_empty());
    let from = |holder| outcome.stored[&(PeerNumber(2), PeerNumber(holder))];
    assert!(from(0).abs_diff(from(1)) < 1500 * (32 << 10) / 10, "{:?}", outcome.stored);
    let took = outcome.finished.values().max().unwrap().since(at(0.0)).as_secs_f64();
    let ideal = 1500.0 * 32_768.0 / 100e6;
    assert!(took < ideal * 1.05 + 0.05, "{took} s instead of {ideal}");
}

#[test]
fn a_killed_holder_costs_less_than_a_second() {
    for seed in 0..30 {
        let mut plan = Plan::fetch(seed, 40 * MB, 2, 10 * MB);
        let killed = 0.3 + 0.05 * (seed as f64);
        plan.events.push((at(killed), PlannedEvent::Leave(PeerNumber(1))));
        // Until then two of them sent, and one sends what is left.
        let ideal = killed + (40.0 - 20.0 * killed) / 10.0;
        let took = seconds(&plan);
        assert!(took < ideal + 1.0, "seed {seed}: {took} s instead of {ideal}");
    }
}

#[test]
fn a_holder_that_falls_silent_costs_little() {
    for seed in 0..30 {
        let mut plan = Plan::fetch(seed, 60 * MB, 2, 10 * MB);
        let silent = 0.3 + 0.05 * (seed as f64);
        plan.events.push((at(silent), PlannedEvent::Stall(PeerNumber(1))));
        let ideal = silent + (60.0 - 20.0 * silent) / 10.0;
        let outcome = run(&plan);
        let took = outcome.finished[&(PeerNumber(2), CONTENT)].since(at(0.0)).as_secs_f64();
        assert!(took < ideal + 1.0, "seed {seed}: {took} s instead of {ideal}");
        assert!(outcome.fetched_twice < 60 * MB / 50, "{}", outcome.fetched_twice);
    }
}

#[test]
fn a_fine_holder_makes_up_for_a_slow_and_a_stopped_one() {
    let size = 256 << 20;
    let mut plan = Plan::fetch(5, size, 3, 20 * MB);
    plan.peers[0].upload_limit = Some(MB / 10);
    plan.events.push((at(3.0), PlannedEvent::Stall(PeerNumber(1))));
    let ideal = 3.0 + (size as f64 - 3.0 * 40e6) / 20e6;
    let took = seconds(&plan);
    assert!(took < ideal * 1.1, "{took} s instead of {ideal}");
}

#[test]
fn a_dishonest_holder_is_banned_and_the_honest_one_sends_everything() {
    for (seed, behaviour) in [
        (1, HolderBehaviour::WrongPieces(1)),
        (2, HolderBehaviour::WrongPieces(7)),
        (3, HolderBehaviour::WrongList),
    ] {
        let mut plan = Plan::fetch(seed, 20 * MB, 2, 10 * MB);
        plan.peers[0].behaviour = behaviour;
        let outcome = run(&plan);
        assert!(outcome.unfinished.is_empty(), "{behaviour:?}: {outcome:?}");
        let banned = outcome.banned.iter().map(|(_, holder, _)| holder.0).collect::<Vec<_>>();
        assert!(banned == [0] || behaviour == HolderBehaviour::WrongList && banned.is_empty(), "{banned:?}");
    }
}

#[test]
fn a_fetch_without_holders_says_so_and_goes_on_when_one_comes_back() {
    let mut plan = Plan::fetch(1, 40 * MB, 2, 10 * MB);
    plan.events.push((at(0.5), PlannedEvent::Leave(PeerNumber(0))));
    plan.events.push((at(0.7), PlannedEvent::Leave(PeerNumber(1))));
    plan.end = at(60.0);
    let outcome = run(&plan);
    assert_eq!(outcome.unfinished.get(&(PeerNumber(2), CONTENT)), Some(&true));
    plan.events.push((at(30.0), PlannedEvent::Return(PeerNumber(1))));
    let took = seconds(&plan);
    assert!((30.0..34.5).contains(&took), "{took}");
    // What was verified before is not fetched again.
    assert!(run(&plan).stored.values().sum::<u64>() <= 40 * MB);
}

#[test]
fn downloaders_pass_on_their_pieces() {
    let mut plan = Plan::fetch(1, 20 * MB, 1, 2 * MB);
    plan.peers[0].upload_limit = Some(2 * MB);
    for _ in 0..3 {
        plan.peers.push(PeerPlan::honest(20 * MB, vec![]));
    }
    for downloader in 2..5 {
        plan.events.push((at(0.0), PlannedEvent::Fetch(PeerNumber(downloader), CONTENT)));
    }
    // Alone, the holder would need 40 s for the four of them.
    let took = seconds(&plan);
    assert!(took < 20.0, "{took}");
}

#[test]
fn three_limited_holders_are_as_fast_as_their_sum() {
    let rate = 300.0 / seconds(&limited(300 * MB, &[20 * MB; 3]));
    assert!(rate > 0.97 * 60.0, "{rate} MB/s");
}

#[test]
fn a_fine_holder_makes_up_for_a_limited_one_and_one_that_stops() {
    for (stops, limits) in [(3.0, [20 * MB, 20 * MB, MB / 10]), (1.0, [20 * MB, 20 * MB, MB / 10])] {
        let mut plan = limited(240 * MB, &limits);
        plan.events.push((at(stops), PlannedEvent::Stall(PeerNumber(0))));
        let ideal = stops + (240.0 - 40.0 * stops) / 20.0;
        let took = seconds(&plan);
        assert!(took < ideal * 1.1, "{took} s instead of {ideal}");
    }
}

#[test]
fn a_limit_that_changes_holds_from_then_on() {
    // Half at 20 MB/s, then without a limit, then at 5 MB/s: the checks see each of them kept.
    let mut plan = limited(100 * MB, &[20 * MB]);
    plan.peers[0].link.up = 40 * MB;
    plan.events.push((at(2.0), PlannedEvent::Limit(PeerNumber(0), None)));
    plan.events.push((at(2.5), PlannedEvent::Limit(PeerNumber(0), Some(5 * MB))));
    let took = seconds(&plan);
    let ideal = 2.5 + (100.0 - 40.0 - 20.0) / 5.0;
    assert!((took - ideal).abs() < 0.5, "{took} s instead of {ideal}");
}
