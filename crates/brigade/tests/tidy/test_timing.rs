//! Rules about time in tests: no pause and no short deadline decides whether a test passes, since the machine may be
//! busy.
//!
//! They check single lines: `sleep`, durations below ten seconds, and elapsed time that is compared with anything
//! except a constant. They do not apply to virtual time: in the core, in the simulator, and in files whose tests start
//! with a paused clock.

use crate::{Source, code, no, source_rules::uses};

/// The least milliseconds of a deadline in a test.
const SHORTEST_MS: u64 = 10_000;

/// The places where a test may pause.
const PAUSES: [&str; 3] = [
    // Between two checks of a condition that cannot be waited for, until a deadline.
    "crates/brigade/tests/end_to_end/test_process.rs",
    // Between two changes, so that a peer sees different numbers of them together; no result depends on it.
    "crates/brigade/tests/end_to_end/folder_model.rs",
    // Until no more bytes are sent, because the other side does not read: a short pause proves less, but does not fail.
    "crates/brigade-node/src/peer/upload/send/tests.rs",
];

/// Short constants of tests: times that the program promises, which are used only with `SLACK` added, pauses, and how
/// long a test writes to a file.
const SHORT: [&str; 6] = ["ENDING", "BACK", "FIRST_PAUSE", "LONGEST_PAUSE", "WRITING", "STILL"];

/// Files whose tests pass times as numbers.
const VIRTUAL: [&str; 3] = [
    "crates/brigade-core/",
    "crates/brigade-sim/",
    "crates/brigade-node/src/store/keeper/files_being_written.rs",
];

/// The finding for a line of a test in real time, and what to do instead.
fn finding(path: &str, line: &str) -> Option<(&'static str, &'static str)> {
    let line = code(line);
    if (uses(&line, "sleep(") || uses(&line, "sleep_until(")) && !PAUSES.contains(&path) {
        return Some(("a test that sleeps", "wait for an event, with `until` or another deadline"));
    }
    let is_named = SHORT.iter().any(|name| line.contains(&format!("const {name}: Duration")));
    let is_no_deadline =
        [">= Duration::", "> Duration::", ".after(Duration::"].iter().any(|shape| line.contains(shape));
    if shortest_ms(&line).is_some_and(|ms| ms < SHORTEST_MS) && !is_named && !is_no_deadline {
        return Some((
            "a duration below 10 s in a test",
            "wait for PATIENCE, let the order of events tell what is quick, or pause the clock",
        ));
    }
    let (_, compared) = line.split_once("elapsed()")?;
    let (_, limit) = compared.split_once('<')?;
    let is_constant = limit.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).any(|word| word.len() > 2);
    (!is_constant)
        .then_some(("elapsed time with a bound of its own", "compare it with a constant of 10 s or more"))
}

/// The shortest duration in a line that is written as a number, in milliseconds.
fn shortest_ms(line: &str) -> Option<u64> {
    let units = [
        ("Duration::from_secs(", 1000),
        ("Duration::from_millis(", 1),
        ("Duration::from_micros(", 0),
        ("Duration::from_nanos(", 0),
    ];
    let of_unit = |(unit, ms): (&'static str, u64)| {
        line.match_indices(unit).filter_map(move |(at, _)| {
            let number: String = line[at + unit.len()..].split(')').next()?.replace('_', "");
            Some(number.parse::<u64>().ok()?.saturating_mul(ms))
        })
    };
    units.into_iter().flat_map(of_unit).min()
}

/// Paths without `.rs` of the modules of tests that stand in files of their own.
fn test_modules(sources: &[Source]) -> Vec<String> {
    let mut modules = vec![];
    for source in sources {
        let stem = source.path.trim_end_matches(".rs");
        let parents = ["/mod", "/lib", "/main"];
        let folder = parents.iter().find_map(|parent| stem.strip_suffix(parent)).unwrap_or(stem);
        let lines: Vec<&str> = source.text.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
            if let Some(name) = pair[1].strip_prefix("mod ").and_then(|name| name.strip_suffix(';')) {
                modules.push(format!("{folder}/{name}"));
            }
        }
    }
    modules
}

#[test]
fn no_test_depends_on_the_speed_of_the_machine() {
    let sources = Source::all();
    let modules = test_modules(&sources);
    let mut findings = vec![];
    for source in sources.iter().filter(|source| !VIRTUAL.iter().any(|path| source.path.starts_with(path))) {
        let stem = source.path.trim_end_matches(".rs");
        let in_module = |module: &String| stem == module || stem.starts_with(&format!("{module}/"));
        let is_test = source.is_test() || modules.iter().any(in_module);
        if source.text.contains("start_paused") && !source.path.contains("/tidy/") {
            continue;
        }
        let lines: Vec<(usize, &str)> = source.lines().collect();
        let inline =
            lines.windows(2).position(|pair| pair[0].1 == "#[cfg(test)]" && pair[1].1.ends_with('{'));
        let first = if is_test { 0 } else { inline.unwrap_or(lines.len()) };
        for (number, line) in &lines[first..] {
            let found = finding(&source.path, line);
            findings.extend(found.map(|(what, instead)| source.finding(*number, what, instead)));
        }
    }
    no(&findings);
}

#[test]
fn short_times_are_found_in_a_line() {
    let path = "crates/brigade/tests/end_to_end/joining.rs";
    for line in [
        "thread::sleep(pause);",
        "tokio::time::sleep_until(end).await;",
        "timeout(Duration::from_secs(2), heard).await.unwrap();",
        "peer.end_within(Duration::from_millis(9_999));",
        "const SOON: Duration = Duration::from_secs(3);",
        "assert!(asked.elapsed().as_secs() < 4);",
        "assert!(asked.elapsed() < limit);",
    ] {
        assert!(finding(path, line).is_some(), "{line}");
    }
    for line in [
        "// one could sleep(here)",
        "const ENDING: Duration = Duration::from_secs(2);",
        "timeout(Duration::from_secs(20), heard).await.unwrap();",
        "assert!(asked.elapsed() >= Duration::from_millis(290));",
        "assert!(asked.elapsed() < 2 * GREETING_TIME);",
        "timeout(Duration::ZERO, waits).await",
        "let now = Timestamp::from_micros(1_000_000);",
        "now = now.after(Duration::from_secs(1));",
    ] {
        assert!(finding(path, line).is_none(), "{line}");
    }
    assert!(finding(PAUSES[0], "thread::sleep(pause);").is_none());
}
