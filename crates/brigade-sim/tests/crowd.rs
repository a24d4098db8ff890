//! Crowds in virtual time. What fails here fails alike in `brigade-sim crowd --downloaders N --pieces P --seed S`.
//!
//! Small crowds of every kind must end, complete and within the rules; some larger ones must be near what no rule could
//! do better.

use std::time::Duration;

use brigade_core::limits;
use brigade_sim::{Crowd, Report, Scenario};

const MB: u64 = 1_000_000;
const PIECE_BYTES: u64 = 256 << 10;

fn crowd(scenario: Scenario, downloaders: u32, pieces: u64, seed: u64) -> Crowd {
    let delay = Duration::from_millis(1);
    Crowd { seed, scenario, downloaders, holders: 1, pieces, bytes_per_second: 10 * MB, delay }
}

/// What came of a crowd, in which every fetch must end and no rule may be broken.
#[track_caller]
fn run(crowd: Crowd) -> Report {
    let report = crowd.run();
    assert!(report.is_good(), "{crowd:?}:\n{report}");
    few_bytes_twice(&report, 1);
    report
}

/// Less than 2 % came twice; of tiny contents, so many pieces for each downloader.
#[track_caller]
fn few_bytes_twice(report: &Report, pieces: u64) {
    let downloaders = report.outcome.started.len() as u64;
    let bytes = report.outcome.fetched_twice;
    let most = downloaders * PIECE_BYTES * (report.pieces() / 50).max(pieces);
    assert!(bytes <= most, "{bytes} bytes came twice, of {most}:\n{report}");
}

/// Its last downloader may take so many times the bound, and its source may send so many copies.
#[track_caller]
fn check(crowd: Crowd, last: f64, copies: f64) {
    let report = run(crowd);
    assert!(report.multiple(1.0) <= last && report.source_copies <= copies, "{crowd:?}:\n{report}");
}

#[test]
fn every_crowd_ends_complete_and_within_the_rules() {
    for seed in 0..30 {
        for scenario in Scenario::ALL {
            let downloaders = 1 + u32::try_from(seed).unwrap() % 13;
            let report = crowd(scenario, downloaders, 3 + seed, seed).run();
            assert!(report.is_good(), "seed {seed}:\n{report}");
            few_bytes_twice(&report, 2);
        }
    }
}

#[test]
fn crowds_with_long_delays_and_several_holders_end_too() {
    for seed in 0..4 {
        for scenario in Scenario::ALL {
            let delay = Duration::from_millis(50);
            run(Crowd { delay, holders: 3, ..crowd(scenario, 20, 32, seed) });
        }
    }
}

#[test]
fn a_seed_is_a_crowd() {
    let digest = |seed| run(crowd(Scenario::Heterogeneous, 12, 24, seed)).outcome.digest;
    assert_eq!([digest(1), digest(2)], [digest(1), digest(2)]);
    assert_ne!(digest(1), digest(2));
}

#[test]
fn few_downloaders_are_as_fast_as_their_source() {
    check(crowd(Scenario::Homogeneous, 1, 128, 1), 1.01, 1.0);
    check(crowd(Scenario::Homogeneous, 2, 128, 1), 1.03, 1.03);
    check(crowd(Scenario::Homogeneous, 8, 128, 1), 1.06, 1.06);
    check(crowd(Scenario::Homogeneous, 16, 128, 1), 1.08, 1.08);
}

#[test]
fn sixty_downloaders_are_nearly_as_fast() {
    check(crowd(Scenario::Homogeneous, 60, 128, 1), 1.15, 1.15);
    check(crowd(Scenario::Heterogeneous, 60, 128, 1), 1.30, 1.30);
    check(crowd(Scenario::Dishonest, 60, 128, 1), 1.30, 1.30);
    check(crowd(Scenario::Leaving, 60, 128, 1), 1.40, 1.10);
}

/// More than the manager names to anyone: nobody knows everybody, and most never meet the source.
#[test]
fn a_crowd_that_is_larger_than_any_list_ends_with_few_neighbours_each() {
    for scenario in [Scenario::Homogeneous, Scenario::Waves, Scenario::Dishonest] {
        let report = run(crowd(scenario, 150, 24, 5));
        let most = limits::NEIGHBOURS + limits::NEIGHBOURS / 4;
        assert!(report.outcome.most_holders <= most, "{}", report.outcome.most_holders);
    }
}
